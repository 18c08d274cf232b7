//! OTLP between services: what a host sends to a collector, and what it takes from an SDK.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    routing::post,
};
use hotbay_tests::{TestHost, eventually, http::Outgoing};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Mutex, task::JoinSet};

const SOON: Duration = Duration::from_secs(20);

/// A collector that keeps what it takes.
struct Collector {
    endpoint: String,
    told: Arc<Told>,
    // Ends with the test.
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Told {
    /// What the next requests to a path are answered; all others are taken.
    answers: Mutex<(&'static str, VecDeque<StatusCode>)>,
    /// Each request: its path, its status and its body.
    requests: Mutex<Vec<(String, u16, Value)>>,
}

async fn take(State(told): State<Arc<Told>>, uri: Uri, body: Bytes) -> (StatusCode, &'static str) {
    let status = {
        let (path, answers) = &mut *told.answers.lock().await;
        let answer = if *path == uri.path() { answers.pop_front() } else { None };
        answer.unwrap_or(StatusCode::OK)
    };
    let body = serde_json::from_slice(&body).unwrap();
    told.requests.lock().await.push((uri.path().to_owned(), status.as_u16(), body));
    (status, "{}")
}

impl Collector {
    async fn start(path: &'static str, answers: impl IntoIterator<Item = StatusCode>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Told { answers: Mutex::new((path, answers.into_iter().collect())), ..Told::default() });
        let router = Router::new().fallback(post(take)).with_state(Arc::clone(&told));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, told, _server: server }
    }

    /// A host that sends here.
    async fn host(&self) -> TestHost {
        TestHost::builder()
            .plugin("hotbay-test-reference")
            .variable("HOTBAY_OTLP_ENDPOINT", &self.endpoint)
            .variable("HOTBAY_OTLP_PROTOCOL", "json")
            .variable("HOTBAY_OTLP_LOGS", "true")
            .start()
            .await
            .unwrap()
    }

    /// What lies in the requests that got this answer: the spans, or the log records.
    async fn found(&self, path: &str, status: u16, lists: [&str; 3]) -> Vec<Value> {
        let requests = self.told.requests.lock().await;
        let of_path = requests.iter().filter(|(to, answered, _)| to == path && *answered == status);
        let [by_resource, by_scope, records] = lists;
        of_path
            .flat_map(|(_, _, body)| body[by_resource][0][by_scope][0][records].as_array().unwrap().clone())
            .collect()
    }

    async fn logs(&self, status: u16) -> Vec<Value> {
        self.found("/v1/logs", status, ["resourceLogs", "scopeLogs", "logRecords"]).await
    }
}

fn text(record: &Value) -> &str {
    record["body"]["stringValue"].as_str().unwrap()
}

#[tokio::test]
async fn the_log_arrives_at_a_collector_that_was_busy_whole_and_once() {
    let collector = Collector::start("/v1/logs", [StatusCode::SERVICE_UNAVAILABLE]).await;
    let mut host = collector.host().await;
    eventually(SOON, || async { (!collector.logs(200).await.is_empty()).then_some(()) }).await;
    // What is logged last is sent by a host that ends.
    host.stop(SOON).await.unwrap();
    let (refused, taken) = (collector.logs(503).await, collector.logs(200).await);
    assert!(!refused.is_empty());
    for record in &refused {
        assert_eq!(taken.iter().filter(|it| *it == record).count(), 1, "{record}");
    }
    assert_eq!(taken.iter().filter(|record| text(record) == "stopping").count(), 1, "{taken:?}");
    let requests = collector.told.requests.lock().await;
    let (.., logs) = requests.iter().find(|(path, ..)| path == "/v1/logs").unwrap();
    let resource = &logs["resourceLogs"][0]["resource"]["attributes"];
    assert_eq!(resource[0], json!({"key": "service.name", "value": {"stringValue": "hotbay"}}));
}

#[tokio::test]
async fn an_agents_run_arrives_at_a_collector_that_was_busy_whole_and_once() {
    let collector = Collector::start("/v1/traces", [StatusCode::SERVICE_UNAVAILABLE; 2]).await;
    let host = collector.host().await;
    let body = json!({"messages": "weather in Oslo"});
    let (status, answer) = host.post_json("/api/agents/weather-agent/generate", &body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let spans = || collector.found("/v1/traces", 200, ["resourceSpans", "scopeSpans", "spans"]);
    let is_root = |span: &&Value| span["name"].as_str().unwrap().starts_with("invoke_agent ");
    let root = eventually(SOON, || async { spans().await.iter().find(is_root).cloned() }).await;
    assert_eq!((&root["kind"], &root["parentSpanId"]), (&json!(2), &json!("")), "{root}");
    let spans = spans().await;
    let of_run: Vec<_> = spans.iter().filter(|span| span["traceId"] == root["traceId"]).collect();
    let mut ids: Vec<_> = of_run.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "no span arrives twice");
    assert!(of_run.iter().all(|span| *span == &root || ids.contains(&span["parentSpanId"].as_str().unwrap())));
    let named = |name: &str| of_run.iter().find(|span| span["name"].as_str().unwrap().starts_with(name)).unwrap();
    assert_eq!((&named("chat ")["kind"], &named("execute_tool ")["kind"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn a_host_takes_what_is_posted_and_says_what_it_does_not_take() {
    let host = TestHost::builder().start().await.unwrap();
    let span = |id: &str| json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": id, "name": "s"});
    let spans = json!([span("eee19b7ec3c1b171"), span("none")]);
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    let (status, answer) = host.post_json("/v1/traces", &body).await.unwrap();
    assert_eq!((status, &answer["partialSuccess"]["rejectedSpans"]), (200, &json!("1")), "{answer}");
    let garbled = Outgoing {
        method: "POST".to_owned(),
        path: "/v1/logs".to_owned(),
        headers: vec![("content-type".to_owned(), "application/x-protobuf".to_owned())],
        body: Some(vec![0xff; 64]),
    };
    assert_eq!(host.send(garbled).await.unwrap().status, Some(400));
}

#[cfg(hotbay_test_otlp_python)]
#[tokio::test]
async fn the_official_sdk_sends_spans_and_log_records() {
    #[expect(clippy::disallowed_methods, reason = "not the host: a test finds its programs in the environment")]
    let python = std::env::var_os("HOTBAY_TEST_OTLP_PYTHON").unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("otlp/export.py");
    let host = TestHost::builder().start().await.unwrap();
    let sent = tokio::process::Command::new(python).arg(script).arg(host.url("")).kill_on_drop(true).output();
    let sent = tokio::time::timeout(Duration::from_secs(60), sent).await.expect("the script ends").unwrap();
    let (said, errors) = (String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&sent.stderr));
    assert!(sent.status.success(), "{said}\n{errors}");
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words[1..], ["SUCCESS"; 4], "{said}");
}
