//! When workflows start by themselves: one row a schedule, and when it is due next.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::any::AnyRow;

use super::{
    database::{Database, column},
    error::StoreError,
    statement::Statement,
};

/// When workflows start by themselves.
#[derive(Clone)]
pub struct Schedules {
    pub(super) database: Database,
}

/// What a schedule says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Definition {
    /// Minute, hour, day of month, month, day of week, as cron writes them.
    pub cron: String,
    /// IANA name of the time zone, UTC if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The runs' input.
    pub input: Value,
}

/// A stored schedule. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct ScheduleRow {
    /// Names it.
    pub id: String,
    /// The workflow it starts.
    pub workflow_id: String,
    /// What it says.
    pub definition: Definition,
    /// Whether it starts nothing for now.
    pub is_paused: bool,
    /// When it is due next.
    pub next_at: Option<i64>,
    /// When it last was.
    pub last_at: Option<i64>,
    /// The run it started last.
    pub last_run_id: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it changed last.
    pub updated_at: i64,
}

const COLUMNS: &str = "id, workflow_id, definition, status, next_at, last_at, last_run_id, created_at, updated_at";

impl Schedules {
    /// Stores what a schedule says. One that says the same already keeps its time.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put(
        &self,
        id: &str,
        workflow_id: &str,
        definition: &Definition,
        next_at: Option<i64>,
        now: i64,
    ) -> Result<(), StoreError> {
        let text = serde_json::to_string(definition).map_err(|error| StoreError::Refused(error.to_string().into()))?;
        let put = Statement::new(
            "INSERT INTO schedules (id, workflow_id, definition, status, next_at, created_at, updated_at) \
             VALUES ($1, $2, $3, 'active', $4, $5, $5) ON CONFLICT (id) DO UPDATE SET workflow_id = excluded.workflow_id, \
             definition = excluded.definition, next_at = excluded.next_at, updated_at = excluded.updated_at \
             WHERE schedules.definition <> excluded.definition",
        );
        self.database.write(put.bind(id).bind(workflow_id).bind(text).bind(next_at).bind(now)).await.map(drop)
    }

    /// Lists the schedules, of one workflow or of all.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, workflow_id: Option<&str>) -> Result<Vec<ScheduleRow>, StoreError> {
        let condition = if workflow_id.is_some() { " WHERE workflow_id = $1" } else { "" };
        let query = Statement::composed(format!("SELECT {COLUMNS} FROM schedules{condition} ORDER BY id"));
        let query = workflow_id.into_iter().fold(query, Statement::bind);
        self.database.rows(query).await?.iter().map(read).collect()
    }

    /// Returns a schedule.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn get(&self, id: &str) -> Result<Option<ScheduleRow>, StoreError> {
        let query = Statement::composed(format!("SELECT {COLUMNS} FROM schedules WHERE id = $1")).bind(id);
        self.database.row(query).await?.as_ref().map(read).transpose()
    }

    /// Returns the schedules of these workflows that are due.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn due(&self, now: i64) -> Result<Vec<ScheduleRow>, StoreError> {
        let query = Statement::composed(format!(
            "SELECT {COLUMNS} FROM schedules WHERE status = 'active' AND next_at IS NOT NULL AND next_at <= $1 ORDER BY next_at"
        ));
        self.database.rows(query.bind(now)).await?.iter().map(read).collect()
    }

    /// Returns when, after `now`, the next schedule is due.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn next_due(&self, now: i64) -> Result<Option<i64>, StoreError> {
        let query = Statement::new(
            "SELECT next_at FROM schedules WHERE status = 'active' AND next_at > $1 ORDER BY next_at LIMIT 1",
        );
        self.database.row(query.bind(now)).await?.as_ref().map(|row| column(row, "next_at")).transpose()
    }

    /// Takes note that a schedule started a run, if nobody else did for the same time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if another host was faster.
    pub async fn fire(
        &self,
        before: &ScheduleRow,
        run_id: &str,
        next_at: Option<i64>,
        now: i64,
    ) -> Result<(), StoreError> {
        let fire = Statement::new(
            "UPDATE schedules SET next_at = $1, last_at = $2, last_run_id = $3, updated_at = $2 \
             WHERE id = $4 AND next_at = $5 AND status = 'active'",
        )
        .bind(next_at)
        .bind(now)
        .bind(run_id)
        .bind(&before.id)
        .bind(before.next_at)
        .guard();
        self.database.write(fire).await.map(drop)
    }

    /// Stops a schedule from starting runs, or lets it, from `next_at` on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none of this id.
    pub async fn set_paused(
        &self,
        id: &str,
        is_paused: bool,
        next_at: Option<i64>,
        now: i64,
    ) -> Result<(), StoreError> {
        let status = if is_paused { "paused" } else { "active" };
        let set = Statement::new("UPDATE schedules SET status = $1, next_at = $2, updated_at = $3 WHERE id = $4");
        self.database.write(set.bind(status).bind(next_at).bind(now).bind(id).guard()).await.map(drop)
    }

    /// Removes a schedule; none of this id is fine.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, id: &str) -> Result<(), StoreError> {
        self.database.write(Statement::new("DELETE FROM schedules WHERE id = $1").bind(id)).await.map(drop)
    }
}

fn read(row: &AnyRow) -> Result<ScheduleRow, StoreError> {
    let definition: &str = column(row, "definition")?;
    let status: &str = column(row, "status")?;
    Ok(ScheduleRow {
        id: column(row, "id")?,
        workflow_id: column(row, "workflow_id")?,
        definition: serde_json::from_str(definition).map_err(|error| StoreError::unreadable("a schedule", error))?,
        is_paused: status == "paused",
        next_at: column(row, "next_at")?,
        last_at: column(row, "last_at")?,
        last_run_id: column(row, "last_run_id")?,
        created_at: column(row, "created_at")?,
        updated_at: column(row, "updated_at")?,
    })
}
