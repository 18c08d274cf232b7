//! Whether the store can be written, as the last write found it, and how much was written.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::error::StoreError;

/// What was written since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Commits they took; fewer than writes where many were committed at once.
    pub commits: u64,
    /// How long all of these took together, from their beginning to the disk's word.
    pub committing: Duration,
}

/// What writes and reads came to. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Health {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    // Held for a comparison; sentences change only when the state does.
    state: Mutex<State>,
    writes: AtomicU64,
    commits: AtomicU64,
    nanoseconds: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Why the last write failed.
    problem: Option<StoreError>,
    /// What was found damaged. Other writes may go well, but that does not mend it.
    damage: Option<StoreError>,
    written: Option<Instant>,
}

impl Health {
    /// Takes note of a commit, how many writes it was for, and how long it took.
    pub(super) fn committed(&self, writes: usize, took: Duration) {
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.shared.writes.fetch_add(u64::try_from(writes).unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut state = self.state();
        if state.problem.take().is_some() {
            tracing::info!("the store can be written again");
        }
        state.written = Some(Instant::now());
    }

    /// Takes note of a write that failed. Errors that are the caller's say nothing about the store.
    pub(super) fn write_failed(&self, error: &StoreError) {
        match error {
            StoreError::Corrupt(_) => self.damaged(error),
            StoreError::Unavailable(_) | StoreError::Schema(_) => {
                if self.state().problem.replace(error.clone()).is_none() {
                    tracing::error!("{error}");
                }
            }
            StoreError::NotFound(_) | StoreError::Conflict(_) | StoreError::Refused(_) => {}
        }
    }

    /// Takes note of a read that failed, which tells of damage and else nothing about writing.
    pub(super) fn read_failed(&self, error: &StoreError) {
        if matches!(error, StoreError::Corrupt(_)) {
            self.damaged(error);
        }
    }

    /// Returns what is wrong, `None` if nothing is.
    pub(super) fn problem(&self) -> Option<StoreError> {
        let state = self.state();
        state.damage.as_ref().or(state.problem.as_ref()).cloned()
    }

    /// Returns what is damaged; only another start can find it mended.
    pub(super) fn damage(&self) -> Option<StoreError> {
        self.state().damage.clone()
    }

    /// Whether the last write went well and is no older than this.
    pub(super) fn was_written_within(&self, age: Duration) -> bool {
        let state = self.state();
        state.problem.is_none() && state.written.is_some_and(|written| written.elapsed() <= age)
    }

    /// Returns what was written so far.
    pub(super) fn statistics(&self) -> Statistics {
        Statistics {
            writes: self.shared.writes.load(Ordering::Relaxed),
            commits: self.shared.commits.load(Ordering::Relaxed),
            committing: Duration::from_nanos(self.shared.nanoseconds.load(Ordering::Relaxed)),
        }
    }

    fn damaged(&self, error: &StoreError) {
        let mut state = self.state();
        if state.damage.is_none() {
            tracing::error!("{error}");
            state.damage = Some(error.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
