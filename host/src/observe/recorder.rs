//! The way in: whoever has something to record gives it here and goes on.
//!
//! Nothing here waits. What comes in faster than it can be written is shed, what matters
//! least first, and counted.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{
    mpsc::{self, error::SendTimeoutError},
    oneshot,
};

use super::{events::Events, metrics::Metrics, otlp::export::Tap, told, tracer::Trace};
use crate::types::{
    log::{Level, LogRecord},
    span::Span,
};

/// Inputs that may wait to be written. Several seconds of what one core can write; in memory
/// about a kilobyte each.
const QUEUE: usize = 64 << 10;

/// How long another service waits for room in the queue.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be written.
#[derive(Debug)]
pub(super) enum Input {
    /// A log record.
    Log(Arc<LogRecord>),
    /// Spans that ended.
    Spans(Vec<Span>),
    /// Records of another service, whose sender waits until they are on the disk.
    Batch { logs: Vec<LogRecord>, spans: Vec<Span>, written: oneshot::Sender<Result<(), String>> },
    /// Somebody waits until what was given before is found.
    Found(oneshot::Sender<()>),
}

/// What was shed since the start.
#[derive(Debug, Default)]
pub struct Shed {
    /// Log records, by level: debug, info, warn, error and fatal.
    pub logs: [AtomicU64; 5],
    /// Spans.
    pub spans: AtomicU64,
}

/// Takes what is to be recorded. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    shared: Option<Arc<Shared>>,
    events: Events,
    metrics: Arc<Metrics>,
}

struct Shared {
    queue: mpsc::Sender<Input>,
    shed: Shed,
    records_content: bool,
    /// What else is told of the host's own records, once it has started.
    tap: OnceLock<Tap>,
    number: AtomicU64,
    /// Traces that go on. Held for a lookup.
    live: Mutex<HashMap<u64, Weak<Trace>>>,
}

impl Recorder {
    /// Returns one that records nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { shared: None, events: Events::default(), metrics: Arc::default() }
    }

    /// Returns one, and what it was given. `records_content` says whether what goes into models
    /// and tools, and comes out of them, is recorded.
    pub(super) fn new(records_content: bool) -> (Self, mpsc::Receiver<Input>) {
        let (queue, inputs) = mpsc::channel(QUEUE);
        let shared = Shared {
            queue,
            shed: Shed::default(),
            records_content,
            tap: OnceLock::new(),
            number: AtomicU64::new(0),
            live: Mutex::default(),
        };
        (Self { shared: Some(Arc::new(shared)), ..Self::off() }, inputs)
    }

    /// Returns one that knows what goes on, and lets go of what has ended.
    #[cfg(test)]
    pub(crate) fn of_what_goes_on() -> Self {
        Self::new(true).0
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Returns where it is told what happens, also if nothing is recorded.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Returns what is counted, also if nothing is recorded.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether what goes into models and tools, and comes out, is recorded.
    pub(crate) fn records_content(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.records_content)
    }

    /// Lets what the host records be sent elsewhere as well; the first to call it gets it all.
    pub(super) fn tap(&self, tap: Tap) {
        if let Some(shared) = &self.shared {
            drop(shared.tap.set(tap));
        }
    }

    /// Records a log record.
    pub fn log(&self, record: LogRecord) {
        let Some(shared) = &self.shared else { return };
        self.events.publish(|| told::log(&record));
        if let Some(tap) = shared.tap.get() {
            tap.log(&record);
        }
        let level = record.level;
        // What matters more finds room longer.
        let reserve = match level {
            Level::Debug => QUEUE / 2,
            Level::Info => QUEUE / 4,
            Level::Warn => QUEUE / 8,
            Level::Error | Level::Fatal => 0,
        };
        if shared.queue.capacity() <= reserve || shared.queue.try_send(Input::Log(Arc::new(record))).is_err() {
            shared.shed.logs[level as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records spans that ended.
    pub fn spans(&self, spans: Vec<Span>) {
        let Some(shared) = &self.shared else { return };
        let count = spans.len() as u64;
        if count == 0 {
            return;
        }
        spans.iter().for_each(|span| self.events.publish(|| told::span(span)));
        if let Some(tap) = shared.tap.get() {
            tap.spans(&spans);
        }
        if shared.queue.capacity() <= QUEUE / 16 || shared.queue.try_send(Input::Spans(spans)).is_err() {
            shared.shed.spans.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Records what another service sent, and waits until it is on the disk.
    ///
    /// # Errors
    /// Why it was not taken; it may be sent again.
    pub async fn batch(&self, logs: Vec<LogRecord>, spans: Vec<Span>) -> Result<(), String> {
        let Some(shared) = &self.shared else { return Err("nothing is recorded here".to_owned()) };
        let (written, answer) = oneshot::channel();
        // A sender may wait; the host's own records do not.
        match shared.queue.send_timeout(Input::Batch { logs, spans, written }, PATIENCE).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return Err("the host is shutting down".to_owned()),
            Err(SendTimeoutError::Timeout(_)) => return Err("more comes in than can be written".to_owned()),
        }
        answer.await.unwrap_or_else(|_| Err("the host is shutting down".to_owned()))
    }

    /// Waits until what was given before is found, as long as the writer is there.
    pub(super) async fn catch_up(&self) {
        let Some(shared) = &self.shared else { return };
        let (found, answer) = oneshot::channel();
        if shared.queue.send(Input::Found(found)).await.is_ok() {
            drop(answer.await);
        }
    }

    /// Returns what was shed.
    #[must_use]
    pub fn shed(&self) -> Option<&Shed> {
        self.shared.as_ref().map(|shared| &shared.shed)
    }

    /// Returns how many inputs wait to be written, and how many may.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        self.shared.as_ref().map_or((0, 0), |shared| (QUEUE - shared.queue.capacity(), QUEUE))
    }

    /// Returns the spans that go on, and those that ended in traces that go on and were not
    /// handed over yet.
    #[must_use]
    pub fn open(&self) -> Vec<Span> {
        self.live().iter().flat_map(|trace| trace.open().into_iter().chain(trace.closed())).collect()
    }

    /// Returns the traces that go on.
    pub(super) fn live(&self) -> Vec<Arc<Trace>> {
        self.shared.as_ref().map_or_else(Vec::new, |shared| shared.live().values().filter_map(Weak::upgrade).collect())
    }

    /// Makes a trace that goes on.
    pub(super) fn remember(&self, make: impl FnOnce(u64) -> Trace) -> Arc<Trace> {
        let shared = self.shared.as_ref();
        let number = shared.map_or(0, |shared| shared.number.fetch_add(1, Ordering::Relaxed));
        let trace = Arc::new(make(number));
        if let Some(shared) = shared {
            shared.live().insert(number, Arc::downgrade(&trace));
        }
        trace
    }

    /// Forgets a trace of which nothing goes on.
    pub(super) fn forget(&self, number: u64) {
        if let Some(shared) = &self.shared {
            shared.live().remove(&number);
        }
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, HashMap<u64, Weak<Trace>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
