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

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{events::Events, metrics::Metrics, otlp::export::Tap, told, tracer::Trace, weight};
use crate::types::{
    log::{Level, LogRecord},
    span::Span,
};

/// Inputs that may wait to be written. Several seconds of what one core can write.
const QUEUE: usize = 64 << 10;
/// Bytes of memory they may take together, about.
const ROOM: usize = 24 << 20;

/// How long another service waits for room in the queue.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be written, and its [weight] in the queue.
pub(super) type Queued = (Input, usize);

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
    queue: mpsc::Sender<Queued>,
    /// Bytes that may still come to wait.
    room: Semaphore,
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
    pub(super) fn new(records_content: bool) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, inputs) = mpsc::channel(QUEUE);
        let shared = Shared {
            queue,
            room: Semaphore::new(ROOM),
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
            Level::Debug => 2,
            Level::Info => 4,
            Level::Warn => 8,
            Level::Error | Level::Fatal => usize::MAX,
        };
        let weight = weight::log(&record);
        if !shared.put(Input::Log(Arc::new(record)), weight, reserve) {
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
        let weight = weight::spans(&spans);
        if !shared.put(Input::Spans(spans), weight, 16) {
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
        let weight = permits(logs.iter().map(weight::log).sum::<usize>() + weight::spans(&spans));
        // A sender may wait; the host's own records do not.
        let sending = async {
            let room = shared.room.acquire_many(weight).await.ok()?;
            shared.queue.send((Input::Batch { logs, spans, written }, weight as usize)).await.ok()?;
            room.forget();
            Some(())
        };
        match timeout(PATIENCE, sending).await {
            Ok(Some(())) => {}
            Ok(None) => return Err("the host is shutting down".to_owned()),
            Err(_) => return Err("more comes in than can be written".to_owned()),
        }
        answer.await.unwrap_or_else(|_| Err("the host is shutting down".to_owned()))
    }

    /// Waits until what was given before is found, as long as the writer is there.
    pub(super) async fn catch_up(&self) {
        let Some(shared) = &self.shared else { return };
        let (found, answer) = oneshot::channel();
        if shared.queue.send((Input::Found(found), 0)).await.is_ok() {
            drop(answer.await);
        }
    }

    /// Returns what was shed.
    #[must_use]
    pub fn shed(&self) -> Option<&Shed> {
        self.shared.as_ref().map(|shared| &shared.shed)
    }

    /// Makes room again of what was taken out of the queue.
    pub(super) fn taken(&self, weight: usize) {
        if let Some(shared) = &self.shared {
            shared.room.add_permits(weight);
        }
    }

    /// Returns how many bytes of memory what waits to be written takes, about.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.shared.as_ref().map_or(0, |shared| ROOM.saturating_sub(shared.room.available_permits()))
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
    /// Puts something into the queue, unless that would take the last part of its places or of
    /// its room: `reserve` says which part of them is left for what matters more.
    fn put(&self, input: Input, weight: usize, reserve: usize) -> bool {
        let weight = permits(weight);
        let is_full = self.queue.capacity() <= QUEUE / reserve
            || self.room.available_permits() <= ROOM / reserve + weight as usize;
        if is_full {
            return false;
        }
        let Ok(room) = self.room.try_acquire_many(weight) else { return false };
        let is_taken = self.queue.try_send((input, weight as usize)).is_ok();
        if is_taken {
            room.forget();
        }
        is_taken
    }

    fn live(&self) -> MutexGuard<'_, HashMap<u64, Weak<Trace>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how much room is taken for so many bytes. What is larger than all there is takes it all.
fn permits(weight: usize) -> u32 {
    u32::try_from(weight.min(ROOM / 2)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::Millis;

    const MEGABYTE: usize = 1 << 20;

    fn large(level: Level) -> LogRecord {
        let message = "x".repeat(MEGABYTE);
        serde_json::from_value(serde_json::json!({
            "id": "1", "time": Millis::now(), "level": level, "transport": "host", "message": message,
        }))
        .unwrap()
    }

    fn shed(recorder: &Recorder, level: Level) -> u64 {
        recorder.shed().unwrap().logs[level as usize].load(Ordering::Relaxed)
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes_and_what_matters_finds_room_longest() {
        let (recorder, mut inputs) = Recorder::new(true);
        let all = (ROOM / MEGABYTE) as u64;
        for (level, share) in [(Level::Debug, 2), (Level::Info, 4), (Level::Warn, 8)] {
            (0..all).for_each(|_| recorder.log(large(level)));
            let left = ROOM - recorder.waiting_bytes();
            assert!(left >= ROOM / share && left < ROOM / share + 2 * MEGABYTE, "{level:?}: {left}");
            assert!(shed(&recorder, level) > 0);
        }
        recorder.log(large(Level::Error));
        assert_eq!(shed(&recorder, Level::Error), 0);

        // What is taken out makes room again.
        while let Ok((_, weight)) = inputs.try_recv() {
            recorder.taken(weight);
        }
        assert_eq!(recorder.waiting_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn another_service_waits_for_room() {
        let (recorder, mut inputs) = Recorder::new(true);
        (0..ROOM / MEGABYTE).for_each(|_| recorder.log(large(Level::Error)));
        let full = recorder.batch(vec![large(Level::Info)], Vec::new()).await;
        assert_eq!(full, Err("more comes in than can be written".to_owned()));

        let taking = async {
            loop {
                let (input, weight) = inputs.recv().await.unwrap();
                recorder.taken(weight);
                if let Input::Batch { written, .. } = input {
                    return written.send(Ok(())).unwrap();
                }
            }
        };
        let (sent, ()) = tokio::join!(recorder.batch(vec![large(Level::Info)], Vec::new()), taking);
        assert_eq!(sent, Ok(()));
    }
}
