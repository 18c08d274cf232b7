//! Reading runs back.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};
use sqlx::any::AnyRow;

use super::{Runs, signed};
use crate::{
    store::{
        counts,
        database::column,
        error::StoreError,
        filter::{self, Filter},
        statement::Statement,
    },
    types::{
        list::Listed,
        run::{RunChunk, RunInput, RunOutcome, RunStatus, StepRecord, StepStatus},
    },
};

/// A stored run. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// Names it.
    pub run_id: String,
    /// The workflow.
    pub workflow_id: String,
    /// Whom it is for.
    pub resource_id: Option<String>,
    /// How it stands.
    pub status: RunStatus,
    /// The hash of its graph.
    pub graph_hash: String,
    /// What it was started with.
    pub input: RunInput,
    /// Its state, a JSON document.
    pub state: Option<String>,
    /// What came of it.
    pub outcome: RunOutcome,
    /// How many chunks its stream has had.
    pub chunks: u64,
    /// Who drives it, if the lease has not ended.
    pub owner: String,
    /// When the lease ends.
    pub lease_until: i64,
    /// How often it changed hands.
    pub fence: u64,
    /// When it goes on by itself.
    pub wake_at: Option<i64>,
    /// Somebody wants it to end.
    pub cancel_requested: bool,
    /// When it was made.
    pub created_at: i64,
    /// When it changed last.
    pub updated_at: i64,
}

impl RunRow {
    /// Replaces what is passed to the run's steps, if there is anything to pass.
    pub fn set_context(&mut self, context: Option<Map<String, Value>>) {
        if let Some(context) = context.filter(|context| !context.is_empty()) {
            self.input.request_context = context;
        }
    }
}

/// What a list tells of a run without what went in and came out. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHead {
    /// Names it.
    pub run_id: String,
    /// The workflow.
    pub workflow_id: String,
    /// Whom it is for.
    pub resource_id: Option<String>,
    /// How it stands.
    pub status: RunStatus,
    /// When it goes on by itself.
    pub wake_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it changed last.
    pub updated_at: i64,
}

/// Which runs are wanted.
#[derive(Debug, Clone, Default)]
pub struct RunFilter<'a> {
    /// Of this workflow; of all if absent.
    pub workflow_id: Option<&'a str>,
    /// For this one.
    pub resource_id: Option<&'a str>,
    /// That stand so.
    pub status: Option<RunStatus>,
    /// Made at this time or later.
    pub from: Option<i64>,
    /// Made at this time or earlier.
    pub to: Option<i64>,
    /// How many; all if absent.
    pub limit: Option<u64>,
    /// After so many, newest first.
    pub offset: u64,
}

/// A run that should go on and that nobody drives.
#[derive(Debug)]
pub struct Abandoned {
    /// Names it.
    pub run_id: String,
    /// The run, or why what is stored of it cannot be read.
    pub row: Result<RunRow, StoreError>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// How it stands.
    pub status: RunStatus,
    /// How many chunks its stream has had.
    pub chunks: u64,
}

const COLUMNS: &str = "run_id, workflow_id, resource_id, status, graph_hash, request, state, outcome, chunks, owner, \
                       lease_until, fence, wake_at, cancel_requested, created_at, updated_at";

const HEAD_COLUMNS: &str = "run_id, workflow_id, resource_id, status, wake_at, created_at, updated_at";

impl Runs {
    /// Returns a run.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, run_id: &str) -> Result<Option<RunRow>, StoreError> {
        let query = Statement::composed(format!("SELECT {COLUMNS} FROM workflow_runs WHERE run_id = $1")).bind(run_id);
        self.database.row(query).await?.as_ref().map(read).transpose()
    }

    /// Returns what a run's executions came to, by path.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn records(&self, run_id: &str) -> Result<HashMap<String, StepRecord>, StoreError> {
        let query = Statement::new("SELECT path, record FROM workflow_steps WHERE run_id = $1").bind(run_id);
        let mut records = HashMap::new();
        for row in self.database.rows(query).await? {
            let record: &str = column(&row, "record")?;
            let record = serde_json::from_str(record).map_err(|error| StoreError::unreadable("a step", error))?;
            records.insert(column(&row, "path")?, record);
        }
        Ok(records)
    }

    /// Returns what the executions of several runs came to, by run and path.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn records_of(&self, runs: &[&str]) -> Result<HashMap<String, HashMap<String, StepRecord>>, StoreError> {
        let mut found: HashMap<String, HashMap<String, StepRecord>> = HashMap::new();
        for runs in runs.chunks(200) {
            let places = filter::places(1, runs.len());
            let sql = format!("SELECT run_id, path, record FROM workflow_steps WHERE run_id IN ({places})");
            let query = runs.iter().fold(Statement::composed(sql), |query, run| query.bind(*run));
            for row in self.database.rows(query).await? {
                let record: &str = column(&row, "record")?;
                let record = serde_json::from_str(record).map_err(|error| StoreError::unreadable("a step", error))?;
                found.entry(column(&row, "run_id")?).or_default().insert(column(&row, "path")?, record);
            }
        }
        Ok(found)
    }

    /// Returns a run's chunks from the `from`-th on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn chunks(&self, run_id: &str, from: u64) -> Result<Vec<RunChunk>, StoreError> {
        // The row that holds the `from`-th begins at or before it.
        let query = Statement::new(
            "SELECT first, chunks FROM workflow_chunks WHERE run_id = $1 AND first >= \
             COALESCE((SELECT MAX(first) FROM workflow_chunks WHERE run_id = $1 AND first <= $2), 0) ORDER BY first",
        );
        let mut found = Vec::new();
        for row in self.database.rows(query.bind(run_id).bind(signed(from))).await? {
            let first = unsigned(column(&row, "first")?);
            let chunks: &str = column(&row, "chunks")?;
            let chunks: Vec<RunChunk> =
                serde_json::from_str(chunks).map_err(|error| StoreError::unreadable("a chunk", error))?;
            let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
            found.extend(chunks.into_iter().skip(skipped));
        }
        Ok(found)
    }

    /// Returns what the host answered a request of a step.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn memo(&self, run_id: &str, key: &str) -> Result<Option<String>, StoreError> {
        let query = Statement::new("SELECT answer FROM workflow_memos WHERE run_id = $1 AND key = $2");
        let row = self.database.row(query.bind(run_id).bind(key)).await?;
        row.as_ref().map(|row| column(row, "answer")).transpose()
    }

    /// Returns how far those of the runs that are there have come.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn told(&self, runs: &[&str]) -> Result<HashMap<String, Told>, StoreError> {
        let mut found = HashMap::new();
        for runs in runs.chunks(200) {
            let places = filter::places(1, runs.len());
            let sql = format!("SELECT run_id, status, chunks FROM workflow_runs WHERE run_id IN ({places})");
            let query = runs.iter().fold(Statement::composed(sql), |query, run| query.bind(*run));
            for row in self.database.rows(query).await? {
                let told = Told { status: status(&row)?, chunks: unsigned(column(&row, "chunks")?) };
                found.insert(column(&row, "run_id")?, told);
            }
        }
        Ok(found)
    }

    /// Returns the graph with this hash.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn graph(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let query = Statement::new("SELECT graph FROM workflow_graphs WHERE hash = $1").bind(hash);
        self.database.row(query).await?.as_ref().map(|row| column(row, "graph")).transpose()
    }

    /// Lists runs, newest first. By workflow or owner alone this takes the same time however many
    /// there are; by status or time they are counted from an index.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, wanted: &RunFilter<'_>) -> Result<Listed<RunRow>, StoreError> {
        self.page(wanted, COLUMNS, read).await
    }

    /// Lists runs as [`Runs::list`], without what went in and came out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn heads(&self, wanted: &RunFilter<'_>) -> Result<Listed<RunHead>, StoreError> {
        self.page(wanted, HEAD_COLUMNS, head).await
    }

    async fn page<R>(
        &self,
        wanted: &RunFilter<'_>,
        columns: &str,
        read: fn(&AnyRow) -> Result<R, StoreError>,
    ) -> Result<Listed<R>, StoreError> {
        let total = self.total(wanted).await?;
        let limit = wanted.limit.map_or(i64::MAX, signed);
        if limit == 0 || wanted.offset >= total {
            return Ok(Listed { entries: Vec::new(), total });
        }
        let tail = format!("ORDER BY created_at DESC, run_id DESC LIMIT {limit} OFFSET {}", signed(wanted.offset));
        let query = condition(wanted).query(&format!("SELECT {columns} FROM workflow_runs"), &tail);
        let rows = self.database.rows(query).await?;
        let entries = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Listed::counted_before(total, wanted.offset, entries))
    }

    async fn total(&self, wanted: &RunFilter<'_>) -> Result<u64, StoreError> {
        let query = match wanted {
            RunFilter { workflow_id: Some(workflow), resource_id, status: None, from: None, to: None, .. } => {
                return counts::read(&self.database, &counts::runs_of(workflow, *resource_id)).await;
            }
            RunFilter { resource_id, status: None, from: None, to: None, .. } => counts::runs_of_all(*resource_id),
            _ => condition(wanted).query("SELECT COUNT(*) AS n FROM workflow_runs", ""),
        };
        self.database.row(query).await?.map_or(Ok(0), |row| column(&row, "n").map(unsigned))
    }

    /// Returns the steps at which these runs wait for somebody, by run.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn waiting_at(&self, runs: &[&str]) -> Result<HashMap<String, BTreeSet<String>>, StoreError> {
        /// What is read of a record: its results may be large.
        #[derive(Deserialize)]
        struct Place {
            step: String,
            status: StepStatus,
            waits_inside: Option<String>,
        }
        let mut found: HashMap<String, BTreeSet<String>> = HashMap::new();
        for runs in runs.chunks(200) {
            let places = filter::places(1, runs.len());
            let sql = format!(
                "SELECT run_id, record FROM workflow_steps WHERE run_id IN ({places}) \
                 AND record LIKE '%\"status\":\"suspended\"%'"
            );
            let query = runs.iter().fold(Statement::composed(sql), |query, run| query.bind(*run));
            for row in self.database.rows(query).await? {
                let record: &str = column(&row, "record")?;
                let place: Place =
                    serde_json::from_str(record).map_err(|error| StoreError::unreadable("a step", error))?;
                // Where a workflow inside waits, its step says so itself.
                if place.status == StepStatus::Suspended && place.waits_inside.is_none() {
                    found.entry(column(&row, "run_id")?).or_default().insert(place.step);
                }
            }
        }
        Ok(found)
    }

    /// Counts the runs of these workflows that stand in one of `statuses`, by workflow and status.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn counts(
        &self,
        workflows: &[String],
        statuses: &[RunStatus],
    ) -> Result<Vec<(String, RunStatus, u64)>, StoreError> {
        if workflows.is_empty() || statuses.is_empty() {
            return Ok(Vec::new());
        }
        let statuses: Vec<String> = statuses.iter().map(|status| status.as_str().to_owned()).collect();
        let mut filter = Filter::default();
        filter.and_one_of("workflow_id", workflows);
        filter.and_one_of("status", &statuses);
        let head = "SELECT workflow_id, status, COUNT(*) AS n FROM workflow_runs";
        let rows = self.database.rows(filter.query(head, "GROUP BY workflow_id, status")).await?;
        rows.iter().map(|row| Ok((column(row, "workflow_id")?, status(row)?, unsigned(column(row, "n")?)))).collect()
    }

    /// Returns runs of these workflows that should go on and that nobody drives: running ones,
    /// and waiting ones whose time has come. The longest forgotten first, after so many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn abandoned(
        &self,
        workflows: &[&str],
        now: i64,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<Abandoned>, StoreError> {
        if workflows.is_empty() {
            return Ok(Vec::new());
        }
        let places = filter::places(4, workflows.len());
        let sql = format!(
            "SELECT {COLUMNS} FROM workflow_runs WHERE status IN ('running', 'waiting', 'pending') AND lease_until < $1 \
             AND (status <> 'pending' OR owner <> '') \
             AND (wake_at IS NULL OR wake_at <= $1) AND workflow_id IN ({places}) ORDER BY lease_until, created_at, run_id LIMIT $2 OFFSET $3"
        );
        let query = Statement::composed(sql).bind(now).bind(signed(limit)).bind(signed(offset));
        let query = workflows.iter().fold(query, |query, workflow| query.bind(*workflow));
        let rows = self.database.rows(query).await?;
        rows.iter().map(|row| Ok(Abandoned { run_id: column(row, "run_id")?, row: read(row) })).collect()
    }

    /// Returns when, after `now`, the next run is one nobody drives that is to go on: it is to be woken, or
    /// its lease ends.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn next_wake(&self, now: i64) -> Result<Option<i64>, StoreError> {
        let query = Statement::new(
            "SELECT (SELECT MIN(wake_at) FROM workflow_runs WHERE status = 'waiting' AND wake_at > $1) AS wake, \
             (SELECT MIN(lease_until) FROM workflow_runs \
             WHERE status IN ('running', 'waiting', 'pending') AND lease_until >= $1) AS lease",
        );
        let Some(row) = self.database.row(query.bind(now)).await? else { return Ok(None) };
        let (wake, lease): (Option<i64>, Option<i64>) = (column(&row, "wake")?, column(&row, "lease")?);
        Ok(wake.into_iter().chain(lease.map(|lease| lease.saturating_add(1))).min())
    }

    /// Returns which of a host's runs somebody wants to end.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn to_cancel(&self, owner: &str) -> Result<Vec<String>, StoreError> {
        let query = Statement::new(
            "SELECT run_id FROM workflow_runs WHERE status IN ('running', 'waiting', 'pending') AND owner = $1 \
             AND cancel_requested = 1 AND lease_until > 0",
        );
        self.database.rows(query.bind(owner)).await?.iter().map(|row| column(row, "run_id")).collect()
    }
}

fn condition(wanted: &RunFilter<'_>) -> Filter {
    let mut filter = Filter::default();
    if let Some(workflow) = wanted.workflow_id {
        filter.and("workflow_id = ?", [workflow.into()]);
    }
    if let Some(resource) = wanted.resource_id {
        filter.and("resource_id = ?", [resource.into()]);
    }
    if let Some(status) = wanted.status {
        filter.and("status = ?", [status.as_str().into()]);
    }
    if let Some(from) = wanted.from {
        filter.and("created_at >= ?", [from.into()]);
    }
    if let Some(to) = wanted.to {
        filter.and("created_at <= ?", [to.into()]);
    }
    filter
}

fn status(row: &AnyRow) -> Result<RunStatus, StoreError> {
    let name: &str = column(row, "status")?;
    RunStatus::of(name).ok_or_else(|| StoreError::Corrupt(format!("a run has the status `{name}`")))
}

fn head(row: &AnyRow) -> Result<RunHead, StoreError> {
    Ok(RunHead {
        run_id: column(row, "run_id")?,
        workflow_id: column(row, "workflow_id")?,
        resource_id: column(row, "resource_id")?,
        status: status(row)?,
        wake_at: column(row, "wake_at")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}

fn read(row: &AnyRow) -> Result<RunRow, StoreError> {
    let input: &str = column(row, "request")?;
    let outcome: Option<&str> = column(row, "outcome")?;
    let owner: Option<String> = column(row, "owner")?;
    let unreadable = |error| StoreError::unreadable("a run", error);
    Ok(RunRow {
        run_id: column(row, "run_id")?,
        workflow_id: column(row, "workflow_id")?,
        resource_id: column(row, "resource_id")?,
        status: status(row)?,
        graph_hash: column(row, "graph_hash")?,
        input: serde_json::from_str(input).map_err(unreadable)?,
        state: column(row, "state")?,
        outcome: outcome.map(serde_json::from_str).transpose().map_err(unreadable)?.unwrap_or_default(),
        chunks: unsigned(column(row, "chunks")?),
        owner: owner.unwrap_or_default(),
        lease_until: column(row, "lease_until")?,
        fence: unsigned(column(row, "fence")?),
        wake_at: column(row, "wake_at")?,
        cancel_requested: column::<i64>(row, "cancel_requested")? != 0,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
