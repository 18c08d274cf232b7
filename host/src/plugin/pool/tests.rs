use std::sync::mpsc;

use super::*;

/// Drives a future on the test's own thread.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

const SOON: Duration = Duration::from_secs(10);

fn pool() -> (PluginPool, Arc<Lane>) {
    let pool = PluginPool::start(Duration::from_millis(50)).expect("threads");
    let lane = pool.lane("test".into(), 1);
    (pool, lane)
}

#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// A future whose poll blocks until the sender is dropped.
async fn blocking_until(gate: mpsc::Receiver<()>) {
    assert!(gate.recv().is_err(), "nobody sends");
}

#[test]
fn a_panic_stops_its_own_future_only() {
    let (pool, lane) = pool();
    let stopped = block_on(pool.spawn(&lane, 1, false, async { panic!("boom") })).expect_err("it panicked");
    assert_eq!(stopped.message, "boom");
    assert_eq!(block_on(pool.spawn(&lane, 2, false, async { 7 })).expect("the pool goes on"), 7);
}

#[test]
fn ready_work_does_not_wait_behind_blocked_polls() {
    let (pool, lane) = pool();
    let before = pool.threads();
    let (open, gates): (Vec<_>, Vec<_>) = (0..before + 3).map(|_| mpsc::channel::<()>()).unzip();
    let tasks: Vec<_> =
        gates.into_iter().zip(1..).map(|(gate, call)| pool.spawn(&lane, call, false, blocking_until(gate))).collect();
    let healthy = pool.lane("healthy".into(), 1);
    assert_eq!(block_on(pool.spawn(&healthy, 100, false, async { 7 })).expect("it runs"), 7);
    assert!(pool.threads() > before);
    drop(open);
    for task in tasks {
        block_on(task).expect("released");
    }
    eventually("extra threads end", || pool.threads() == before);
}

#[test]
fn one_plugin_cannot_take_all_threads() {
    let (pool, lane) = pool();
    let count = 4 * MAX_BLOCKED_PER_LANE;
    let (open, gates): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel::<()>()).unzip();
    let tasks: Vec<_> =
        gates.into_iter().zip(1..).map(|(gate, call)| pool.spawn(&lane, call, false, blocking_until(gate))).collect();
    eventually("the lane is full", || lane.is_full());
    let healthy = pool.lane("healthy".into(), 1);
    assert_eq!(block_on(pool.spawn(&healthy, 9_999, false, async { 7 })).expect("it runs"), 7);
    drop(open);
    for task in tasks {
        block_on(task).expect("those that waited run, too");
    }
    eventually("the count goes back", || lane.blocked.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_call_that_was_given_up_and_does_not_return_makes_its_lane_stuck() {
    let (pool, lane) = pool();
    let (open, gate) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let task = pool.spawn(&lane, 1, false, async move {
        entered.send(()).expect("the test waits for this");
        assert!(gate.recv().is_err(), "nobody sends");
    });
    inside.recv_timeout(SOON).expect("the poll began");
    drop(task);
    pool.give_up(&lane, 1);
    eventually("stuck", || lane.is_stuck());
    drop(open);
    eventually("recovered", || !lane.is_stuck());
}

#[test]
fn cancelling_drops_the_future_on_the_pool() {
    struct Report(mpsc::Sender<Option<String>>);
    impl Drop for Report {
        fn drop(&mut self) {
            drop(self.0.send(thread::current().name().map(String::from)));
        }
    }
    let (pool, lane) = pool();
    let (send, receive) = mpsc::channel();
    let report = Report(send);
    let task = pool.spawn(&lane, 1, false, async move {
        let _report = report;
        std::future::pending::<()>().await;
    });
    drop(task);
    assert_eq!(receive.recv_timeout(SOON).expect("dropped").as_deref(), Some("plugin-pool"));
}

#[test]
fn the_watchdog_sleeps_when_nothing_runs() {
    let (pool, lane) = pool();
    block_on(pool.spawn(&lane, 1, false, async {})).expect("runs");
    eventually("asleep", || pool.shared.asleep.load(Ordering::SeqCst));
}

#[test]
fn a_task_runs_whether_threads_sleep_look_or_work_when_it_comes() {
    let (pool, lane) = pool();
    let pool = Arc::new(pool);
    let (done, finished) = mpsc::channel();
    for _ in 0..4 {
        let (pool, lane, done) = (Arc::clone(&pool), Arc::clone(&lane), done.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            for call in 1..=2_000 {
                // Pauses of all lengths, from none to longer than a thread looks before it sleeps.
                for _ in 0..fastrand::u32(..2_000) {
                    std::hint::spin_loop();
                }
                let answer = runtime.block_on(pool.spawn(&lane, call, false, async move { call }));
                assert_eq!(answer.expect("it runs"), call);
            }
            done.send(()).expect("the test waits");
        });
    }
    for _ in 0..4 {
        finished.recv_timeout(SOON).expect("no call is left lying");
    }
}
