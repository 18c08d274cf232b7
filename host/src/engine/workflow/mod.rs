//! Runs of workflows: begun, driven, resumed, cancelled, taken up again after a crash.
//!
//! # How a run survives
//!
//! A run is a row with a lease, and a journal of what its nodes came to. The host that holds
//! the lease walks the graph (`interpreter`) and commits each result before the next node
//! begins. When the host dies, the lease ends; the next host to claim it (`keeper`), be it
//! the same one after a restart, walks the graph again and takes from the journal what is
//! there. A node that was running is run again under the same idempotency key: results are
//! committed exactly once, attempts are made at least once.
//!
//! A run that waits, for somebody or for a time, is a row and nothing else.

mod cancel;
mod code;
mod context;
mod execution;
mod feed;
mod interpreter;
mod journal;
mod keeper;
mod limits;
mod live;
mod others;
mod program;
mod resume;
mod schedule;
mod spans;
mod start;
mod step;
pub(super) mod tool;
mod travel;
mod view;
mod wait;

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::FutureExt;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tracing::Instrument;

use super::{Engine, error::EngineError};
use crate::{
    limits::RunSlot,
    plugin::registry::{Route, Snapshot, WorkflowEntry},
    store::{
        Store, StoreError,
        runs::{Change, Lease, RunRow, Runs},
        schedules::Schedules,
    },
    tasks::Tasks,
    types::{
        graph::Graph,
        id::Millis,
        run::{RunChunk, RunStatus, StepRecord},
        schema::Schema,
    },
};
use execution::Execution;
pub use execution::RunEnd;
use feed::Feed;
pub use feed::Subscription;
use journal::Journal;
pub use limits::ConcurrencySettings;
use limits::{Admission, Limits};
use live::RunTold;
use others::Followed;
use program::Program;
pub use program::{Graphs, StoredGraphs};
pub use resume::ResumeRequest;
pub use start::{StartMode, StartRequest};
pub use travel::TravelRequest;
pub use view::RunView;
pub use wait::RunHandle;

/// Runs of workflows. Cheap to clone.
#[derive(Clone)]
pub struct Workflows {
    shared: Arc<Shared>,
}

/// What runs of workflows are made with.
#[derive(Debug, Clone)]
pub struct WorkflowSettings {
    /// Names this host among those that share a store; the same after a restart.
    pub owner: String,
    /// How long a run stays this host's without news of it.
    pub lease: Duration,
    /// How long a step may go on once somebody ended its run.
    pub cancel_grace: Duration,
    /// How many runs of a workflow go on at once, by its id; `*` for those not named.
    pub concurrency: HashMap<String, ConcurrencySettings>,
}

struct Shared {
    engine: Engine,
    store: Store,
    runs: Runs,
    tasks: Tasks,
    settings: WorkflowSettings,
    limits: Limits,
    // Each is held for a lookup, never across an await.
    active: Mutex<HashMap<Arc<str>, Active>>,
    /// Streams somebody listens to, whether their run goes on or not.
    feeds: Mutex<HashMap<Arc<str>, Weak<Feed>>>,
    /// Hashes of graphs known to be stored.
    graphs: Mutex<HashSet<Arc<str>>>,
    /// Runs this host let go of without giving the lease back, and the fences it had.
    lost: Mutex<Vec<(Arc<str>, u64)>>,
    /// Tells the keeper to look for runs.
    news: Notify,
    schedules: Schedules,
    /// Tells who starts what is due that a schedule changed.
    schedule_news: Notify,
}

/// A run this host drives.
struct Active {
    execution: Arc<Execution>,
}

/// How a drive stands.
#[derive(Debug, Clone)]
enum Drive {
    /// It goes on.
    Going,
    /// It ended; `None` if somebody else goes on with the run.
    Ended(Option<Box<RunEnd>>),
}

impl Workflows {
    /// Returns the runs of workflows of a store.
    #[must_use]
    pub fn new(engine: Engine, store: &Store, tasks: Tasks, settings: WorkflowSettings) -> Self {
        let limits = Limits::new(settings.concurrency.clone());
        Self {
            shared: Arc::new(Shared {
                engine,
                store: store.clone(),
                runs: store.runs(),
                tasks,
                settings,
                limits,
                active: Mutex::default(),
                feeds: Mutex::default(),
                graphs: Mutex::default(),
                lost: Mutex::default(),
                news: Notify::new(),
                schedules: store.schedules(),
                schedule_news: Notify::new(),
            }),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Returns the stored runs.
    #[must_use]
    pub fn runs(&self) -> &Runs {
        &self.shared.runs
    }

    fn active(&self) -> MutexGuard<'_, HashMap<Arc<str>, Active>> {
        self.shared.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feeds(&self) -> MutexGuard<'_, HashMap<Arc<str>, Weak<Feed>>> {
        self.shared.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancel_grace(&self) -> Duration {
        self.shared.settings.cancel_grace
    }

    fn lost(&self) -> MutexGuard<'_, Vec<(Arc<str>, u64)>> {
        self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self) -> Lease<'_> {
        let lease = i64::try_from(self.shared.settings.lease.as_millis()).unwrap_or(i64::MAX);
        Lease { owner: &self.shared.settings.owner, until: Millis::now().0.saturating_add(lease) }
    }

    /// Returns a workflow.
    ///
    /// # Errors
    /// If no plugin offers it.
    pub fn find(&self, id: &str) -> Result<Arc<WorkflowEntry>, EngineError> {
        find(&self.shared.engine.snapshot(), id)
    }

    /// Returns what a new run executes.
    fn program(&self, id: &str, run_id: &str) -> Result<Program, EngineError> {
        let snapshot = self.shared.engine.snapshot_for(&Route::of_run(run_id));
        let root = find(&snapshot, id)?;
        Program::resolve(&snapshot, &root).map_err(EngineError::Definition)
    }

    /// Returns what a run that began goes on with: of the builds that are compared its own, or any
    /// that has the graph it began with. If none has, it is what a new run would execute.
    fn program_of(&self, workflow_id: &str, run_id: &str, graph_hash: &str) -> Result<Program, EngineError> {
        let mut first = None;
        for snapshot in self.shared.engine.snapshots_for(&Route::of_run(run_id)) {
            let root = find(&snapshot, workflow_id);
            let program = root.and_then(|root| Program::resolve(&snapshot, &root).map_err(EngineError::Definition));
            match program {
                Ok(program) if *program.hash == *graph_hash => return Ok(program),
                other => first = first.or(Some(other)),
            }
        }
        first.unwrap_or(Err(EngineError::UnknownWorkflow))
    }

    /// Returns a run's stream from the `from`-th chunk on: what there was, and what comes.
    ///
    /// # Errors
    /// If there is no such run, or the store fails.
    pub async fn observe(&self, workflow_id: &str, run_id: &str, from: u64) -> Result<Subscription, EngineError> {
        let row = self.row(workflow_id, run_id).await?;
        let goes_on = matches!(row.status, RunStatus::Running | RunStatus::Waiting | RunStatus::Pending);
        if goes_on {
            let feed = self.feed(&row.run_id.as_str().into(), row.chunks);
            // It may have ended since the row was read, and then nobody tells a feed made now.
            if let Some(followed) = Followed::of(&row.run_id.as_str().into(), &feed) {
                self.catch_up(&[followed]).await?;
            }
            return Ok(Subscription::new(&feed, self.shared.runs.clone(), row.run_id.into(), from, false));
        }
        let chunks = self.shared.runs.chunks(run_id, from).await?;
        Ok(Subscription::of_stored(self.shared.runs.clone(), run_id.into(), chunks))
    }

    /// Returns the stream of a run that waits, as far as it went.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn observe_waiting(&self, row: &RunRow) -> Result<Subscription, EngineError> {
        let mut chunks = self.shared.runs.chunks(&row.run_id, 0).await?;
        // That it waits is no end.
        while let Some(RunChunk::Finish { status: RunStatus::Suspended, .. }) = chunks.last() {
            chunks.pop();
        }
        Ok(Subscription::of_stored(self.shared.runs.clone(), row.run_id.as_str().into(), chunks))
    }

    /// Returns the feed of a run, the one somebody listens to already if there is one.
    fn feed(&self, run_id: &Arc<str>, chunks: u64) -> Arc<Feed> {
        let mut feeds = self.feeds();
        if let Some(feed) = feeds.get(run_id).and_then(Weak::upgrade) {
            return feed;
        }
        if feeds.len() > 64 && feeds.len() > 2 * feeds.values().filter(|feed| feed.strong_count() > 0).count() {
            feeds.retain(|_, feed| feed.strong_count() > 0);
        }
        let feed = Arc::new(Feed::new(chunks));
        feeds.insert(Arc::clone(run_id), Arc::downgrade(&feed));
        feed
    }

    /// Tells that a run nobody drives stands so from now on, and those who listen to it.
    fn settled_as(&self, row: &RunRow, status: RunStatus) {
        live::settled(self.engine(), row, status);
        let feed = self.feeds().get(row.run_id.as_str()).and_then(Weak::upgrade);
        if let Some(feed) = feed {
            feed.rest(status);
        }
    }

    /// Claims a stored run, of which `records` will be there after `change`, and drives it.
    /// Runs that are taken up count for the limits as those that are begun.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it changed since `row` was read.
    async fn claim(
        &self,
        mut row: RunRow,
        program: Program,
        records: HashMap<String, StepRecord>,
        change: Change<'_>,
    ) -> Result<RunHandle, StoreError> {
        // One that was left while it ran has recorded no root span yet.
        row.input.is_traced |= !matches!(row.status, RunStatus::Running | RunStatus::Pending);
        let admission = self.shared.limits.readmit(&program.root, row.resource_id.as_deref(), row.input.input.as_ref());
        let is_queued = !admission.is_free();
        let change = Change { is_queued, ..change };
        let fence = self.shared.runs.claim(&row, self.lease(), &change, Millis::now().0).await?;
        let claimed = Claimed {
            state: row.state.as_deref().and_then(|state| serde_json::from_str(state).ok()),
            run_id: row.run_id,
            resource_id: row.resource_id,
            program,
            input: row.input,
            records,
            fence,
            chunks: row.chunks,
            // Who asks it to go on takes back what was asked before.
            cancel_requested: row.cancel_requested && !change.is_wanted,
            is_queued,
            // Those who listened to one that nobody drove know that it began.
            is_announced: change.is_wanted || row.chunks == 0,
        };
        Ok(self.drive(claimed, admission))
    }

    /// Drives a run this host holds the lease of, in a task of its own.
    fn drive(&self, run: Claimed, admission: Admission) -> RunHandle {
        let run_id: Arc<str> = run.run_id.as_str().into();
        let feed = self.feed(&run_id, run.chunks);
        let drive = feed.begin(run.chunks, RunTold::new(&self.shared.engine, &run));
        let journal = Journal::new(
            Arc::clone(&run_id),
            run.fence,
            self.shared.runs.clone(),
            Arc::clone(&feed),
            run.records,
            run.state,
            self.shared.settings.lease,
        );
        let execution = Arc::new(Execution {
            workflows: self.clone(),
            program: run.program,
            run_id: Arc::clone(&run_id),
            resource_id: run.resource_id,
            input: run.input,
            journal: Arc::new(journal),
            cancel: tokio_util::sync::CancellationToken::new(),
            stop: self.shared.tasks.token(),
        });
        if run.is_announced {
            Execution::announce(&feed);
        }
        if run.cancel_requested {
            execution.cancel.cancel();
        }
        let is_queued = run.is_queued;
        let (told, ended) = watch::channel(Drive::Going);
        let handle = RunHandle::new(self, &execution, ended, &feed, run.chunks);
        let active = Active { execution: Arc::clone(&execution) };
        self.active().insert(Arc::clone(&run_id), active);
        let workflows = self.clone();
        let slot = RunSlot::current();
        self.shared.tasks.spawn("workflow-run", move |_| async move {
            // Whoever asked for it may be gone; it counts for as long as it goes on.
            let _slot = slot;
            let _turn = tokio::select! {
                turn = admission.wait() => Some(turn),
                () = execution.cancel.cancelled() => None,
                () = execution.stop.cancelled() => None,
            };
            let log = execution.log_span();
            let driven = AssertUnwindSafe(execution.drive(is_queued).instrument(log)).catch_unwind().await;
            let end = driven.unwrap_or_else(|_| {
                tracing::error!(run.id = &*run_id, "driving a run panicked, it is taken up again");
                workflows.lost().push((Arc::clone(&run_id), execution.journal.fence()));
                None
            });
            workflows.forget(&run_id, &execution);
            let status = end.as_ref().map(|end| end.status);
            feed.let_go(drive, status);
            if let Some(RunStatus::Suspended | RunStatus::Waiting | RunStatus::Paused) = status {
                workflows.cancel_if_wanted(&run_id).await;
            }
            if let None | Some(RunStatus::Waiting) = status {
                workflows.shared.news.notify_one();
            }
            told.send_replace(Drive::Ended(end.map(Box::new)));
        });
        handle
    }

    /// Takes note that an execution has ended; its run may have another one already.
    fn forget(&self, run_id: &str, execution: &Arc<Execution>) {
        let mut active = self.active();
        if active.get(run_id).is_some_and(|active| Arc::ptr_eq(&active.execution, execution)) {
            active.remove(run_id);
        }
    }

    /// Stores a program's graphs unless that was done.
    async fn store_graphs(&self, program: &Program) -> Result<(), EngineError> {
        let is_known =
            |hash: &Arc<str>| self.shared.graphs.lock().unwrap_or_else(PoisonError::into_inner).contains(hash);
        if is_known(&program.hash) {
            return Ok(());
        }
        self.shared.runs.put_graph(&program.hash, &program.stored()).await?;
        let mut graphs = self.shared.graphs.lock().unwrap_or_else(PoisonError::into_inner);
        graphs.insert(Arc::clone(&program.hash));
        Ok(())
    }
}

/// A run whose lease this host has.
struct Claimed {
    run_id: String,
    resource_id: Option<String>,
    program: Program,
    input: crate::types::run::RunInput,
    records: HashMap<String, StepRecord>,
    state: Option<Value>,
    fence: u64,
    chunks: u64,
    cancel_requested: bool,
    /// It waits for its turn.
    is_queued: bool,
    /// Its stream is told that it begins.
    is_announced: bool,
}

fn find(snapshot: &Snapshot, id: &str) -> Result<Arc<WorkflowEntry>, EngineError> {
    let found = snapshot.workflows.get(id).or_else(|| snapshot.workflow_of_key(id));
    // Some are only there to be run inside others.
    found.filter(|entry| !entry.manifest.internal).cloned().ok_or(EngineError::UnknownWorkflow)
}

/// Checks a document; the sentence lists what does not fit.
fn check(schema: Option<&Schema>, what: &str, document: Option<&Value>) -> Result<(), EngineError> {
    let Some(schema) = schema else { return Ok(()) };
    let issues = match document {
        Some(document) => schema.issues(document),
        None if schema.accepts(&Value::Null) || schema.source.get("type").is_none() => Vec::new(),
        None => {
            let expected = schema.source["type"].as_str().unwrap_or("object").to_owned();
            let message = format!("Invalid input: expected {expected}, received undefined");
            vec![crate::types::schema::Issue { path: Vec::new(), message }]
        }
    };
    if issues.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        issues.iter().map(|issue| format!("- {}: {}", issue.path.join("."), issue.message)).collect();
    Err(EngineError::Misfit { what: what.to_owned(), problems: lines.join("\n") })
}

/// Returns the graph of the workflow a part of a path is in, given the parts before it.
fn graph_of<'a>(program: &'a Program, id: Option<&str>) -> Option<&'a Graph> {
    match id {
        None => Some(&program.root.graph),
        Some(id) => program.nested.get(id).map(|entry| &entry.graph),
    }
}

#[cfg(test)]
mod tests;
