//! Random metadata and filters, for stores that leave filters to an engine of their own: what it
//! finds is held against [`Filter::matches`](crate::vector_store::Filter::matches).
//!
//! Values are those engines disagree about: integers no float holds, texts that look like numbers,
//! letters beyond the basic plane, missing and deep paths.

use serde_json::{Map, Value, json};

use super::TestStore;
use crate::vector_store::{Entry, Filter, Metric, Query, Upsert};

/// Entries filters are tried on.
const ENTRIES: usize = 300;

/// Returns a number below the one it is given; the same ones each time make a failure happen again.
pub type Random<'a> = &'a mut dyn FnMut(usize) -> usize;

/// Fills a store and tries so many filters: each finds, and four delete, what
/// [`Filter::matches`](crate::vector_store::Filter::matches) says. `is_exact` says whether the store leaves a
/// filter to its engine alone; that and filters that tell entries apart must not be seldom.
///
/// # Panics
/// If one finds something else; the message has the filter.
pub fn check(store: &TestStore, filters: usize, random: Random<'_>, is_exact: impl Fn(&Filter) -> bool) {
    const INDEX: &str = "random_filters";
    let done = "the store does what it is asked";
    store.create_index(INDEX, 1, Metric::Euclidean).expect(done);
    let rows: Vec<(String, Map<String, Value>)> =
        (0..ENTRIES).map(|number| (format!("{number:03}"), metadata(random))).collect();
    let entries = rows.iter().map(|(id, metadata)| {
        let mut entry = Entry::new(id, vec![1.0]);
        entry.metadata = metadata.clone();
        entry
    });
    store.upsert(&Upsert::new(INDEX, entries.collect())).expect(done);
    let (mut exact, mut telling) = (0, 0);
    for round in 0..filters {
        let filter = filter(random);
        let Ok(parsed) = Filter::parse(&filter) else { continue };
        let expected: Vec<&str> =
            rows.iter().filter(|(_, metadata)| parsed.matches(metadata)).map(|(id, _)| id.as_str()).collect();
        // A few asked for make a store look at all entries if they are not among the first.
        let top_k = if round % 4 == 0 { 3 } else { ENTRIES };
        let mut query = Query::new(INDEX, vec![1.0], top_k);
        query.filter = filter.clone();
        let hits = store.query(&query).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut found: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        found.sort_unstable();
        if top_k == ENTRIES {
            assert_eq!(found, expected, "{filter}");
        } else {
            assert_eq!(found.len(), expected.len().min(top_k), "{filter}");
            assert!(found.iter().all(|id| expected.contains(id)), "{filter}");
        }
        exact += usize::from(is_exact(&parsed));
        telling += usize::from(!expected.is_empty() && expected.len() < ENTRIES);
    }
    assert!(exact > filters / 4 && telling > filters / 4, "of {filters} {exact} were the engine's, {telling} told");
    // Deleting goes the same way; what the third finds is what the second, of texts alone, has left.
    let deleting = [
        json!({ "a": { "$gt": 0 } }),
        json!({ "b": { "$regex": "." } }),
        json!({ "b": { "$exists": true } }),
        json!({ "c": { "$ne": "a" } }),
    ];
    for filter in deleting {
        let parsed = Filter::parse(&filter).expect("it is one");
        let hits = store.query(&Query::new(INDEX, vec![1.0], ENTRIES)).expect(done);
        let expected = hits.iter().filter(|hit| parsed.matches(&hit.metadata)).count();
        assert!(expected > 0, "{filter}");
        let deleted = store.call("delete", &json!({ "index": INDEX, "filter": filter }), vec![]).expect(done).0;
        assert_eq!(deleted, expected, "{filter}");
    }
}

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
