//! How often a client may ask: a bucket of tokens that fills at a steady pace.
//!
//! The bucket is one number, the time at which it would be full again. A request moves it on by
//! what one token takes to come back, and is refused if it would then be too far ahead.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::accounts::Account;

/// A bucket, in nanoseconds since the host began.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Whether it is full.
    pub(super) fn is_full(&self, now: Duration) -> bool {
        self.0.load(Ordering::Relaxed) <= nanos(now)
    }
}

/// How fast buckets fill, and how much they hold.
#[derive(Debug)]
pub(super) struct Rate {
    /// What a token takes to come back; none is taken if absent.
    token: Option<u64>,
    full: u64,
}

impl Rate {
    pub(super) fn new(each_second: Option<usize>, burst: usize) -> Self {
        let token = each_second.map(|count| (1_000_000_000 / u64::try_from(count.max(1)).unwrap_or(u64::MAX)).max(1));
        let burst = u64::try_from(burst.max(1)).unwrap_or(u64::MAX);
        Self { token, full: token.unwrap_or_default().saturating_mul(burst) }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// When there is none: how long until there is.
    pub(super) fn allow(&self, account: &Account, now: impl FnOnce() -> Duration) -> Result<(), Duration> {
        let Some(token) = self.token else { return Ok(()) };
        let now = nanos(now());
        let moved = account.bucket.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now).saturating_add(token);
            (next - now <= self.full).then_some(next)
        });
        moved.map(|_| ()).map_err(|full_at| {
            let next = full_at.max(now).saturating_add(token);
            Duration::from_nanos((next - now).saturating_sub(self.full))
        })
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
