//! What recording costs: counted for operators.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// Counts since the start, and what there is now.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Records taken.
    pub records: AtomicU64,
    /// Groups of records written to the write-ahead log.
    pub saves: AtomicU64,
    /// What they took, in microseconds.
    pub save_micros: AtomicU64,
    /// Commits of indexes.
    pub commits: AtomicU64,
    /// What they took, in microseconds.
    pub commit_micros: AtomicU64,
    /// Times something could not be written.
    pub failures: AtomicU64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: AtomicU64,
    /// Bytes of the indexes.
    pub index_bytes: AtomicU64,
}

impl Statistics {
    pub(super) fn accepted(&self, count: u64) {
        self.records.fetch_add(count, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn takes(&self, (wal, index): (u64, u64)) {
        self.wal_bytes.store(wal, Relaxed);
        self.index_bytes.store(index, Relaxed);
    }

    pub(super) fn time_save<T>(&self, work: impl FnOnce() -> T) -> T {
        time(&self.saves, &self.save_micros, work)
    }

    pub(super) fn time_commit<T>(&self, work: impl FnOnce() -> T) -> T {
        time(&self.commits, &self.commit_micros, work)
    }
}

fn time<T>(count: &AtomicU64, micros: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    count.fetch_add(1, Relaxed);
    micros.fetch_add(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
    done
}
