//! Following a run to its end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Drive, RunEnd, Subscription, Workflows, execution::Execution, feed::Feed, others::GLANCE};
use crate::{engine::error::EngineError, types::run::RunStatus};

/// A run that goes on, for those who want to follow it. Dropping it changes nothing.
pub struct RunHandle {
    workflows: Workflows,
    execution: Arc<Execution>,
    ended: watch::Receiver<Drive>,
    feed: Arc<Feed>,
    /// How many chunks its stream had before.
    chunks: u64,
}

impl RunHandle {
    pub(super) fn new(
        workflows: &Workflows,
        execution: &Arc<Execution>,
        ended: watch::Receiver<Drive>,
        feed: &Arc<Feed>,
        chunks: u64,
    ) -> Self {
        let (workflows, execution, feed) = (workflows.clone(), Arc::clone(execution), Arc::clone(feed));
        Self { workflows, execution, ended, feed, chunks }
    }

    /// Returns the run's id.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.execution.run_id
    }

    /// Returns what the run was started with.
    #[must_use]
    pub fn input(&self) -> &crate::types::run::RunInput {
        &self.execution.input
    }

    /// Returns the workflow's graphs.
    #[must_use]
    pub fn program(&self) -> &super::Program {
        &self.execution.program
    }

    /// Listens to the run's stream from where it goes on. With `stays` a suspension is not its end.
    #[must_use]
    pub fn subscribe(&self, stays: bool) -> Subscription {
        let (runs, run_id) = (self.workflows.runs().clone(), Arc::clone(&self.execution.run_id));
        Subscription::new(&self.feed, runs, run_id, self.chunks, stays)
    }

    /// Waits until the run is over or waits for somebody, whoever drives it.
    ///
    /// # Errors
    /// If the run is deleted meanwhile, the store fails, or the host stops.
    pub async fn end(mut self) -> Result<RunEnd, EngineError> {
        let ended = self.ended.wait_for(|drive| matches!(drive, Drive::Ended(_))).await.map(|drive| drive.clone());
        if let Ok(Drive::Ended(Some(end))) = ended
            && end.status != RunStatus::Waiting
        {
            return Ok(*end);
        }
        let (workflow, run_id) = (self.execution.program.root.id.to_string(), self.execution.run_id.to_string());
        let (workflows, stop) = (self.workflows.clone(), self.execution.stop.clone());
        // What the drive held is not needed while somebody else goes on.
        drop(self);
        workflows.settled(&workflow, &run_id, &stop).await
    }
}

impl Workflows {
    /// Looks at a run until it is over or waits for somebody.
    pub(super) async fn settled(
        &self,
        workflow: &str,
        run_id: &str,
        stop: &CancellationToken,
    ) -> Result<RunEnd, EngineError> {
        loop {
            let view = self.view(workflow, run_id).await?;
            if !matches!(view.row.status, RunStatus::Running | RunStatus::Waiting | RunStatus::Pending) {
                return Ok(RunEnd { status: view.row.status, outcome: view.row.outcome, records: view.records });
            }
            tokio::select! {
                () = tokio::time::sleep(GLANCE) => {}
                () = stop.cancelled() => {
                    return Err(EngineError::Conflict(format!("the host stops; run {run_id} goes on when it is back")));
                }
            }
        }
    }
}
