//! How long something took, in buckets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// The buckets' upper ends in microseconds: from a request that is answered from memory to a
/// run that takes minutes.
const BOUNDS: [u64; 17] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    300_000_000,
];

/// Counts durations. Recording one is two additions.
#[derive(Debug)]
pub struct Histogram {
    /// By bucket, those beyond the last bound in one more.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], nanoseconds: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Adds one.
    pub fn record(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1000 < nanoseconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Does something and records what it took.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.record(began.elapsed());
        done
    }

    /// Returns each bucket's upper end in seconds, and how many durations do not exceed it.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let ends = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let mut total = 0;
        ends.zip(&self.counts).map(move |(end, count)| {
            total += count.load(Ordering::Relaxed);
            (end, total)
        })
    }

    /// Returns the sum in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_all_that_are_not_longer() {
        let histogram = Histogram::default();
        for millis in [1, 2, 3, 1_000_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        let of = |end: f64| buckets.iter().find(|(it, _)| *it == end).unwrap().1;
        assert_eq!((of(0.0005), of(0.001), of(0.0025), of(0.005)), (0, 1, 2, 3));
        assert_eq!((of(300.0), of(f64::INFINITY)), (3, 4));
        assert!((histogram.sum() - 1000.006).abs() < 1e-9);
    }
}
