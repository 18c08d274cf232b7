//! What the executions of a run's nodes came to, in memory and on the disk.
//!
//! [`Journal::commit`] writes everything that changed in one transaction: records, state,
//! chunks of the stream, how the run stands. Nodes that run at once commit together if they
//! end while a commit is under way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::feed::Feed;
use crate::{
    store::{
        StoreError,
        runs::{Progress, Runs},
    },
    types::{
        id::{self, Millis},
        run::{RunChunk, RunOutcome, RunStatus, StepRecord, StepStatus},
    },
};

/// Most chunks that wait to be stored with a result; more are stored by themselves.
pub(super) const BACKLOG: usize = 256;
/// The longest wait before a failed write is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The host no longer drives the run: another one does, or the store is gone for too long.
#[derive(Debug)]
pub(super) struct Lost(pub(super) String);

/// A run's records and where they are kept.
pub(super) struct Journal {
    run_id: Arc<str>,
    fence: u64,
    runs: Runs,
    pub(super) feed: Arc<Feed>,
    // Held to read or change records, never across an await.
    state: Mutex<State>,
    // Held across a write: commits of one run follow each other.
    writing: tokio::sync::Mutex<()>,
    /// How long a store that cannot be written is waited for.
    patience: Duration,
}

struct State {
    records: HashMap<String, StepRecord>,
    /// Executions begun so far.
    begun: u64,
    /// Paths whose records are not stored as they are.
    dirty: Vec<String>,
    /// Chunks to be told with the next commit.
    news: Vec<RunChunk>,
    run_state: Option<Value>,
    state_changed: bool,
    /// Why nothing more is stored, once something was not.
    lost: Option<String>,
}

/// What a commit took out to write it; put back unless it was written, for whoever waits for a
/// write may be told to end while it is under way.
struct Taken<'a> {
    journal: &'a Journal,
    paths: Vec<String>,
    state_changed: bool,
}

impl Taken<'_> {
    fn written(mut self) {
        self.paths.clear();
        self.state_changed = false;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.journal.state();
        for path in self.paths.drain(..) {
            if !state.dirty.contains(&path) {
                state.dirty.push(path);
            }
        }
        state.state_changed |= self.state_changed;
    }
}

/// What is written beside records.
#[derive(Debug, Default)]
pub(super) struct Standing<'a> {
    pub(super) status: Option<RunStatus>,
    pub(super) outcome: Option<&'a RunOutcome>,
    pub(super) wake_at: Option<Option<i64>>,
    pub(super) release: bool,
}

impl Journal {
    pub(super) fn new(
        run_id: Arc<str>,
        fence: u64,
        runs: Runs,
        feed: Arc<Feed>,
        records: HashMap<String, StepRecord>,
        run_state: Option<Value>,
        patience: Duration,
    ) -> Self {
        let begun = records.values().map(|record| record.order).max().unwrap_or(0);
        let state =
            State { records, begun, dirty: Vec::new(), news: Vec::new(), run_state, state_changed: false, lost: None };
        Self { run_id, fence, runs, feed, state: Mutex::new(state), writing: tokio::sync::Mutex::default(), patience }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the run's id.
    pub(super) fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Returns what the execution at a path came to.
    pub(super) fn get(&self, path: &str) -> Option<StepRecord> {
        self.state().records.get(path).cloned()
    }

    /// Returns all records.
    pub(super) fn records(&self) -> HashMap<String, StepRecord> {
        self.state().records.clone()
    }

    /// Looks at all records.
    pub(super) fn read<T>(&self, look: impl FnOnce(&HashMap<String, StepRecord>) -> T) -> T {
        look(&self.state().records)
    }

    /// Begins an execution; it is stored with its result, or by the next commit.
    pub(super) fn begin(&self, path: &str, step: &str, payload: &Value) -> StepRecord {
        let mut state = self.state();
        state.begun += 1;
        let again = state.records.get(path).map_or(0, |former| former.again);
        let record = StepRecord {
            step: step.to_owned(),
            status: StepStatus::Running,
            order: state.begun,
            again,
            call_id: id::fresh(),
            payload: Some(payload.clone()),
            started_at: Millis::now().0,
            ..StepRecord::default()
        };
        state.records.insert(path.to_owned(), record.clone());
        record
    }

    /// Puts a record in memory alone: what a client who looks at the run sees now.
    pub(super) fn show(&self, path: &str, record: &StepRecord) {
        self.state().records.insert(path.to_owned(), record.clone());
    }

    /// Puts a record in; it is stored with the next commit, and `chunk` is told after it.
    pub(super) fn put(&self, path: &str, record: StepRecord, chunk: Option<RunChunk>) {
        let mut state = self.state();
        state.news.extend(chunk);
        state.records.insert(path.to_owned(), record);
        if !state.dirty.iter().any(|dirty| dirty == path) {
            state.dirty.push(path.to_owned());
        }
    }

    /// Returns the run's state.
    pub(super) fn run_state(&self) -> Option<Value> {
        self.state().run_state.clone()
    }

    /// Replaces the run's state; it is stored with the next commit.
    pub(super) fn set_run_state(&self, value: Value) {
        let mut state = self.state();
        state.run_state = Some(value);
        state.state_changed = true;
    }

    /// Stores everything that is not stored.
    pub(super) async fn commit(&self, standing: Standing<'_>) -> Result<(), Lost> {
        let _writing = self.writing.lock().await;
        let (taken, records, run_state) = {
            let mut state = self.state();
            // What was lost may be what this result was made from.
            if let Some(reason) = &state.lost {
                return Err(Lost(reason.clone()));
            }
            std::mem::take(&mut state.news).into_iter().for_each(|chunk| self.feed.push(chunk));
            let paths = std::mem::take(&mut state.dirty);
            let records: Vec<(String, StepRecord)> = paths
                .iter()
                .filter_map(|path| state.records.get(path).cloned().map(|record| (path.clone(), record)))
                .collect();
            let state_changed = std::mem::take(&mut state.state_changed);
            let run_state = state_changed.then(|| state.run_state.as_ref().map(Value::to_string)).flatten();
            (Taken { journal: self, paths, state_changed }, records, run_state)
        };
        if let Some(status) = standing.status
            && let Some(outcome) = standing.outcome
        {
            if status == RunStatus::Canceled {
                self.feed.push(RunChunk::Canceled);
            }
            self.feed.push(RunChunk::Finish { status, outcome: outcome.clone() });
        }
        let (first, chunks) = self.feed.unstored();
        let is_idle = records.is_empty() && chunks.is_empty() && run_state.is_none() && standing.status.is_none();
        if is_idle && !standing.release {
            return Ok(());
        }
        let mut wait = Duration::from_millis(50);
        let began = std::time::Instant::now();
        loop {
            let progress = Progress {
                status: standing.status,
                records: records.iter().map(|(path, record)| (path.as_str(), record)).collect(),
                chunks: (!chunks.is_empty()).then_some((first, chunks.as_slice())),
                state: run_state.clone(),
                outcome: standing.outcome,
                wake_at: standing.wake_at,
                release: standing.release,
            };
            match self.runs.advance(&self.run_id, self.fence, progress, Millis::now().0).await {
                Ok(()) => {
                    taken.written();
                    self.feed.stored(first + chunks.len() as u64);
                    return Ok(());
                }
                Err(StoreError::NotFound(_)) => return Err(self.lose("another host drives the run now".to_owned())),
                // What was stored stays, so the run goes on from there once the store is back.
                Err(error) if began.elapsed() + wait > self.patience => return Err(self.lose(error.to_string())),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(run.id = &*self.run_id, %error, "a step's result is not stored yet, trying again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(error) => return Err(self.lose(error.to_string())),
            }
        }
    }

    /// Lets no other node of the run go on as if its result were stored.
    fn lose(&self, reason: String) -> Lost {
        self.state().lost = Some(reason.clone());
        Lost(reason)
    }

    /// Returns how often the run had changed hands when this host got it.
    pub(super) fn fence(&self) -> u64 {
        self.fence
    }

    /// Returns what the host answered a request of a step before.
    pub(super) async fn memo(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.runs.memo(&self.run_id, key).await
    }

    /// Stores what the host answers a request of a step.
    pub(super) async fn remember(&self, key: &str, answer: &str) -> Result<(), StoreError> {
        self.runs.put_memo(&self.run_id, self.fence, key, answer).await
    }
}
