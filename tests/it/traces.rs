//! Traces across services: what a caller says in `traceparent`, and what providers are told.

use hotbay_tests::{
    TestHost,
    http::Outgoing,
    openai_fake::{OpenAiFake, Reply},
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
