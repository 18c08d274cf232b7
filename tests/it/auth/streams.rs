//! Streams of whoever is let in no more: each kind ends, in the words of its wire.

use std::time::Duration;

use hotbay_tests::{
    TestHost,
    http::{self, Incomplete, Outgoing},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{ADMIN, TOKENS, ask};

const WORKFLOW: &str = "/api/workflows/suspend-workflow";
const LONG: &str = "/api/workflows/slow-workflow";
const SENTENCE: &str = "the token has expired or was revoked";

/// A stream under way, and what ends it.
struct Stream {
    what: &'static str,
    answer: Incomplete,
    /// The last it says, as far as it is one JSON document.
    last: Option<Value>,
}

/// Begins to read a stream; its first piece has come when this returns.
async fn begin(host: &TestHost, token: &str, what: &'static str, request: Outgoing, last: Option<Value>) -> Stream {
    let request = request.header("authorization", &format!("Bearer {token}"));
    let mut answer = http::send(host.address(), request).await.unwrap();
    assert_eq!(answer.response.status(), 200, "{what}");
    // A stream of MCP says nothing at first.
    if what != "MCP" {
        answer.chunk().await.unwrap().unwrap();
    }
    Stream { what, answer, last }
}

/// A session of MCP, and its stream.
fn listen(token: &str, session: Option<&str>) -> Outgoing {
    let accepted = "application/json, text/event-stream";
    match session {
        None => Outgoing::post(
            "/api/mcp/hotbay/mcp",
            &json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
                "clientInfo": {"name": "test", "version": "1"}, "capabilities": {}}}),
        )
        .header("accept", accepted)
        .header("authorization", &format!("Bearer {token}")),
        Some(session) => Outgoing::get("/api/mcp/hotbay/mcp")
            .header("accept", accepted)
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", "2025-11-25"),
    }
}

#[tokio::test]
async fn every_kind_of_stream_ends_when_its_token_is_revoked() {
    let host = TestHost::builder().config_text(TOKENS).plugin("hotbay-test-reference").start().await.unwrap();
    let new = json!({"name": "reader", "role": "operator"});
    let (status, made) = ask(&host, ADMIN, "POST", "/api/auth/tokens", Some(&new)).await;
    assert_eq!(status, 200, "{made}");
    let token = made["token"].as_str().unwrap();

    let script = json!([{"text": "one two", "delayMs": 600_000}]);
    let question = json!({"messages": "hi", "model": "mock/script", "runId": "a",
        "providerOptions": {"mock": {"script": script}}});
    let started = json!({"inputData": {"message": "hi"}, "closeOnSuspend": false});
    let broken = |from: &str, run: &str, payload: Value| {
        Some(json!({"type": "error", "runId": run, "from": from, "payload": payload}))
    };
    let told = json!({"error": {"message": SENTENCE, "name": "Error"}});
    let of_agent = json!({"type": "error",
        "error": {"message": SENTENCE, "name": "Error", "stack": format!("Error: {SENTENCE}")}});
    let event = json!({"kind": "error", "type": "lapsed", "message": SENTENCE});
    let initialized = host.send(listen(token, None)).await.unwrap();
    let session = initialized.headers["mcp-session-id"].clone();
    let mut streams = vec![
        begin(&host, token, "events", Outgoing::get("/api/events"), Some(event)).await,
        begin(
            &host,
            token,
            "agent",
            Outgoing::post("/api/agents/weather-agent/stream", &question),
            broken("AGENT", "a", of_agent),
        )
        .await,
        begin(
            &host,
            token,
            "workflow",
            Outgoing::post(&format!("{WORKFLOW}/stream?runId=w"), &started),
            broken("WORKFLOW", "w", told.clone()),
        )
        .await,
        begin(&host, token, "MCP", listen(token, Some(&session)), None).await,
        begin(&host, token, "older MCP", Outgoing::get("/api/mcp/hotbay/sse"), None).await,
    ];
    // Takes three seconds, so it comes last.
    for begun in ["create-run", "start"] {
        let path = format!("{LONG}/{begun}?runId=o");
        assert_eq!(ask(&host, token, "POST", &path, Some(&started)).await.0, 200, "{begun}");
    }
    let observe = Outgoing::post(&format!("{LONG}/observe?runId=o"), &json!({}));
    streams.push(begin(&host, token, "observer", observe, broken("WORKFLOW", "o", told)).await);
    let others = begin(&host, ADMIN, "another's", Outgoing::get("/api/events?kind=plugin"), None).await;

    assert_eq!(ask(&host, ADMIN, "DELETE", "/api/auth/tokens/reader", None).await.0, 200);
    for Stream { what, answer, last } in &mut streams {
        let rest = async {
            let mut rest = Vec::new();
            while let Some(piece) = answer.chunk().await.unwrap() {
                rest.extend_from_slice(&piece);
            }
            String::from_utf8(rest).unwrap()
        };
        let rest = timeout(Duration::from_secs(10), rest).await.unwrap_or_else(|_| panic!("{what} goes on"));
        let said: Vec<Value> = rest
            .split(['\n', '\u{1e}'])
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)).ok())
            .collect();
        if let Some(last) = last {
            assert_eq!(said.last(), Some(&*last), "{what}: {rest}");
        }
        assert_eq!(rest.contains("[DONE]"), *what == "agent", "{what}: {rest}");
    }
    let (_, run) = ask(&host, ADMIN, "GET", &format!("{WORKFLOW}/runs/w"), None).await;
    assert_eq!(run["status"], "suspended", "a run goes on without who reads it: {run}");
    let Stream { mut answer, .. } = others;
    let (status, _) = ask(&host, ADMIN, "POST", "/api/plugins/hotbay-test-reference/reload", None).await;
    assert_eq!(status, 200);
    assert!(answer.chunk().await.unwrap().is_some(), "whose token stands reads on");
}
