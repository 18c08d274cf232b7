//! Stands in for `host/src/plugin/in_flight/sync.rs`: the same names, watched by the model checker.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use loom::sync::Mutex;
pub(super) use loom::sync::atomic::{AtomicU64, Ordering};

/// What the host uses of tokio's `Notify`: a waiter that is enabled is woken by the next
/// notification, one that is not misses it, and nothing is remembered.
#[derive(Debug, Default)]
pub(super) struct Notify {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often waiters were notified.
    round: u64,
    waiting: Vec<Waker>,
}

pub(super) struct Notified<'a> {
    notify: &'a Notify,
    /// The round it was enabled in.
    since: Option<u64>,
}

impl Notify {
    pub(super) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, since: None }
    }

    pub(super) fn notify_waiters(&self) {
        let mut state = self.state.lock().unwrap();
        state.round += 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Notified<'_> {
    pub(super) fn enable(mut self: Pin<&mut Self>) -> bool {
        let round = self.notify.state.lock().unwrap().round;
        *self.since.get_or_insert(round) != round
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.as_mut().enable() {
            return Poll::Ready(());
        }
        let mut state = self.notify.state.lock().unwrap();
        if self.since != Some(state.round) {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}
