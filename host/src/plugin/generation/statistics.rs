//! Counters of one generation's calls. No locks: a call adds to a few atomics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::types::plugin::LatencyMs;

/// Four buckets for each power of two of microseconds: a value is off by less than a quarter.
const BUCKETS: usize = 4 * 40;

/// How many calls there were, how many failed, how long they took.
#[derive(Debug, Default)]
pub struct Statistics {
    calls: AtomicU64,
    errors: AtomicU64,
    /// Those errors that say that the caller made a mistake.
    mistakes: AtomicU64,
    /// Calls whose caller went away before they ended.
    abandoned: AtomicU64,
    latency: Latency,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    /// The plugin says that it was asked for something wrong.
    Mistaken,
    Badly,
}

/// What was counted up to a moment, or between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls that finished.
    pub(crate) calls: u64,
    /// Those that failed.
    pub(crate) errors: u64,
    /// Those of them where the plugin says that the caller made a mistake.
    pub(crate) mistakes: u64,
    /// Calls whose caller did not wait for their end.
    pub(crate) abandoned: u64,
    buckets: [u64; BUCKETS],
}

impl Counts {
    /// Returns what came after an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut buckets = self.buckets;
        for (count, before) in buckets.iter_mut().zip(&earlier.buckets) {
            *count = count.saturating_sub(*before);
        }
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            errors: self.errors.saturating_sub(earlier.errors),
            mistakes: self.mistakes.saturating_sub(earlier.mistakes),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            buckets,
        }
    }

    /// Returns the duration in milliseconds that this share of the calls did not exceed, 0 without calls.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        quantile(&self.buckets, share)
    }
}

impl Statistics {
    /// Adds one finished call.
    pub(super) fn record(&self, duration: Duration, ended: Ended) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if ended != Ended::Well {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if ended == Ended::Mistaken {
            self.mistakes.fetch_add(1, Ordering::Relaxed);
        }
        self.latency.record(duration);
    }

    /// Adds one call that nobody waits for any more.
    pub(super) fn abandon(&self) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns everything up to now.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            calls: self.calls(),
            errors: self.errors(),
            mistakes: self.mistakes.load(Ordering::Relaxed),
            abandoned: self.abandoned.load(Ordering::Relaxed),
            buckets: self.latency.counts(),
        }
    }

    /// Returns how many calls have finished.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns how many of them failed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Returns how long they took.
    #[must_use]
    pub fn latency(&self) -> LatencyMs {
        LatencyMs { p50: self.latency.quantile(0.5), p99: self.latency.quantile(0.99) }
    }
}

/// A histogram of durations.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Latency {
    fn record(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
        if let Some(bucket) = self.buckets.get(bucket_of(microseconds).min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> [u64; BUCKETS] {
        self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed))
    }

    /// Returns the duration in milliseconds that this share of all calls did not exceed, 0 without calls.
    fn quantile(&self, share: f64) -> f64 {
        quantile(&self.counts(), share)
    }
}

fn quantile(counts: &[u64], share: f64) -> f64 {
    let total: u64 = counts.iter().sum();
    let mut left = (total as f64 * share).ceil() as u64;
    for (bucket, count) in counts.iter().enumerate() {
        if *count >= left && *count > 0 {
            return upper_bound(bucket) as f64 / 1000.0;
        }
        left = left.saturating_sub(*count);
    }
    0.0
}

fn bucket_of(microseconds: u64) -> usize {
    let power = microseconds.ilog2();
    let quarter = if power >= 2 { (microseconds >> (power - 2)) & 3 } else { (microseconds << (2 - power)) & 3 };
    4 * power as usize + quarter as usize
}

fn upper_bound(bucket: usize) -> u64 {
    let (power, quarter) = (bucket / 4, bucket as u64 % 4);
    ((5 + quarter) << power) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_off_by_less_than_a_quarter() {
        let statistics = Statistics::default();
        for ms in 1..=100 {
            statistics.record(Duration::from_millis(ms), if ms % 10 == 0 { Ended::Badly } else { Ended::Well });
        }
        let LatencyMs { p50, p99 } = statistics.latency();
        assert!((50.0..=62.5).contains(&p50), "{p50}");
        assert!((99.0..=124.0).contains(&p99), "{p99}");
        assert_eq!((statistics.calls(), statistics.errors()), (100, 10));
    }

    #[test]
    fn extremes_have_a_bucket() {
        let latency = Latency::default();
        latency.record(Duration::ZERO);
        latency.record(Duration::MAX);
        assert!(latency.quantile(0.5) < 0.01);
        assert!(latency.quantile(1.0) > 1e6);
    }
}
