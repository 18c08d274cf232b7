//! What is recorded of a client's call: its request, and below it what was run.

use hotbay_tests::{TestHost, eventually, plugin_host::SOON};
use serde_json::{Value, json};

use super::{
    ALL, REFERENCE, Session, ask, host, newer, send,
    sources::{host_with, third},
};

const PARENT: &str = "00f067aa0ba902b7";

/// Calls a tool in a trace of the client's own and returns the request's span and the one below it.
async fn recorded(host: &TestHost, trace: &str, tool: &str, arguments: Value) -> (Value, Value) {
    let meta = json!({"traceparent": format!("00-{trace}-{PARENT}-01")});
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    ask(host, ALL, "tools/call", params).await;
    let spans = spans(host, trace).await;
    let request = spans.iter().find(|span| span["parentSpanId"] == PARENT).cloned().unwrap();
    let run = spans.iter().find(|span| span["parentSpanId"] == request["spanId"]).cloned().unwrap();
    (request, run)
}

/// The spans of a trace, once its request is over.
async fn spans(host: &TestHost, trace: &str) -> Vec<Value> {
    eventually(SOON, || async {
        let (_, answer) = host.get_json(&format!("/api/observability/traces/{trace}")).await.unwrap();
        let spans = answer["spans"].as_array()?.clone();
        let is_over = |span: &Value| span["status"] != "running";
        let has_request = spans.iter().any(|span| span["spanType"] == "mcp_server_request");
        (has_request && spans.len() > 1 && spans.iter().all(is_over)).then_some(spans)
    })
    .await
}

#[tokio::test]
async fn what_a_client_calls_is_below_its_request() {
    let host = host().await;
    for (n, tool, arguments, kind) in [
        (1, format!("{REFERENCE}_weather"), json!({"city": "Oslo"}), "tool_call"),
        (2, format!("ask_{REFERENCE}_echo-agent"), json!({"message": "hi"}), "agent_run"),
        (3, format!("run_{REFERENCE}_linear-workflow"), json!({"message": "hi"}), "workflow_run"),
    ] {
        let trace = format!("{n}bf92f3577b34da6a3ce929d0e0e4736");
        let (request, run) = recorded(&host, &trace, &tool, arguments.clone()).await;
        assert_eq!(request["spanType"], "mcp_server_request", "{request}");
        assert_eq!(request["name"], format!("tools/call {tool}"));
        assert_eq!(run["spanType"], kind, "{run}");
        let attributes = &request["attributes"];
        for (name, value) in [
            ("mcpMethod", "tools/call"),
            ("targetName", &*tool),
            ("mcpServer", "Hotbay"),
            ("mcpProtocolVersion", super::NEWER),
            ("clientName", "test"),
        ] {
            assert_eq!(attributes[name], value, "{attributes}");
        }
        assert_eq!(request["entityType"], "mcp_server", "{request}");
        assert_eq!(request["input"]["arguments"], arguments, "{request}");
    }
}

#[tokio::test]
async fn a_tool_of_another_server_says_whose_it_is() {
    let third = third().await;
    let host = host_with(&third, "ref-mcp").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (_, run) = recorded(&host, trace, "http_weather", json!({"city": "Oslo"})).await;
    assert_eq!((&run["spanType"], &run["attributes"]["mcpServer"]), (&json!("mcp_tool_call"), &json!("http")), "{run}");
}

#[tokio::test]
async fn a_call_that_fails_is_a_request_that_fails() {
    let host = host().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (request, run) = recorded(&host, trace, &format!("{REFERENCE}_failing"), json!({})).await;
    assert_eq!((&request["status"], &run["status"]), (&json!("error"), &json!("error")), "{request}");
    assert!(request["error"].to_string().contains("tool exploded"), "{request}");
}

#[tokio::test]
async fn a_session_says_who_its_client_is_in_each_of_its_calls() {
    let host = host().await;
    let session = Session::open(&host, "ref-mcp").await;
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "weather", "arguments": {"city": "Oslo"}}});
    assert_eq!(send(&host, session.post(&call)).await.0, 200);
    let found = eventually(SOON, || async {
        let path = "/api/observability/traces?spanType=mcp_server_request";
        let (_, answer) = host.get_json(path).await.unwrap();
        answer["spans"].get(0).cloned()
    })
    .await;
    assert_eq!(
        (&found["attributes"]["clientName"], &found["entityId"]),
        (&json!("test"), &json!("ref-mcp")),
        "{found}"
    );
    assert_eq!(found["attributes"]["mcpProtocolVersion"], super::OLDER, "{found}");
}

#[tokio::test]
async fn a_list_is_no_call() {
    let host = host().await;
    assert_eq!(send(&host, newer(ALL, "tools/list", json!({}))).await.0, 200);
    let (_, weather) = recorded(&host, &"a".repeat(32), &format!("{REFERENCE}_weather"), json!({"city": "Oslo"})).await;
    assert_eq!(weather["spanType"], "tool_call");
    let (_, answer) = host.get_json("/api/observability/traces?spanType=mcp_server_request").await.unwrap();
    assert_eq!(answer["spans"].as_array().unwrap().len(), 1, "{answer}");
}
