//! Threads that plugin code runs on, so that it never runs on the host's async threads.
//!
//! Every start, poll and drop of a plugin's future happens here. A poll that blocks
//! costs its own call and one thread: a watchdog sees it after 20 ms and adds a thread
//! in its place, up to a limit, and no plugin may hold more than half of them. What a
//! call is and how long it may take is [`super::generation`]'s business.

mod guarded;
mod queue;
mod watchdog;

use std::{
    cell::RefCell,
    collections::HashMap,
    future::Future,
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    thread::{self, Thread},
    time::{Duration, Instant},
};

use async_task::Task;

use guarded::Guarded;
pub(crate) use guarded::{Stopped, panic_message};
use queue::Queue;
pub(crate) use queue::Source;

/// Threads added in place of blocked ones, at most.
const MAX_EXTRA: usize = 128;
/// How many polls of one plugin's generation may block at once; further ones wait.
const MAX_BLOCKED_PER_LANE: usize = MAX_EXTRA / 2;

/// A pool of threads for plugin code.
pub(crate) struct PluginPool {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    /// The zero of the times in [`Slot`].
    start: Instant,
    /// Threads there should be that are not blocked.
    base: usize,
    stuck_grace: Duration,
    /// All living threads. Locked when one comes or goes and by the watchdog.
    slots: Mutex<Vec<Arc<Slot>>>,
    /// Generations by [`Lane::id`], for the watchdog. Locked when one comes or goes, too.
    lanes: Mutex<HashMap<u64, Weak<Lane>>>,
    /// Calls that were given up while their future was alive.
    overdue: Mutex<Vec<Overdue>>,
    watchdog: Thread,
    /// The watchdog is parked and wants to be told of the next poll.
    asleep: AtomicBool,
    /// No thread is free and none may be added.
    saturated: AtomicBool,
    next_lane: AtomicU64,
    stopping: AtomicBool,
}

/// What one thread is doing.
#[derive(Default)]
struct Slot {
    /// 0 when idle; else the poll's start in nanoseconds, shifted left by one, with
    /// [`FLAGGED`] once the watchdog counts it as blocked.
    poll: AtomicU64,
    /// The lane and the call being polled; valid while `poll` is not 0.
    lane: AtomicU64,
    call: AtomicU64,
    /// Asks an extra thread to end.
    retire: AtomicBool,
}

const FLAGGED: u64 = 1;

/// A call that was given up and should be gone soon.
struct Overdue {
    due: Instant,
    call: u64,
    lane: Weak<Lane>,
}

/// One generation's share of the pool.
pub(crate) struct Lane {
    id: u64,
    plugin: Arc<str>,
    generation: u64,
    /// Polls the watchdog counts as blocked.
    blocked: AtomicUsize,
    /// Blocked polls of calls that were given up longer than the grace ago.
    stuck: AtomicUsize,
    /// Calls waiting for one of the blocked polls to return. Locked only when the limit is reached.
    waiting: Mutex<Vec<Waker>>,
    /// Milliseconds since the pool's start of the last warning about a slow poll.
    warned: AtomicU64,
}

impl Lane {
    /// Whether a call that was given up still holds a thread.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed) > 0
    }

    fn is_full(&self) -> bool {
        self.blocked.load(Ordering::SeqCst) >= MAX_BLOCKED_PER_LANE
    }

    /// Takes note that a blocked poll has returned and lets others try.
    fn unblock(&self) {
        self.blocked.fetch_sub(1, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for waker in waiting {
            waker.wake();
        }
    }
}

thread_local! {
    /// The slot of this thread, if it belongs to a pool.
    static SLOT: RefCell<Option<Arc<Slot>>> = const { RefCell::new(None) };
}

impl PluginPool {
    /// Starts one thread per processor, two at least, and the watchdog.
    pub(crate) fn start(stuck_grace: Duration) -> io::Result<Self> {
        Self::start_with(stuck_grace, Queue::default())
    }

    /// Starts a pool whose threads sleep at a source of tasks. It goes on until the process ends.
    pub(crate) fn start_at(source: Arc<dyn Source>, stuck_grace: Duration) -> io::Result<Self> {
        Self::start_with(stuck_grace, Queue::new(Some(source)))
    }

    fn start_with(stuck_grace: Duration, queue: Queue) -> io::Result<Self> {
        let base = thread::available_parallelism().map_or(2, usize::from).max(2);
        let (give, take) = std::sync::mpsc::sync_channel::<Arc<Shared>>(1);
        let watchdog = thread::Builder::new().name(String::from("plugin-watchdog")).spawn(move || {
            if let Ok(shared) = take.recv() {
                watchdog::run(&shared);
            }
        })?;
        let shared = Arc::new(Shared {
            queue: Arc::new(queue),
            start: Instant::now(),
            base,
            stuck_grace,
            slots: Mutex::default(),
            lanes: Mutex::default(),
            overdue: Mutex::default(),
            watchdog: watchdog.thread().clone(),
            asleep: AtomicBool::new(false),
            saturated: AtomicBool::new(false),
            next_lane: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        });
        for _ in 0..base {
            shared.add_thread()?;
        }
        // The receiver waits for exactly this; it is gone only if its thread could not run.
        drop(give.send(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// Makes the share of a new generation.
    pub(crate) fn lane(&self, plugin: Arc<str>, generation: u64) -> Arc<Lane> {
        let id = self.shared.next_lane.fetch_add(1, Ordering::Relaxed);
        let lane = Arc::new(Lane {
            id,
            plugin,
            generation,
            blocked: AtomicUsize::new(0),
            stuck: AtomicUsize::new(0),
            waiting: Mutex::default(),
            warned: AtomicU64::new(0),
        });
        let mut lanes = self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| lane.strong_count() > 0);
        lanes.insert(id, Arc::downgrade(&lane));
        lane
    }

    /// Runs a future of a plugin. Dropping the task cancels it; the future is dropped on the pool.
    ///
    /// `blocking` says that its polls are expected to block, so that a thread is added at once.
    pub(crate) fn spawn<F>(
        &self,
        lane: &Arc<Lane>,
        call: u64,
        blocking: bool,
        future: F,
    ) -> Task<Result<F::Output, Stopped>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let guarded = Guarded::new(Arc::clone(&self.shared), Arc::clone(lane), call, blocking, future);
        let queue = Arc::clone(&self.shared.queue);
        let (ready, task) = async_task::spawn(guarded, move |task| queue.push(task));
        ready.schedule();
        task
    }

    /// Whether a new call of this lane would only make things worse.
    pub(crate) fn refuses(&self, lane: &Lane) -> bool {
        self.shared.saturated.load(Ordering::Relaxed) && lane.blocked.load(Ordering::Relaxed) > 0
    }

    /// Takes note that nobody waits for a call any more; if it still holds a thread after the
    /// grace, its lane becomes stuck until the poll returns.
    pub(crate) fn give_up(&self, lane: &Arc<Lane>, call: u64) {
        let overdue = Overdue { due: Instant::now() + self.shared.stuck_grace, call, lane: Arc::downgrade(lane) };
        self.shared.overdue.lock().unwrap_or_else(PoisonError::into_inner).push(overdue);
        self.shared.wake_watchdog();
    }

    /// Returns how many threads there are.
    #[cfg(test)]
    fn threads(&self) -> usize {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for PluginPool {
    fn drop(&mut self) {
        // Blocked threads cannot be waited for; they end when their poll does, or with the process.
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.queue.close();
        self.shared.watchdog.unpark();
    }
}

impl Shared {
    fn now(&self) -> u64 {
        // 2^62 nanoseconds are 146 years.
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX >> 2).max(1)
    }

    fn wake_watchdog(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.watchdog.unpark();
        }
    }

    fn add_thread(self: &Arc<Self>) -> io::Result<()> {
        let slot = Arc::new(Slot::default());
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
        let shared = Arc::clone(self);
        let at_work = Arc::clone(&slot);
        let spawned = thread::Builder::new().name(String::from("plugin-pool")).spawn(move || work(&shared, &at_work));
        if spawned.is_err() {
            self.remove(&slot);
        }
        spawned.map(drop)
    }

    fn remove(&self, slot: &Arc<Slot>) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, slot));
    }
}

/// A pool thread's life: run ready futures until asked to end.
fn work(shared: &Arc<Shared>, slot: &Arc<Slot>) {
    SLOT.with_borrow_mut(|own| *own = Some(Arc::clone(slot)));
    while let Some(task) = shared.queue.pop(&slot.retire) {
        task.run();
    }
    SLOT.with_borrow_mut(|own| *own = None);
    shared.remove(slot);
}

#[cfg(test)]
mod tests;
