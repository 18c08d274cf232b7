//! A plugin's future as the pool runs it: every touch is recorded, no panic gets out.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, PoisonError, atomic::Ordering},
    task::{Context, Poll},
};

use super::{FLAGGED, Lane, SLOT, Shared, Slot};

/// Slower polls are worth a line in the log.
const SLOW_POLL_NS: u64 = 50_000_000;
/// One line for each generation in this time.
const WARN_EVERY_MS: u64 = 10_000;

/// Why a future ended without its output.
#[derive(Debug, Clone)]
pub(crate) struct Stopped {
    /// What the panic said.
    pub(crate) message: String,
}

/// Records each poll and the drop of a future in its thread's slot.
pub(super) struct Guarded<F> {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    call: u64,
    blocking: bool,
    /// `None` once it is done, so that its drop happens inside the record, too.
    // Boxed, so that it can be dropped in place without unsafe projections.
    future: Option<Pin<Box<F>>>,
}

impl<F> Guarded<F> {
    pub(super) fn new(shared: Arc<Shared>, lane: Arc<Lane>, call: u64, blocking: bool, future: F) -> Self {
        Self { shared, lane, call, blocking, future: Some(Box::pin(future)) }
    }

    /// Runs `touch` on the future while the slot says so; a panic becomes `Err`.
    fn recorded<T>(&mut self, touch: impl FnOnce(&mut Option<Pin<Box<F>>>) -> T) -> Result<T, Stopped> {
        let slot = SLOT.with_borrow(Clone::clone);
        let record = slot.map(|slot| Record::begin(&self.shared, &self.lane, self.call, self.blocking, slot));
        let result = catch_unwind(AssertUnwindSafe(|| touch(&mut self.future)));
        drop(record);
        result.map_err(|panic| Stopped { message: panic_message(&*panic) })
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Stopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.lane.is_full() {
            self.lane.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
            // Looked at again, because the last blocked poll may have returned in between.
            if self.lane.is_full() {
                return Poll::Pending;
            }
        }
        let polled = self.recorded(|future| {
            let Some(running) = future else { return Poll::Pending };
            let polled = running.as_mut().poll(context);
            if polled.is_ready() {
                *future = None;
            }
            polled
        });
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(stopped) => Poll::Ready(Err(stopped)),
        }
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        if self.future.is_some() {
            // A panic in the drop has nobody to go to; the plugin's own guard has reported it.
            drop(self.recorded(|future| *future = None));
        }
    }
}

/// The time in which a thread is inside a plugin.
struct Record<'a> {
    shared: &'a Arc<Shared>,
    lane: &'a Arc<Lane>,
    blocking: bool,
    slot: Arc<Slot>,
    started: u64,
}

impl<'a> Record<'a> {
    fn begin(shared: &'a Arc<Shared>, lane: &'a Arc<Lane>, call: u64, blocking: bool, slot: Arc<Slot>) -> Self {
        let started = shared.now();
        slot.lane.store(lane.id, Ordering::Relaxed);
        slot.call.store(call, Ordering::Relaxed);
        let mut word = started << 1;
        if blocking {
            // Counted as blocked from the start, so that its thread is replaced without delay.
            lane.blocked.fetch_add(1, Ordering::SeqCst);
            word |= FLAGGED;
        }
        slot.poll.store(word, Ordering::SeqCst);
        // SeqCst on both sides: either the watchdog sees this poll before it sleeps, or we see it asleep.
        if shared.asleep.load(Ordering::SeqCst) || blocking {
            shared.asleep.store(false, Ordering::SeqCst);
            shared.watchdog.unpark();
        }
        Record { shared, lane, blocking, slot, started }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let word = self.slot.poll.swap(0, Ordering::SeqCst);
        if word & FLAGGED == 0 {
            return;
        }
        self.lane.unblock();
        let duration = self.shared.now().saturating_sub(self.started);
        if duration >= SLOW_POLL_NS && !self.blocking {
            warn_slow(self.shared, self.lane, duration);
        }
        // The thread that was added in this one's place may be one too many now.
        self.shared.asleep.store(false, Ordering::SeqCst);
        self.shared.watchdog.unpark();
    }
}

fn warn_slow(shared: &Shared, lane: &Lane, duration_ns: u64) {
    let now_ms = shared.now() / 1_000_000 + WARN_EVERY_MS;
    let last = lane.warned.load(Ordering::Relaxed);
    if now_ms < last + WARN_EVERY_MS
        || lane.warned.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_err()
    {
        return;
    }
    tracing::warn!(
        plugin.name = %lane.plugin,
        plugin.generation = lane.generation,
        duration_ms = duration_ns / 1_000_000,
        "a plugin blocked the thread it was polled on; blocking work belongs in `ctx.blocking`"
    );
}

/// Returns what a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        String::from("the panic carried no text")
    }
}
