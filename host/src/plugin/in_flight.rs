//! Counts what still uses a generation, and says when nothing does.
//!
//! One word holds the count and two flags, so entering is one atomic addition. It
//! stands alone so that it can be checked by itself under stress tools.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

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

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use super::*;

    const ROUNDS: u64 = if cfg!(miri) { 20 } else { 2_000 };

    #[test]
    fn a_closed_count_admits_nobody_but_guests_of_those_inside() {
        let count = Arc::new(InFlight::default());
        let first = count.enter().expect("open");
        assert!(!count.close_if_idle());
        count.close();
        assert!(count.enter().is_none());
        let second = first.clone();
        drop(first);
        assert_eq!(count.count(), 1);
        drop(second);
        assert_eq!(count.count(), 0);
    }

    #[test]
    fn idle_returns_only_when_all_have_left() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for _ in 0..ROUNDS / 20 {
            let count = Arc::new(InFlight::default());
            let guards: Vec<_> = (0..4).map(|_| count.enter().expect("open")).collect();
            count.close();
            let leavers: Vec<_> = guards.into_iter().map(|guard| thread::spawn(move || drop(guard))).collect();
            runtime.block_on(count.idle());
            assert_eq!(count.count(), 0);
            for leaver in leavers {
                leaver.join().expect("dropping a guard does not panic");
            }
        }
    }

    /// The promise retirement rests on: once it is closed and idle, nobody is inside and nobody gets in.
    #[test]
    fn nobody_is_inside_after_closed_and_idle() {
        for _ in 0..ROUNDS / 20 {
            let count = Arc::new(InFlight::default());
            let retired = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    let (count, retired) = (Arc::clone(&count), Arc::clone(&retired));
                    thread::spawn(move || {
                        for _ in 0..ROUNDS / 10 {
                            let Some(guard) = count.enter() else { return };
                            assert!(!retired.load(Ordering::SeqCst), "entered a retired generation");
                            drop(guard);
                        }
                    })
                })
                .collect();
            while !count.close_if_idle() {
                thread::yield_now();
            }
            retired.store(true, Ordering::SeqCst);
            for caller in callers {
                caller.join().expect("no caller saw a retired generation");
            }
        }
    }
}
