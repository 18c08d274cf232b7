//! Random metadata and filters, for stores that leave filters to an engine of their own: what it
//! finds is held against [`Filter::matches`](crate::vector_store::Filter::matches).
//!
//! Values are those engines disagree about: integers no float holds, texts that look like numbers,
//! letters beyond the basic plane, missing and deep paths.

use serde_json::{Map, Value, json};

/// Returns a number below the one it is given; the same ones each time make a failure happen again.
pub type Random<'a> = &'a mut dyn FnMut(usize) -> usize;

/// Returns metadata of an entry.
pub fn metadata(random: Random<'_>) -> Map<String, Value> {
    object(random, 3)
}

/// Returns a filter. Not every one is one: those [`Filter::parse`](crate::vector_store::Filter::parse)
/// refuses are to be left out.
pub fn filter(random: Random<'_>) -> Value {
    deep_filter(random, 3)
}

fn pick<T: Clone>(random: Random<'_>, from: &[T]) -> T {
    from[random(from.len())].clone()
}

fn key(random: Random<'_>) -> String {
    pick(random, &["a", "b", "c", "0", "ü", "a'b", "x"]).to_owned()
}

fn scalar(random: Random<'_>) -> Value {
    match random(8) {
        0 => Value::Null,
        1 => (random(2) == 0).into(),
        2 | 3 => pick(
            random,
            &[
                json!(0),
                json!(1),
                json!(1.0),
                json!(-1),
                json!(2.5),
                json!(-0.0),
                json!(0.1),
                json!(1e-7),
                json!(1e15),
                json!(9_007_199_254_740_992_i64),
                json!(9_007_199_254_740_993_i64),
                json!(9_007_199_254_740_992.0),
                json!(u64::MAX),
                json!(1e300),
                json!(i64::MIN),
                json!(12345.678),
            ],
        ),
        4 => pick(random, &["1", "2.5", " 1 ", "inf", "NaN", "1e3", "-1", ".5", "0x1"]).into(),
        _ => pick(
            random,
            &["", "a", "A", "b", "ab", "Straße", "STRASSE", "é", "z", "Z", "\u{10000}", "\u{ffff}", "a%_\\"],
        )
        .into(),
    }
}

fn value(random: Random<'_>, depth: u8) -> Value {
    match random(6) {
        0 if depth > 0 => (0..random(4)).map(|_| value(random, depth - 1)).collect(),
        1 if depth > 0 => Value::Object(object(random, depth - 1)),
        _ => scalar(random),
    }
}

fn object(random: Random<'_>, depth: u8) -> Map<String, Value> {
    (0..random(5)).map(|_| (key(random), value(random, depth))).collect()
}

fn path(random: Random<'_>) -> String {
    let parts = pick(random, &[1, 1, 1, 2, 3]);
    (0..parts).map(|_| key(random)).collect::<Vec<_>>().join(".")
}

fn operators(random: Random<'_>, depth: u8) -> Value {
    let values = |random: Random<'_>| (0..random(4)).map(|_| value(random, 1)).collect::<Value>();
    let bound = |random: Random<'_>| loop {
        if let bound @ (Value::Number(_) | Value::String(_)) = scalar(random) {
            break bound;
        }
    };
    match random(15) {
        0 => json!({ "$eq": value(random, 2) }),
        1 => json!({ "$ne": value(random, 2) }),
        2 => json!({ "$gt": bound(random) }),
        3 => json!({ "$gte": bound(random) }),
        4 => json!({ "$lt": bound(random) }),
        5 => json!({ "$lte": bound(random) }),
        6 => json!({ "$in": values(random) }),
        7 => json!({ "$nin": values(random) }),
        8 => json!({ "$all": values(random) }),
        9 => json!({ "$contains": value(random, 1) }),
        10 => json!({ "$size": random(4) }),
        11 => json!({ "$exists": random(2) == 0 }),
        12 => json!({ "$regex": pick(random, &["a", "^A$", "\\d", "ß"]), "$options": pick(random, &["", "i"]) }),
        13 if depth > 0 => json!({ "$not": operators(random, depth - 1) }),
        _ if depth > 0 => match random(2) == 0 {
            true => json!({ "$elemMatch": operators(random, depth - 1) }),
            false => json!({ "$elemMatch": { key(random): operators(random, depth - 1) } }),
        },
        _ => json!({ "$exists": true }),
    }
}

fn deep_filter(random: Random<'_>, depth: u8) -> Value {
    let parts = |random: Random<'_>| (0..random(4)).map(|_| deep_filter(random, depth - 1)).collect::<Value>();
    match random(8) {
        0 if depth > 0 => json!({ "$and": parts(random) }),
        1 if depth > 0 => json!({ "$or": parts(random) }),
        2 if depth > 0 => json!({ "$nor": parts(random) }),
        3 if depth > 0 => match deep_filter(random, depth - 1) {
            inner if inner == json!({}) => inner,
            inner => json!({ "$not": inner }),
        },
        4 => json!({ path(random): scalar(random) }),
        5 => json!({ path(random): operators(random, 2), path(random): operators(random, 1) }),
        _ => json!({ path(random): operators(random, 2) }),
    }
}
