//! Runs of agents that wait for somebody: put aside whole, claimed by exactly one.
//!
//! The row of a run that goes on stays until what came of it is stored, so that a crash in
//! between leaves the run as it waited. Each claim has a version of its own, which every write
//! of its holder names: once somebody else has the run, these are refused.

use super::{
    Store,
    database::{Database, column},
    error::StoreError,
    runs::Lease,
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
    /// Until when somebody goes on with it, milliseconds since 1970; 0 if nobody does.
    pub(crate) claimed_until: i64,
}

/// Names one attempt to go on with a run.
#[derive(Debug, Clone)]
pub(crate) struct SuspendedClaim {
    run_id: String,
    version: String,
}

impl SuspendedRow {
    /// Returns a row for a run that waits from here on.
    pub(crate) fn new(run_id: String, agent_id: String, state: String) -> Self {
        Self { run_id, agent_id, version: id::fresh(), state, claimed_until: 0 }
    }

    /// Returns the name of an attempt to go on with it.
    pub(crate) fn attempt(&self) -> SuspendedClaim {
        SuspendedClaim { run_id: self.run_id.clone(), version: id::fresh() }
    }

    /// Whether somebody goes on with it.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed_until > Millis::now().0
    }

    /// Returns the statement that puts it aside.
    pub(super) fn put(&self) -> Statement {
        Statement::new(
            "INSERT INTO suspended_agent_runs (run_id, agent_id, version, state, claimed_until, created_at) \
             VALUES ($1, $2, $3, $4, 0, $5) \
             ON CONFLICT (run_id) DO UPDATE SET agent_id = excluded.agent_id, version = excluded.version, \
             state = excluded.state, claimed_by = NULL, claimed_until = 0, created_at = excluded.created_at",
        )
        .bind(&self.run_id)
        .bind(&self.agent_id)
        .bind(&self.version)
        .bind(&self.state)
        .bind(Millis::now().0)
    }
}

impl SuspendedClaim {
    /// Returns the statement that ends a run that was gone on with: its batch is refused if
    /// somebody else has the run.
    pub(super) fn end(&self) -> Statement {
        Statement::new("DELETE FROM suspended_agent_runs WHERE run_id = $1 AND version = $2")
            .bind(&self.run_id)
            .bind(&self.version)
            .guard()
    }
}

impl SuspendedRows<'_> {
    /// Returns a suspended run, which stays where it is.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn get(&self, run_id: &str) -> Result<Option<SuspendedRow>, StoreError> {
        let query = Statement::new(
            "SELECT agent_id, version, state, claimed_until FROM suspended_agent_runs WHERE run_id = $1",
        );
        let Some(row) = self.database.row(query.bind(run_id)).await? else { return Ok(None) };
        Ok(Some(SuspendedRow {
            run_id: run_id.to_owned(),
            agent_id: column(&row, "agent_id")?,
            version: column(&row, "version")?,
            state: column(&row, "state")?,
            claimed_until: column(&row, "claimed_until")?,
        }))
    }

    /// Claims a suspended run as it was read, for the one that goes on with it until the claim
    /// ends. Of several who try one gets it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if somebody else has it.
    pub(crate) async fn claim(
        &self,
        row: &SuspendedRow,
        claim: &SuspendedClaim,
        lease: Lease<'_>,
    ) -> Result<(), StoreError> {
        let update = Statement::new(
            "UPDATE suspended_agent_runs SET version = $1, claimed_by = $2, claimed_until = $3 \
             WHERE run_id = $4 AND version = $5 AND claimed_until <= $6",
        )
        .bind(&claim.version)
        .bind(lease.owner)
        .bind(lease.until)
        .bind(&row.run_id)
        .bind(&row.version)
        .bind(Millis::now().0)
        .guard();
        self.database.write(update).await.map(drop)
    }

    /// Keeps a claim until the end of `lease`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if somebody else has the run.
    pub(crate) async fn keep(&self, claim: &SuspendedClaim, lease: Lease<'_>) -> Result<(), StoreError> {
        let keep =
            Statement::new("UPDATE suspended_agent_runs SET claimed_until = $1 WHERE run_id = $2 AND version = $3");
        self.database.write(keep.bind(lease.until).bind(&claim.run_id).bind(&claim.version).guard()).await.map(drop)
    }

    /// Gives a claim back; the run waits as before. One that is gone is no error.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn give_back(&self, claim: &SuspendedClaim) -> Result<(), StoreError> {
        let release = Statement::new(
            "UPDATE suspended_agent_runs SET claimed_by = NULL, claimed_until = 0 WHERE run_id = $1 AND version = $2",
        );
        self.database.write(release.bind(&claim.run_id).bind(&claim.version)).await.map(drop)
    }

    /// Gives back every claim of a host.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn give_back_all(&self, owner: &str) -> Result<(), StoreError> {
        let claimed = Statement::new("SELECT run_id FROM suspended_agent_runs WHERE claimed_by = $1 LIMIT 1");
        // Most often there is none, and then nothing is worth a commit.
        if self.database.row(claimed.bind(owner)).await?.is_none() {
            return Ok(());
        }
        let release = Statement::new(
            "UPDATE suspended_agent_runs SET claimed_by = NULL, claimed_until = 0 WHERE claimed_by = $1",
        );
        self.database.write(release.bind(owner)).await.map(drop)
    }
}
