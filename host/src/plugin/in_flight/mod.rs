//! Counts what still uses a generation, and says when nothing does.
//!
//! One word holds the count and two flags, so entering is one atomic addition. The count is
//! compiled a second time by `tests/loom`, which tries every order in which threads can take
//! their steps; the tests here run it with real threads.

mod count;
mod sync;

pub use count::{InFlight, InFlightGuard, close_when_idle};

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread,
    };

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
