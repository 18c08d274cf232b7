//! What happened: log records and spans, from the moment they are made to the day they go.
//!
//! # A record's way
//!
//! Whoever has something to record gives it to a [`Recorder`], which never waits: the host's
//! log by a [`layer`], runs by [spans](tracer). One task (`writer`) takes what has come in,
//! appends it to a write-ahead log and syncs that, and keeps it in memory, where it is found
//! from then on. Some seconds later, or sooner if there is much, it is put into the index of its
//! day, with the position in the write-ahead log, and goes from memory and from the write-ahead
//! log. After a crash what the indexes lack is read from there.
//!
//! [`Observe`] answers questions about all of it; [`filter`] is the language.

pub mod attrs;
mod day;
mod erase;
pub mod events;
pub mod file;
pub mod filter;
mod find;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod keeper;
pub mod layer;
pub mod line;
pub mod metrics;
mod open;
pub mod otlp;
mod query;
pub mod record;
mod recorder;
mod schema;
mod search;
mod statistics;
mod tail;
#[cfg(test)]
mod tests;
mod told;
pub mod traceparent;
pub mod tracer;
#[cfg(test)]
pub(crate) mod tree;
mod wal;
mod weight;
mod words;
mod writer;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot, watch};

pub use recorder::{Recorder, Shed};
pub use statistics::Statistics;

use self::{
    attrs::Key,
    erase::Request,
    filter::Filter,
    find::Snapshot,
    keeper::Retention,
    record::{Record, RecordKind},
    writer::{View, Writer},
};
use crate::{
    config::RecordSettings,
    tasks::Tasks,
    types::{id::Millis, log::LogRecord, span::Span},
};

/// How long a query waits for what was just recorded to be in the index.
const PATIENCE: Duration = Duration::from_secs(5);
/// With more bytes of records in memory, a search that needs an index has them put into those of their days.
const LITTLE: usize = 512 << 10;
/// How long a question waits for what was given before it to be found, if more comes in than is taken.
const CATCH_UP: Duration = Duration::from_millis(200);

/// Answers what happened. Cheap to clone.
#[derive(Clone)]
pub struct Observe {
    recorder: Recorder,
    view: Arc<RwLock<View>>,
    statistics: Arc<Statistics>,
    requests: mpsc::Sender<Request>,
    opened: watch::Receiver<bool>,
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
    /// Those that came in at this position or later, as they came in; none that runs.
    Arrival(u64),
}

impl Order {
    fn is_descending(self) -> bool {
        matches!(self, Self::NewestFirst | Self::LatestEndFirst)
    }

    /// Returns when a record stands in it.
    fn time(self, record: Record<'_>) -> i64 {
        match self {
            Self::NewestFirst | Self::OldestFirst => record.time().0,
            Self::LatestEndFirst | Self::EarliestEndFirst => record.ended_at().map_or(i64::MAX, |end| end.0),
            // Positions alone say it.
            Self::Arrival(_) => 0,
        }
    }
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
    /// Where each of them came in. Records that came in together share a position; what runs has
    /// the last there is.
    pub positions: Vec<u64>,
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
    /// Something cannot be erased now, and can later.
    #[error("{0}")]
    Busy(String),
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
    /// Starts recording in a directory. It records in memory while that cannot be used, and tries again.
    #[must_use]
    pub fn start(settings: &RecordSettings, directory: &Path, tasks: &Tasks) -> Self {
        let view = Arc::<RwLock<View>>::default();
        let statistics = Arc::<Statistics>::default();
        let (requests, asked) = mpsc::channel(64);
        let (told, opened) = watch::channel(!settings.is_on());
        if !settings.is_on() {
            return Self { recorder: Recorder::off(), view, statistics, requests, opened };
        }
        let (recorder, inputs) = Recorder::new(settings.content);
        let writer = Writer {
            view: Arc::clone(&view),
            recorder: recorder.clone(),
            inputs,
            requests: asked,
            statistics: Arc::clone(&statistics),
            opened: told,
            retention: Retention::new(settings),
            root: directory.to_owned(),
        };
        tasks.spawn("observe-writer", |cancel| writer.run(cancel));
        Self { recorder, view, statistics, requests, opened }
    }

    /// Returns where records are given.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns what recording takes.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Returns how many records are in memory alone or not in an index yet.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.view.read().unwrap_or_else(PoisonError::into_inner).tail.len()
    }

    /// Returns about how many bytes of memory these take, and what waits to be taken.
    #[must_use]
    pub fn memory(&self) -> usize {
        let tail = self.view.read().unwrap_or_else(PoisonError::into_inner).tail.weight();
        tail + self.recorder.waiting_bytes()
    }

    /// Waits until everything that is found now is in the indexes, or cannot be. Whether it was
    /// told so in time.
    pub async fn commit(&self) -> bool {
        let (answer, done) = oneshot::channel();
        self.requests.send(Request::Commit(answer)).await.is_ok()
            && matches!(tokio::time::timeout(PATIENCE, done).await, Ok(Ok(())))
    }

    /// Returns where the next record comes in: what is found has an earlier position.
    pub async fn position(&self) -> u64 {
        self.catch_up().await;
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let indexed = view.days.values().filter_map(|day| day.seq).max();
        let last = view.tail.last().max(indexed);
        last.map_or(0, |last| last + 1)
    }

    /// Finds log records.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn logs(&self, filter: Filter, window: Window) -> Result<Found<Arc<LogRecord>>, ObserveError> {
        self.log_snapshot(filter).await?.find(window, |log| Record::Log(log)).await
    }

    /// Finds spans, those that go on among them.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn spans(&self, filter: Filter, window: Window) -> Result<Found<Arc<Span>>, ObserveError> {
        self.span_snapshot(filter).await?.find(window, |span| Record::Span(span)).await
    }

    /// Returns all spans of a trace, in the order they began, one before those below it; none if
    /// there is no such trace.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub async fn trace(&self, trace_id: &str) -> Result<Vec<Arc<Span>>, ObserveError> {
        let filter = Filter::is(Key::TraceId, trace_id);
        let window = Window { order: Order::OldestFirst, offset: 0, limit: u64::MAX };
        Ok(parents_first(&self.spans(filter, window).await?.records))
    }

    /// Returns the values a key has among the records found, in order, each once. Of keys whose
    /// values are different in each record, as ids of spans, only recent ones are found.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn values(&self, kind: RecordKind, key: Key, filter: Filter) -> Result<Vec<String>, ObserveError> {
        let mut values = BTreeSet::new();
        let mut add = |record: Record<'_>| {
            record.keys(|it, value| {
                if it == key {
                    values.insert(value.to_owned());
                }
            });
        };
        let indexed = match kind {
            RecordKind::Logs => {
                let snapshot = self.log_snapshot(filter).await?;
                snapshot.memory().for_each(|log| add(Record::Log(log)));
                snapshot.values(key).await?
            }
            RecordKind::Spans => {
                let snapshot = self.span_snapshot(filter).await?;
                snapshot.memory().for_each(|span| add(Record::Span(span)));
                snapshot.values(key).await?
            }
        };
        values.extend(indexed);
        Ok(values.into_iter().collect())
    }

    /// Calls `each` with every span found that has ended, in no order, as far as it is counted.
    ///
    /// # Errors
    /// If the query in the filter cannot be read, or the index cannot.
    pub async fn count(
        &self,
        filter: Filter,
        keys: &[Key],
        mut each: impl FnMut(Counted) + Send,
    ) -> Result<(), ObserveError> {
        let snapshot = self.span_snapshot(filter).await?;
        for span in snapshot.memory().filter(|span| span.ended_at.is_some()) {
            each(counted(span, keys));
        }
        snapshot.counts(keys).await?.into_iter().for_each(each);
        Ok(())
    }

    async fn log_snapshot(&self, filter: Filter) -> Result<Snapshot<LogRecord>, ObserveError> {
        let logs = |view: &View, filter: &Filter| view.tail.logs(filter, |arrival| view.is_indexed(arrival));
        self.look(RecordKind::Logs, filter, logs).await
    }

    async fn span_snapshot(&self, filter: Filter) -> Result<Snapshot<Span>, ObserveError> {
        // Looked at first: what ends meanwhile is found twice, not never.
        let open = self.recorder.open();
        let spans = |view: &View, filter: &Filter| {
            let mut memory = view.tail.spans(filter, |arrival| view.is_indexed(arrival));
            let mut open: Vec<Span> = open.into_iter().filter(|span| filter.matches(Record::Span(span))).collect();
            if !open.is_empty() {
                let known: BTreeSet<&str> = view.tail.span_ids();
                open.retain(|span| !known.contains(span.span_id.as_str()));
            }
            memory.extend(open.into_iter().map(|span| (u64::MAX, Arc::new(span))));
            memory
        };
        self.look(RecordKind::Spans, filter, spans).await
    }

    /// Waits until what was told of before is found.
    async fn catch_up(&self) {
        // Right after the start, files may still be read.
        let mut opened = self.opened.clone();
        drop(opened.wait_for(|is_opened| *is_opened).await);
        drop(tokio::time::timeout(CATCH_UP, self.recorder.catch_up()).await);
    }

    /// Takes what is to be searched; `memory` returns what of it is in no index and can be told without one.
    async fn look<T>(
        &self,
        kind: RecordKind,
        filter: Filter,
        memory: impl FnOnce(&View, &Filter) -> Vec<(u64, Arc<T>)>,
    ) -> Result<Snapshot<T>, ObserveError> {
        self.catch_up().await;
        if filter.needs_index() {
            // Says what is wrong with the query before anything is waited for.
            drop(query::compile(&filter)?);
            // What is little is put into an index for this search alone, which writes nothing.
            if self.memory() > LITTLE {
                self.commit().await;
            }
        }
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let memory = memory(&view, &filter);
        Ok(Snapshot::new(&view, kind, filter, memory, self.recorder.metrics()))
    }
}

fn counted(span: &Span, keys: &[Key]) -> Counted {
    Counted {
        started_at: span.started_at,
        duration: span.duration(),
        input_tokens: record::tokens(span, "inputTokens"),
        output_tokens: record::tokens(span, "outputTokens"),
        keys: keys.iter().map(|key| Record::Span(span).get(*key).map(Arc::from)).collect(),
    }
}

/// Puts spans that began in the same millisecond behind those they are below: what ended sooner came in sooner.
fn parents_first(spans: &[Arc<Span>]) -> Vec<Arc<Span>> {
    let mut sorted = Vec::with_capacity(spans.len());
    for same in spans.chunk_by(|a, b| a.started_at == b.started_at) {
        let places: HashMap<&str, usize> =
            (0..).zip(same).map(|(place, span)| (span.span_id.as_str(), place)).collect();
        let mut is_taken = vec![false; same.len()];
        for first in 0..same.len() {
            let mut upwards = Vec::new();
            let mut next = Some(first);
            // Ends also if parents go round in a circle.
            while let Some(place) = next.filter(|place| !is_taken[*place]) {
                is_taken[place] = true;
                upwards.push(place);
                next = same[place].parent_id.as_deref().and_then(|parent| places.get(parent)).copied();
            }
            sorted.extend(upwards.into_iter().rev().map(|place| Arc::clone(&same[place])));
        }
    }
    sorted
}
