//! What a request must get past before it is answered.

use std::time::Duration;

use http::Request;
use serde_json::json;

use super::{Host, HttpBody};

#[tokio::test]
async fn an_answer_that_takes_too_long_is_504() {
    let host = Host::with(|config| config.limits.request_time = Duration::from_millis(50)).await;
    let answer = host.get("/api/probe/never").await;
    assert_eq!((answer.status, answer.json()), (504, json!({"error": "the answer took longer than 0.05 s"})));
}

#[tokio::test]
async fn requests_that_are_too_many_at_once_are_503_and_the_operators_are_answered() {
    let host = Host::with(|config| config.limits.requests = 1).await;
    let never = host.get("/api/probe/never");
    let others = async {
        let answer = host.get("/api/agents").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        for path in ["/health", "/metrics", "/api/plugins"] {
            assert_eq!(host.get(path).await.status, 200, "{path}");
        }
    };
    tokio::select! {
        biased;
        _ = never => panic!("it is never answered"),
        () = others => {}
    }
    assert_eq!(host.get("/api/agents").await.status, 200);
}

#[tokio::test]
async fn json_is_nested_as_deep_as_it_may_be() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for most in [3, 60] {
        let host = Host::with(|config| config.limits.json_depth = most).await;
        let fits = host.post("/api/probe/order", &nested(most)).await.json();
        assert_eq!(fits["issues"][0]["message"], "Invalid input: expected object, received array");
        let answer = host.post("/api/probe/order", &nested(most + 1)).await;
        let message = format!("JSON may be nested {most} levels deep at most");
        assert_eq!((answer.status, &answer.json()["issues"][0]["message"]), (400, &json!(message)));
    }
}

#[tokio::test]
async fn a_url_too_long_is_414() {
    let host = Host::with(|config| config.limits.url_bytes = 20).await;
    assert_eq!(host.get("/health?aaaaaaaaaaaa").await.status, 200);
    let answer = host.get("/health?aaaaaaaaaaaaaa").await;
    assert_eq!((answer.status, answer.json()), (414, json!({"error": "the URL is longer than 20 bytes"})));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let host = Host::with(|config| config.limits.body_time = Duration::from_millis(50)).await;
    let body = HttpBody::from_stream(futures::stream::pending::<Result<&str, std::io::Error>>());
    let request = Request::post("/api/probe/order").header("content-type", "application/json");
    let answer = host.send(request.body(body).unwrap()).await;
    assert_eq!((answer.status, answer.json()), (408, json!({"error": "the request's body did not come in time"})));
}
