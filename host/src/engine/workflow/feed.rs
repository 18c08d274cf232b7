//! A run's stream while the run goes on: its chunks in order, for whoever listens.
//!
//! What tells of a result is seen only once the result is on the disk. Chunks that are
//! stored and old are read back from the store, so a feed's memory is bounded.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::live::RunTold;
use crate::{
    store::{
        StoreError,
        runs::{Runs, Told},
    },
    types::run::{RunChunk, RunStatus},
};

/// Stored chunks that are kept for those who listen; who is further behind reads the store.
const KEPT: usize = 256;

/// The chunks of one run.
pub(super) struct Feed {
    // Held to move chunks, never across an await.
    state: Mutex<State>,
    /// How many chunks may be seen; closed when nothing more comes.
    seen: watch::Sender<u64>,
}

struct State {
    /// The number of the first chunk in `chunks`.
    first: u64,
    chunks: VecDeque<Chunk>,
    stored: u64,
    visible: u64,
    rest: Rest,
    is_driven: bool,
    /// How often this host began to drive the run.
    drives: u64,
    /// Told of what is seen while this host drives the run.
    told: Option<RunTold>,
}

/// What comes after the chunks that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// More.
    More,
    /// Nothing until somebody answers.
    Answer,
    /// Nothing.
    Nothing,
}

impl Rest {
    /// Returns what comes of a run that stands so.
    fn of(status: RunStatus) -> Self {
        match status {
            RunStatus::Pending | RunStatus::Running | RunStatus::Waiting => Self::More,
            RunStatus::Suspended | RunStatus::Paused => Self::Answer,
            RunStatus::Success | RunStatus::Failed | RunStatus::Canceled | RunStatus::Tripwire => Self::Nothing,
        }
    }
}

impl State {
    /// Goes on after the first `chunks` if there are more of them than this host knows.
    fn overtake(&mut self, chunks: u64) {
        if chunks > self.stored {
            self.chunks.clear();
            (self.first, self.stored, self.visible) = (chunks, chunks, chunks);
        }
    }
}

struct Chunk {
    chunk: Arc<RunChunk>,
    /// It tells of something that must be stored first.
    waits: bool,
}

impl Feed {
    /// Returns the feed of a run whose stream has had so many chunks, all stored.
    pub(super) fn new(chunks: u64) -> Self {
        let state = State {
            first: chunks,
            chunks: VecDeque::new(),
            stored: chunks,
            visible: chunks,
            rest: Rest::More,
            is_driven: false,
            drives: 0,
            told: None,
        };
        Self { state: Mutex::new(state), seen: watch::Sender::new(chunks) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a chunk.
    pub(super) fn push(&self, chunk: RunChunk) {
        let waits = !matches!(chunk, RunChunk::Start | RunChunk::StepStart(_) | RunChunk::Output { .. });
        let mut state = self.state();
        state.chunks.push_back(Chunk { chunk: Arc::new(chunk), waits });
        self.show(state);
    }

    /// Returns the chunks that are not stored, and the number of the first of them.
    pub(super) fn unstored(&self) -> (u64, Vec<Arc<RunChunk>>) {
        let state = self.state();
        let skipped = usize::try_from(state.stored - state.first).unwrap_or(usize::MAX);
        (state.stored, state.chunks.iter().skip(skipped).map(|chunk| Arc::clone(&chunk.chunk)).collect())
    }

    /// Returns how many chunks are not stored.
    pub(super) fn backlog(&self) -> usize {
        let state = self.state();
        state.chunks.len() - usize::try_from(state.stored - state.first).unwrap_or(0)
    }

    /// Takes note that the chunks before `stored` are on the disk.
    pub(super) fn stored(&self, stored: u64) {
        let mut state = self.state();
        state.stored = stored;
        self.show(state);
    }

    /// Takes note that the run stands so and nobody drives it: those who listen end, or wait for a resumption.
    pub(super) fn rest(&self, status: RunStatus) {
        self.state().rest = Rest::of(status);
        self.seen.send_modify(|_| {});
    }

    /// Takes note that the run is gone.
    pub(super) fn end(&self) {
        self.state().rest = Rest::Nothing;
        self.seen.send_modify(|_| {});
    }

    /// Takes note that this host drives the run, whose stream has had so many chunks, all stored.
    /// Returns which of its drives that is.
    pub(super) fn begin(&self, chunks: u64, told: RunTold) -> u64 {
        let mut state = self.state();
        state.told = Some(told);
        state.rest = Rest::More;
        state.is_driven = true;
        state.drives += 1;
        // What a former drive told and could not store is told again by this one.
        let kept = usize::try_from(state.stored - state.first).unwrap_or(usize::MAX);
        state.chunks.truncate(kept);
        state.visible = state.visible.min(state.stored);
        state.overtake(chunks);
        state.drives
    }

    /// Takes note that a drive of this host has ended, and how the run stands if it knows. That the
    /// run waits is on the disk before: it may be answered, and driven again, at once.
    pub(super) fn let_go(&self, drive: u64, status: Option<RunStatus>) {
        let mut state = self.state();
        if state.drives != drive {
            return;
        }
        state.is_driven = false;
        state.told = None;
        if let Some(status) = status {
            state.rest = Rest::of(status);
        }
        drop(state);
        self.seen.send_modify(|_| {});
    }

    /// Returns how often this host began to drive the run, `None` while it does: it knows the
    /// run's chunks first then.
    pub(super) fn undriven(&self) -> Option<u64> {
        let state = self.state();
        (!state.is_driven).then_some(state.drives)
    }

    /// Takes note how far the run had come when this host had driven it so often, and did not.
    /// Those who listen read the chunks of others back, and end if those say that it has: a run
    /// may end without a last chunk.
    pub(super) fn overtake(&self, drives: u64, told: Told) {
        let mut state = self.state();
        if !state.is_driven && state.drives == drives {
            state.overtake(told.chunks);
            // What was read before the run ended is old; only a drive makes it go on.
            if state.rest != Rest::Nothing {
                state.rest = Rest::of(told.status);
            }
            self.show(state);
        }
    }

    fn show(&self, mut state: MutexGuard<'_, State>) {
        let State { first, chunks, stored, visible, told, .. } = &mut *state;
        while let Some(chunk) = chunks.get(usize::try_from(*visible - *first).unwrap_or(usize::MAX)) {
            if chunk.waits && *visible >= *stored {
                break;
            }
            *visible += 1;
            if let Some(told) = told {
                told.on(&chunk.chunk);
            }
        }
        let spare = (*stored).min(*visible).saturating_sub(*first);
        for _ in KEPT as u64..spare {
            chunks.pop_front();
            *first += 1;
        }
        let visible = *visible;
        drop(state);
        self.seen.send_replace(visible);
    }

    fn total(&self) -> u64 {
        let state = self.state();
        state.first + state.chunks.len() as u64
    }
}

/// One listener's place in a run's stream.
pub struct Subscription {
    feed: Option<Arc<Feed>>,
    seen: Option<watch::Receiver<u64>>,
    runs: Runs,
    run_id: Arc<str>,
    next: u64,
    /// Chunks read from the store, not given yet.
    loaded: VecDeque<Arc<RunChunk>>,
    stays: bool,
}

impl Subscription {
    /// Listens from the `next`-th chunk on. With `stays` a run that waits for somebody is not the end.
    pub(super) fn new(feed: &Arc<Feed>, runs: Runs, run_id: Arc<str>, next: u64, stays: bool) -> Self {
        let seen = Some(feed.seen.subscribe());
        Self { feed: Some(Arc::clone(feed)), seen, runs, run_id, next, loaded: VecDeque::new(), stays }
    }

    /// Returns a listener of chunks that are all there.
    pub(super) fn of_stored(runs: Runs, run_id: Arc<str>, chunks: Vec<RunChunk>) -> Self {
        let loaded = chunks.into_iter().map(Arc::new).collect();
        Self { feed: None, seen: None, runs, run_id, next: 0, loaded, stays: false }
    }

    /// Returns the next chunk, `None` after the last one.
    ///
    /// # Errors
    /// If older chunks cannot be read back.
    pub async fn next(&mut self) -> Result<Option<Arc<RunChunk>>, StoreError> {
        loop {
            let Some(chunk) = self.following().await? else { return Ok(None) };
            if let RunChunk::Finish { status, .. } = &*chunk {
                if self.stays && *status == RunStatus::Suspended {
                    continue;
                }
                self.feed = None;
            }
            return Ok(Some(chunk));
        }
    }

    async fn following(&mut self) -> Result<Option<Arc<RunChunk>>, StoreError> {
        loop {
            if let Some(chunk) = self.loaded.pop_front() {
                self.next += 1;
                return Ok(Some(chunk));
            }
            let (Some(feed), Some(seen)) = (&self.feed, &mut self.seen) else { return Ok(None) };
            seen.mark_unchanged();
            let place = {
                let state = feed.state();
                if self.next < state.first {
                    Place::Stored
                } else if self.next < state.visible {
                    let index = usize::try_from(self.next - state.first).unwrap_or(usize::MAX);
                    state.chunks.get(index).map_or(Place::Later, |chunk| Place::Here(Arc::clone(&chunk.chunk)))
                } else if state.rest == Rest::Nothing || (state.rest == Rest::Answer && !self.stays) {
                    Place::Over
                } else {
                    Place::Later
                }
            };
            match place {
                Place::Here(chunk) => {
                    self.next += 1;
                    return Ok(Some(chunk));
                }
                Place::Over => return Ok(None),
                Place::Stored => {
                    let first = feed.state().first;
                    let chunks = self.runs.chunks(&self.run_id, self.next).await?;
                    let wanted = usize::try_from(first - self.next).unwrap_or(usize::MAX);
                    self.loaded.extend(chunks.into_iter().take(wanted).map(Arc::new));
                    if self.loaded.is_empty() {
                        // The run was begun anew and its old stream is gone.
                        self.next = first;
                    }
                }
                // Marked as seen by `changed`; what came since the look above makes it return at once.
                Place::Later => {
                    if seen.changed().await.is_err() {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

enum Place {
    Here(Arc<RunChunk>),
    Stored,
    Later,
    Over,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("total", &self.total()).finish_non_exhaustive()
    }
}
