//! The player against a server that answers what a small session expects, and
//! against one that breaks each kind of expectation once.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::session::Session;
use super::{Differences, Report, Verdict, replay};

/// What goes wrong in the fake server; empty for nothing.
type Fault = &'static str;

const SESSION: &str = r#"
{"session":"fake","about":"one of everything","order":1}
{"name":"fake/create","request":{"method":"POST","path":"/things?name=a b","body":{"name":"é"}},"bind":{"thing":"body.id"},"expect":{"status":200,"contentType":"application/json","headers":{"X-Kind":{"$pattern":"th.ng"}},"body":{"id":{"$uuid":true},"sent":{"name":"é"},"type":"application/json","score":0.3}}}
{"name":"fake/get","request":{"path":"/things/${thing}"},"expect":{"status":200,"body":{"id":"${thing}","list":[{"n":1},{"n":2}]}},"compare":{"unordered":["body.list"],"sorted":{"body.list":"-n"}}}
{"name":"fake/text","request":{"path":"/text"},"expect":{"status":404,"contentType":"text/plain;charset=utf-8","text":"404 Not Found"}}
{"name":"fake/sse","request":{"method":"POST","path":"/sse","body":{}},"bind":{"call":"frames[data.type=tool].data.id"},"expect":{"status":200,"contentType":"text/event-stream","frames":[{"event":"start","data":{"type":"start"}},{"data":{"type":"tool","id":{"$string":true}}},{"data":"[DONE]"}]},"compare":{"ignoreFrames":[{"event":"ping"}]}}
{"name":"fake/records","request":{"path":"/records/${call}"},"expect":{"status":200,"frames":[{"call":"${call}"},{"end":true}]}}
{"name":"fake/open","request":{"path":"/open/1","timeoutMs":4000},"expect":{"status":200,"frames":[{"event":"endpoint","data":"/x"}],"open":true}}
{"name":"fake/setup-background","request":{"path":"/open/2"},"background":true,"waitFrames":1,"bind":{"endpoint":"frames[event=endpoint].data"}}
{"name":"fake/after-background","request":{"path":"/echo${endpoint}"},"expect":{"status":200,"body":{"echo":"x"}}}
{"name":"fake/collect","collect":"fake/setup-background","close":true,"expect":{"status":200,"frames":[{"event":"endpoint","data":"/x"}],"open":true}}
{"name":"fake/poll","request":{"path":"/count"},"pollUntil":{"timeoutMs":3000,"everyMs":1},"expect":{"status":200,"body":{"count":3}}}
{"name":"fake/wait","request":{"path":"/count","timeoutMs":2000},"waitMs":5,"expect":{"status":200,"body":{"count":{"$number":true,"$min":4}}}}
"#;

#[derive(Clone)]
struct Fake {
    fault: Fault,
    count: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Fake {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

/// Serves until the set is dropped; gives the base URL.
async fn serve(fault: Fault) -> (JoinSet<()>, String) {
    let router = Router::new()
        .route("/base/things", post(create))
        .route("/base/things/{id}", get(thing))
        .route("/base/text", get(text))
        .route("/base/sse", post(events))
        .route("/base/records/{call}", get(records))
        .route("/base/open/{n}", get(open))
        .route("/base/echo/{word}", get(|Path(word): Path<String>| async move { Json(json!({ "echo": word })) }))
        .route("/base/count", get(count))
        .with_state(Fake { fault, count: std::sync::Arc::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/base", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (server, base)
}

async fn create(State(fake): State<Fake>, headers: header::HeaderMap, Json(sent): Json<Value>) -> Response {
    let id = if fake.has("body") { "no uuid" } else { "0199a1b2-0000-7000-8000-00000000000f" };
    let score = if fake.has("number") { 0.31 } else { 0.1 + 0.2 };
    let sent_type = headers[header::CONTENT_TYPE].to_str().unwrap();
    let mut body = json!({ "id": id, "sent": sent, "type": sent_type, "score": score, "more": 1 });
    if fake.has("bind") {
        body.as_object_mut().unwrap().remove("id");
    }
    let status = if fake.has("status") { StatusCode::CREATED } else { StatusCode::OK };
    (status, [("x-kind", if fake.has("header") { "other" } else { "thing" })], Json(body)).into_response()
}

async fn thing(State(fake): State<Fake>, Path(id): Path<String>) -> Json<Value> {
    let list = if fake.has("sorted") { json!([{"n": 1}, {"n": 2}]) } else { json!([{"n": 2}, {"n": 1}]) };
    let list = if fake.has("unordered") { json!([{"n": 2}, {"n": 2}]) } else { list };
    Json(json!({ "id": if fake.has("variable") { "other".to_owned() } else { id }, "list": list }))
}

async fn text(State(fake): State<Fake>) -> Response {
    let content_type = if fake.has("content type") { "text/html" } else { "text/plain; charset=UTF-8" };
    let text = if fake.has("text") { "not here" } else { "404 Not Found" };
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, content_type)], text).into_response()
}

/// A body whose chunks come one at a time, and which then ends or does not.
fn streamed(content_type: &'static str, chunks: Vec<&'static str>, stays_open: bool) -> Response {
    let chunks = stream::iter(chunks).then(|chunk| async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))
    });
    let end: BoxStream<'static, _> = if stays_open { stream::pending().boxed() } else { stream::empty().boxed() };
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(chunks.chain(end))).into_response()
}

async fn events(State(fake): State<Fake>) -> Response {
    let mut chunks =
        vec!["event: start\nda", "ta: {\"type\":\"start\"}\n\n", ": comment\n\n", "event: ping\ndata: 1\n\n"];
    chunks.push("data: {\"type\":\"tool\",\"id\":\"call_1\"}\n\n");
    if fake.has("frame") {
        chunks.push("data: {\"type\":\"surplus\"}\n\n");
    }
    chunks.push("data: [DONE]\n\n");
    let content_type = if fake.has("no stream") { "text/plain" } else { "text/event-stream" };
    streamed(content_type, chunks, false)
}

async fn records(State(fake): State<Fake>, Path(call): Path<String>) -> Response {
    let end = if fake.has("unterminated") { "{\"end\":true}" } else { "{\"end\":true}\u{1e}" };
    let end = if fake.has("record") { "{\"end\":\u{1e}" } else { end };
    ([(header::CONTENT_TYPE, "text/plain")], format!("{{\"call\":\"{call}\"}}\u{1e}{end}")).into_response()
}

async fn open(State(fake): State<Fake>, Path(n): Path<String>) -> Response {
    let stays_open = !(fake.has("closed") && n == "1" || fake.has("collect") && n == "2");
    streamed("text/event-stream", vec!["event: endpoint\n", "data: /x\n\n"], stays_open)
}

async fn count(State(fake): State<Fake>) -> Response {
    let count = 1 + fake.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    if fake.has("hang") && count > 3 {
        return streamed("application/json", vec!["{\"count\":"], true);
    }
    if fake.has("broken") && count > 3 {
        let cut = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))]);
        // Between the two the server gets to write what it has.
        let cut = cut.then(|chunk| async {
            tokio::task::yield_now().await;
            chunk
        });
        return ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(cut)).into_response();
    }
    Json(json!({ "count": if fake.has("poll") { 0 } else { count } })).into_response()
}

async fn played(fault: Fault, differences: &str) -> Report {
    let (_server, base) = serve(fault).await;
    let session = Session::parse("fake", SESSION).unwrap();
    let differences = Differences::parse(differences).unwrap();
    let replayed = replay(&base, &session, &differences);
    tokio::time::timeout(Duration::from_secs(30), replayed).await.unwrap().unwrap()
}

fn failures(report: &Report) -> Vec<String> {
    report.cases.iter().filter(|case| case.verdict == Verdict::Failed).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_server_that_answers_as_recorded_passes() {
    let report = played("", "").await;
    assert!(report.is_success(), "{report}");
    assert_eq!(report.to_string(), "fake: 10 passed, 0 failed, 0 listed");
    assert_eq!(report.cases[0].extra, ["body.more"]);
}

#[tokio::test]
async fn each_fault_is_told_with_its_path() {
    let faults = [
        ("status", "FAIL fake/create: status: expected 200 got 201 {\"id\": "),
        ("header", "FAIL fake/create: headers.X-Kind: expected {\"$pattern\": \"th.ng\"} got \"other\""),
        ("body", "FAIL fake/create: body.id: expected {\"$uuid\": true} got \"no uuid\""),
        ("number", "FAIL fake/create: body.score: expected 0.3 got 0.31"),
        ("variable", "FAIL fake/get: body.id: expected \"0199a1b2-0000-7000-8000-00000000000f\" got \"other\""),
        ("sorted", "FAIL fake/get: body.list: expected \"descending n\" got [1, 2]"),
        ("unordered", "FAIL fake/get: body.list[0] (any order): expected {\"n\": 1} got [{\"n\": 2}, {\"n\": 2}]"),
        ("content type", "FAIL fake/text: contentType: expected \"text/plain;charset=utf-8\" got \"text/html\""),
        ("text", "FAIL fake/text: text: expected \"404 Not Found\" got \"not here\""),
        ("frame", "FAIL fake/sse: frames[2].data: expected \"[DONE]\" got {\"type\": \"surplus\"}"),
        ("unterminated", "FAIL fake/records: frames[2]: expected nothing got {\"_unterminated\": true}"),
        ("record", "FAIL fake/records: frames[1].end: expected true got nothing"),
        ("closed", "FAIL fake/open: open: expected \"the stream stays open\" got the server closed it"),
        ("collect", "FAIL fake/collect: open: expected \"the stream stays open\" got the server closed it"),
        (
            "hang",
            "FAIL fake/wait: body: expected {\"count\": {\"$number\": true, \"$min\": 4}} got \"{\\\"count\\\":\"",
        ),
        ("broken", "FAIL fake/wait: transfer: expected \"a complete answer\" got "),
    ];
    let check = async |(fault, told): (Fault, &str)| {
        let failures = failures(&played(fault, "").await);
        assert!(failures.len() == 1 && failures[0].starts_with(told), "{fault}: {failures:#?}");
    };
    futures::future::join_all(faults.map(check)).await;
}

#[tokio::test]
async fn a_poll_in_vain_fails_at_its_time_limit() {
    let failures = failures(&played("poll", "").await);
    assert_eq!(failures[0], "FAIL fake/poll: body.count: expected 3 got 0");
}

#[tokio::test]
async fn what_depends_on_a_missing_value_fails_without_being_sent() {
    let created = failures(&played("bind", "").await);
    assert!(
        created[0].starts_with("FAIL fake/create: body.id: expected {\"$uuid\": true} got nothing"),
        "{created:#?}"
    );
    let unsent = "FAIL fake/get: request: expected \"a value for ${thing}\" got the request that gives it failed";
    assert_eq!(created[1], unsent);
    let no_stream = failures(&played("no stream", "").await);
    assert!(no_stream[0].starts_with("FAIL fake/sse: contentType: "), "{no_stream:#?}");
    assert!(no_stream[1].starts_with("FAIL fake/records: request: "), "{no_stream:#?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_every_step() {
    let session = Session::parse("fake", SESSION).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let report = replay(&format!("http://127.0.0.1:{port}"), &session, &Differences::default()).await.unwrap();
    assert_eq!(report.passed(), 0);
    assert!(report.cases[0].to_string().starts_with("FAIL fake/create: status: expected 200 got no answer"));
}

#[tokio::test]
async fn a_listed_step_may_differ_in_the_way_it_says() {
    let report = played("text", "[fake]\ntext = \"The words are ours.\"").await;
    assert!(report.is_success(), "{report}");
    assert_eq!(report.to_string(), "listed fake/text: The words are ours.\nfake: 9 passed, 0 failed, 1 listed");
    let expect = |text: &str| {
        format!("[fake]\ntext = {{ reason = \"The words are ours.\", expect = {{ status = 404, text = \"{text}\" }} }}")
    };
    assert!(played("text", &expect("not here")).await.is_success());
    let report = played("text", &expect("not there")).await;
    assert_eq!(failures(&report), ["FAIL fake/text: text: expected \"not there\" got \"not here\""]);
}

#[tokio::test]
async fn a_listed_step_that_passes_fails_the_replay() {
    let report = played("", "[fake]\n\"tex*\" = { pending = \"words\", reason = \"It comes later.\" }").await;
    assert!(!report.is_success());
    assert!(report.to_string().contains("FAIL fake/text: it passes, remove it from differences.toml"), "{report}");
}

#[tokio::test]
async fn a_listed_name_without_a_step_fails_the_replay() {
    let report = played("", "[fake]\ntxt = \"The words are ours.\"").await;
    assert!(!report.is_success());
    assert!(report.to_string().contains("FAIL fake/txt: it is in differences.toml but in no session"), "{report}");
}
