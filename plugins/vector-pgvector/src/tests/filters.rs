//! Random filters on random metadata: SQL finds what the evaluator says.

use fastrand::Rng;
use hotbay_plugin::vector_store::{Entry, Filter, Metric, Query, Upsert};
use serde_json::{Map, Value, json};

use super::{database::Bed, filtered};
use crate::{pushdown::Condition, statement::Statement};

const ROWS: usize = 300;
const FILTERS: usize = 1500;

fn pick<T: Clone>(random: &mut Rng, from: &[T]) -> T {
    from[random.usize(..from.len())].clone()
}

fn key(random: &mut Rng) -> String {
    pick(random, &["a", "b", "c", "0", "ü", "a'b", "x"]).to_owned()
}

fn scalar(random: &mut Rng) -> Value {
    match random.u8(..8) {
        0 => Value::Null,
        1 => random.bool().into(),
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

fn value(random: &mut Rng, depth: u8) -> Value {
    match random.u8(..6) {
        0 if depth > 0 => (0..random.usize(..4)).map(|_| value(random, depth - 1)).collect(),
        1 if depth > 0 => Value::Object(object(random, depth - 1)),
        _ => scalar(random),
    }
}

fn object(random: &mut Rng, depth: u8) -> Map<String, Value> {
    (0..random.usize(..5)).map(|_| (key(random), value(random, depth))).collect()
}

fn path(random: &mut Rng) -> String {
    let parts = pick(random, &[1, 1, 1, 2, 3]);
    (0..parts).map(|_| key(random)).collect::<Vec<_>>().join(".")
}

fn operators(random: &mut Rng, depth: u8) -> Value {
    let values = |random: &mut Rng| (0..random.usize(..4)).map(|_| value(random, 1)).collect::<Value>();
    let bound = |random: &mut Rng| loop {
        if let bound @ (Value::Number(_) | Value::String(_)) = scalar(random) {
            break bound;
        }
    };
    match random.u8(..15) {
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
        10 => json!({ "$size": random.u8(..4) }),
        11 => json!({ "$exists": random.bool() }),
        12 => json!({ "$regex": pick(random, &["a", "^A$", "\\d", "ß"]), "$options": pick(random, &["", "i"]) }),
        13 if depth > 0 => json!({ "$not": operators(random, depth - 1) }),
        _ if depth > 0 => match random.bool() {
            true => json!({ "$elemMatch": operators(random, depth - 1) }),
            false => json!({ "$elemMatch": { key(random): operators(random, depth - 1) } }),
        },
        _ => json!({ "$exists": true }),
    }
}

fn filter(random: &mut Rng, depth: u8) -> Value {
    let parts = |random: &mut Rng| (0..random.usize(..4)).map(|_| filter(random, depth - 1)).collect::<Value>();
    match random.u8(..8) {
        0 if depth > 0 => json!({ "$and": parts(random) }),
        1 if depth > 0 => json!({ "$or": parts(random) }),
        2 if depth > 0 => json!({ "$nor": parts(random) }),
        3 if depth > 0 => match filter(random, depth - 1) {
            inner if inner == json!({}) => inner,
            inner => json!({ "$not": inner }),
        },
        4 => json!({ path(random): scalar(random) }),
        5 => json!({ path(random): operators(random, 2), path(random): operators(random, 1) }),
        _ => json!({ path(random): operators(random, 2) }),
    }
}

#[test]
fn random_filters_find_what_the_evaluator_matches() {
    let bed = Bed::new();
    let (_plugin, store) = bed.open();
    store.create_index("docs", 1, Metric::Euclidean).unwrap();
    let seed = 11;
    let mut random = Rng::with_seed(seed);
    let rows: Vec<(String, Map<String, Value>)> =
        (0..ROWS).map(|number| (format!("{number:03}"), object(&mut random, 3))).collect();
    let entries = rows.iter().map(|(id, metadata)| {
        let mut entry = Entry::new(id, vec![1.0]);
        entry.metadata = metadata.clone();
        entry
    });
    store.upsert(&Upsert::new("docs", entries.collect())).unwrap();
    let (mut exact, mut telling) = (0, 0);
    for _ in 0..FILTERS {
        let filter = filter(&mut random, 3);
        let Ok(parsed) = Filter::parse(&filter) else { continue };
        let expected: Vec<&str> =
            rows.iter().filter(|(_, metadata)| parsed.matches(metadata)).map(|(id, _)| id.as_str()).collect();
        let query = filtered(Query::new("docs", vec![1.0], ROWS), filter.clone());
        let hits = store.query(&query).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut found: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "seed {seed}: {filter}");
        exact += usize::from(Condition::of(&parsed, &mut Statement::default()).unwrap().is_exact);
        telling += usize::from(!expected.is_empty() && expected.len() < ROWS);
    }
    println!("{exact} of {FILTERS} filters were SQL alone, {telling} told rows apart");
    assert!(exact > FILTERS / 4 && telling > FILTERS / 4, "{exact} {telling}");
    // Changes by filter go the same way.
    for filter in [json!({ "a": { "$gt": 0 } }), json!({ "b": { "$exists": true } }), json!({ "c": { "$ne": "a" } })] {
        let parsed = Filter::parse(&filter).unwrap();
        let hits = store.query(&Query::new("docs", vec![1.0], ROWS)).unwrap();
        let expected = hits.iter().filter(|hit| parsed.matches(&hit.metadata)).count();
        assert!(expected > 0);
        let deleted = store.call("delete", &json!({ "index": "docs", "filter": filter }), vec![]).unwrap().0;
        assert_eq!(deleted, expected, "{filter}");
    }
}
