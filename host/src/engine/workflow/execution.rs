//! One run while this host drives it.
//!
//! The interpreter (`interpreter`) walks the graph from its beginning each time; what is
//! in the journal is taken from there, so a run that was interrupted or suspended goes on
//! where it was. Here is how a drive begins and what becomes of the run when it ends.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Workflows,
    feed::Feed,
    interpreter::{Flow, Scope},
    journal::{Journal, Lost, Standing},
    program::Program,
};
use crate::{
    observe::tracer::SpanContext,
    types::run::{RunChunk, RunInput, RunOutcome, RunStatus, StepRecord},
};

/// How long a run that is told to end with its host may go on.
const STOPPING: Duration = Duration::from_millis(1500);

/// A run this host drives.
pub(super) struct Execution {
    pub(super) workflows: Workflows,
    pub(super) program: Program,
    pub(super) run_id: Arc<str>,
    pub(super) resource_id: Option<String>,
    pub(super) input: RunInput,
    pub(super) journal: Arc<Journal>,
    /// Somebody wants the run to end: nothing is begun, what runs may end.
    pub(super) cancel: CancellationToken,
    /// The host is to let go of the run: it ends or loses the lease.
    pub(super) stop: CancellationToken,
}

/// How a drive ended, with everything a caller may be told.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// How the run stands.
    pub status: RunStatus,
    /// What came of it.
    pub outcome: RunOutcome,
    /// What its executions came to, by path.
    pub records: Arc<HashMap<String, StepRecord>>,
}

impl Execution {
    /// Drives the run until it ends or waits; `None` if this host lost it.
    pub(super) async fn drive(&self, was_queued: bool) -> Option<RunEnd> {
        let began = Instant::now();
        let begun = Standing { status: Some(RunStatus::Running), ..Standing::default() };
        let begins = was_queued && !self.cancel.is_cancelled() && !self.stop.is_cancelled();
        if begins && let Err(Lost(reason)) = self.journal.commit(begun).await {
            tracing::warn!(run.id = &*self.run_id, reason, "a run that waited for its turn was lost");
            self.workflows.lost().push((Arc::clone(&self.run_id), self.journal.fence()));
            return None;
        }
        let workflow_id = &*self.program.root.id;
        tracing::debug!(workflow.id = workflow_id, "a workflow's run begins");
        let span = self.begin_span();
        let flow = tokio::select! {
            biased;
            flow = self.walk(span.context()) => flow,
            () = self.let_go() => Flow::Interrupted("the host stops".to_owned()),
        };
        let settled = self.settle(flow).await;
        let end = settled.as_ref().ok().and_then(Option::as_ref);
        self.end_span(span, end);
        if let Some(end) = end {
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let status = end.status.as_str();
            tracing::info!(workflow.id = workflow_id, status, duration_ms = took, "a workflow's run ended or waits");
        }
        match settled {
            Ok(end) => end,
            Err(Lost(reason)) => {
                tracing::warn!(run.id = &*self.run_id, reason, "this host no longer drives the run");
                self.workflows.lost().push((Arc::clone(&self.run_id), self.journal.fence()));
                None
            }
        }
    }

    async fn walk(&self, span: Option<SpanContext>) -> Flow {
        let input = self.input.input.clone().unwrap_or(Value::Null);
        let scope = Scope::root(&self.program.root, span);
        self.sequence(&self.program.root.graph.nodes, &scope, input).await
    }

    async fn let_go(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(STOPPING).await;
    }

    /// Stores how the drive ended.
    async fn settle(&self, flow: Flow) -> Result<Option<RunEnd>, Lost> {
        let mut outcome = RunOutcome::default();
        let mut wake_at = None;
        let status = match flow {
            Flow::Done(value) | Flow::Bailed(value) => {
                outcome.result = Some(value);
                RunStatus::Success
            }
            Flow::Failed(error) => {
                outcome.error = Some(error);
                RunStatus::Failed
            }
            Flow::Tripped(tripwire) => {
                outcome.tripwire = Some(tripwire);
                RunStatus::Tripwire
            }
            // It may have been told to end after its last node had looked.
            Flow::Suspended | Flow::Waiting(_) | Flow::Paused if self.cancel.is_cancelled() => RunStatus::Canceled,
            Flow::Suspended => RunStatus::Suspended,
            Flow::Waiting(at) => {
                wake_at = Some(at);
                RunStatus::Waiting
            }
            Flow::Paused => RunStatus::Paused,
            Flow::Canceled => RunStatus::Canceled,
            Flow::Interrupted(reason) => {
                tracing::info!(run.id = &*self.run_id, reason, "a run is left for whoever goes on with it");
                self.journal.commit(Standing { release: true, ..Standing::default() }).await?;
                return Ok(None);
            }
            Flow::Lost(lost) => return Err(lost),
        };
        // A run that only waits for a time says nothing: its stream goes on.
        let told = (status != RunStatus::Waiting).then_some(&outcome);
        let standing = Standing { status: Some(status), outcome: told, wake_at: Some(wake_at), release: true };
        self.journal.commit(standing).await?;
        Ok(Some(RunEnd { status, outcome, records: Arc::new(self.journal.records()) }))
    }

    /// Begins the stream of this drive.
    pub(super) fn announce(feed: &Feed) {
        feed.push(RunChunk::Start);
    }
}
