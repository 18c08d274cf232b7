//! The promises that retiring a generation rests on, in every order threads can take.
//!
//! The host's own count is compiled here, with the atomics and locks of a model checker. What
//! threads do with plain data is written as relaxed loads and stores: these may show anything
//! that is not ordered by the count.
#![expect(clippy::unwrap_used, reason = "the whole crate is tests")]

#[path = "../../host/src/plugin/in_flight/count.rs"]
#[expect(unreachable_pub, reason = "public in the host")]
mod count;
mod sync;

use std::sync::Arc;

use count::{InFlight, close_when_idle};
use loom::{
    future::block_on,
    model::Builder,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

/// Runs `threads` in every order with at most three preemptions. More find nothing more in so few
/// steps and take minutes.
fn check(threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(threads);
}

#[test]
fn who_waits_for_idle_sees_all_that_was_done_inside() {
    check(|| {
        let count = Arc::new(InFlight::default());
        let done = Arc::new(AtomicU64::new(0));
        let users: Vec<_> = [1, 2]
            .map(|bit| {
                let (guard, done) = (count.enter().unwrap(), Arc::clone(&done));
                thread::spawn(move || {
                    done.fetch_add(bit, Relaxed);
                    drop(guard);
                })
            })
            .into();
        count.close();
        block_on(count.idle());
        assert_eq!(done.load(Relaxed), 3);
        assert_eq!(count.count(), 0);
        users.into_iter().for_each(|user| user.join().unwrap());
    });
}

#[test]
fn nobody_is_inside_once_it_is_closed_and_idle() {
    check(|| {
        let count = Arc::new(InFlight::default());
        let is_retired = Arc::new(AtomicBool::new(false));
        let caller = {
            let (count, is_retired) = (Arc::clone(&count), Arc::clone(&is_retired));
            thread::spawn(move || {
                let Some(guard) = count.enter() else { return };
                let guest = guard.clone();
                drop(guard);
                assert!(!is_retired.load(Relaxed), "inside what was retired");
                drop(guest);
            })
        };
        count.close();
        block_on(count.idle());
        is_retired.store(true, Relaxed);
        caller.join().unwrap();
        assert!(count.enter().is_none());
    });
}

#[test]
fn who_is_refused_sees_why() {
    let closes: [fn(&InFlight) -> bool; 2] = [
        |count| {
            count.close();
            true
        },
        InFlight::close_if_idle,
    ];
    for close in closes {
        check(move || {
            let count = Arc::new(InFlight::default());
            let reason = Arc::new(AtomicU64::new(0));
            let caller = {
                let (count, reason) = (Arc::clone(&count), Arc::clone(&reason));
                thread::spawn(move || {
                    if count.enter().is_none() {
                        assert_eq!(reason.load(Relaxed), 1);
                    }
                })
            };
            reason.store(1, Relaxed);
            let is_closed = close(&count);
            caller.join().unwrap();
            assert_eq!(count.enter().is_none(), is_closed);
        });
    }
}

#[test]
fn whoever_holds_a_pin_can_call_and_is_waited_for() {
    check(|| {
        let (pins, calls) = (Arc::new(InFlight::default()), Arc::new(InFlight::default()));
        let is_retired = Arc::new(AtomicBool::new(false));
        let run = {
            let (pins, calls, is_retired) = (Arc::clone(&pins), Arc::clone(&calls), Arc::clone(&is_retired));
            thread::spawn(move || {
                let Some(pin) = pins.enter() else { return };
                let call = calls.enter().expect("a pinned generation takes calls");
                // The call goes on without the pin.
                drop(pin);
                assert!(!is_retired.load(Relaxed), "a call in what was retired");
                drop(call);
            })
        };
        block_on(close_when_idle(&pins, &calls));
        is_retired.store(true, Relaxed);
        assert!(pins.enter().is_none() && calls.enter().is_none());
        run.join().unwrap();
    });
}

#[test]
fn a_call_that_slips_in_without_a_pin_is_refused_or_waited_for() {
    check(|| {
        let (pins, calls) = (Arc::new(InFlight::default()), Arc::new(InFlight::default()));
        let is_retired = Arc::new(AtomicBool::new(false));
        let call = {
            let (calls, is_retired) = (Arc::clone(&calls), Arc::clone(&is_retired));
            thread::spawn(move || {
                let Some(call) = calls.enter() else { return };
                assert!(!is_retired.load(Relaxed), "a call in what was retired");
                drop(call);
            })
        };
        block_on(close_when_idle(&pins, &calls));
        is_retired.store(true, Relaxed);
        call.join().unwrap();
    });
}

/// The registry in small: entries pin their generation, a swap puts others in their place and
/// retires the former one.
#[test]
fn whatever_is_found_in_a_snapshot_can_be_called_across_a_swap() {
    struct Generation {
        pins: Arc<InFlight>,
        calls: Arc<InFlight>,
        is_retired: AtomicBool,
    }
    struct Snapshot {
        generation: Arc<Generation>,
        _pin: count::InFlightGuard,
    }
    fn offer() -> Arc<Snapshot> {
        let (pins, calls) = (Arc::<InFlight>::default(), Arc::<InFlight>::default());
        let pin = pins.enter().unwrap();
        let generation = Arc::new(Generation { pins, calls, is_retired: AtomicBool::new(false) });
        Arc::new(Snapshot { generation, _pin: pin })
    }
    check(|| {
        let registry = Arc::new(Mutex::new(offer()));
        let caller = {
            let registry = Arc::clone(&registry);
            thread::spawn(move || {
                let snapshot = Arc::clone(&registry.lock().unwrap());
                let call = snapshot.generation.calls.enter().expect("what is found can be called");
                let generation = Arc::clone(&snapshot.generation);
                drop(snapshot);
                assert!(!generation.is_retired.load(Relaxed), "a call in what was retired");
                drop(call);
            })
        };
        let former = std::mem::replace(&mut *registry.lock().unwrap(), offer());
        let generation = Arc::clone(&former.generation);
        drop(former);
        block_on(close_when_idle(&generation.pins, &generation.calls));
        generation.is_retired.store(true, Relaxed);
        caller.join().unwrap();
    });
}
