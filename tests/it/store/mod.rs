//! The store in a real host: what it finds at its start, what happens to it meanwhile, and
//! what the host says of it. `host/src/store/contract` has what needs no process.

mod backup;
mod damaged;
mod fault;
#[cfg(hotbay_test_small_disk)]
mod full;
mod ledger;
mod locked;
#[cfg(hotbay_test_postgres_programs)]
mod postgres;
mod refused;

use std::{path::Path, time::Duration};

use hotbay_tests::{TestHost, eventually};
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};

/// How long a host may take to find out that something is wrong, or right again.
const NOTICE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Waits until the host is not ready for a reason that has these words.
async fn until_not_ready(host: &TestHost, words: &str) -> String {
    let reason = eventually(NOTICE, async || {
        let (status, answer) = host.get_json("/ready").await.unwrap();
        let reason = answer["reason"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer["ready"], Value::Bool(status == 200), "{answer}");
        assert_eq!(status == 503, !reason.is_empty(), "{status}: {answer}");
        reason.contains(words).then_some(reason)
    })
    .await;
    assert_eq!(host.get_json("/health").await.unwrap().0, 200, "the process itself is well");
    reason
}

/// Waits until the host says that it can do its work.
async fn until_ready(host: &TestHost) {
    eventually(NOTICE, async || (host.get_json("/ready").await.unwrap().0 == 200).then_some(())).await;
}

fn assert_no_panic(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

/// Connects to a data directory's database beside the host.
pub(crate) async fn connect(data: &Path) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(&format!("sqlite://{}", data.join("hotbay.db").display())).await.unwrap()
}

/// Puts rows into a database no host uses.
async fn fill(data: &Path, rows: i64) {
    let mut connection = connect(data).await;
    let sql = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
         INSERT INTO counts (scope, n) SELECT 'row ' || n, n FROM numbers"
    );
    connection.execute(AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
}

/// The only number in the only row of an answer.
pub(crate) async fn number(connection: &mut AnyConnection, sql: &'static str) -> i64 {
    connection.fetch_one(sql).await.unwrap().get(0)
}
