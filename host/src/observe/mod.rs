//! What happened: log records and spans, from the moment they are made to the day they go.
//!
//! # A record's way
//!
//! Whoever has something to record gives it to a [`Recorder`], which never waits: the host's
//! log by a [`layer`], runs by [spans](tracer). One task (`writer`) takes what has come in,
//! appends it to a write-ahead log and syncs that, keeps it in memory, where it is found from
//! then on, and adds it to an index of its day. Each second the indexes are committed, with
//! the position in the write-ahead log, and what they hold goes from memory and from the
//! write-ahead log. After a crash what the indexes lack is read from there.
//!
//! [`Observe`] answers questions about all of it; [`filter`] is the language.

pub mod attrs;
pub mod filter;
pub mod layer;
pub mod otlp;
pub mod record;
mod recorder;
pub mod tracer;
mod words;

use std::sync::{Arc, PoisonError, RwLock};

use recorder::Input;
pub use recorder::{Recorder, Shed};

use self::{
    filter::Filter,
    record::{Record, RecordKind},
};
use crate::{
    config::RecordSettings,
    tasks::Tasks,
    types::{id::Millis, log::LogRecord, span::Span},
};

/// Answers what happened. Cheap to clone.
#[derive(Clone)]
pub struct Observe {
    recorder: Recorder,
    tail: Arc<RwLock<Tail>>,
}

/// What is in memory.
#[derive(Default)]
struct Tail {
    logs: Vec<Arc<LogRecord>>,
    spans: Vec<Arc<Span>>,
}

/// How records are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
    /// Spans by their end, the latest first; those that run come first.
    LatestEndFirst,
    /// Spans by their end, the earliest first; those that run come last.
    EarliestEndFirst,
}

/// Which records of those that are found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// How they are ordered.
    pub order: Order,
    /// How many are left out.
    pub offset: u64,
    /// How many are returned at most.
    pub limit: u64,
}

/// Records that were found.
#[derive(Debug, Clone, Default)]
pub struct Found<T> {
    /// Those of the window.
    pub records: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The query cannot be read; says where.
    #[error("{0}")]
    Query(String),
    /// The index cannot be read.
    #[error("the index of logs and traces cannot be read: {0}")]
    Index(String),
}

/// What of a span is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// How long it took, in milliseconds.
    Duration,
    /// Tokens it gave to a model.
    InputTokens,
    /// Tokens a model gave to it.
    OutputTokens,
}

/// A span, as far as it is counted.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// When it began.
    pub started_at: Millis,
    /// How long it took, in milliseconds.
    pub duration: Option<u64>,
    /// Tokens it gave to a model.
    pub input_tokens: Option<u64>,
    /// Tokens a model gave to it.
    pub output_tokens: Option<u64>,
    /// The values of the keys asked for, in their order.
    pub keys: Vec<Option<Arc<str>>>,
}

impl Observe {
    /// Starts recording.
    #[must_use]
    pub fn start(settings: &RecordSettings, tasks: &Tasks) -> Self {
        if !settings.is_on() {
            return Self { recorder: Recorder::off(), tail: Arc::default() };
        }
        let (recorder, mut inputs) = Recorder::new(settings.content);
        let tail = Arc::<RwLock<Tail>>::default();
        let keep = Arc::clone(&tail);
        tasks.spawn("observe-writer", |_| async move {
            while let Some(input) = inputs.recv().await {
                let mut tail = keep.write().unwrap_or_else(PoisonError::into_inner);
                match input {
                    Input::Log(log) => tail.logs.push(Arc::new(log)),
                    Input::Spans(spans) => tail.spans.extend(spans.into_iter().map(Arc::new)),
                    Input::Batch { logs, spans, written } => {
                        tail.logs.extend(logs.into_iter().map(Arc::new));
                        tail.spans.extend(spans.into_iter().map(Arc::new));
                        drop(written.send(Ok(())));
                    }
                }
            }
        });
        Self { recorder, tail }
    }

    /// Returns where records are given.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Finds log records.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn logs(&self, filter: Filter, window: Window) -> Result<Found<Arc<LogRecord>>, ObserveError> {
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = tail.logs.iter().filter(|log| filter.matches(Record::Log(log))).cloned().collect();
        found.sort_by_key(|log| log.time);
        Ok(cut(found, window))
    }

    /// Finds spans, those that go on among them.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn spans(&self, filter: Filter, window: Window) -> Result<Found<Arc<Span>>, ObserveError> {
        let open = self.recorder.open().into_iter().map(Arc::new);
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        let all = tail.spans.iter().cloned().chain(open);
        let mut found: Vec<_> = all.filter(|span| filter.matches(Record::Span(span))).collect();
        match window.order {
            Order::NewestFirst | Order::OldestFirst => found.sort_by_key(|span| span.started_at),
            Order::LatestEndFirst | Order::EarliestEndFirst => {
                found.sort_by_key(|span| (span.ended_at.is_none(), span.ended_at));
            }
        }
        Ok(cut(found, window))
    }

    /// Returns all spans of a trace, in the order they began; none if there is no such trace.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub async fn trace(&self, trace_id: &str) -> Result<Vec<Arc<Span>>, ObserveError> {
        let filter = Filter::is(attrs::Key::TraceId, trace_id);
        let window = Window { order: Order::OldestFirst, offset: 0, limit: u64::MAX };
        Ok(self.spans(filter, window).await?.records)
    }

    /// Returns the values a key has among the records found, in order, each once.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn values(&self, kind: RecordKind, key: attrs::Key, filter: Filter) -> Result<Vec<String>, ObserveError> {
        let window = Window { limit: u64::MAX, ..Window::default() };
        let mut values = std::collections::BTreeSet::new();
        let mut add = |record: Record<'_>| {
            record.keys(|it, value| {
                if it == key {
                    values.insert(value.to_owned());
                }
            });
        };
        match kind {
            RecordKind::Logs => self.logs(filter, window).await?.records.iter().for_each(|log| add(Record::Log(log))),
            RecordKind::Spans => {
                self.spans(filter, window).await?.records.iter().for_each(|span| add(Record::Span(span)));
            }
        }
        Ok(values.into_iter().collect())
    }

    /// Calls `each` with every span found that has ended, in no order, as far as it is counted.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn count(
        &self,
        filter: Filter,
        keys: &[attrs::Key],
        mut each: impl FnMut(Counted) + Send,
    ) -> Result<(), ObserveError> {
        let window = Window { limit: u64::MAX, ..Window::default() };
        for span in self.spans(filter, window).await?.records {
            if span.ended_at.is_some() {
                each(counted(&span, keys));
            }
        }
        Ok(())
    }
}

fn counted(span: &Span, keys: &[attrs::Key]) -> Counted {
    let tokens = |name| span.attributes.get(attrs::span::USAGE)?.get(name)?.as_u64();
    Counted {
        started_at: span.started_at,
        duration: span.duration(),
        input_tokens: tokens("inputTokens"),
        output_tokens: tokens("outputTokens"),
        keys: keys.iter().map(|key| Record::Span(span).get(*key).map(Arc::from)).collect(),
    }
}

/// Cuts a window out of records that stand oldest first.
fn cut<T>(mut found: Vec<T>, window: Window) -> Found<T> {
    if matches!(window.order, Order::NewestFirst | Order::LatestEndFirst) {
        found.reverse();
    }
    let total = found.len() as u64;
    let offset = usize::try_from(window.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
    Found { records: found.into_iter().skip(offset).take(limit).collect(), total }
}
