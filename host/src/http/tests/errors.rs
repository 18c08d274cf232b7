//! The errors of the layers below, as callers see them.

use std::{sync::Arc, time::Duration};

use axum::response::IntoResponse;
use hotbay_plugin::error::code;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    engine::error::EngineError,
    http::error::{ApiError, Cause, Invalid},
    model::ModelError,
    observe::ObserveError,
    plugin::{
        call::CallError,
        error::{LoadCode, LoadError},
    },
    types::schema::Issue,
};

async fn check(error: impl Into<ApiError>, status: u16, expected: Value) {
    let response = error.into().into_response();
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers().contains_key("retry-after"), status == 503);
    assert_eq!(response.extensions().get::<Cause>().is_some(), status >= 500, "the log has every failure's cause");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

fn failed(code: u32) -> CallError {
    CallError::Failed { plugin: "p".into(), code, message: "kaput".to_owned(), retryable: false, detail: Value::Null }
}

#[tokio::test]
async fn a_query_that_cannot_be_read_says_why_and_a_broken_index_does_not() {
    let issue = json!([{"field": "q", "message": "no field `x`"}]);
    let body = json!({"error": "Invalid query parameters", "issues": issue, "details": issue});
    check(ObserveError::Query("no field `x`".to_owned()), 400, body).await;
    check(ObserveError::Index("/data: gone".to_owned()), 500, json!({"error": "Internal server error"})).await;
}

#[tokio::test]
async fn a_plugins_own_error_is_passed_on() {
    check(failed(code::FAILED), 500, json!({"error": "kaput"})).await;
    check(failed(code::INPUT), 400, json!({"error": "kaput"})).await;
    check(failed(code::NOT_FOUND), 404, json!({"error": "kaput"})).await;
    check(failed(code::UNAVAILABLE), 503, json!({"error": "kaput"})).await;
    check(EngineError::Call(Arc::new(failed(code::FAILED))), 500, json!({"error": "kaput"})).await;
}

#[tokio::test]
async fn a_plugins_panic_is_named_without_its_text() {
    let error = CallError::Panicked { plugin: "p".into(), message: "src/lib.rs said no".to_owned() };
    assert!(format!("{:?}", ApiError::from(&error)).contains("src/lib.rs said no"), "the log has it");
    check(error, 502, json!({"error": "plugin `p` panicked"})).await;
}

#[tokio::test]
async fn plugins_that_do_not_answer_are_gateway_failures() {
    let late = CallError::TimedOut { plugin: "p".into(), deadline: Duration::from_millis(20) };
    check(late, 504, json!({"error": "plugin `p` did not answer within 20 ms"})).await;
    let gone = CallError::Unavailable { plugin: "p".into(), reason: "it is stuck".to_owned() };
    check(gone, 503, json!({"error": "plugin `p` takes no calls: it is stuck"})).await;
    let retired = CallError::Cancelled { plugin: "p".into() };
    check(retired, 503, json!({"error": "the call was cancelled because plugin `p` was retired"})).await;
    let crashed = |retryable| CallError::Crashed { plugin: "p".into(), how: "signal 6, abort".into(), retryable };
    let sentence = json!({"error": "plugin `p` crashed (signal 6, abort)"});
    check(crashed(false), 502, sentence.clone()).await;
    check(crashed(true), 503, sentence).await;
}

#[tokio::test]
async fn a_refused_plugin_has_a_code() {
    let cases = [
        (LoadCode::Unknown, 404),
        (LoadCode::Conflict, 409),
        (LoadCode::State, 409),
        (LoadCode::Layout, 422),
        (LoadCode::Truncated, 422),
        (LoadCode::Untrusted, 403),
        (LoadCode::OpenTimeout, 504),
    ];
    for (code, status) in cases {
        let expected = json!({"error": "no", "details": {"code": code.as_str()}});
        check(LoadError::new(code, "no"), status, expected).await;
    }
}

#[tokio::test]
async fn what_fails_inside_the_host_stays_inside() {
    let error = LoadError::new(LoadCode::Io, "cannot write /var/lib/x: disk full");
    let expected = json!({"error": "Internal server error", "details": {"code": "E_IO"}});
    check(error, 500, expected).await;
    check(ApiError::internal("mutex of a cache"), 500, json!({"error": "Internal server error"})).await;
}

#[tokio::test]
async fn a_models_failure_is_its_sentence() {
    let error = ModelError::Refused { status: Some(400), message: "mock model failure".to_owned() };
    check(error.clone(), 500, json!({"error": "mock model failure"})).await;
    check(EngineError::Model(error), 500, json!({"error": "mock model failure"})).await;
}

#[tokio::test]
async fn what_is_unknown_is_404() {
    check(EngineError::UnknownAgent("x".to_owned()), 404, json!({"error": "Agent with id x not found"})).await;
    check(EngineError::UnknownTool("x".to_owned()), 404, json!({"error": "Tool not found"})).await;
}

#[tokio::test]
async fn issues_are_also_the_details() {
    let issue = Issue { path: vec!["vectors".to_owned(), "0".to_owned()], message: "odd".to_owned() };
    let issues = json!([{"field": "vectors.0", "message": "odd"}]);
    let expected = json!({"error": "Invalid request body", "issues": issues, "details": issues});
    check(issue.clone(), 400, expected).await;
    let expected = json!({"error": "Invalid path parameters", "issues": issues, "details": issues});
    check(ApiError::invalid(Invalid::Path, [issue]), 400, expected).await;
}

#[tokio::test]
async fn plain_errors_are_one_sentence() {
    check(ApiError::bad_request("a"), 400, json!({"error": "a"})).await;
    check(ApiError::forbidden("a"), 403, json!({"error": "a"})).await;
    check(ApiError::conflict("a"), 409, json!({"error": "a"})).await;
    check(ApiError::unprocessable("a"), 422, json!({"error": "a"})).await;
    check(ApiError::unavailable("a", Duration::from_secs(3)), 503, json!({"error": "a"})).await;
}
