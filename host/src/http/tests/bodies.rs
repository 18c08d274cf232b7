//! Bodies: what is read, what is refused, in which words.

use http::Request;
use serde_json::{Value, json};

use super::{Host, HttpBody, LIMIT};

#[track_caller]
fn refused(found: &Value, field: &str, message: &str) {
    let issues = json!([{"field": field, "message": message}]);
    assert_eq!(*found, json!({"error": "Invalid request body", "issues": issues, "details": issues}));
}

async fn check(body: &str, field: &str, message: &str) {
    let answer = Host::start().await.post("/api/probe/order", body).await;
    assert_eq!(answer.status, 400, "{body}");
    refused(&answer.json(), field, message);
}

#[tokio::test]
async fn a_fitting_body_is_read_and_unknown_keys_are_dropped() {
    let answer = Host::start().await.post("/api/probe/order", r#"{"item":"tea","size":"small","x":1}"#).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"item": "tea", "size": "small"})));
}

#[tokio::test]
async fn a_missing_field_is_named() {
    check("{}", "item", "Invalid input: expected string, received undefined").await;
}

#[tokio::test]
async fn a_wrong_type_is_named_also_for_an_optional_field() {
    check(r#"{"item":"tea","count":"three"}"#, "count", "Invalid input: expected int, received string").await;
    check(r#"{"item":"tea","sentTo":{"city":1}}"#, "sentTo.city", "Invalid input: expected string, received number")
        .await;
    check(r#"{"item":"tea","sentTo":true}"#, "sentTo", "Invalid input: expected object, received boolean").await;
}

#[tokio::test]
async fn an_optional_field_may_not_be_null() {
    check(r#"{"item":"tea","count":null}"#, "count", "Invalid input: expected int, received null").await;
}

#[tokio::test]
async fn an_unknown_option_lists_the_known_ones() {
    check(r#"{"item":"tea","size":"huge"}"#, "size", r#"Invalid option: expected one of "small"|"large""#).await;
}

#[tokio::test]
async fn a_number_too_large_for_its_type_is_refused() {
    check(r#"{"item":"tea","count":256}"#, "count", "Too big: expected number to be <=255").await;
}

/// Of this the schema knows nothing.
#[tokio::test]
async fn a_number_too_large_for_its_type_is_found_deep_inside() {
    check(r#"{"item":"tea","sentTo":{"city":"Rome","number":4294967296}}"#, "sentTo.number", "Invalid input").await;
    let answer = Host::start()
        .await
        .post("/api/probe/order", r#"{"item":"tea","sentTo":{"city":"Rome","number":4294967295}}"#)
        .await;
    assert_eq!(answer.json()["sentTo"]["number"], u32::MAX);
}

#[tokio::test]
async fn other_documents_than_objects_are_refused() {
    check("null", "root", "Invalid input: expected object, received null").await;
    check("[1]", "root", "Invalid input: expected object, received array").await;
    check("1", "root", "Invalid input: expected object, received number").await;
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    check(r#"{"item":"#, "body", "Unexpected end of JSON input").await;
    check("{item}", "body", "key must be a string at line 1 column 2").await;
}

#[tokio::test]
async fn an_absent_body_is_undefined() {
    check("", "root", "Invalid input: expected object, received undefined").await;
}

#[tokio::test]
async fn a_body_of_another_content_type_is_absent() {
    let host = Host::start().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let request = Request::post("/api/probe/order").header("content-type", content_type);
        let answer = host.send(request.body(HttpBody::from(r#"{"item":"tea"}"#)).unwrap()).await;
        assert_eq!(answer.status, 400);
        refused(&answer.json(), "root", "Invalid input: expected object, received undefined");
    }
}

#[tokio::test]
async fn a_content_type_may_carry_a_charset() {
    let request = Request::post("/api/probe/order").header("content-type", "application/json; charset=utf-8");
    let answer = Host::start().await.send(request.body(HttpBody::from(r#"{"item":"tea"}"#)).unwrap()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_absent_body_is_an_empty_object_where_nothing_is_required() {
    let answer = Host::start().await.ask("POST", "/api/probe/all-optional").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"name": null})));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let host = Host::start().await;
    let body = |length: usize| format!(r#"{{"item":"{}"}}"#, "x".repeat(length - 11));
    assert_eq!(host.post("/api/probe/order", &body(LIMIT)).await.status, 200);
    let answer = host.post("/api/probe/order", &body(LIMIT + 1)).await;
    assert_eq!((answer.status, answer.json()), (413, json!({"error": "Request body too large"})));
}

#[tokio::test]
async fn a_body_that_is_not_json_comes_before_a_wrong_query() {
    let answer = Host::start().await.post("/api/probe/both/unknown?page=x", "{").await;
    assert_eq!(answer.json()["error"], "Invalid request body");
}

#[tokio::test]
async fn a_wrong_query_comes_before_a_body_that_does_not_fit() {
    let answer = Host::start().await.post("/api/probe/both/unknown?page=x", "{}").await;
    assert_eq!(answer.json()["error"], "Invalid query parameters");
}

#[tokio::test]
async fn a_body_that_does_not_fit_comes_before_the_handler() {
    let host = Host::start().await;
    assert_eq!(host.post("/api/probe/both/unknown", "{}").await.status, 400);
    let answer = host.post("/api/probe/both/unknown", r#"{"item":"tea"}"#).await;
    assert_eq!((answer.status, answer.json()), (404, json!({"error": "Thing with id unknown not found"})));
    assert_eq!(host.post("/api/probe/both/known", r#"{"item":"tea"}"#).await.status, 200);
}
