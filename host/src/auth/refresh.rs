//! What is read again from time to time, and when something is missing from it: by one at a time, and
//! not so often that whoever guesses could keep the host busy with it.

use std::{fmt::Display, future::Future, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// When something was read.
pub(super) struct Refresh {
    soonest: Duration,
    /// Held while it is read, by the one who does; when it last was.
    last: Mutex<Option<Instant>>,
}

impl Refresh {
    /// Returns one for what may be missed again so soon after it was read.
    pub(super) fn new(soonest: Duration) -> Self {
        Self { soonest, last: Mutex::default() }
    }

    /// Reads it now.
    pub(super) async fn now<E>(&self, read: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let mut last = self.last.lock().await;
        *last = Some(Instant::now());
        read.await
    }

    /// Reads it because something is missing. Returns whether it was read a moment ago, by this call or
    /// by one it waited for.
    pub(super) async fn again<E: Display>(&self, read: impl Future<Output = Result<(), E>>) -> bool {
        let mut last = self.last.lock().await;
        if last.is_some_and(|last| last.elapsed() < self.soonest) {
            return true;
        }
        *last = Some(Instant::now());
        match read.await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "what was known of callers still counts");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_missed_is_read_again_but_not_at_once() {
        let (refresh, reads) = (Refresh::new(Duration::from_secs(1)), Cell::new(0));
        let read = || async {
            reads.set(reads.get() + 1);
            Ok::<_, String>(())
        };
        assert!(refresh.again(read()).await && refresh.again(read()).await);
        assert_eq!(reads.get(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(refresh.again(read()).await);
        refresh.now(read()).await.unwrap();
        assert_eq!(reads.get(), 3);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!refresh.again(async { Err("gone") }).await);
    }
}
