//! The store on a real PostgreSQL, which `HOTBAY_TEST_PGVECTOR_URL` names, and what needs none.

#[cfg(hotbay_test_pgvector)]
mod database;
#[cfg(hotbay_test_pgvector)]
mod filters;
#[cfg(hotbay_test_pgvector_programs)]
mod killed;
mod translation;

use hotbay_plugin::{
    error::code,
    testing::{TestHost, TestPlugin, TestStore},
    vector_store::{Entry, Metric, Query, Upsert},
};
use serde_json::{Value, json};

/// Opens the plugin and its store.
fn open(host: &TestHost, config: &Value) -> (TestPlugin, TestStore) {
    let plugin = host.open(super::plugin(), config).unwrap();
    let store = plugin.vector_store("pgvector").unwrap();
    (plugin, store)
}

#[cfg(any(hotbay_test_pgvector, hotbay_test_pgvector_programs))]
fn ids(store: &TestStore, index: &str, vector: &[f32], top_k: usize) -> Vec<String> {
    store.query(&Query::new(index, vector.to_vec(), top_k)).unwrap().into_iter().map(|hit| hit.id).collect()
}

#[cfg(hotbay_test_pgvector)]
fn filtered(mut query: Query, filter: Value) -> Query {
    query.filter = filter;
    query
}

#[cfg(hotbay_test_pgvector)]
fn with_vectors(mut query: Query) -> Query {
    query.include_vector = true;
    query
}

#[cfg(any(hotbay_test_pgvector, hotbay_test_pgvector_programs))]
#[expect(clippy::disallowed_methods, reason = "not the host: where the tests' server is")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} was set when this was built"))
}

#[track_caller]
fn refused(config: &Value, sentence: &str) {
    let error = TestHost::new().open(super::plugin(), config).map(drop).unwrap_err();
    assert_eq!(code::name(error.code), "E_CONFIG", "{error}");
    assert!(error.message.contains(sentence), "{error}");
    assert!(!error.message.contains("hidden"), "a password is told: {error}");
}

#[test]
fn settings_that_cannot_work_are_told_when_the_plugin_is_opened() {
    refused(&json!({ "url": "mysql://root:hidden@localhost/x" }), "`url` must begin with `postgres://`");
    refused(&json!({ "url": "postgres://u:hidden@[:::/x" }), "`url` is no URL of a PostgreSQL database");
    refused(&json!({ "url": "postgres://u:hidden@h/x?sslmode=maybe" }), "`url` is no URL of a PostgreSQL database");
    refused(&json!({ "url": { "secret": "nowhere" } }), "nowhere");
    refused(&json!({ "url": 5 }), "url");
    refused(&json!({ "uri": "postgres://h/x" }), "unknown field");
    for schema in ["", "a-b", "1st", "pg_mine", "a\"b"] {
        refused(&json!({ "schema": schema }), "`schema` is");
    }
    refused(&json!({ "connections": 0 }), "`connections` is 0: it must be between 1 and 1000");
    refused(&json!({ "timeout_seconds": 0 }), "`timeout_seconds` is 0");
    refused(&json!({ "hnsw": { "m": 1 } }), "`hnsw.m` is 1: it must be between 2 and 100");
    refused(&json!({ "hnsw": { "m": 50 } }), "`hnsw.ef_construction` is 64: it must be between 100 and 1000");
    refused(&json!({ "hnsw": { "ef_search": 5000 } }), "`hnsw.ef_search` is 5000");
}

#[test]
fn store_without_a_database_says_what_to_set() {
    let (_plugin, store) = open(&TestHost::new(), &json!({}));
    let error = store.list_indexes().unwrap_err();
    assert!(error.code == code::UNAVAILABLE && !error.retryable, "{error}");
    assert!(error.message.contains("set `url` in [plugins.hotbay-vector-pgvector.config]"), "{error}");
}

#[test]
fn server_that_is_not_there_is_an_error_worth_a_retry() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://hotbay:hidden@127.0.0.1:{free}/postgres");
    let host = TestHost::new().secret("vectors", &url);
    let (plugin, store) = open(&host, &json!({ "url": { "secret": "vectors" } }));
    for error in [
        store.create_index("docs", 2, Metric::Cosine).unwrap_err(),
        store.upsert(&Upsert::new("docs", vec![Entry::new("a", vec![1.0, 0.0])])).unwrap_err(),
        store.query(&Query::new("docs", vec![1.0, 0.0], 1)).unwrap_err(),
    ] {
        assert!(error.code == code::UNAVAILABLE && error.retryable, "{error}");
        assert!(error.message.starts_with("there is no connection to PostgreSQL"), "{error}");
        assert!(!error.message.contains("hidden"), "{error}");
    }
    drop(store);
    plugin.shutdown().unwrap();
}
