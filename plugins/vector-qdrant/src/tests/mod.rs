//! The store against a Qdrant of the tests' own, and against a real one that `HOTBAY_TEST_QDRANT_URL` names.

mod fake;
mod filters;

use hotbay_plugin::{
    error::code,
    testing::{TestHost, TestPlugin, TestStore, store_contract},
    vector_store::{Entry, Metric, Query, Upsert},
};
use serde_json::{Value, json};

use fake::{Fake, KEY};

/// A server and the store on it.
struct Bed {
    fake: Fake,
    store: TestStore,
    _plugin: TestPlugin,
}

impl Bed {
    fn new() -> Self {
        let fake = Fake::start();
        let (plugin, store) = open(&fake, json!({}));
        Self { fake, store, _plugin: plugin }
    }
}

fn open(fake: &Fake, mut config: Value) -> (TestPlugin, TestStore) {
    config["url"] = format!("http://{}", fake.address).into();
    config["api_key"] = json!({ "secret": "qdrant" });
    let plugin = TestHost::new().secret("qdrant", KEY).open(super::plugin(), &config).unwrap();
    let store = plugin.vector_store("qdrant").unwrap();
    (plugin, store)
}

fn filtered(mut query: Query, filter: Value) -> Query {
    query.filter = filter;
    query
}

fn put(store: &TestStore, index: &str, entries: Vec<Entry>) {
    store.upsert(&Upsert::new(index, entries)).unwrap();
}

fn ids(store: &TestStore, query: &Query) -> Vec<String> {
    store.query(query).unwrap().into_iter().map(|hit| hit.id).collect()
}

#[test]
fn store_keeps_the_contract() {
    let bed = Bed::new();
    store_contract::check(&bed.store);
    assert!(bed.fake.collections().is_empty(), "{:?}", bed.fake.collections());
}

#[cfg(hotbay_test_qdrant)]
#[test]
#[expect(clippy::disallowed_methods, reason = "not the host: where the tests' server is")]
fn store_keeps_the_contract_on_a_real_server() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut config =
        json!({ "url": variable("HOTBAY_TEST_QDRANT_URL"), "prefix": format!("hotbay_test_{}_", std::process::id()) });
    if let Some(key) = variable("HOTBAY_TEST_QDRANT_API_KEY") {
        config["api_key"] = key.into();
    }
    let plugin = TestHost::new().open(super::plugin(), &config).unwrap();
    store_contract::check(&plugin.vector_store("qdrant").unwrap());
}

#[track_caller]
fn refused(config: &Value, sentence: &str) {
    let error = TestHost::new().open(super::plugin(), config).map(drop).unwrap_err();
    assert_eq!(code::name(error.code), "E_CONFIG", "{error}");
    assert!(error.message.contains(sentence), "{error}");
}

#[test]
fn settings_that_cannot_work_are_told_when_the_plugin_is_opened() {
    refused(&json!({ "url": "localhost:6334" }), "`url` must begin with `http://` or `https://`");
    refused(&json!({ "url": "http://" }), "`url` cannot be used");
    refused(&json!({ "url": { "secret": "nowhere" } }), "nowhere");
    refused(&json!({ "url": "http://localhost:6334", "api_key": { "secret": "nowhere" } }), "nowhere");
    refused(&json!({ "prefix": "a/b" }), "`prefix` is `a/b`");
    refused(&json!({ "timeout_seconds": 0 }), "`timeout_seconds` is 0: it must be between 1 and 3600");
    refused(&json!({ "key": "x" }), "unknown field");
}

#[test]
fn store_without_a_server_says_what_to_set() {
    let plugin = TestHost::new().open(super::plugin(), &json!({})).unwrap();
    let error = plugin.vector_store("qdrant").unwrap().list_indexes().unwrap_err();
    assert!(error.code == code::UNAVAILABLE && !error.retryable, "{error}");
    assert!(error.message.contains("set `url` in [plugins.hotbay-vector-qdrant.config]"), "{error}");
}

#[test]
fn server_that_wants_another_key_is_told() {
    let fake = Fake::start();
    let config = json!({ "url": format!("http://{}", fake.address), "api_key": "another" });
    let plugin = TestHost::new().open(super::plugin(), &config).unwrap();
    let error = plugin.vector_store("qdrant").unwrap().list_indexes().unwrap_err();
    assert!(error.code == code::CONFIG && error.message.contains("check `api_key`"), "{error}");
}

#[test]
fn server_that_is_killed_is_told_and_found_again() {
    let mut bed = Bed::new();
    bed.store.create_index("docs", 2, Metric::Cosine).unwrap();
    put(&bed.store, "docs", vec![Entry::new("a", vec![1.0, 0.0])]);
    for round in 0..3 {
        bed.fake.kill();
        let put = Upsert::new("docs", vec![Entry::new("b", vec![0.0, 1.0])]);
        for error in [
            bed.store.upsert(&put).unwrap_err(),
            bed.store.query(&Query::new("docs", vec![1.0, 0.0], 1)).unwrap_err(),
            bed.store.create_index("more", 2, Metric::Cosine).unwrap_err(),
        ] {
            assert!(error.code == code::UNAVAILABLE && error.retryable, "round {round}: {error}");
            assert!(error.message.contains("Qdrant"), "{error}");
        }
        bed.fake.go_on();
        assert_eq!(ids(&bed.store, &Query::new("docs", vec![1.0, 0.0], 1)), ["a"]);
    }
}

#[test]
fn collections_of_others_are_left_alone() {
    let bed = Bed::new();
    for name in ["docs", "hotbay_", "hotbay_not-ours", "other_docs"] {
        bed.fake.add_collection(name);
    }
    bed.store.create_index("docs", 2, Metric::Cosine).unwrap();
    let (_plugin, other) = open(&bed.fake, json!({ "prefix": "other_" }));
    assert_eq!(
        (bed.store.list_indexes().unwrap(), other.list_indexes().unwrap()),
        (vec!["docs".to_owned()], vec!["docs".to_owned()])
    );
    bed.store.delete_index("docs").unwrap();
    bed.store.delete_index("not-ours").unwrap();
    assert_eq!(bed.fake.collections(), ["docs", "hotbay_", "hotbay_not-ours", "other_docs"]);
    assert_eq!(bed.store.describe_index("not-ours").unwrap_err().code, code::NOT_FOUND);
}

#[test]
fn metadata_comes_back_exactly() {
    let bed = Bed::new();
    bed.store.create_index("docs", 1, Metric::Euclidean).unwrap();
    assert!(bed.fake.is_indexed());
    let deep =
        (0..60).fold(json!(1.5), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "in": inner }) });
    let metadata = json!({
        "z": u64::MAX, "a": i64::MIN, "float": 1.0, "tiny": 5e-324, "huge": 1e300, "null": null, "empty": [{}, [], ""],
        "nul": "a\0b", "a.b": 1, "": 2, "deep": deep, "long": "x".repeat(5000), "quote\"d\\": 7,
    });
    let mut entry = Entry::new("an id, not a UUID \0", vec![1.0]);
    entry.metadata = metadata.as_object().unwrap().clone();
    put(&bed.store, "docs", vec![entry]);
    let hits = bed.store.query(&Query::new("docs", vec![1.0], 1)).unwrap();
    assert_eq!(hits[0].id, "an id, not a UUID \0");
    assert_eq!(
        serde_json::to_string(&hits[0].metadata).unwrap(),
        metadata.to_string(),
        "in the order it was given, too"
    );
    for filter in [
        json!({ "quote\"d\\": { "$gt": 6 } }),
        json!({ "long": "x".repeat(5000) }),
        json!({ "z": u64::MAX }),
        json!({ "nul": "a\0b" }),
        json!({ "empty": { "$size": 3 } }),
    ] {
        assert_eq!(ids(&bed.store, &filtered(Query::new("docs", vec![1.0], 1), filter.clone())).len(), 1, "{filter}");
    }
    let other = filtered(Query::new("docs", vec![1.0], 1), json!({ "z": u64::MAX - 1 }));
    assert!(ids(&bed.store, &other).is_empty(), "doubles have no room for the difference, the evaluator does");
}

#[test]
fn few_that_match_among_many_that_may_are_found() {
    let bed = Bed::new();
    bed.store.create_index("docs", 1, Metric::Euclidean).unwrap();
    let entries = (0..2500_u16)
        .map(|number| Entry::new(number.to_string(), vec![f32::from(number)]).with("name", format!("n{number}")));
    put(&bed.store, "docs", entries.collect());
    let query = filtered(Query::new("docs", vec![0.0], 2), json!({ "name": { "$regex": "^n2[34]99$" } }));
    assert_eq!(ids(&bed.store, &query), ["2399", "2499"]);
    assert_eq!(bed.fake.calls("scroll"), 3, "a page at a time");
    assert_eq!(bed.fake.calls("upsert"), 3, "a thousand at a time");
    // What Qdrant can say by itself is one call.
    let (scrolls, queries) = (bed.fake.calls("scroll"), bed.fake.calls("query"));
    let query = filtered(Query::new("docs", vec![0.0], 2), json!({ "name": { "$in": ["n2399", "n2499"] } }));
    assert_eq!(ids(&bed.store, &query), ["2399", "2499"]);
    assert_eq!((bed.fake.calls("scroll"), bed.fake.calls("query")), (scrolls, queries + 1));
    let delete = json!({ "index": "docs", "filter": { "name": { "$regex": "^n1" } } });
    assert_eq!(bed.store.call("delete", &delete, vec![]).unwrap().0, 1 + 10 + 100 + 1000);
    assert_eq!(bed.store.describe_index("docs").unwrap().count, 2500 - 1111);
}

#[test]
fn hosts_may_create_the_same_index_at_once() {
    let bed = Bed::new();
    let stores: Vec<_> = (0..4).map(|_| open(&bed.fake, json!({}))).collect();
    std::thread::scope(|scope| {
        for (number, (_, store)) in stores.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..5 {
                    let index = format!("docs_{round}");
                    store.create_index(&index, 2, Metric::Cosine).unwrap();
                    put(store, &index, vec![Entry::new(number.to_string(), vec![1.0, 0.0])]);
                }
            });
        }
    });
    for round in 0..5 {
        assert_eq!(bed.store.describe_index(&format!("docs_{round}")).unwrap().count, 4);
    }
}

#[test]
fn vectors_of_a_cosine_index_have_their_length_back() {
    let bed = Bed::new();
    bed.store.create_index("docs", 3, Metric::Cosine).unwrap();
    let vectors = [[0.1, -20.0, 3.5], [1e-5, -2e-5, 0.0], [0.0, 0.0, 0.0], [3e30, -3e30, 0.0]];
    put(
        &bed.store,
        "docs",
        vectors.iter().enumerate().map(|(at, row)| Entry::new(at.to_string(), row.to_vec())).collect(),
    );
    let mut query = Query::new("docs", vec![0.5, -1.0, 0.5], 5);
    query.include_vector = true;
    let check = |vectors: &[[f32; 3]]| {
        let hits = bed.store.query(&query).unwrap();
        assert!(hits.iter().all(|hit| hit.score > 0.5), "all point there, however long they are: {hits:?}");
        for hit in &hits {
            let given = vectors[hit.id.parse::<usize>().unwrap()];
            for (one, other) in hit.vector.as_ref().unwrap().iter().zip(given) {
                assert!((one - other).abs() <= other.abs() * 1e-6, "{one} {other}");
            }
        }
        hits.len()
    };
    assert_eq!(check(&vectors), 3, "one has no direction");
    bed.store.call("update", &json!({ "index": "docs", "ids": ["2"] }), vec![7.0, 0.0, 7.0]).unwrap();
    bed.store.call("update", &json!({ "index": "docs", "ids": ["1"] }), vec![0.0, 0.0, 0.0]).unwrap();
    assert_eq!(check(&[vectors[0], [0.0; 3], [7.0, 0.0, 7.0], vectors[3]]), 3, "now another one has none");
}
