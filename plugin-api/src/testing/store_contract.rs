//! What every vector store must do, as one suite each of them runs in its own tests.
//!
//! ```no_run
//! # fn plugin() -> hotbay_plugin::Plugin { unimplemented!() }
//! use hotbay_plugin::testing::{TestHost, store_contract};
//! use serde_json::json;
//!
//! let plugin = TestHost::new().open(plugin(), &json!({})).unwrap();
//! store_contract::check(&plugin.vector_store("mine").unwrap());
//! ```
//!
//! It panics at the first thing that is not as it must be, as a test does.
#![expect(clippy::unwrap_used, reason = "a suite of tests")]

use serde_json::{Value, json};

use super::TestStore;
use crate::{
    error::code,
    vector_store::{Entry, Hit, Metric, Query, Upsert},
};

/// Runs the whole suite on a store. What indexes it makes begin with `contract_`, and are deleted.
///
/// # Panics
/// If the store does not do what it must.
pub fn check(store: &TestStore) {
    indexes(store);
    entries(store);
    metrics(store);
    filters(store);
    changes(store);
    mistakes(store);
    neighbours(store);
}

fn fresh(store: &TestStore, name: &str, dimension: u32, metric: Metric) {
    store.delete_index(name).unwrap();
    store.create_index(name, dimension, metric).unwrap();
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.id.as_str()).collect()
}

fn found(store: &TestStore, index: &str, vector: &[f32], filter: Value) -> Vec<String> {
    let query = Query { filter, ..Query::new(index, vector.to_vec(), 100) };
    let mut ids: Vec<_> = store.query(&query).unwrap().into_iter().map(|hit| hit.id).collect();
    ids.sort();
    ids
}

#[track_caller]
fn close(score: f32, expected: f32) {
    assert!((score - expected).abs() < 1e-5, "a score is {score}, not {expected}");
}

fn indexes(store: &TestStore) {
    let (one, other) = ("contract_b", "contract_a");
    fresh(store, one, 3, Metric::Euclidean);
    fresh(store, other, 2, Metric::Cosine);
    let names = store.list_indexes().unwrap();
    assert!(names.iter().any(|name| name == one) && names.iter().any(|name| name == other), "{names:?}");
    let stats = store.describe_index(one).unwrap();
    assert_eq!((stats.dimension, stats.count, stats.metric), (3, 0, Metric::Euclidean));
    store.create_index(one, 3, Metric::Euclidean).unwrap();
    store.upsert(&Upsert::new(one, vec![Entry::new("x", vec![1.0, 2.0, 3.0])])).unwrap();
    assert_eq!(store.describe_index(one).unwrap().count, 1, "creating it again leaves it as it is");
    for name in [one, other] {
        store.delete_index(name).unwrap();
        store.delete_index(name).unwrap();
        assert_eq!(store.describe_index(name).unwrap_err().code, code::NOT_FOUND);
    }
    assert!(!store.list_indexes().unwrap().iter().any(|name| name == one || name == other));
    fresh(store, one, 2, Metric::Cosine);
    assert_eq!(store.describe_index(one).unwrap().count, 0, "an index made anew is empty");
    store.delete_index(one).unwrap();
}

fn entries(store: &TestStore) {
    let index = "contract_entries";
    fresh(store, index, 2, Metric::Cosine);
    let nothing = store.query(&Query::new(index, vec![1.0, 0.0], 5)).unwrap();
    assert!(nothing.is_empty());
    let metadata = json!({ "kind": "x", "deep": { "list": [1, "two", null] }, "ümlaut": "ß" });
    let mut first = Entry::new("a", vec![3.0, 0.0]);
    first.metadata = metadata.as_object().unwrap().clone();
    let upsert = Upsert::new(index, vec![first, Entry::new("b", vec![0.0, 2.0])]);
    assert_eq!(store.upsert(&upsert).unwrap(), ["a", "b"]);
    let hits = store.query(&Query { include_vector: true, ..Query::new(index, vec![1.0, 0.0], 5) }).unwrap();
    assert_eq!(ids(&hits), ["a", "b"]);
    close(hits[0].score, 1.0);
    close(hits[1].score, 0.0);
    assert_eq!(Value::Object(hits[0].metadata.clone()), metadata);
    assert_eq!(hits[0].vector.as_deref(), Some(&[3.0, 0.0][..]), "vectors come back as they were given");
    let hits = store.query(&Query::new(index, vec![1.0, 0.0], 1)).unwrap();
    assert_eq!((ids(&hits), &hits[0].vector), (vec!["a"], &None));
    // A vector that replaces another takes its metadata, too.
    store.upsert(&Upsert::new(index, vec![Entry::new("a", vec![0.0, 1.0])])).unwrap();
    let hits = store.query(&Query::new(index, vec![1.0, 0.0], 5)).unwrap();
    assert_eq!(hits.len(), 2);
    assert!(hits.iter().all(|hit| hit.score.abs() < 1e-5 && hit.metadata.is_empty()), "{hits:?}");
    // Of one id the last counts.
    let twice = vec![Entry::new("c", vec![0.0, 1.0]).with("n", 1), Entry::new("c", vec![1.0, 0.0]).with("n", 2)];
    store.upsert(&Upsert::new(index, twice)).unwrap();
    assert_eq!(store.describe_index(index).unwrap().count, 3);
    let hits = store.query(&Query::new(index, vec![1.0, 0.0], 1)).unwrap();
    assert_eq!((ids(&hits), &hits[0].metadata["n"]), (vec!["c"], &json!(2)));
    let mut nameless = Entry::new("", vec![1.0, 1.0]);
    nameless.id = None;
    let made_up = store.upsert(&Upsert::new(index, vec![nameless.clone(), nameless])).unwrap();
    assert!(made_up.len() == 2 && made_up[0] != made_up[1] && !made_up[0].is_empty(), "{made_up:?}");
    assert_eq!(store.describe_index(index).unwrap().count, 5);
    store.delete_index(index).unwrap();
}

fn metrics(store: &TestStore) {
    let index = "contract_metrics";
    let rows = [("near", [2.0, 1.0]), ("far", [10.0, 0.0]), ("back", [-1.0, 0.0]), ("none", [0.0, 0.0])];
    for (metric, best, scores) in [
        (Metric::Cosine, vec!["far", "near"], vec![1.0, 2.0 / 5.0_f32.sqrt()]),
        (
            Metric::Euclidean,
            vec!["none", "near", "back", "far"],
            vec![0.5, 1.0 / (1.0 + 2.0_f32.sqrt()), 1.0 / 3.0, 0.1],
        ),
        (Metric::DotProduct, vec!["far", "near", "none", "back"], vec![10.0, 2.0, 0.0, -1.0]),
    ] {
        fresh(store, index, 2, metric);
        let entries = rows.iter().map(|(id, vector)| Entry::new(*id, vector.to_vec())).collect();
        store.upsert(&Upsert::new(index, entries)).unwrap();
        let hits = store.query(&Query::new(index, vec![1.0, 0.0], 10)).unwrap();
        assert_eq!(ids(&hits), best, "{metric:?}");
        for (hit, score) in hits.iter().zip(scores) {
            close(hit.score, score);
        }
    }
    fresh(store, index, 2, Metric::Cosine);
    store.upsert(&Upsert::new(index, vec![Entry::new("a", vec![1.0, 0.0])])).unwrap();
    let hits = store.query(&Query::new(index, vec![0.0, 0.0], 10)).unwrap();
    assert!(hits.is_empty(), "nothing is near a vector without direction");
    store.delete_index(index).unwrap();
}

fn filters(store: &TestStore) {
    let index = "contract_filters";
    fresh(store, index, 2, Metric::Cosine);
    let entry = |id: &str, metadata: Value| {
        let mut entry = Entry::new(id, vec![1.0, 0.5]);
        entry.metadata = metadata.as_object().unwrap().clone();
        entry
    };
    let entries = vec![
        entry("1", json!({ "kind": "x", "n": 1, "tags": ["a", "b"], "nested": { "k": 1 } })),
        entry("2", json!({ "kind": "y", "n": 2, "tags": ["b"] })),
        entry("3", json!({ "kind": "x", "n": 4, "text": "Hello world", "gone": null })),
        entry("4", json!({})),
    ];
    store.upsert(&Upsert::new(index, entries)).unwrap();
    for (filter, expected) in [
        (json!({}), "1234"),
        (json!({ "kind": "x" }), "13"),
        (json!({ "kind": { "$eq": "y" } }), "2"),
        (json!({ "kind": { "$ne": "x" } }), "2"),
        (json!({ "n": { "$gt": 1 } }), "23"),
        (json!({ "n": { "$gte": 1, "$lt": 4 } }), "12"),
        (json!({ "n": { "$lte": 1 } }), "1"),
        (json!({ "kind": { "$in": ["y", "z"] } }), "2"),
        (json!({ "kind": { "$nin": ["y"] } }), "13"),
        (json!({ "tags": ["a"] }), "1"),
        (json!({ "tags": { "$all": ["a", "b"] } }), "1"),
        (json!({ "tags": { "$contains": "b" } }), "12"),
        (json!({ "text": { "$contains": "WORLD" } }), "3"),
        (json!({ "tags": { "$size": 1 } }), "2"),
        (json!({ "tags": { "$elemMatch": { "$in": ["a"] } } }), "1"),
        (json!({ "text": { "$exists": true } }), "3"),
        (json!({ "text": { "$exists": false } }), "124"),
        (json!({ "kind": null }), "4"),
        (json!({ "gone": null }), "1234"),
        (json!({ "text": { "$regex": "^hello", "$options": "i" } }), "3"),
        (json!({ "nested.k": 1 }), "1"),
        (json!({ "nested": { "k": { "$gt": 0 } } }), "1"),
        (json!({ "$and": [{ "kind": "x" }, { "n": { "$gt": 1 } }] }), "3"),
        (json!({ "$or": [{ "kind": "y" }, { "n": 1 }] }), "12"),
        (json!({ "$not": { "kind": "x" } }), "2"),
        (json!({ "$nor": [{ "kind": "y" }, { "n": 1 }] }), "3"),
        (json!({ "n": { "$not": { "$gt": 1 } } }), "1"),
        (json!({ "n": { "$in": [] } }), ""),
    ] {
        let ids = found(store, index, &[1.0, 0.0], filter.clone()).concat();
        assert_eq!(ids, expected, "{filter}");
    }
    store.delete_index(index).unwrap();
}

fn changes(store: &TestStore) {
    let index = "contract_changes";
    fresh(store, index, 2, Metric::DotProduct);
    let entries = (1..=6_u8).map(|n| Entry::new(n.to_string(), vec![f32::from(n), 0.0]).with("n", n)).collect();
    store.upsert(&Upsert::new(index, entries)).unwrap();
    let change = |op: &str, body: Value, row: Vec<f32>| store.call(op, &body, row).unwrap().0;
    let by_id = json!({ "index": index, "ids": ["1", "nobody"], "metadata": { "is": "changed" } });
    assert_eq!(change("update", by_id, vec![]), 1);
    let hits = store.query(&Query { include_vector: true, ..Query::new(index, vec![1.0, 0.0], 10) }).unwrap();
    let last = hits.last().unwrap();
    assert_eq!(last.id, "1", "its vector stays");
    assert_eq!(Value::Object(last.metadata.clone()), json!({ "is": "changed" }), "its metadata is replaced");
    assert_eq!(change("update", json!({ "index": index, "ids": ["1"] }), vec![50.0, 1.0]), 1);
    let hits = store.query(&Query::new(index, vec![1.0, 0.0], 1)).unwrap();
    assert_eq!((ids(&hits), &hits[0].metadata["is"]), (vec!["1"], &json!("changed")));
    let by_filter = json!({ "index": index, "filter": { "n": { "$gte": 5 } }, "metadata": { "n": 100 } });
    assert_eq!(change("update", by_filter, vec![]), 2);
    assert_eq!(found(store, index, &[1.0, 0.0], json!({ "n": 100 })), ["5", "6"]);
    assert_eq!(change("delete", json!({ "index": index, "ids": ["2", "2", "nobody"] }), vec![]), 1);
    assert_eq!(change("delete", json!({ "index": index, "filter": { "n": 100 } }), vec![]), 2);
    assert_eq!(found(store, index, &[1.0, 0.0], json!({})), ["1", "3", "4"]);
    assert_eq!(store.describe_index(index).unwrap().count, 3);
    store.upsert(&Upsert::new(index, vec![Entry::new("2", vec![9.0, 9.0])])).unwrap();
    assert_eq!(found(store, index, &[1.0, 0.0], json!({})), ["1", "2", "3", "4"], "what was deleted may come back");
    store.delete_index(index).unwrap();
}

fn mistakes(store: &TestStore) {
    let (index, nowhere) = ("contract_mistakes", "contract_nowhere");
    fresh(store, index, 2, Metric::Cosine);
    store.delete_index(nowhere).unwrap();
    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: crate::Result<T>, expected: u32) {
        let error = result.unwrap_err();
        assert_eq!(code::name(error.code), code::name(expected), "{}", error.message);
        assert!(!error.message.is_empty());
    }
    let entry = |vector: &[f32]| vec![Entry::new("a", vector.to_vec())];
    refused(store.upsert(&Upsert::new(nowhere, entry(&[1.0, 0.0]))), code::NOT_FOUND);
    refused(store.upsert(&Upsert::new(index, entry(&[1.0]))), code::INPUT);
    refused(store.query(&Query::new(nowhere, vec![1.0, 0.0], 1)), code::NOT_FOUND);
    refused(store.query(&Query::new(index, vec![1.0, 0.0, 0.0], 1)), code::INPUT);
    let bad = Query { filter: json!({ "n": { "$bogus": 1 } }), ..Query::new(index, vec![1.0, 0.0], 1) };
    refused(store.query(&bad), code::INPUT);
    refused(store.call("delete", &json!({ "index": nowhere, "ids": ["a"] }), vec![]), code::NOT_FOUND);
    refused(store.call("update", &json!({ "index": index, "ids": ["a"] }), vec![1.0]), code::INPUT);
    refused(store.call("delete", &json!({ "index": index, "filter": { "$gt": 1 } }), vec![]), code::INPUT);
    assert_eq!(store.describe_index(index).unwrap().count, 0);
    store.delete_index(index).unwrap();
}

/// Enough entries for the best to be looked for, not only sorted.
fn neighbours(store: &TestStore) {
    let index = "contract_neighbours";
    fresh(store, index, 8, Metric::Euclidean);
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0
    };
    let rows: Vec<Vec<f32>> = (0..500).map(|_| (0..8).map(|_| next()).collect()).collect();
    for (part, chunk) in rows.chunks(100).enumerate() {
        let entries = chunk.iter().enumerate();
        let entries =
            entries.map(|(at, row)| Entry::new((part * 100 + at).to_string(), row.clone()).with("even", at % 2 == 0));
        store.upsert(&Upsert::new(index, entries.collect())).unwrap();
    }
    for probe in 0..20 {
        let hits = store.query(&Query::new(index, rows[probe * 25].clone(), 10)).unwrap();
        assert_eq!(hits[0].id, (probe * 25).to_string(), "nothing is nearer to a vector than itself");
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score), "hits are not in order");
        let query = Query { filter: json!({ "even": false }), ..Query::new(index, rows[probe * 25].clone(), 10) };
        let hits = store.query(&query).unwrap();
        assert_eq!(hits.len(), 10, "a filter leaves as many as were asked for, if there are so many");
        assert!(hits.iter().all(|hit| hit.metadata["even"] == false));
    }
    store.delete_index(index).unwrap();
}
