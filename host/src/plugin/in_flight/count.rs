//! The count. What it synchronises with comes from its neighbour `sync`, which a test replaces.

use std::sync::Arc;

use super::sync::{AtomicU64, Notify, Ordering};

/// Nobody may enter any more.
const CLOSED: u64 = 1 << 63;
/// Somebody waits for the count to reach zero; only then does leaving notify.
const AWAITED: u64 = 1 << 62;
const COUNT: u64 = AWAITED - 1;

/// A count of users that can be closed and waited for.
#[derive(Debug, Default)]
pub struct InFlight {
    word: AtomicU64,
    idle: Notify,
}

impl InFlight {
    /// Enters, unless it is closed. Dropping the guard leaves.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Option<InFlightGuard> {
        // Acquire pairs with the Release in `close`: whoever is refused sees why.
        let before = self.word.fetch_add(1, Ordering::AcqRel);
        // Made before the check, so that a refused entry is taken back by the guard.
        let guard = InFlightGuard { owner: Arc::clone(self) };
        (before & CLOSED == 0).then_some(guard)
    }

    /// Returns how many are inside.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.word.load(Ordering::Acquire) & COUNT
    }

    /// Lets nobody in from now on. Those inside stay.
    pub fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Closes it if nobody is inside, in one step: afterwards nobody can have entered.
    #[must_use]
    pub fn close_if_idle(&self) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while word & COUNT == 0 {
            match self.word.compare_exchange_weak(word, word | CLOSED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Waits until nobody is inside. More may enter meanwhile and afterwards, unless it is closed.
    pub async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            let mut notified = std::pin::pin!(notified);
            // Registered before the count is read, so that a guard dropped in between is seen.
            notified.as_mut().enable();
            if self.word.fetch_or(AWAITED, Ordering::AcqRel) & COUNT == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// Resolves once both are closed with nobody inside. While anybody is inside `first`, `second` stays open.
pub async fn close_when_idle(first: &InFlight, second: &InFlight) {
    loop {
        first.idle().await;
        second.idle().await;
        // One after the other: who enters `second` alone in between keeps it from closing, and is waited for.
        if first.close_if_idle() && second.close_if_idle() {
            return;
        }
    }
}

/// Keeps the count up until it is dropped.
#[derive(Debug)]
pub struct InFlightGuard {
    owner: Arc<InFlight>,
}

impl Clone for InFlightGuard {
    fn clone(&self) -> Self {
        // Whoever is inside may take another in, also when it is closed.
        self.owner.word.fetch_add(1, Ordering::AcqRel);
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // Release: what was done inside happens before whatever the waiter does next.
        let before = self.owner.word.fetch_sub(1, Ordering::AcqRel);
        if before & COUNT == 1 && before & AWAITED != 0 {
            self.owner.idle.notify_waiters();
        }
    }
}
