//! Runs of workflows: one row each, a row for what each execution of a node came to, the
//! chunks of its stream, what the host answered its steps.
//!
//! Who drives a run holds its lease and knows its fence. Every write of the driver names the
//! fence; once somebody else has taken the run over, the fence is higher and the write is
//! refused as a whole.

mod read;

use std::sync::Arc;

use serde::Serialize;

use super::{
    counts,
    database::{Database, Dialect},
    error::StoreError,
    statement::{Batch, Statement},
};
use crate::types::run::{RunChunk, RunInput, RunOutcome, RunStatus, StepRecord};

pub use read::{Abandoned, RunFilter, RunHead, RunRow, Told};

/// Runs of workflows.
#[derive(Clone)]
pub struct Runs {
    pub(super) database: Database,
}

/// A run that is begun.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Names it.
    pub run_id: &'a str,
    /// The workflow.
    pub workflow_id: &'a str,
    /// Whom it is for.
    pub resource_id: Option<&'a str>,
    /// The hash of its graph.
    pub graph_hash: &'a str,
    /// What it is started with.
    pub input: &'a RunInput,
    /// How it stands: pending, or running.
    pub status: RunStatus,
    /// Its state.
    pub state: Option<&'a str>,
}

/// Who drives a run, and until when nobody else may. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// The host.
    pub owner: &'a str,
    /// The lease's end; 0 for nobody's.
    pub until: i64,
}

impl Lease<'_> {
    /// Nobody drives it.
    pub const NONE: Self = Self { owner: "", until: 0 };
}

/// What is changed of a run that is taken over.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// Records, by path.
    pub records: &'a [(&'a str, &'a StepRecord)],
    /// Paths whose records are removed; what their steps were answered is forgotten, too.
    pub gone: &'a [String],
    /// It waits for its turn first.
    pub is_queued: bool,
    /// Somebody wants it to go on, whoever wanted it to end before.
    pub is_wanted: bool,
}

/// What a driver writes at the boundary of a step, all of it or nothing.
#[derive(Debug, Default)]
pub struct Progress<'a> {
    /// How the run stands.
    pub status: Option<RunStatus>,
    /// What the executions came to, by path.
    pub records: Vec<(&'a str, &'a StepRecord)>,
    /// Chunks of the stream, and how many came before them.
    pub chunks: Option<(u64, &'a [Arc<RunChunk>])>,
    /// The state, if it changed.
    pub state: Option<String>,
    /// What came of it, if it is over or waits.
    pub outcome: Option<&'a RunOutcome>,
    /// When it goes on by itself; `Some(None)` for never.
    pub wake_at: Option<Option<i64>>,
    /// Gives the lease back.
    pub release: bool,
}

impl Runs {
    /// Whether other hosts may write them, too.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        self.database.dialect == Dialect::Postgres
    }

    /// Stores a run that does not exist yet, with fence 1.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is one of this id.
    pub async fn insert(&self, run: &NewRun<'_>, lease: Lease<'_>, now: i64) -> Result<(), StoreError> {
        let insert = Statement::new(
            "INSERT INTO workflow_runs (run_id, workflow_id, resource_id, status, graph_hash, request, state, outcome, \
             chunks, owner, lease_until, fence, wake_at, cancel_requested, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, 0, $8, $9, 1, NULL, 0, $10, $10) ON CONFLICT (run_id) DO NOTHING",
        )
        .bind(run.run_id)
        .bind(run.workflow_id)
        .bind(run.resource_id)
        .bind(run.status.as_str())
        .bind(run.graph_hash)
        .bind(json(run.input)?)
        .bind(run.state)
        .bind(lease.owner)
        .bind(lease.until)
        .bind(now)
        .guard();
        let mut batch = Batch::from(insert);
        for scope in scopes(run.workflow_id, run.resource_id) {
            batch.push(counts::add(scope, 1));
        }
        self.database.write(batch).await.map(drop)
    }

    /// Begins a stored run anew: what it came to before is gone. Returns its fence.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it changed since `before` was read.
    pub async fn overwrite(
        &self,
        run: &NewRun<'_>,
        before: &RunRow,
        lease: Lease<'_>,
        now: i64,
    ) -> Result<u64, StoreError> {
        let update = Statement::new(
            "UPDATE workflow_runs SET workflow_id = $1, resource_id = $2, status = $3, graph_hash = $4, request = $5, \
             state = $6, outcome = NULL, chunks = 0, owner = $7, lease_until = $8, fence = fence + 1, wake_at = NULL, \
             cancel_requested = 0, updated_at = $9 WHERE run_id = $10 AND fence = $11 AND workflow_id = $12 \
             AND resource_id IS NOT DISTINCT FROM $13",
        )
        .bind(run.workflow_id)
        .bind(run.resource_id)
        .bind(run.status.as_str())
        .bind(run.graph_hash)
        .bind(json(run.input)?)
        .bind(run.state)
        .bind(lease.owner)
        .bind(lease.until)
        .bind(now)
        .bind(run.run_id)
        .bind(signed(before.fence))
        .bind(&before.workflow_id)
        .bind(before.resource_id.as_deref())
        .guard();
        let mut batch = Batch::from(update);
        forget(&mut batch, run.run_id);
        // These are what they were, also if the run was removed meanwhile and stored anew.
        let was = scopes(&before.workflow_id, before.resource_id.as_deref());
        let is = scopes(run.workflow_id, run.resource_id);
        let gone = was.iter().filter(|scope| !is.contains(scope)).map(|scope| (scope, counts::take(scope)));
        let new = is.iter().filter(|scope| !was.contains(scope)).map(|scope| (scope, counts::add(scope, 1)));
        let mut changes: Vec<_> = gone.chain(new).collect();
        // In one order, so that no two who count lock each other out.
        changes.sort_by_key(|(scope, _)| *scope);
        changes.into_iter().for_each(|(_, change)| batch.push(change));
        self.database.write(batch).await?;
        Ok(before.fence + 1)
    }

    /// Writes what a driver's run came to.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the fence is not the run's: somebody else drives it.
    pub async fn advance(&self, run_id: &str, fence: u64, progress: Progress<'_>, now: i64) -> Result<(), StoreError> {
        let mut batch = Batch::from(advance(run_id, fence, &progress, now)?);
        for (path, record) in &progress.records {
            batch.push(upsert(run_id, path, record)?);
        }
        if let Some((first, chunks)) = progress.chunks {
            batch.push(
                Statement::new(
                    "INSERT INTO workflow_chunks (run_id, first, chunks) VALUES ($1, $2, $3) \
                     ON CONFLICT (run_id, first) DO UPDATE SET chunks = excluded.chunks",
                )
                .bind(run_id)
                .bind(signed(first))
                .bind(json(chunks)?),
            );
        }
        self.database.write(batch).await.map(drop)
    }

    /// Takes a run over if it is still as it was read, and changes it. Returns its fence.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it changed since `before` was read.
    pub async fn claim(
        &self,
        before: &RunRow,
        lease: Lease<'_>,
        change: &Change<'_>,
        now: i64,
    ) -> Result<u64, StoreError> {
        let claim = Statement::new(
            "UPDATE workflow_runs SET owner = $1, lease_until = $2, fence = fence + 1, status = $9, \
             wake_at = NULL, updated_at = $3, request = $4, state = $5, outcome = NULL, \
             cancel_requested = CASE WHEN $10 = 1 THEN 0 ELSE cancel_requested END \
             WHERE run_id = $6 AND fence = $7 AND status = $8",
        )
        .bind(lease.owner)
        .bind(lease.until)
        .bind(now)
        .bind(json(&before.input)?)
        .bind(before.state.as_deref())
        .bind(&before.run_id)
        .bind(signed(before.fence))
        .bind(before.status.as_str())
        .bind(if change.is_queued { RunStatus::Pending } else { RunStatus::Running }.as_str())
        .bind(i64::from(change.is_wanted))
        .guard();
        let mut batch = Batch::from(claim);
        for path in change.gone {
            let delete = Statement::new("DELETE FROM workflow_steps WHERE run_id = $1 AND path = $2");
            batch.push(delete.bind(&before.run_id).bind(path));
        }
        if !change.gone.is_empty() {
            let forget = Statement::new("DELETE FROM workflow_memos WHERE run_id = $1");
            batch.push(forget.bind(&before.run_id));
        }
        for (path, record) in change.records {
            batch.push(upsert(&before.run_id, path, record)?);
        }
        self.database.write(batch).await?;
        Ok(before.fence + 1)
    }

    /// Sets the status of a run nobody drives.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it changed since `before` was read.
    pub async fn settle(
        &self,
        before: &RunRow,
        status: RunStatus,
        outcome: &RunOutcome,
        now: i64,
    ) -> Result<(), StoreError> {
        let settle = Statement::new(
            "UPDATE workflow_runs SET status = $1, outcome = $2, owner = '', lease_until = 0, fence = fence + 1, \
             wake_at = NULL, updated_at = $3 WHERE run_id = $4 AND fence = $5",
        )
        .bind(status.as_str())
        .bind(json(outcome)?)
        .bind(now)
        .bind(&before.run_id)
        .bind(signed(before.fence))
        .guard();
        self.database.write(settle).await.map(drop)
    }

    /// Asks whoever drives a run to end it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn request_cancel(&self, run_id: &str) -> Result<(), StoreError> {
        let request = Statement::new("UPDATE workflow_runs SET cancel_requested = 1 WHERE run_id = $1").bind(run_id);
        self.database.write(request).await.map(drop)
    }

    /// Removes a run and everything of it. Returns whether there was one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, run_id: &str) -> Result<bool, StoreError> {
        // Others who remove it wait here, and then find that it is gone.
        let lock = Statement::new("UPDATE workflow_runs SET fence = fence WHERE run_id = $1").bind(run_id).guard();
        let mut batch = Batch::from(lock);
        for scope in [
            "SELECT 'runs/' || LENGTH(workflow_id) || '/' || workflow_id",
            "SELECT 'runs/' || LENGTH(workflow_id) || '/' || workflow_id || '/' || resource_id",
        ] {
            let sql =
                format!("UPDATE counts SET n = n - 1 WHERE scope = ({scope} FROM workflow_runs WHERE run_id = $1)");
            batch.push(Statement::composed(sql).bind(run_id));
        }
        batch.push(Statement::new("DELETE FROM workflow_runs WHERE run_id = $1").bind(run_id));
        forget(&mut batch, run_id);
        match self.database.write(batch).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Keeps the leases of a host's runs.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keep(&self, lease: Lease<'_>) -> Result<(), StoreError> {
        let keep = Statement::new(
            "UPDATE workflow_runs SET lease_until = $1 WHERE owner = $2 AND lease_until > 0 \
             AND status IN ('running', 'waiting', 'pending')",
        )
        .bind(lease.until)
        .bind(lease.owner);
        self.database.write(keep).await.map(drop)
    }

    /// Ends the leases a former process of this host held.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn give_up_all(&self, owner: &str) -> Result<(), StoreError> {
        let held = Statement::new("SELECT run_id FROM workflow_runs WHERE owner = $1 AND lease_until > 0 LIMIT 1");
        if self.database.row(held.bind(owner)).await?.is_none() {
            return Ok(());
        }
        let release = Statement::new("UPDATE workflow_runs SET lease_until = 0 WHERE owner = $1 AND lease_until > 0");
        self.database.write(release.bind(owner)).await.map(drop)
    }

    /// Stores a graph under its hash; the same graph may be there.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put_graph(&self, hash: &str, graph: &str) -> Result<(), StoreError> {
        let put =
            Statement::new("INSERT INTO workflow_graphs (hash, graph) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING");
        self.database.write(put.bind(hash).bind(graph)).await.map(drop)
    }

    /// Stores what the host answered a request of a step.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put_memo(&self, run_id: &str, fence: u64, key: &str, answer: &str) -> Result<(), StoreError> {
        // The guard comes first: who no longer drives the run writes nothing.
        let guard = Statement::new("UPDATE workflow_runs SET fence = fence WHERE run_id = $1 AND fence = $2")
            .bind(run_id)
            .bind(signed(fence))
            .guard();
        let put = Statement::new(
            "INSERT INTO workflow_memos (run_id, key, answer) VALUES ($1, $2, $3) ON CONFLICT (run_id, key) DO NOTHING",
        );
        self.database.write([guard, put.bind(run_id).bind(key).bind(answer)]).await.map(drop)
    }
}

fn advance(run_id: &str, fence: u64, progress: &Progress<'_>, now: i64) -> Result<Statement, StoreError> {
    let mut sql = String::from("UPDATE workflow_runs SET updated_at = $3");
    let mut next = 4;
    let mut set = |column: &str| {
        sql.push_str(&format!(", {column} = ${next}"));
        next += 1;
    };
    progress.status.is_some().then(|| set("status"));
    progress.chunks.is_some().then(|| set("chunks"));
    progress.state.is_some().then(|| set("state"));
    progress.outcome.is_some().then(|| set("outcome"));
    progress.wake_at.is_some().then(|| set("wake_at"));
    progress.release.then(|| set("lease_until"));
    sql.push_str(" WHERE run_id = $1 AND fence = $2");
    let mut statement = Statement::composed(sql).bind(run_id).bind(signed(fence)).bind(now);
    if let Some(status) = progress.status {
        statement = statement.bind(status.as_str());
    }
    if let Some((first, chunks)) = progress.chunks {
        statement = statement.bind(signed(first) + i64::try_from(chunks.len()).unwrap_or(i64::MAX));
    }
    if let Some(state) = &progress.state {
        statement = statement.bind(state);
    }
    if let Some(outcome) = progress.outcome {
        statement = statement.bind(json(outcome)?);
    }
    if let Some(wake_at) = progress.wake_at {
        statement = statement.bind(wake_at);
    }
    if progress.release {
        statement = statement.bind(0);
    }
    Ok(statement.guard())
}

fn upsert(run_id: &str, path: &str, record: &StepRecord) -> Result<Statement, StoreError> {
    let upsert = Statement::new(
        "INSERT INTO workflow_steps (run_id, path, record) VALUES ($1, $2, $3) \
         ON CONFLICT (run_id, path) DO UPDATE SET record = excluded.record",
    );
    Ok(upsert.bind(run_id).bind(path).bind(json(record)?))
}

/// Returns the totals a run is counted in.
fn scopes(workflow: &str, owner: Option<&str>) -> Vec<String> {
    let owned = owner.map(|owner| counts::runs_of(workflow, Some(owner)));
    [counts::runs_of(workflow, None)].into_iter().chain(owned).collect()
}

/// Removes what belongs to a run beside its row.
fn forget(batch: &mut Batch, run_id: &str) {
    for sql in [
        "DELETE FROM workflow_steps WHERE run_id = $1",
        "DELETE FROM workflow_chunks WHERE run_id = $1",
        "DELETE FROM workflow_memos WHERE run_id = $1",
    ] {
        batch.push(Statement::new(sql).bind(run_id));
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(error.to_string().into()))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
