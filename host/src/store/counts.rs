//! Totals, kept in step with the rows they count: counting rows takes time in their number.
//!
//! A batch that adds or removes rows changes the totals as well. Threads are counted in
//! all and by owner, messages by thread, runs by workflow and by workflow and owner.

use super::{
    database::{Database, column},
    error::StoreError,
    statement::Statement,
};

/// The scope of all threads.
pub(super) const THREADS: &str = "threads";

/// Returns the scope of an owner's threads.
pub(super) fn threads_of(owner: &str) -> String {
    format!("threads/{owner}")
}

/// Returns the scope of a thread's messages.
pub(super) fn messages_of(thread: &str) -> String {
    format!("messages/{thread}")
}

/// Returns the scope of a workflow's runs, of all or of an owner's.
///
/// Both names may hold any character, so the first comes with its length; the schema's third
/// step writes the same.
pub(super) fn runs_of(workflow: &str, owner: Option<&str>) -> String {
    let length = workflow.chars().count();
    match owner {
        None => format!("runs/{length}/{workflow}"),
        Some(owner) => format!("runs/{length}/{workflow}/{owner}"),
    }
}

/// Returns the query for `n`, the runs of all workflows, of all or of an owner's.
///
/// A total of its own would be a row that everybody who begins a run waits for. The names are
/// found by one step in an index for each, however many runs there are.
pub(super) fn runs_of_all(owner: Option<&str>) -> Statement {
    let (tail, owner) = owner.map_or(("", None), |owner| (" || '/' || $1", Some(owner)));
    let query = Statement::composed(format!(
        "WITH RECURSIVE names(id) AS (SELECT MIN(workflow_id) FROM workflow_runs UNION ALL \
         SELECT (SELECT MIN(workflow_id) FROM workflow_runs WHERE workflow_id > names.id) FROM names WHERE id IS NOT NULL) \
         SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) AS n FROM counts WHERE scope IN \
         (SELECT 'runs/' || LENGTH(id) || '/' || id{tail} FROM names WHERE id IS NOT NULL)"
    ));
    owner.into_iter().fold(query, Statement::bind)
}

/// Returns the statement that adds to a total.
pub(super) fn add(scope: impl Into<String>, n: usize) -> Statement {
    Statement::new("INSERT INTO counts (scope, n) VALUES ($1, $2) ON CONFLICT (scope) DO UPDATE SET n = counts.n + $2")
        .bind(scope.into())
        .bind(i64::try_from(n).unwrap_or(i64::MAX))
}

/// Returns the statement that takes one from a total.
pub(super) fn take(scope: impl Into<String>) -> Statement {
    Statement::new("UPDATE counts SET n = n - 1 WHERE scope = $1").bind(scope.into())
}

/// Returns a total.
pub(super) async fn read(database: &Database, scope: &str) -> Result<u64, StoreError> {
    let row = database.row(Statement::new("SELECT n FROM counts WHERE scope = $1").bind(scope)).await?;
    let n: i64 = row.map_or(Ok(0), |row| column(&row, "n"))?;
    Ok(n.max(0).unsigned_abs())
}
