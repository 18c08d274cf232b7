//! What ended here, sent to a collector as OTLP.
//!
//! The recorder hands spans and log records to a `Tap`, which never waits: what its queue has
//! no room for is dropped and counted. One task makes batches of them and posts those. A
//! collector that cannot take a batch now is asked again, for a minute, and after the time it
//! names itself. When the host ends, what is left is sent once more within the deadline
//! [`crate::app`] gives it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    attribute, content_type, decode, encode,
    messages::{
        LogsRequest, LogsResponse, Resource, ResourceLogs, ResourceSpans, Scope, ScopeLogs, ScopeSpans, TracesRequest,
        TracesResponse,
    },
    outgoing,
};
use crate::{
    config::OtlpSettings,
    observe::{Recorder, attrs::otel},
    tasks::Tasks,
    types::{log::LogRecord, span::Span},
};

/// Spans and log records that may wait. A collector may be away for some seconds of a busy
/// host; more would be memory the host's own work needs.
const QUEUE: usize = 8192;
/// What is sent together.
const BATCH: usize = 512;
/// How long the first of a batch waits for others.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// The first wait after a failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait, whatever the collector asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a batch is tried; what comes in meanwhile is in the queue.
const GIVE_UP: Duration = Duration::from_secs(60);
/// So much of an answer is read.
const LONGEST_ANSWER: usize = 64 << 10;

/// What became of records that were to be sent, since the start.
#[derive(Debug, Default)]
pub struct Exported {
    /// The collector has them.
    pub sent: AtomicU64,
    /// They found no room, or the collector would not have them.
    pub dropped: AtomicU64,
}

/// Where the recorder hands over what is sent.
#[derive(Debug, Clone)]
pub(in crate::observe) struct Tap {
    queue: mpsc::Sender<Item>,
    exported: Arc<Exported>,
    with_logs: bool,
}

#[derive(Debug)]
enum Item {
    Span(Box<Span>),
    Log(Box<LogRecord>),
}

impl Tap {
    /// Sends spans that ended.
    pub(in crate::observe) fn spans(&self, spans: &[Span]) {
        for span in spans {
            self.put(|| Item::Span(Box::new(span.clone())));
        }
    }

    /// Sends a log record, if those are sent.
    pub(in crate::observe) fn log(&self, log: &LogRecord) {
        if self.with_logs {
            self.put(|| Item::Log(Box::new(log.clone())));
        }
    }

    fn put(&self, item: impl FnOnce() -> Item) {
        match self.queue.try_reserve() {
            Ok(place) => place.send(item()),
            Err(_) => drop(self.exported.dropped.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Begins to send what `recorder` is given, if the settings name a collector.
pub fn start(
    settings: &OtlpSettings,
    client: reqwest::Client,
    instance: &str,
    recorder: &Recorder,
    tasks: &Tasks,
) -> Arc<Exported> {
    let exported = Arc::<Exported>::default();
    let Some(endpoint) = &settings.endpoint else { return exported };
    let (queue, items) = mpsc::channel(QUEUE);
    let exporter = Exporter {
        client,
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        headers: headers(settings),
        settings: settings.clone(),
        resource: resource(instance),
        items,
        exported: Arc::clone(&exported),
        is_failing: false,
    };
    recorder.tap(Tap { queue, exported: Arc::clone(&exported), with_logs: settings.logs });
    tasks.spawn("otlp-export", |cancel| exporter.run(cancel));
    exported
}

fn headers(settings: &OtlpSettings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        // Checked when the settings were read.
        if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(&value.0)) {
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(settings.protocol)));
    headers
}

fn resource(instance: &str) -> Resource {
    let attributes = [
        (otel::SERVICE_NAME, "hotbay"),
        (otel::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        (otel::SERVICE_INSTANCE_ID, instance),
    ];
    Resource { attributes: attributes.map(|(name, value)| attribute(name, &Value::from(value))).to_vec() }
}

struct Exporter {
    client: reqwest::Client,
    endpoint: String,
    headers: HeaderMap,
    settings: OtlpSettings,
    resource: Resource,
    items: mpsc::Receiver<Item>,
    exported: Arc<Exported>,
    /// So that a collector that is away is logged once, not each second.
    is_failing: bool,
}

/// Why a batch was not taken.
struct Failure {
    why: String,
    /// Whether it may be taken later, and after how long if the collector said so.
    again: Option<Option<Duration>>,
}

impl Exporter {
    async fn run(mut self, cancel: CancellationToken) {
        let mut is_over = false;
        while !is_over {
            let (mut spans, mut logs) = (Vec::new(), Vec::new());
            is_over = self.gather(&mut spans, &mut logs, &cancel).await;
            self.send_spans(spans, &cancel).await;
            self.send_logs(logs, &cancel).await;
        }
    }

    /// Gathers a batch. Returns whether it is the last one.
    async fn gather(&mut self, spans: &mut Vec<Span>, logs: &mut Vec<LogRecord>, cancel: &CancellationToken) -> bool {
        let mut until = None;
        while spans.len() + logs.len() < BATCH {
            let item = tokio::select! {
                biased;
                // What is in the queue already comes out of it, then its end.
                () = cancel.cancelled(), if !self.items.is_closed() => {
                    self.items.close();
                    continue;
                }
                item = self.items.recv() => item,
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return false,
            };
            match item {
                Some(Item::Span(span)) => spans.push(*span),
                Some(Item::Log(log)) => logs.push(*log),
                None => return true,
            }
            until.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        false
    }

    async fn send_spans(&mut self, spans: Vec<Span>, cancel: &CancellationToken) {
        if spans.is_empty() {
            return;
        }
        let (count, resource, protocol) = (spans.len(), self.resource.clone(), self.settings.protocol);
        let made = tokio::task::spawn_blocking(move || {
            let spans = spans.iter().filter_map(outgoing::span).collect();
            let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
            encode(
                protocol,
                &TracesRequest { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] },
            )
        });
        let answer = self.send("/v1/traces", made.await.unwrap_or_default(), count, cancel).await;
        let refused = answer.and_then(|answer| decode::<TracesResponse>(protocol, &answer).ok()?.partial_success);
        if let Some(refused) = refused.filter(|refused| refused.rejected_spans > 0) {
            self.refused(refused.rejected_spans, &refused.error_message);
        }
    }

    async fn send_logs(&mut self, logs: Vec<LogRecord>, cancel: &CancellationToken) {
        if logs.is_empty() {
            return;
        }
        let (count, resource, protocol) = (logs.len(), self.resource.clone(), self.settings.protocol);
        let made = tokio::task::spawn_blocking(move || {
            let log_records = logs.iter().map(outgoing::log).collect();
            let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records }];
            encode(
                protocol,
                &LogsRequest { resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs }] },
            )
        });
        let answer = self.send("/v1/logs", made.await.unwrap_or_default(), count, cancel).await;
        let refused = answer.and_then(|answer| decode::<LogsResponse>(protocol, &answer).ok()?.partial_success);
        if let Some(refused) = refused.filter(|refused| refused.rejected_log_records > 0) {
            self.refused(refused.rejected_log_records, &refused.error_message);
        }
    }

    /// Sends a body until it is taken or given up; returns the answer of who took it.
    async fn send(&mut self, path: &str, body: Vec<u8>, count: usize, cancel: &CancellationToken) -> Option<Bytes> {
        let (body, end, mut wait) = (Bytes::from(body), Instant::now() + GIVE_UP, FIRST_WAIT);
        loop {
            // Once the host ends, there is time for one more attempt, not for waiting.
            let is_last = cancel.is_cancelled();
            let failure = match self.attempt(path, body.clone()).await {
                Ok(answer) => {
                    self.exported.sent.fetch_add(count as u64, Ordering::Relaxed);
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the OTLP collector takes spans and logs again");
                    }
                    return Some(answer);
                }
                Err(failure) => failure,
            };
            if !std::mem::replace(&mut self.is_failing, true) {
                tracing::warn!(error = failure.why, "the OTLP collector does not take spans and logs");
            }
            // The dice spread hosts that were refused together.
            let pause = failure.again.map(|asked| asked.unwrap_or_else(|| wait.mul_f64(0.5 + fastrand::f64() / 2.0)));
            let Some(at) =
                pause.map(|pause| Instant::now() + pause.min(LONGEST_WAIT)).filter(|at| !is_last && *at < end)
            else {
                self.exported.dropped.fetch_add(count as u64, Ordering::Relaxed);
                return None;
            };
            wait = (wait * 2).min(LONGEST_WAIT);
            cancel.run_until_cancelled(sleep_until(at)).await;
        }
    }

    async fn attempt(&self, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let request =
            self.client.post(format!("{}{path}", self.endpoint)).headers(self.headers.clone()).timeout(REQUEST);
        // The URL stays out of the log: it may hold a password.
        let broken = |error: reqwest::Error| Failure { why: sentence(&error.without_url()), again: Some(None) };
        let mut answer = request.body(body).send().await.map_err(broken)?;
        let status = answer.status();
        if !status.is_success() {
            let passes = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            let again = passes.then(|| asked_wait(answer.headers(), SystemTime::now()));
            return Err(Failure { why: format!("it answers {status}"), again });
        }
        let mut read = Vec::new();
        // A success whose text breaks off is a success: sent again, spans would be there twice.
        while let Ok(Some(piece)) = answer.chunk().await {
            read.extend_from_slice(&piece);
            if read.len() > LONGEST_ANSWER {
                break;
            }
        }
        Ok(read.into())
    }

    fn refused(&self, count: i64, why: &str) {
        let count = u64::try_from(count).unwrap_or_default();
        self.exported.sent.fetch_sub(count.min(self.exported.sent.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.exported.dropped.fetch_add(count, Ordering::Relaxed);
        tracing::debug!(count, error = why, "the OTLP collector refused some of what it was sent");
    }
}

fn scope() -> Scope {
    Scope { name: "hotbay".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Reads how long the collector asks to wait: seconds, or a date.
fn asked_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(SystemTime::from(date).duration_since(now).unwrap_or(Duration::ZERO))
}

/// Returns an error with its causes; the first alone says nothing.
fn sentence(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
