//! The one that writes: takes what comes in, makes it found at once, and sees that it reaches
//! the disk and the indexes.
//!
//! Files are written away from the async threads, by one job at a time; what arrives meanwhile
//! is found in memory and waits for the next.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    day::DayKey,
    erase::{CommitRequest, Erased, Erasure, Request},
    keeper::{Commit, Committed, Keeper, Retention, Saved},
    recorder::{Input, Queued, Recorder},
    statistics::Statistics,
    tail::{Arrival, Arrived, Tail},
};
use crate::{plugin::process, types::span::Span};

/// How long what arrived waits for more, before it is written together with it.
const LINGER: Duration = Duration::from_millis(10);
/// So much is written at once.
const BATCH: usize = 8192;
/// How long what is written waits to be in an index, if there is little of it: a commit costs
/// milliseconds whatever is in it, and what waits is found in memory.
const COMMIT: Duration = Duration::from_secs(10);
/// How long if there is [`MANY`].
const COMMIT_MANY: Duration = Duration::from_secs(1);
/// So many take about as long to look through in memory as a page from an index.
const MANY: usize = 8192;
/// With so many bytes in memory, a commit does not wait.
const MUCH: usize = 12 << 20;
/// After a commit of so many, memory that is not needed any more goes back to the system.
const LARGE: usize = 4 << 20;
/// With so many nothing more is taken: the queue fills, and what comes then is shed.
const TOO_MUCH: usize = 32 << 20;
/// How long until what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often traces that go on hand over what has ended in them.
const HAND_OVER: Duration = Duration::from_secs(1);
/// How often old days are looked for.
const TIDY: Duration = Duration::from_secs(20);

/// What is found: what is in the indexes, and what is not yet.
#[derive(Default)]
pub(super) struct View {
    pub(super) days: BTreeMap<DayKey, Committed>,
    pub(super) tail: Tail,
}

impl View {
    /// Whether what arrived is found in its index.
    pub(super) fn is_indexed(&self, arrival: &Arrival) -> bool {
        self.days.get(&arrival.key).is_some_and(|day| day.seq.is_some_and(|seq| arrival.seq <= seq))
    }
}

/// The writer.
pub(super) struct Writer {
    pub(super) view: Arc<RwLock<View>>,
    pub(super) recorder: Recorder,
    pub(super) inputs: mpsc::Receiver<Queued>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) statistics: Arc<Statistics>,
    /// Told once what is in the files is found, or cannot be.
    pub(super) opened: watch::Sender<bool>,
    pub(super) retention: Retention,
    pub(super) root: PathBuf,
}

/// A job on the files, which gives them back.
enum Done {
    Opened(Result<(Box<Keeper>, Vec<Arrival>, u64), String>),
    Saved(Box<Keeper>, Vec<Arrival>, Saved),
    Committed(Box<Keeper>, u64, Commit),
    Tidied(Box<Keeper>, Vec<DayKey>, Vec<(DayKey, Committed)>),
    Erased(Box<Keeper>, Erased, Erasure),
}

/// Where the writer stands.
struct State {
    /// Absent while a job has it, or while it cannot be opened.
    keeper: Option<Box<Keeper>>,
    job: Option<JoinHandle<Done>>,
    /// What is found but not on the disk.
    pending: Vec<Arrival>,
    /// When that is written.
    write_at: Option<Instant>,
    commit_at: Option<Instant>,
    tidy_at: Instant,
    hand_over_at: Instant,
    /// Senders that wait, by the position that must be on the disk.
    waiting: Vec<(u64, oneshot::Sender<Result<(), String>>)>,
    /// Those that asked for a commit, by the position that must be in it.
    asked: Vec<(u64, CommitRequest)>,
    /// What is to be erased.
    erasures: VecDeque<Erasure>,
    next: u64,
    /// Whether the files were ever open: before, nobody knows which positions are taken.
    was_open: bool,
    /// The last position that is on the disk.
    saved: Option<u64>,
    has_failed: bool,
    /// The last commit left something out.
    is_incomplete: bool,
}

impl Writer {
    /// Writes until it is cancelled, and then what is left.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let now = Instant::now();
        let mut state = State {
            keeper: None,
            job: None,
            pending: Vec::new(),
            write_at: None,
            commit_at: None,
            tidy_at: now,
            hand_over_at: now + HAND_OVER,
            waiting: Vec::new(),
            asked: Vec::new(),
            erasures: VecDeque::new(),
            next: 0,
            was_open: false,
            saved: None,
            has_failed: false,
            is_incomplete: false,
        };
        self.open(&mut state).await;
        let mut batch = Vec::new();
        loop {
            let has_room = self.read(|view| view.tail.weight()) < TOO_MUCH;
            let due = state.due();
            tokio::select! {
                biased;
                done = wait(&mut state.job) => self.finish(&mut state, done),
                Some(request) = self.requests.recv() => match request {
                    Request::Commit(asked) => state.asked.push((state.next, asked)),
                    Request::Erase(erasure) => state.erasures.push_back(erasure),
                },
                count = self.inputs.recv_many(&mut batch, BATCH), if has_room => {
                    if count == 0 {
                        break;
                    }
                    self.accept(&mut state, batch.drain(..));
                }
                () = sleep_until(due) => {}
                () = cancel.cancelled() => break,
            }
            if Instant::now() >= state.hand_over_at {
                state.hand_over_at = Instant::now() + HAND_OVER;
                self.hand_over();
            }
            self.begin(&mut state);
        }
        self.end(state).await;
    }

    fn read<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        look(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the files before anything is taken: positions go on where they were.
    async fn open(&self, state: &mut State) {
        state.job = Some(self.opening());
        let done = wait(&mut state.job).await;
        self.finish(state, done);
        self.opened.send_replace(true);
    }

    fn opening(&self) -> JoinHandle<Done> {
        let (root, retention) = (self.root.clone(), self.retention);
        tokio::task::spawn_blocking(move || {
            let opened = Keeper::open(&root, retention);
            Done::Opened(
                opened
                    .map(|(keeper, arrivals, next)| (Box::new(keeper), arrivals, next))
                    .map_err(|error| format!("{}: {error}", root.display())),
            )
        })
    }

    /// Makes what came in found.
    fn accept(&self, state: &mut State, inputs: impl Iterator<Item = Queued>) {
        let mut arrived = Vec::new();
        let mut told = Vec::new();
        for (input, weight) in inputs {
            self.recorder.taken(weight);
            match input {
                Input::Found(found) => told.push(found),
                Input::Log(log) => arrived.push(Arrived::Log(log)),
                Input::Spans(spans) => arrived.push(spans_of(spans)),
                Input::Batch { logs, spans, written } => {
                    arrived.extend(logs.into_iter().map(|log| Arrived::Log(Arc::new(log))));
                    // Those of a trace stay together, whatever they came with.
                    let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
                    for span in spans {
                        traces.entry(span.trace_id.clone()).or_default().push(span);
                    }
                    arrived.extend(traces.into_values().map(spans_of));
                    state.waiting.push((state.next + arrived.len() as u64, written));
                }
            }
        }
        let mut count = 0;
        self.change(|view| {
            for what in arrived {
                count += what.len() as u64;
                let arrival = Arrival::new(state.next, self.retention.key(&what), what);
                state.next += 1;
                view.tail.push(arrival.clone());
                state.pending.push(arrival);
            }
        });
        told.into_iter().for_each(tell);
        self.statistics.accepted(count);
        if !state.pending.is_empty() {
            state.write_at.get_or_insert_with(|| Instant::now() + LINGER);
        }
        // Who sent nothing waits for nothing.
        self.answer(state, Ok(()));
    }

    /// Begins the next job, if one is due and none goes on.
    fn begin(&self, state: &mut State) {
        if state.job.is_some() {
            return;
        }
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        let Some(mut keeper) = state.keeper.take() else {
            if is_due(state.write_at) {
                state.write_at = None;
                state.job = Some(self.opening());
            }
            return;
        };
        if let Some(erasure) = state.erasures.pop_front() {
            let is_waiting = self.read(|view| erasure.is_waiting(view));
            state.job = Some(tokio::task::spawn_blocking(move || {
                let erased = erasure.carry_out(&mut keeper, is_waiting);
                Done::Erased(keeper, erased, erasure)
            }));
            return;
        }
        let (in_memory, weight) = self.read(|view| (view.tail.len(), view.tail.weight()));
        let is_asked = !state.asked.is_empty();
        if !state.pending.is_empty() && (is_due(state.write_at) || state.pending.len() >= BATCH || is_asked) {
            let arrivals = std::mem::take(&mut state.pending);
            state.write_at = None;
            let metrics = Arc::clone(self.recorder.metrics());
            state.job = Some(tokio::task::spawn_blocking(move || {
                let saved = metrics.index.append.time(|| keeper.save(&arrivals));
                Done::Saved(keeper, arrivals, saved)
            }));
        } else if let Some(seq) = state.saved
            && in_memory > 0
            && (is_due(state.commit_at) || ((is_asked || weight > MUCH) && !state.is_incomplete))
        {
            state.commit_at = None;
            let saved = |view: &View| view.tail.arrivals().take_while(|arrival| arrival.seq <= seq).cloned().collect();
            let arrivals: Vec<Arrival> = self.read(saved);
            let metrics = Arc::clone(self.recorder.metrics());
            state.job = Some(tokio::task::spawn_blocking(move || {
                let commit = metrics.index.commit.time(|| keeper.commit(seq, &arrivals));
                drop(arrivals);
                // Under load this is more than the host needs in all; the allocator would keep it.
                if weight > LARGE {
                    process::return_free_memory();
                }
                Done::Committed(keeper, seq, commit)
            }));
        } else if now >= state.tidy_at {
            state.tidy_at = now + TIDY;
            let statistics = Arc::clone(&self.statistics);
            state.job = Some(tokio::task::spawn_blocking(move || {
                let (gone, changed) = keeper.tidy();
                statistics.takes(keeper.bytes());
                Done::Tidied(keeper, gone, changed)
            }));
        } else {
            if state.pending.is_empty() {
                state.write_at = None;
            }
            if in_memory == 0 {
                state.commit_at = None;
                state.asked.drain(..).for_each(|(_, asked)| tell(asked));
            }
            state.keeper = Some(keeper);
        }
    }

    fn finish(&self, state: &mut State, done: Option<Done>) {
        match done {
            Some(Done::Opened(Ok((keeper, arrivals, next)))) => {
                if state.has_failed {
                    tracing::info!("logs and traces are written again");
                    state.has_failed = false;
                }
                self.opened(state, keeper, arrivals, next);
            }
            Some(Done::Opened(Err(reason))) => {
                self.fail(state, &reason);
                self.answer(state, Err(reason));
            }
            Some(Done::Saved(keeper, arrivals, Saved::Yes)) => {
                state.has_failed = false;
                state.keeper = Some(keeper);
                state.saved = arrivals.last().map(|last| last.seq).or(state.saved);
                let is_many = self.read(|view| view.tail.len()) >= MANY;
                let due = Instant::now() + if is_many { COMMIT_MANY } else { COMMIT };
                state.commit_at = Some(state.commit_at.map_or(due, |at| at.min(due)));
                self.answer(state, Ok(()));
            }
            Some(Done::Saved(keeper, mut arrivals, Saved::No(reason))) => {
                state.keeper = Some(keeper);
                arrivals.append(&mut state.pending);
                state.pending = arrivals;
                self.fail(state, &reason);
                self.answer(state, Err(reason));
            }
            Some(Done::Committed(keeper, seq, commit)) => {
                state.keeper = Some(keeper);
                self.change(|view| {
                    view.days.extend(commit.days);
                    if commit.is_complete {
                        view.tail.forget(seq);
                    }
                });
                state.is_incomplete = !commit.is_complete;
                if !commit.is_complete {
                    state.commit_at = Some(Instant::now() + AGAIN);
                }
                // What could not be committed is not waited for.
                for (needed, asked) in std::mem::take(&mut state.asked) {
                    if needed <= seq + 1 || !commit.is_complete {
                        tell(asked);
                    } else {
                        state.asked.push((needed, asked));
                    }
                }
            }
            Some(Done::Tidied(keeper, gone, changed)) => {
                state.keeper = Some(keeper);
                self.change(|view| {
                    for key in gone {
                        view.days.remove(&key);
                    }
                    view.days.extend(changed);
                });
            }
            Some(Done::Erased(keeper, erased, erasure)) => {
                state.keeper = Some(keeper);
                self.change(|view| view.days.extend(erased.days));
                erasure.answer(erased.result);
            }
            // The job panicked and took the files with it: they are opened anew.
            None => {
                self.fail(state, "writing logs and traces panicked");
            }
        }
    }

    /// Goes on with what was opened.
    fn opened(&self, state: &mut State, keeper: Box<Keeper>, arrivals: Vec<Arrival>, next: u64) {
        state.saved = next.checked_sub(1);
        let is_first = !std::mem::replace(&mut state.was_open, true);
        if is_first {
            // What came before they could be opened stands behind what they have.
            state.next += next;
            state.waiting.iter_mut().for_each(|(needed, _)| *needed += next);
            state.asked.iter_mut().for_each(|(needed, _)| *needed += next);
        }
        // What is in memory and not on the disk goes there first.
        state.pending = self.change(|view| {
            view.days = keeper.committed();
            if is_first {
                let mut tail = Tail::default();
                arrivals.into_iter().for_each(|arrival| tail.push(arrival));
                view.tail.shift(next);
                view.tail.arrivals().for_each(|arrival| tail.push(arrival.clone()));
                view.tail = tail;
            }
            view.tail.arrivals().filter(|arrival| arrival.seq >= next).cloned().collect()
        });
        state.write_at = Some(Instant::now());
        state.commit_at = Some(Instant::now() + COMMIT);
        state.keeper = Some(keeper);
    }

    fn fail(&self, state: &mut State, reason: &str) {
        self.statistics.failed();
        state.write_at = Some(Instant::now() + AGAIN);
        if !state.has_failed {
            state.has_failed = true;
            tracing::error!(reason, "logs and traces cannot be written; they are kept in memory and tried again");
        }
    }

    /// Tells those that wait whether what they sent is on the disk.
    fn answer(&self, state: &mut State, outcome: Result<(), String>) {
        for (needed, written) in std::mem::take(&mut state.waiting) {
            let is_saved = needed <= state.saved.map_or(0, |saved| saved + 1);
            if is_saved {
                drop(written.send(Ok(())));
            } else if outcome.is_err() {
                drop(written.send(outcome.clone()));
            } else {
                state.waiting.push((needed, written));
            }
        }
    }

    /// Lets traces that go on hand over what has ended in them.
    fn hand_over(&self) {
        for trace in self.recorder.live() {
            self.recorder.spans(trace.take_closed());
        }
    }

    /// Writes what is left.
    async fn end(&mut self, mut state: State) {
        self.hand_over();
        self.inputs.close();
        let mut left = Vec::new();
        while let Some(input) = self.inputs.recv().await {
            left.push(input);
        }
        self.accept(&mut state, left.into_iter());
        let done = match state.job.is_some() {
            true => wait(&mut state.job).await,
            false => None,
        };
        if done.is_some() {
            self.finish(&mut state, done);
        }
        let Some(mut keeper) = state.keeper.take() else { return };
        let arrivals = std::mem::take(&mut state.pending);
        let saving = tokio::task::spawn_blocking(move || {
            let saved = keeper.save(&arrivals);
            Done::Saved(keeper, arrivals, saved)
        });
        state.job = Some(saving);
        let done = wait(&mut state.job).await;
        self.finish(&mut state, done);
    }
}

impl State {
    /// Returns when something is to be done.
    fn due(&self) -> Instant {
        if self.job.is_some() {
            return self.hand_over_at;
        }
        let on_files = self.keeper.as_ref().and(Some([self.commit_at, Some(self.tidy_at)]));
        let times = on_files.into_iter().flatten().chain([self.write_at, Some(self.hand_over_at)]);
        times.flatten().min().unwrap_or(self.hand_over_at)
    }
}

/// Waits for a job; `None` if it panicked.
async fn wait(job: &mut Option<JoinHandle<Done>>) -> Option<Done> {
    let Some(running) = job else { return std::future::pending().await };
    let done = running.await;
    *job = None;
    done.ok()
}

fn spans_of(spans: Vec<Span>) -> Arrived {
    Arrived::Spans(spans.into_iter().map(Arc::new).collect())
}

/// Answers who asked, if it still waits.
fn tell(asked: oneshot::Sender<()>) {
    if asked.send(()).is_err() {
        tracing::trace!("nobody waits for the answer any more");
    }
}
