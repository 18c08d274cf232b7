//! Ending runs before their end, and removing them.

use std::sync::Weak;

use super::Workflows;
use crate::{
    engine::error::EngineError,
    store::StoreError,
    types::{id::Millis, run::RunStatus},
};

impl Workflows {
    /// Ends a run: nothing more of it is begun, what runs may end.
    ///
    /// # Errors
    /// If there is no such run, or the store fails.
    pub async fn cancel(&self, workflow_id: &str, run_id: &str) -> Result<(), EngineError> {
        loop {
            let row = self.row(workflow_id, run_id).await?;
            if row.status.is_over() {
                return Ok(());
            }
            if row.lease_until > Millis::now().0 {
                // Stored first: a host that takes the run over knows, too.
                self.shared.runs.request_cancel(run_id).await?;
                if let Some(active) = self.active().get(run_id) {
                    active.execution.cancel.cancel();
                }
                // It may have begun to wait meanwhile, without having seen the request.
                if self.row(workflow_id, run_id).await?.lease_until > 0 {
                    return Ok(());
                }
                continue;
            }
            // Driven without a lease: the host was too busy to keep it.
            if let Some(active) = self.active().get(run_id) {
                active.execution.cancel.cancel();
            }
            let settled = self.shared.runs.settle(&row, RunStatus::Canceled, &row.outcome, Millis::now().0).await;
            match settled {
                // It was taken up meanwhile: looked at again.
                Err(StoreError::NotFound(_)) => {}
                Ok(()) => {
                    self.settled_as(&row, RunStatus::Canceled);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends a run that waits if somebody wanted that while it still went on.
    pub(super) async fn cancel_if_wanted(&self, run_id: &str) {
        let canceled = async {
            let Some(row) = self.shared.runs.get(run_id).await? else { return Ok(()) };
            if !row.cancel_requested || row.status.is_over() || row.lease_until > 0 {
                return Ok(());
            }
            self.shared.runs.settle(&row, RunStatus::Canceled, &row.outcome, Millis::now().0).await?;
            self.settled_as(&row, RunStatus::Canceled);
            Ok(())
        };
        match canceled.await {
            // Whoever took it up meanwhile has seen the request.
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => tracing::warn!(run.id = run_id, %error, "whether a run is to end cannot be read"),
        }
    }

    /// Removes a run and everything of it.
    ///
    /// # Errors
    /// If there is no such run, or the store fails.
    pub async fn delete(&self, workflow_id: &str, run_id: &str) -> Result<(), EngineError> {
        self.row(workflow_id, run_id).await?;
        if let Some(active) = self.active().get(run_id) {
            active.execution.stop.cancel();
        }
        if !self.shared.runs.delete(run_id).await? {
            return Err(EngineError::UnknownWorkflowRun);
        }
        let feed = self.feeds().get(run_id).and_then(Weak::upgrade);
        if let Some(feed) = feed {
            feed.end();
        }
        Ok(())
    }
}
