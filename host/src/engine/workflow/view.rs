//! Runs as they can be looked at: how far they are, whose they are, what they were begun with.

use std::{collections::HashMap, sync::Arc};

use super::{Graphs, Workflows};
use crate::{
    engine::error::EngineError,
    store::{StoreError, runs::RunRow},
    types::run::StepRecord,
};

/// A run as it can be looked at.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Its row.
    pub row: RunRow,
    /// What its executions came to, by path.
    pub records: Arc<HashMap<String, StepRecord>>,
}

impl Workflows {
    /// Returns a run of a workflow, as it is at this moment.
    ///
    /// # Errors
    /// If there is no such workflow or run, or the store fails.
    pub async fn view(&self, workflow_id: &str, run_id: &str) -> Result<RunView, EngineError> {
        let row = self.row(workflow_id, run_id).await?;
        let live = self.active().get(run_id).map(|active| active.execution.journal.records());
        let records = match live {
            Some(records) if !row.status.is_over() => records,
            _ => self.shared.runs.records(run_id).await?,
        };
        Ok(RunView { row, records: Arc::new(records) })
    }

    /// Returns whom a run belongs to, if to anybody.
    ///
    /// # Errors
    /// As [`Workflows::view`].
    pub async fn belongs_to(&self, workflow_id: &str, run_id: &str) -> Result<Option<String>, EngineError> {
        Ok(self.row(workflow_id, run_id).await?.resource_id)
    }

    pub(super) async fn row(&self, workflow_id: &str, run_id: &str) -> Result<RunRow, EngineError> {
        let entry = self.find(workflow_id);
        let id = entry.as_ref().map_or(workflow_id, |entry| &*entry.id);
        match self.shared.runs.get(run_id).await?.filter(|row| row.workflow_id == id) {
            Some(row) => Ok(row),
            // A run outlives its workflow, so that the workflow is missing is said only then.
            None => entry.and(Err(EngineError::UnknownWorkflowRun)),
        }
    }

    /// Returns the graphs a run was begun with.
    ///
    /// # Errors
    /// If the store fails or holds what is no graph.
    pub async fn graphs(&self, row: &RunRow) -> Result<Option<Graphs>, EngineError> {
        let Some(stored) = self.shared.runs.graph(&row.graph_hash).await? else { return Ok(None) };
        Graphs::of_stored(&stored)
            .map(Some)
            .map_err(|error| EngineError::Store(StoreError::Corrupt(format!("a stored graph cannot be read: {error}"))))
    }
}
