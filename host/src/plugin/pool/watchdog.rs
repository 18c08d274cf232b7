//! Looks at the pool's threads while plugins run: replaces blocked ones, ends spare
//! ones, and marks generations whose given-up calls do not return.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{FLAGGED, Lane, MAX_EXTRA, Overdue, Shared, Slot};

/// A poll that takes longer counts as blocked.
const BLOCKED_NS: u64 = 20_000_000;
const TICK: Duration = Duration::from_millis(5);
/// Ticks without any poll after which it goes to sleep.
const QUIET_TICKS: u32 = 20;

/// The watchdog thread's life.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut quiet = 0;
    // Slots whose blocked poll was counted as stuck, with the call.
    let mut stuck: Vec<(Arc<Slot>, u64, u64, Arc<Lane>)> = Vec::new();
    while !shared.stopping.load(Ordering::SeqCst) {
        let running = look(shared);
        stuck.retain(|(slot, word, _, lane)| {
            let holds = slot.poll.load(Ordering::SeqCst) == *word;
            if !holds {
                lane.stuck.fetch_sub(1, Ordering::SeqCst);
                tracing::info!(plugin.name = %lane.plugin, plugin.generation = lane.generation, "a stuck call has returned");
            }
            holds
        });
        let next_due = check_overdue(shared, &mut stuck);
        quiet = if running { 0 } else { quiet + 1 };
        if quiet < QUIET_TICKS {
            thread::park_timeout(TICK);
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        // A poll that began before the flag was up did not wake anybody: look again before sleeping.
        if anything_new(shared) {
            shared.asleep.store(false, Ordering::SeqCst);
            quiet = 0;
            continue;
        }
        match next_due {
            Some(due) => thread::park_timeout(due.saturating_duration_since(Instant::now()) + TICK),
            None => thread::park(),
        }
        shared.asleep.store(false, Ordering::SeqCst);
        quiet = 0;
    }
}

/// Flags blocked polls and keeps the number of free threads; returns whether a poll runs
/// that is not yet counted as blocked.
fn look(shared: &Arc<Shared>) -> bool {
    let slots = shared.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let now = shared.now();
    let mut running = false;
    let mut blocked = 0;
    for slot in &slots {
        let word = slot.poll.load(Ordering::SeqCst);
        if word & FLAGGED != 0 {
            blocked += 1;
        } else if word != 0 {
            if now.saturating_sub(word >> 1) >= BLOCKED_NS && flag(shared, slot, word) {
                blocked += 1;
            } else {
                running = true;
            }
        }
    }
    let wanted = (shared.base + blocked).min(shared.base + MAX_EXTRA);
    let retiring = slots.iter().filter(|slot| slot.retire.load(Ordering::SeqCst)).count();
    let there = slots.len() - retiring;
    shared.saturated.store(blocked >= shared.base + MAX_EXTRA, Ordering::Relaxed);
    for _ in there..wanted {
        if let Err(error) = shared.add_thread() {
            tracing::error!(%error, "cannot add a thread for plugins while others are blocked");
            break;
        }
    }
    let spare =
        slots.iter().filter(|slot| slot.poll.load(Ordering::SeqCst) == 0 && !slot.retire.load(Ordering::SeqCst));
    let spare: Vec<_> = spare.take(there.saturating_sub(wanted)).collect();
    for slot in &spare {
        slot.retire.store(true, Ordering::SeqCst);
    }
    if !spare.is_empty() {
        shared.queue.wake_all();
    }
    running
}

/// Counts a poll as blocked, unless it has returned meanwhile.
fn flag(shared: &Shared, slot: &Slot, word: u64) -> bool {
    let lane = slot.lane.load(Ordering::Relaxed);
    let lane =
        shared.lanes.lock().unwrap_or_else(PoisonError::into_inner).get(&lane).and_then(std::sync::Weak::upgrade);
    let Some(lane) = lane else { return false };
    // Counted first: the poll's end takes the count back as soon as it sees the flag.
    lane.blocked.fetch_add(1, Ordering::SeqCst);
    let flagged = slot.poll.compare_exchange(word, word | FLAGGED, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    if !flagged {
        lane.unblock();
    }
    flagged
}

fn anything_new(shared: &Shared) -> bool {
    let unflagged = |slot: &Arc<Slot>| {
        let word = slot.poll.load(Ordering::SeqCst);
        word != 0 && word & FLAGGED == 0
    };
    shared.slots.lock().unwrap_or_else(PoisonError::into_inner).iter().any(unflagged)
}

/// Marks the lanes of given-up calls that still hold a thread; returns when to look next.
fn check_overdue(shared: &Shared, stuck: &mut Vec<(Arc<Slot>, u64, u64, Arc<Lane>)>) -> Option<Instant> {
    let now = Instant::now();
    let mut overdue = shared.overdue.lock().unwrap_or_else(PoisonError::into_inner);
    if overdue.is_empty() {
        return None;
    }
    let due: Vec<Overdue> = overdue.extract_if(.., |entry| entry.due <= now).collect();
    let next = overdue.iter().map(|entry| entry.due).min();
    drop(overdue);
    let slots = shared.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for entry in due {
        let Some(lane) = entry.lane.upgrade() else { continue };
        for slot in &slots {
            let word = slot.poll.load(Ordering::SeqCst);
            let same = word & FLAGGED != 0 && slot.call.load(Ordering::Relaxed) == entry.call;
            if same && !stuck.iter().any(|(_, _, call, _)| *call == entry.call) {
                lane.stuck.fetch_add(1, Ordering::SeqCst);
                tracing::error!(
                    plugin.name = %lane.plugin,
                    plugin.generation = lane.generation,
                    "a cancelled call does not return; the plugin takes no calls until it does or is reloaded"
                );
                stuck.push((Arc::clone(slot), word, entry.call, Arc::clone(&lane)));
            }
        }
    }
    next
}
