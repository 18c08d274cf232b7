//! What keeps a host from taking up one run keeps no other waiting.

use hotbay_tests::eventually;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::{SOON, begin, host, ledger, page_when};
use crate::store::{connect, number};

const WORKFLOW: &str = "durable-linear";
/// More than are taken up at once.
const STUCK: i64 = 100;
/// Everything of a run's row but what the copies have otherwise.
const COLUMNS: &str =
    "resource_id, status, graph_hash, state, outcome, chunks, owner, fence, wake_at, cancel_requested";

/// Puts copies of the run `good` into the store, older than it. Of some the workflow is gone, some
/// cannot be read, of some what a step came to cannot.
#[tokio::test]
async fn runs_that_cannot_be_taken_up_keep_no_other_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host(&ledger).await;
    assert!(begin(&host, WORKFLOW, "good", &json!({ "value": 1, "delayMs": 300 })).await);
    eventually(SOON, || std::future::ready((!ledger::lines(&ledger).is_empty()).then_some(()))).await;
    host.kill().unwrap();

    let mut connection = connect(&host.data_dir()).await;
    for (kind, workflow, request) in [
        ("gone", "'no-such-workflow'", "request"),
        ("unreadable", "workflow_id", "'{'"),
        ("halfway", "workflow_id", "request"),
    ] {
        let copies = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {STUCK}) \
             INSERT INTO workflow_runs (run_id, workflow_id, request, lease_until, created_at, updated_at, {COLUMNS}) \
             SELECT '{kind} ' || n, {workflow}, {request}, 0, n, n, {COLUMNS} FROM numbers, workflow_runs WHERE run_id = 'good'"
        );
        connection.execute(AssertSqlSafe(copies)).await.unwrap();
    }
    let damage = "INSERT INTO workflow_steps (run_id, path, record) \
                  SELECT run_id, 'one', '{' FROM workflow_runs WHERE run_id LIKE 'halfway %'";
    connection.execute(damage).await.unwrap();
    assert_eq!(
        number(&mut connection, "SELECT COUNT(*) FROM workflow_runs WHERE status = 'running'").await,
        3 * STUCK + 1
    );
    connection.close().await.unwrap();

    host.restart().await.unwrap();
    let page = page_when(&host, WORKFLOW, "good", "success").await;
    assert_eq!(page["result"]["value"], 6, "{page:#}");
    let mut connection = connect(&host.data_dir()).await;
    let left = number(&mut connection, "SELECT COUNT(*) FROM workflow_runs WHERE status = 'running'").await;
    assert_eq!(left, 3 * STUCK, "they stay as they are");
}
