//! Runs of agents that wait for somebody: put aside whole, taken out by exactly one.

use super::{
    Store,
    database::{Database, column},
    error::StoreError,
    statement::Statement,
};
use crate::types::id::{self, Millis};

impl Store {
    /// Returns the suspended runs of agents.
    pub(crate) fn suspended(&self) -> SuspendedRows<'_> {
        SuspendedRows { database: &self.database }
    }
}

/// The suspended runs of a store.
#[derive(Clone, Copy)]
pub(crate) struct SuspendedRows<'a> {
    database: &'a Database,
}

/// A run put aside.
#[derive(Debug, Clone)]
pub(crate) struct SuspendedRow {
    /// The run.
    pub(crate) run_id: String,
    /// Whose run it is.
    pub(crate) agent_id: String,
    /// Names this suspension of the run.
    pub(crate) version: String,
    /// Everything it needs to go on, JSON.
    pub(crate) state: String,
}

impl SuspendedRow {
    /// Returns a row for a run that waits from here on.
    pub(crate) fn new(run_id: String, agent_id: String, state: String) -> Self {
        Self { run_id, agent_id, version: id::fresh(), state }
    }

    /// Returns the statement that puts it aside.
    pub(super) fn put(&self) -> Statement {
        Statement::new(
            "INSERT INTO suspended_agent_runs (run_id, agent_id, version, state, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (run_id) DO UPDATE SET agent_id = excluded.agent_id, version = excluded.version, \
             state = excluded.state, created_at = excluded.created_at",
        )
        .bind(&self.run_id)
        .bind(&self.agent_id)
        .bind(&self.version)
        .bind(&self.state)
        .bind(Millis::now().0)
    }
}

impl SuspendedRows<'_> {
    /// Returns a suspended run, which stays where it is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn get(&self, run_id: &str) -> Result<Option<SuspendedRow>, StoreError> {
        let query = Statement::new("SELECT agent_id, version, state FROM suspended_agent_runs WHERE run_id = $1");
        let Some(row) = self.database.row(query.bind(run_id)).await? else { return Ok(None) };
        Ok(Some(SuspendedRow {
            run_id: run_id.to_owned(),
            agent_id: column(&row, "agent_id")?,
            version: column(&row, "version")?,
            state: column(&row, "state")?,
        }))
    }

    /// Takes a suspended run out as it was read. Of several who try one gets it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if somebody else has it.
    pub(crate) async fn take(&self, row: &SuspendedRow) -> Result<(), StoreError> {
        let delete = Statement::new("DELETE FROM suspended_agent_runs WHERE run_id = $1 AND version = $2");
        self.database.write(delete.bind(&row.run_id).bind(&row.version).guard()).await?;
        Ok(())
    }
}
