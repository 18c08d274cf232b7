use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::{Answer, App, HttpBody, Request, TempDir, Value, app, endpoints, outside, serve};
use crate::{
    app::AppState,
    config::{Config, OtlpProtocol},
    http::tests::Host,
    observe::{
        Window,
        filter::Filter,
        otlp::{
            decode, encode,
            messages::{RpcStatus, TracesRequest, TracesResponse},
        },
    },
};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A host whose records are looked at as well.
struct Receiver {
    host: Host,
}

impl Receiver {
    async fn start() -> Self {
        Self::with(|config| config.body_limit = 64 << 10).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let app = app(&directory, change).await;
        let router = serve(AppState::clone(&app), outside(), endpoints());
        Self { host: Host { app, router, _directory: directory } }
    }

    async fn post(&self, path: &str, kind: &str, encoding: Option<&str>, body: impl Into<HttpBody>) -> Answer {
        let mut request = Request::builder().method("POST").uri(path).header("content-type", kind);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        self.host.send(request.body(body.into()).unwrap()).await
    }

    /// The names of the spans that are kept of the trace.
    async fn names(&self) -> Vec<String> {
        let spans = self.host.app.observe.trace(TRACE).await.unwrap();
        spans.iter().map(|span| span.name.clone()).collect()
    }
}

fn span(name: &str, id: &str) -> Value {
    json!({"traceId": TRACE, "spanId": id, "name": name, "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000"})
}

fn request(spans: Value) -> String {
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).to_string()
}

fn protobuf(json: &str) -> Vec<u8> {
    let request: TracesRequest = decode(OtlpProtocol::Json, json.as_bytes()).unwrap();
    encode(OtlpProtocol::Protobuf, &request)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn spans_that_are_posted_are_found_in_their_trace() {
    let host = Receiver::start().await;
    let json = request(json!([span("json", "eee19b7ec3c1b171")]));
    let answer = host.post("/v1/traces", JSON, None, json).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let bytes = protobuf(&request(json!([span("protobuf", "eee19b7ec3c1b172")])));
    let answer = host.post("/v1/traces", PROTOBUF, None, bytes).await;
    assert_eq!((answer.status, answer.header("content-type"), answer.body.len()), (200, PROTOBUF, 0));
    let bytes = gzip(&protobuf(&request(json!([span("gzip", "eee19b7ec3c1b173")]))));
    assert_eq!(host.post("/v1/traces", PROTOBUF, Some("gzip"), bytes).await.status, 200);
    let bytes = gzip(request(json!([span("both", "eee19b7ec3c1b174")])).as_bytes());
    assert_eq!(host.post("/v1/traces", "application/json; charset=utf-8", Some("gzip"), bytes).await.status, 200);
    assert_eq!(host.names().await, ["json", "protobuf", "gzip", "both"]);
    let spans = host.host.app.observe.trace(TRACE).await.unwrap();
    assert!(spans.iter().all(|span| span.service_name.as_deref() == Some("shop")));
}

#[tokio::test]
async fn log_records_that_are_posted_are_found() {
    let host = Receiver::start().await;
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": "1544712660000000000", "severityNumber": 17, "body": {"stringValue": "card declined"}},
        {"timeUnixNano": u64::MAX, "body": {"stringValue": "from the future"}},
    ]}]}]});
    let answer = host.post("/v1/logs", JSON, None, body.to_string()).await;
    let expected = json!({"partialSuccess": {"rejectedLogRecords": "1",
        "errorMessage": "a log record is of the future, of 2554-07-21T23:34:33.709Z"}});
    assert_eq!((answer.status, answer.json()), (200, expected));
    let found = host.host.app.observe.logs(Filter::Text("declined".into()), Window { limit: 9, ..Window::default() });
    let found = found.await.unwrap().records;
    assert_eq!((found.len(), found[0].transport.as_str()), (1, "otlp"));
}

#[tokio::test]
async fn spans_that_are_refused_are_told_of_and_the_others_kept() {
    let host = Receiver::start().await;
    let both = request(json!([span("good", "eee19b7ec3c1b171"), span("bad", "eee1")]));
    let why = "a span id must be 8 bytes that are not all 0, but one has 2 or is no hex";
    let answer = host.post("/v1/traces", JSON, None, both.clone()).await;
    assert_eq!(answer.json(), json!({"partialSuccess": {"rejectedSpans": "1", "errorMessage": why}}));
    let answer = host.post("/v1/traces", PROTOBUF, None, protobuf(&both)).await;
    let told: TracesResponse = decode(OtlpProtocol::Protobuf, &answer.body).unwrap();
    let told = told.partial_success.unwrap();
    assert_eq!((told.rejected_spans, told.error_message.as_str()), (1, why));
    assert_eq!(host.names().await, ["good", "good"]);
}

#[tokio::test]
async fn an_empty_request_is_a_success() {
    let host = Receiver::start().await;
    assert_eq!(host.post("/v1/traces", PROTOBUF, None, "").await.status, 200);
    assert_eq!(host.post("/v1/logs", JSON, None, "{}").await.json(), json!({}));
}

#[tokio::test]
async fn what_cannot_be_read_is_a_status_in_the_encoding_of_the_request() {
    let host = Receiver::start().await;
    let answer = host.post("/v1/traces", JSON, None, r#"{"resourceSpans": [{"#).await;
    let status = answer.json();
    assert_eq!((answer.status, &status["code"]), (400, &json!(3)), "{status}");
    assert!(status["message"].as_str().unwrap().starts_with("the body cannot be read: "), "{status}");
    let whole = protobuf(&request(json!([span("cut", "eee19b7ec3c1b171")])));
    let answer = host.post("/v1/traces", PROTOBUF, None, whole[..whole.len() - 1].to_vec()).await;
    assert_eq!((answer.status, answer.header("content-type")), (400, PROTOBUF));
    assert_eq!(decode::<RpcStatus>(OtlpProtocol::Protobuf, &answer.body).unwrap().code, 3);
    for (kind, encoding, status) in
        [(PROTOBUF, Some("gzip"), 400), (PROTOBUF, Some("zstd"), 415), ("text/plain", None, 415)]
    {
        assert_eq!(host.post("/v1/traces", kind, encoding, whole.clone()).await.status, status, "{kind} {encoding:?}");
    }
    assert_eq!(host.names().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_packed_and_unpacked() {
    let host = Receiver::start().await;
    let answer = host.post("/v1/traces", JSON, None, vec![b' '; 10 << 20]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(8)));
    // Sixteen megabytes of nothing, packed into sixteen kilobytes.
    let bomb = gzip(&vec![b' '; 16 << 20]);
    assert!(bomb.len() < 64 << 10);
    let answer = host.post("/v1/traces", JSON, Some("gzip"), bomb).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(8)));
}

#[tokio::test]
async fn senders_are_told_to_come_back_where_nothing_is_recorded() {
    let host = Receiver::with(|config| config.record.filter = "off".into()).await;
    let answer = host.post("/v1/traces", JSON, None, "{}").await;
    let expected = json!({"code": 14, "message": "nothing is recorded here"});
    assert_eq!((answer.status, answer.header("retry-after"), answer.json()), (503, "1", expected));
}

#[tokio::test]
async fn senders_are_told_to_come_back_once_the_host_has_ended() {
    let host = Receiver::start().await;
    App::shut_down(&host.host.app).await;
    let body = request(json!([span("late", "eee19b7ec3c1b171")]));
    let answer = host.post("/v1/traces", JSON, None, body).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn content_is_not_kept_where_the_host_keeps_none() {
    let host = Receiver::with(|config| {
        config.body_limit = 64 << 10;
        config.record.content = false;
    })
    .await;
    let mut secret = span("chat", "eee19b7ec3c1b171");
    secret["attributes"] = json!([{"key": "gen_ai.input.messages", "value": {"stringValue": "secret"}}]);
    assert_eq!(host.post("/v1/traces", JSON, None, request(json!([secret]))).await.status, 200);
    let spans = host.host.app.observe.trace(TRACE).await.unwrap();
    assert_eq!((spans.len(), spans[0].input.clone()), (1, None));
    assert!(!serde_json::to_string(&*spans[0]).unwrap().contains("secret"));
}

#[tokio::test]
async fn very_many_spans_with_nothing_in_them_are_refused_before_they_take_memory() {
    let host = Receiver::with(|config| config.body_limit = 4 << 20).await;
    // A scope with spans of two bytes each; a resource with that scope; the request.
    let spans = [0x12, 0x00].repeat(500_000);
    let around = |tag: u8, inner: &[u8]| {
        let length =
            [0x80 | (inner.len() & 0x7f) as u8, 0x80 | (inner.len() >> 7 & 0x7f) as u8, (inner.len() >> 14) as u8];
        [&[tag][..], &length, inner].concat()
    };
    let body = around(0x0a, &around(0x12, &spans));
    for (kind, body) in [
        (PROTOBUF, body.clone()),
        (JSON, request(json!([])).replace("[]}", &format!("[{}{{}}]}}", "{},".repeat(500_000))).into_bytes()),
    ] {
        let answer = host.post("/v1/traces", kind, None, body).await;
        assert_eq!(answer.status, 413, "{kind}");
        assert!(answer.text().contains("with nothing in them; send smaller batches"), "{}", answer.text());
    }
    let answer = host.post("/v1/logs", PROTOBUF, Some("gzip"), gzip(&body)).await;
    assert_eq!(answer.status, 413);
    // A batch of many spans that say something is another matter.
    let many: Vec<Value> = (1..5000).map(|number| span("n", &format!("{number:016x}"))).collect();
    let answer = host.post("/v1/traces", PROTOBUF, None, protobuf(&request(many.into()))).await;
    assert_eq!((answer.status, host.names().await.len()), (200, 4999));
}
