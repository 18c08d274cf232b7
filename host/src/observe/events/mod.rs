//! What happens, told to whoever listens at this moment.
//!
//! # What it costs
//!
//! There is one list of the last events, `Ring`, which all readers share. To
//! publish is to make a small value and put it there under a lock that is held for that: what
//! readers do, or how many there are, changes nothing of it. While nobody listens, nor did in the
//! last minutes and may come back, an event is a count and is not made at all. A reader has a place in the
//! list and nothing else, no queue: one that stalls costs its place, and finds when it goes on
//! that what it did not read is gone, with the number of events it missed.
//!
//! An event is put into words by the first reader who is shown it, once for all of them.
//!
//! Readers are woken by a task of their own ([`Events::wake_readers`]), in groups that take
//! turns, and after each turn it pauses for a multiple of what the readers did in it: together
//! they get a small share of one processor. A few readers see everything within milliseconds; a
//! thousand get larger pieces less often, miss some if more happens than that share can send,
//! and leave the processors to the runs they watch.
//!
//! Read next: `ring`, then `http::events`, the form on the wire.

mod filter;
mod ring;
mod subscription;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::types::{event::Event, id::Millis};
pub use filter::EventFilter;
use ring::Ring;
pub use subscription::{Batch, Gap, Subscription};

/// Events that are kept for those who come back.
const KEPT: usize = 16 << 10;
/// The most memory they take, about. One that was shown has its words beside it, which are about
/// as long again.
const KEPT_BYTES: usize = 16 << 20;
/// How long events are kept for readers who went, at least; at most twice as long.
const REMEMBER: Duration = Duration::from_secs(600);
/// Readers take turns in so many groups.
const GROUPS: usize = 64;
/// Of one processor's time readers get a fiftieth, all of them together.
const SHARE: u32 = 50;
/// The least time between two rounds, and the least a pause is worth while for.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
/// And the most, whatever was spent.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where events are published and read. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    bus: Arc<Bus>,
}

struct Bus {
    /// Tells the events of this start from those of others.
    epoch: u64,
    // Held to add an event, or to take note of some.
    ring: Mutex<Ring<Arc<Published>>>,
    /// Tells the waking task that there is something to read.
    news: Notify,
    groups: [watch::Sender<()>; GROUPS],
    readers: AtomicUsize,
    joined: AtomicUsize,
    missed: AtomicU64,
    /// Somebody listens, or may come back.
    is_heard: AtomicBool,
    /// Events that were not made, and have no place in the ring yet.
    unheard: AtomicU64,
    /// What readers have cost and not yet waited for, in nanoseconds.
    debt: AtomicU64,
}

/// An event with its number.
#[derive(Debug)]
pub struct Published {
    /// Its number among those of this start.
    pub number: u64,
    /// The event.
    pub event: Event,
    words: OnceLock<Bytes>,
}

impl Published {
    /// Returns its form for readers, which is made once.
    pub fn words(&self, make: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        self.words.get_or_init(|| make(self))
    }
}

/// A place among all events of one start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// The start.
    pub epoch: u64,
    /// The event's number; 0 stands before the first.
    pub number: u64,
}

impl EventId {
    /// Reads `EPOCH-NUMBER`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.trim().split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With what happens from now on.
    Now,
    /// After this event.
    After(EventId),
    /// With the oldest event there is: what was read before was another start's.
    Oldest,
}

/// How the events stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventStatistics {
    /// Readers there are.
    pub readers: usize,
    /// Events published.
    pub published: u64,
    /// Events kept for those who come back.
    pub kept: usize,
    /// Events readers missed, counted for each of them.
    pub missed: u64,
}

impl Default for Events {
    fn default() -> Self {
        Self::with_room(KEPT, KEPT_BYTES)
    }
}

impl Events {
    fn with_room(events: usize, bytes: usize) -> Self {
        let bus = Bus {
            epoch: Millis::now().0.unsigned_abs(),
            ring: Mutex::new(Ring::new(events, bytes)),
            news: Notify::new(),
            groups: std::array::from_fn(|_| watch::Sender::new(())),
            readers: AtomicUsize::new(0),
            joined: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
            is_heard: AtomicBool::new(false),
            unheard: AtomicU64::new(0),
            debt: AtomicU64::new(0),
        };
        Self { bus: Arc::new(bus) }
    }

    /// Tells that something happened. Never waits for a reader. If nobody listens, nor did a short
    /// while ago, it is not even made, only counted.
    pub fn publish(&self, make: impl FnOnce() -> Event) {
        if !self.is_heard() {
            self.bus.unheard.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let event = make();
        let size = event.size();
        let mut ring = self.bus.ring();
        self.bus.count_unheard(&mut ring);
        ring.push(size, |number| Arc::new(Published { number, event, words: OnceLock::new() }));
        drop(ring);
        // Whoever comes to be counted after this has not looked yet.
        if self.bus.readers.load(Ordering::Relaxed) > 0 {
            self.bus.news.notify_one();
        }
    }

    /// Whether anybody listens, or did a short while ago.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.bus.is_heard.load(Ordering::Relaxed)
    }

    /// Begins to read.
    #[must_use]
    pub fn subscribe(&self, filter: EventFilter, from: From) -> Subscription {
        Subscription::new(&self.bus, filter, from)
    }

    /// Wakes readers when there is something to read, until it is cancelled.
    pub async fn wake_readers(self, cancel: CancellationToken) {
        let work = async { tokio::join!(self.bus.wake(), self.bus.forget()) };
        cancel.run_until_cancelled(work).await;
    }

    /// Returns how they stand.
    #[must_use]
    pub fn statistics(&self) -> EventStatistics {
        let ring = self.bus.ring();
        EventStatistics {
            readers: self.bus.readers.load(Ordering::Relaxed),
            published: ring.next() - 1 + self.bus.unheard.load(Ordering::Relaxed),
            kept: ring.size().0,
            missed: self.bus.missed.load(Ordering::Relaxed),
        }
    }
}

impl Bus {
    fn ring(&self) -> MutexGuard<'_, Ring<Arc<Published>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a place in the group whose turn it is to get one.
    fn turns(&self) -> watch::Receiver<()> {
        let group = self.joined.fetch_add(1, Ordering::Relaxed) % GROUPS;
        self.groups.get(group).unwrap_or(&self.groups[0]).subscribe()
    }

    /// Gives events that were not made their numbers.
    fn count_unheard(&self, ring: &mut Ring<Arc<Published>>) {
        if self.unheard.load(Ordering::Relaxed) > 0 {
            ring.skip(self.unheard.swap(0, Ordering::Relaxed));
        }
    }

    /// Keeps no more events once nobody has listened for a while.
    async fn forget(&self) {
        let mut looks = tokio::time::interval(REMEMBER);
        // How many readers there had been when there was none.
        let mut alone_since = None;
        loop {
            looks.tick().await;
            let mut ring = self.ring();
            // A reader is counted before it says, with the ring in hand, that it listens.
            let is_alone = self.readers.load(Ordering::Relaxed) == 0;
            let alone = is_alone.then(|| self.joined.load(Ordering::Relaxed));
            if is_alone && alone == alone_since && self.is_heard.swap(false, Ordering::Relaxed) {
                ring.skip(0);
            }
            alone_since = alone;
        }
    }

    async fn wake(&self) {
        loop {
            self.news.notified().await;
            // What comes from here on begins another round.
            for group in &self.groups {
                if group.receiver_count() == 0 {
                    continue;
                }
                group.send_replace(());
                tokio::task::yield_now().await;
                self.rest().await;
            }
            // What happens within it is told together.
            tokio::time::sleep(LEAST_PAUSE).await;
        }
    }

    /// Waits until what readers have cost so far is no more than their share.
    async fn rest(&self) {
        let debt = Duration::from_nanos(self.debt.swap(0, Ordering::Relaxed));
        let pause = debt * SHARE;
        if pause < LEAST_PAUSE {
            return self.charge(debt);
        }
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    }

    fn charge(&self, cost: Duration) {
        self.debt.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
