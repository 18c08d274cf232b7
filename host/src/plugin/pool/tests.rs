use std::sync::{Condvar, OnceLock, mpsc};

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
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            for call in 1..=2_000 {
                // Pauses of all lengths, from none to longer than a thread looks before it sleeps.
                for _ in 0..fastrand::u32(..2_000) {
                    std::hint::spin_loop();
                }
                let run =
                    async { tokio::time::timeout(SOON, pool.spawn(&lane, call, false, async move { call })).await };
                let answer = runtime.block_on(run).expect("no call is left lying");
                assert_eq!(answer.expect("it runs"), call);
            }
            done.send(()).expect("the test waits");
        });
    }
    drop(done);
    // However long all of them take on a machine that is busy with something else.
    assert_eq!(finished.iter().count(), 4, "each of them ran all its calls");
}

/// A source that a test fills with calls; each answers with the thread it ran on.
#[derive(Default)]
struct Given {
    state: Mutex<GivenState>,
    changed: Condvar,
    pool: OnceLock<(PluginPool, Arc<Lane>)>,
}

#[derive(Default)]
struct GivenState {
    /// Given and not heard of yet; heard of and not taken yet.
    given: Vec<mpsc::Sender<thread::ThreadId>>,
    heard: Vec<mpsc::Sender<thread::ThreadId>>,
    /// Who sleeps.
    waiting: usize,
    wakes: usize,
    all_wakes: usize,
    took: Vec<thread::ThreadId>,
}

impl Given {
    fn start() -> Arc<Self> {
        let given = Arc::new(Self::default());
        let pool = PluginPool::start_at(Arc::<Self>::clone(&given), Duration::from_millis(50)).expect("threads");
        let lane = pool.lane("test".into(), 1);
        assert!(given.pool.set((pool, lane)).is_ok());
        given
    }

    /// Until then a thread may come by on its way to sleep and find a task that another heard of.
    fn wait_until_all_sleep(&self) {
        let threads = self.pool.get().expect("it runs").0.threads();
        eventually("all threads sleep", || self.state.lock().unwrap().waiting == threads);
    }

    fn give(&self, calls: usize) -> mpsc::Receiver<thread::ThreadId> {
        let (ran, runs) = mpsc::channel();
        self.state.lock().unwrap().given.extend(vec![ran; calls]);
        self.changed.notify_one();
        runs
    }
}

impl Source for Given {
    fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        state = self.changed.wait_while(state, |state| state.given.is_empty() && state.wakes == 0).unwrap();
        state.waiting -= 1;
        if state.given.is_empty() {
            state.wakes -= 1;
            return false;
        }
        state.heard = std::mem::take(&mut state.given);
        true
    }

    fn take(&self) {
        let mut state = self.state.lock().unwrap();
        state.took.push(thread::current().id());
        let heard = std::mem::take(&mut state.heard);
        drop(state);
        let (pool, _) = self.pool.get().expect("it was set before anything was given");
        for ran in heard {
            // Not by `spawn`: the watchdog, which wakes threads as well, sees nothing of these.
            let queue = Arc::clone(&pool.shared.queue);
            let work = async move { ran.send(thread::current().id()).expect("the test waits") };
            let (ready, task) = async_task::spawn(work, move |task| queue.push(task));
            ready.schedule();
            task.detach();
        }
    }

    fn wake(&self) {
        let mut state = self.state.lock().unwrap();
        state.wakes += 1;
        state.all_wakes += 1;
        self.changed.notify_one();
    }
}

#[test]
fn who_hears_of_a_call_runs_it_and_wakes_nobody() {
    let given = Given::start();
    for _ in 0..20 {
        given.wait_until_all_sleep();
        let ran = given.give(1).recv_timeout(SOON).expect("it runs");
        assert_eq!(given.state.lock().unwrap().took.last(), Some(&ran));
    }
    assert_eq!(given.state.lock().unwrap().all_wakes, 0);
}

#[test]
fn of_several_calls_that_come_at_once_others_run_their_share() {
    let given = Given::start();
    given.wait_until_all_sleep();
    assert_eq!(given.give(100).iter().count(), 100);
    assert!(given.state.lock().unwrap().all_wakes > 0);
}

#[test]
fn a_source_is_waited_at_while_calls_block_and_by_who_is_woken_for_something_else() {
    let given = Given::start();
    let (pool, lane) = given.pool.get().expect("it runs");
    let threads = pool.threads();
    let (open, gates): (Vec<_>, Vec<_>) = (0..threads + 1).map(|_| mpsc::channel::<()>()).unzip();
    let blocked: Vec<_> =
        gates.into_iter().zip(1..).map(|(gate, call)| pool.spawn(lane, call, false, blocking_until(gate))).collect();
    given.give(1).recv_timeout(SOON).expect("a thread was added and took it");
    drop(open);
    for task in blocked {
        block_on(task).expect("released");
    }
    given.give(1).recv_timeout(SOON).expect("it is still waited at");
}
