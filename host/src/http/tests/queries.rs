//! Query strings: their forms, and what is refused.

use serde_json::{Value, json};

use super::Host;

async fn check(query: &str, expected: Value) {
    let answer = Host::start().await.get(&format!("/api/probe/query?{query}")).await;
    assert_eq!((answer.status, answer.json()), (200, expected), "{query}");
}

async fn refused(query: &str, field: &str, message: &str) {
    let answer = Host::start().await.get(&format!("/api/probe/query?{query}")).await;
    let issues = json!([{"field": field, "message": message}]);
    let expected = json!({"error": "Invalid query parameters", "issues": issues, "details": issues});
    assert_eq!((answer.status, answer.json()), (400, expected), "{query}");
}

#[tokio::test]
async fn no_query_is_an_empty_one() {
    let answer = Host::start().await.get("/api/probe/query").await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
}

#[tokio::test]
async fn texts_become_what_the_schema_asks_for() {
    check("page=2&partial=true&size=large&unknown=1", json!({"page": 2.0, "partial": true, "size": "large"})).await;
}

#[tokio::test]
async fn repeated_keys_are_arrays_and_so_is_a_single_one() {
    check("tags=a&tags=b", json!({"tags": ["a", "b"]})).await;
    check("tags=a", json!({"tags": ["a"]})).await;
    check("tags[]=a&tags[]=b", json!({"tags": ["a", "b"]})).await;
}

#[tokio::test]
async fn objects_come_in_brackets_or_as_json() {
    let expected = json!({"orderBy": {"field": "createdAt", "limit": 3}});
    check("orderBy[field]=createdAt&orderBy[limit]=3", expected.clone()).await;
    check("orderBy%5Bfield%5D=createdAt&orderBy%5Blimit%5D=3", expected.clone()).await;
    check("orderBy=%7B%22field%22:%22createdAt%22,%22limit%22:3%7D", expected).await;
}

#[tokio::test]
async fn escapes_and_odd_keys_are_no_failure() {
    check("tags=a%20b+c&%5B=1&x%5By=2&&=", json!({"tags": ["a b c"]})).await;
}

#[tokio::test]
async fn brackets_without_end_are_an_unknown_key() {
    check(&format!("tags=a&orderBy{}=1", "[x]".repeat(5_000)), json!({"tags": ["a"]})).await;
}

#[tokio::test]
async fn what_is_no_number_is_nan() {
    refused("page=two", "page", "Invalid input: expected number, received NaN").await;
    refused("page=1&page=2", "page", "Invalid input: expected number, received NaN").await;
    refused("orderBy[field]=a&orderBy[limit]=x", "orderBy.limit", "Invalid input: expected number, received NaN").await;
}

#[tokio::test]
async fn what_is_no_date_is_refused() {
    check("since=2026-01-02", json!({"since": "2026-01-02"})).await;
    check("since=2026-01-02T03:04:05.678Z", json!({"since": "2026-01-02T03:04:05.678Z"})).await;
    refused("since=yesterday", "since", "Invalid input: expected date, received Date").await;
}

#[tokio::test]
async fn an_unknown_option_lists_the_known_ones() {
    refused("size=huge", "size", r#"Invalid option: expected one of "small"|"large""#).await;
}

#[tokio::test]
async fn a_part_of_an_object_that_is_missing_is_named() {
    refused("orderBy[limit]=1", "orderBy.field", "Invalid input: expected string, received undefined").await;
}

#[tokio::test]
async fn text_is_no_boolean_unless_it_is_one() {
    refused("partial=yes", "partial", "Invalid input: expected boolean, received string").await;
}
