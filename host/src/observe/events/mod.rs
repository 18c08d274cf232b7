//! What happens, told to whoever listens at this moment.
//!
//! # What it costs
//!
//! There is one list of the last events, [`Ring`](ring::Ring), which all readers share. To
//! publish is to make a small value and put it there under a lock that is held for that: what
//! readers do, or whether there are any, changes nothing of it. A reader has a place in the
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

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::types::{event::Event, id::Millis};
pub use filter::EventFilter;
use ring::Ring;

/// Events that are kept for those who come back.
const KEPT: usize = 16 << 10;
/// The most memory they take, about. One that was shown has its words beside it, which are about
/// as long again.
const KEPT_BYTES: usize = 16 << 20;
/// The most events a reader is given at once.
const BATCH: usize = 256;
/// The most events looked through at once for a reader who wants some of them.
const LOOK: usize = 1024;
/// Readers take turns in so many groups.
const GROUPS: usize = 64;
/// What it costs to look at an event for a reader, and to send a piece of so many bytes: about
/// what a processor of today takes for it, most of which is the kernel's.
const LOOKING: Duration = Duration::from_nanos(30);
const SENDING: Duration = Duration::from_micros(20);
const BYTES_A_MICROSECOND: u64 = 2000;
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

/// Events a reader did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// So many of this start, of whatever kind.
    Missed(u64),
    /// Those after an event of another start; nobody knows how many.
    Restarted,
}

/// What a reader is given.
#[derive(Debug, Default)]
pub struct Batch {
    /// What it missed before these.
    pub gap: Option<Gap>,
    /// The events, in order.
    pub events: Vec<Arc<Published>>,
}

/// A reader's place.
pub struct Subscription {
    bus: Arc<Bus>,
    filter: EventFilter,
    /// The number of the event that is looked at next.
    next: u64,
    gap: Option<Gap>,
    turns: watch::Receiver<()>,
    waits: bool,
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
            debt: AtomicU64::new(0),
        };
        Self { bus: Arc::new(bus) }
    }

    /// Tells that something happened. Never waits for a reader.
    pub fn publish(&self, event: Event) {
        let size = event.size();
        self.bus.ring().push(size, |number| Arc::new(Published { number, event, words: OnceLock::new() }));
        // Whoever comes to be counted after this has not looked yet.
        if self.bus.readers.load(Ordering::Relaxed) > 0 {
            self.bus.news.notify_one();
        }
    }

    /// Begins to read.
    #[must_use]
    pub fn subscribe(&self, filter: EventFilter, from: From) -> Subscription {
        let bus = Arc::clone(&self.bus);
        bus.readers.fetch_add(1, Ordering::Relaxed);
        let group = bus.joined.fetch_add(1, Ordering::Relaxed) % GROUPS;
        let turns = bus.groups.get(group).unwrap_or(&bus.groups[0]).subscribe();
        let (first, end) = {
            let ring = bus.ring();
            (ring.first(), ring.next())
        };
        let (next, gap) = match from {
            From::Now => (end, None),
            From::After(id) if id.epoch == bus.epoch => (id.number.saturating_add(1).min(end), None),
            From::After(_) | From::Oldest => (first, Some(Gap::Restarted)),
        };
        Subscription { bus, filter, next, gap, turns, waits: false }
    }

    /// Wakes readers when there is something to read, until it is cancelled.
    pub async fn wake_readers(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.bus.wake()).await;
    }

    /// Returns how they stand.
    #[must_use]
    pub fn statistics(&self) -> EventStatistics {
        let ring = self.bus.ring();
        EventStatistics {
            readers: self.bus.readers.load(Ordering::Relaxed),
            published: ring.next() - 1,
            kept: ring.size().0,
            missed: self.bus.missed.load(Ordering::Relaxed),
        }
    }
}

impl Bus {
    fn ring(&self) -> MutexGuard<'_, Ring<Arc<Published>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Subscription {
    /// Returns what happened next; waits until there is something. Nothing is lost if the wait is
    /// given up.
    pub async fn next(&mut self) -> Batch {
        loop {
            // A turn that came while the last events were sent counts.
            if self.waits && self.turns.changed().await.is_err() {
                return std::future::pending().await;
            }
            self.waits = true;
            let batch = self.look();
            if batch.gap.is_some() || !batch.events.is_empty() {
                return batch;
            }
        }
    }

    /// Takes note that so many bytes are sent to the reader, which is most of what it costs.
    pub fn sent(&self, bytes: usize) {
        let copied = Duration::from_micros(bytes as u64 / BYTES_A_MICROSECOND);
        self.bus.charge(SENDING + copied);
    }

    /// Returns the place it has reached.
    #[must_use]
    pub fn place(&self) -> EventId {
        EventId { epoch: self.bus.epoch, number: self.next - 1 }
    }

    /// Returns what there is at its place, and moves on.
    fn look(&mut self) -> Batch {
        let most = if self.filter == EventFilter::default() { BATCH } else { LOOK };
        let (read, end) = {
            let ring = self.bus.ring();
            (ring.read(self.next, most), ring.next())
        };
        let mut gap = self.gap.take();
        if read.missed > 0 {
            self.bus.missed.fetch_add(read.missed, Ordering::Relaxed);
            // After another start's events it is not known how many are missing.
            gap.get_or_insert(Gap::Missed(read.missed));
        }
        self.bus.charge(LOOKING * u32::try_from(read.items.len()).unwrap_or(u32::MAX));
        let mut batch = Batch { gap, events: Vec::new() };
        self.next = read.first;
        for published in read.items {
            if batch.events.len() == BATCH {
                break;
            }
            self.next = published.number + 1;
            if self.filter.matches(&published.event) {
                batch.events.push(published);
            }
        }
        if self.next < end {
            self.bus.news.notify_one();
        }
        batch
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
