//! What recording takes: counted for operators.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the start, and what there is now.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Records taken.
    pub records: AtomicU64,
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
}
