//! Traces across services: what a caller says in `traceparent`, and what providers are told.

use hotbay_tests::{
    TestHost, eventually,
    http::Outgoing,
    openai_fake::{OpenAiFake, Reply},
    plugin_host::SOON,
};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn host(reply: Reply, more: &str) -> (TestHost, OpenAiFake) {
    let fake = OpenAiFake::start([reply]).await;
    let config = format!("{more}\n[providers.fake]\napi = \"openai\"\nbase_url = \"{}\"\n", fake.base_url());
    let host = TestHost::builder().plugin("hotbay-test-reference").config_text(config).start().await.unwrap();
    (host, fake)
}

async fn post(host: &TestHost, path: &str, body: &Value, header: Option<&str>) -> Value {
    let request = Outgoing::post(path, body);
    let request = match header {
        Some(header) => request.header("traceparent", header),
        None => request,
    };
    let answer = host.send(request).await.unwrap();
    assert_eq!(answer.status, Some(200), "{path}");
    serde_json::from_slice(&answer.data).unwrap()
}

#[tokio::test]
async fn a_callers_trace_goes_through_the_host_to_the_provider() {
    let (host, fake) = host(Reply::says("fine"), "").await;
    let body = json!({"messages": "hello", "model": "fake/model"});
    let answer = post(&host, "/api/agents/echo-agent/generate", &body, Some(HEADER)).await;
    assert_eq!(answer["traceId"], TRACE);
    let told = fake.requests().remove(0).headers;
    let told = told["traceparent"].to_str().unwrap();
    // The question has a span of its own in the caller's trace.
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-01"), "{told}");
    assert!(!told.contains("00f067aa0ba902b7") && !told.contains(answer["spanId"].as_str().unwrap()), "{told}");
}

#[tokio::test]
async fn a_body_names_its_trace_and_an_odd_header_is_none() {
    let (host, _fake) = host(Reply::says("fine"), "").await;
    let path = "/api/agents/echo-agent/generate";
    let own = "a".repeat(32);
    let body = json!({"messages": "hello", "tracingOptions": {"traceId": own}});
    assert_eq!(post(&host, path, &body, Some(HEADER)).await["traceId"], own.as_str());
    let answer = post(&host, path, &json!({"messages": "hello"}), Some("00-nonsense")).await;
    assert_eq!(answer["traceId"].as_str().map(str::len), Some(32));
    let run = post(
        &host,
        "/api/workflows/nested-workflow/start-async",
        &json!({"inputData": {"message": "x"}}),
        Some(HEADER),
    )
    .await;
    assert_eq!((&run["traceId"], &run["status"]), (&json!(TRACE), &json!("success")));
}

#[tokio::test]
async fn a_host_that_records_nothing_tells_providers_nothing() {
    let (host, fake) = host(Reply::says("fine"), "record = \"off\"").await;
    let body = json!({"messages": "hello", "model": "fake/model"});
    let answer = post(&host, "/api/agents/echo-agent/generate", &body, None).await;
    assert_eq!(answer["traceId"].as_str().map(str::len), Some(32));
    assert!(!fake.requests().remove(0).headers.contains_key("traceparent"));
}

#[tokio::test]
async fn what_a_store_of_vectors_does_is_in_the_callers_trace() {
    let (host, _fake) = host(Reply::says("fine"), "").await;
    let store = "/api/vectors/libsql";
    let vectors = json!({"vectors": [{"id": "a", "values": [1, 0]}]});
    post(&host, &format!("{store}/upsert"), &vectors, Some(HEADER)).await;
    post(&host, &format!("{store}/query"), &json!({"vector": [1, 0], "topK": 3}), Some(HEADER)).await;
    let wrong = Outgoing::post(&format!("{store}/query"), &json!({"vector": [1, 0, 0]})).header("traceparent", HEADER);
    assert_eq!(host.send(wrong).await.unwrap().status, Some(400));
    let spans = eventually(SOON, || async {
        let (_, trace) = host.get_json(&format!("/api/observability/traces/{TRACE}")).await.unwrap();
        trace["spans"].as_array().filter(|spans| spans.len() == 3).cloned()
    })
    .await;
    for (operation, more, status) in [
        ("upsert", json!({"dimensions": 2}), "success"),
        ("query", json!({"dimensions": 2, "topK": 3}), "success"),
        ("query", json!({"dimensions": 3, "topK": 10}), "error"),
    ] {
        let mut attributes = json!({"operation": operation, "store": "libsql", "indexName": "default"});
        attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let is_it = |span: &&Value| span["status"] == status && span["attributes"] == attributes;
        let span = spans.iter().find(is_it).unwrap_or_else(|| panic!("{attributes} of {spans:?}"));
        assert_eq!(
            (&span["spanType"], &span["parentSpanId"]),
            (&json!("rag_vector_operation"), &json!("00f067aa0ba902b7"))
        );
        assert_eq!(span["input"], Value::Null, "{span}");
    }
}
