use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use axum::{Router, extract::State, http::Uri, response::Response, routing::post};
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};

use super::*;
use crate::{
    config::{OtlpProtocol, RecordSettings},
    model::{self, catalog::Secret},
    observe::Observe,
    types::{
        id::{self, Millis},
        log::Level,
        span::SpanKind,
    },
};

/// Nothing here takes longer.
const SOON: Duration = Duration::from_secs(30);

/// A collector that answers as it is told, with 200 once it was told all.
struct Collector {
    endpoint: String,
    seen: mpsc::UnboundedReceiver<Seen>,
    tasks: Tasks,
}

/// A request, as a collector sees it.
#[derive(Debug)]
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Bytes,
    at: Instant,
}

/// A status, and after how long to ask again.
type Answer = (u16, Option<&'static str>);

#[derive(Clone)]
struct Told {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: mpsc::UnboundedSender<Seen>,
}

async fn take(State(told): State<Told>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let seen = Seen { path: uri.path().to_owned(), headers, body, at: Instant::now() };
    told.seen.send(seen).unwrap();
    let answer = told.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (status, wait) = answer.unwrap_or((200, None));
    let mut response = Response::builder().status(status);
    if let Some(wait) = wait {
        response = response.header("retry-after", wait);
    }
    response.body("".into()).unwrap()
}

impl Collector {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/base/", listener.local_addr().unwrap());
        let (sender, seen) = mpsc::unbounded_channel();
        let told = Told { answers: Arc::new(Mutex::new(answers.into_iter().collect())), seen: sender };
        let router = Router::new().fallback(post(take)).with_state(told);
        let tasks = Tasks::default();
        tasks.spawn("collector", |cancel| async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned());
            served.await.unwrap();
        });
        Self { endpoint, seen, tasks }
    }

    async fn next(&mut self) -> Seen {
        timeout(SOON, self.seen.recv()).await.expect("the collector is asked in time").unwrap()
    }
}

/// What is observed, and what sends it.
struct Sender {
    observe: Observe,
    exported: Arc<Exported>,
    tasks: Tasks,
    _writer: Tasks,
    _directory: tempfile::TempDir,
}

impl Sender {
    fn start(settings: &OtlpSettings) -> Self {
        let record = RecordSettings { filter: "info".to_owned(), content: true, days: 1, bytes: 1 << 20 };
        let (tasks, writer) = (Tasks::default(), Tasks::default());
        let directory = tempfile::tempdir().unwrap();
        let observe = Observe::start(&record, directory.path(), &writer);
        let client = model::http_client(Duration::from_secs(5)).unwrap();
        let exported = start(settings, client, "host-1", observe.recorder(), &tasks);
        Self { observe, exported, tasks, _writer: writer, _directory: directory }
    }

    fn span(&self, name: &str) -> String {
        let span_id = id::span();
        let span = self.observe.recorder().begin(SpanKind::AgentRun, name, &id::trace(), &span_id, None);
        span.input(|| json!([{"role": "user", "content": "hi"}]));
        span.end();
        span_id
    }

    async fn sent(&self, sent: u64, dropped: u64) {
        let counts = || (self.exported.sent.load(Ordering::Relaxed), self.exported.dropped.load(Ordering::Relaxed));
        let reached = async {
            while counts() != (sent, dropped) {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, reached).await.unwrap_or_else(|_| panic!("sent and dropped are {:?}", counts()));
    }
}

fn settings(collector: &Collector) -> OtlpSettings {
    OtlpSettings { endpoint: Some(collector.endpoint.clone()), protocol: OtlpProtocol::Json, ..OtlpSettings::default() }
}

fn span_ids(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    spans.iter().map(|span| span["spanId"].as_str().unwrap().to_owned()).collect()
}

fn log(message: &str) -> LogRecord {
    let text = json!({"id": "1", "time": Millis::now(), "level": Level::Warn, "transport": "host", "message": message});
    serde_json::from_value(text).unwrap()
}

#[tokio::test]
async fn spans_are_sent_together_with_who_sends_them() {
    let mut collector = Collector::start([]).await;
    let headers = vec![("authorization".to_owned(), Secret("Bearer abc".to_owned()))];
    let sender = Sender::start(&OtlpSettings { headers, ..settings(&collector) });
    let ids = [sender.span("one"), sender.span("two")];
    sender.observe.recorder().log(log("not sent"));
    let seen = collector.next().await;
    assert_eq!((seen.path.as_str(), span_ids(&seen)), ("/base/v1/traces", ids.to_vec()));
    assert_eq!(seen.headers["authorization"], "Bearer abc");
    assert_eq!(seen.headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let resource = &body["resourceSpans"][0]["resource"]["attributes"];
    assert_eq!(resource[0], json!({"key": "service.name", "value": {"stringValue": "hotbay"}}));
    assert_eq!(resource[1], json!({"key": "service.version", "value": {"stringValue": env!("CARGO_PKG_VERSION")}}));
    assert_eq!(resource[2], json!({"key": "service.instance.id", "value": {"stringValue": "host-1"}}));
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert!(span["startTimeUnixNano"].is_string() && span["kind"] == 2, "{span}");
    sender.sent(2, 0).await;
}

#[tokio::test]
async fn protobuf_is_sent_unless_json_is_asked_for() {
    let mut collector = Collector::start([]).await;
    let sender = Sender::start(&OtlpSettings { protocol: OtlpProtocol::default(), ..settings(&collector) });
    sender.span("one");
    let seen = collector.next().await;
    assert_eq!(seen.headers["content-type"], "application/x-protobuf");
    let request: TracesRequest = decode(OtlpProtocol::Protobuf, &seen.body).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans.len(), 1);
}

#[tokio::test]
async fn log_records_are_sent_where_that_is_asked_for() {
    let mut collector = Collector::start([]).await;
    let sender = Sender::start(&OtlpSettings { logs: true, ..settings(&collector) });
    sender.observe.recorder().log(log("sent"));
    let seen = collector.next().await;
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let record = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!((seen.path.as_str(), &record["severityNumber"]), ("/base/v1/logs", &json!(13)));
    assert_eq!(record["body"], json!({"stringValue": "sent"}));
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again_after_the_time_it_names() {
    let mut collector = Collector::start([(503, Some("2")), (429, None), (502, None)]).await;
    let sender = Sender::start(&settings(&collector));
    let id = sender.span("one");
    let first = collector.next().await;
    // What ends meanwhile waits, and neither is lost nor sent twice.
    let later = sender.span("two");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(collector.next().await);
    }
    assert!(seen[0].at - first.at >= Duration::from_secs(2), "{:?}", seen[0].at - first.at);
    assert!(seen[..3].iter().all(|it| it.body == first.body && span_ids(it) == [id.clone()]));
    assert_eq!(span_ids(&seen[3]), [later]);
    sender.sent(2, 0).await;
}

#[tokio::test]
async fn what_a_collector_refuses_for_good_is_dropped_and_counted() {
    let mut collector = Collector::start([(400, None)]).await;
    let sender = Sender::start(&settings(&collector));
    sender.span("bad");
    collector.next().await;
    sender.sent(0, 1).await;
    let next = sender.span("good");
    assert_eq!(span_ids(&collector.next().await), [next]);
    sender.sent(1, 1).await;
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted_and_nobody_waits() {
    // No task takes anything from this queue.
    let (queue, _items) = mpsc::channel(2);
    let exported = Arc::<Exported>::default();
    let tap = Tap { queue, exported: Arc::clone(&exported), with_logs: false };
    let span = Span::begin(SpanKind::Generic, "one", &id::trace(), id::span());
    tap.spans(&[span.clone(), span.clone(), span]);
    tap.log(&log("not asked for"));
    assert_eq!(exported.dropped.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_waits_is_sent_when_the_host_ends() {
    let mut collector = Collector::start([]).await;
    let sender = Sender::start(&settings(&collector));
    let id = sender.span("last");
    sender.tasks.shut_down(SOON).await;
    assert_eq!(span_ids(&collector.next().await), [id]);
    sender.sent(1, 0).await;
}

#[tokio::test]
async fn a_collector_that_stays_busy_does_not_keep_the_host_from_ending() {
    let mut collector = Collector::start([(503, Some("30")); 9]).await;
    let sender = Sender::start(&settings(&collector));
    sender.span("lost");
    collector.next().await;
    let began = Instant::now();
    sender.tasks.shut_down(SOON).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    sender.sent(0, 1).await;
    collector.tasks.shut_down(SOON).await;
}

#[tokio::test]
async fn what_came_in_by_otlp_is_not_sent_out_again() {
    let mut collector = Collector::start([]).await;
    let sender = Sender::start(&settings(&collector));
    let foreign = Span::begin(SpanKind::Generic, "foreign", &id::trace(), id::span());
    sender.observe.recorder().batch(vec![log("foreign")], vec![foreign]).await.unwrap();
    let own = sender.span("own");
    sender.tasks.shut_down(SOON).await;
    assert_eq!(span_ids(&collector.next().await), [own]);
    assert!(collector.seen.try_recv().is_err());
}

#[test]
fn the_time_to_wait_is_seconds_or_a_date() {
    let headers = |value| HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
    assert_eq!(asked_wait(&headers("7"), now), Some(Duration::from_secs(7)));
    assert_eq!(asked_wait(&headers("Sun, 06 Nov 1994 08:49:37 GMT"), now), Some(Duration::from_secs(7)));
    assert_eq!(asked_wait(&headers("soon"), now), None);
    assert_eq!(asked_wait(&HeaderMap::new(), now), None);
}
