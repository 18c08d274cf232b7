//! A reader: a place in the list of events, and what is made of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::watch;

use super::{Bus, EventFilter, EventId, From, Published};

/// The most events a reader is given at once.
const BATCH: usize = 256;
/// The most events looked through at once for a reader who wants some of them.
pub(super) const LOOK: usize = 1024;
/// What it costs to look at an event for a reader, and to send a piece of so many bytes: about
/// what a processor of today takes for it, most of which is the kernel's.
const LOOKING: Duration = Duration::from_nanos(30);
const SENDING: Duration = Duration::from_micros(20);
const BYTES_A_MICROSECOND: u64 = 2000;

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

/// What a reader is given.
#[derive(Debug, Default)]
pub struct Batch {
    /// What it missed before these.
    pub gap: Option<Gap>,
    /// The events, in order.
    pub events: Vec<Arc<Published>>,
}

/// Events a reader did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// So many of this start, of whatever kind.
    Missed(u64),
    /// Those after an event of another start; nobody knows how many.
    Restarted,
}

impl Subscription {
    pub(super) fn new(bus: &Arc<Bus>, filter: EventFilter, from: From) -> Self {
        let bus = Arc::clone(bus);
        bus.readers.fetch_add(1, Ordering::Relaxed);
        let turns = bus.turns();
        let (first, end) = {
            let mut ring = bus.ring();
            bus.is_heard.store(true, Ordering::Relaxed);
            bus.count_unheard(&mut ring);
            (ring.first(), ring.next())
        };
        let (next, gap) = match from {
            From::Now => (end, None),
            From::After(id) if id.epoch == bus.epoch => (id.number.saturating_add(1).min(end), None),
            From::After(_) | From::Oldest => (first, Some(Gap::Restarted)),
        };
        Self { bus, filter, next, gap, turns, waits: false }
    }

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
