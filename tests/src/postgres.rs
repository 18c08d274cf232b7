//! A database of a test's own on the server that `HOTBAY_TEST_POSTGRES_URL` names.

use std::{
    env,
    panic::{AssertUnwindSafe, resume_unwind},
    time::SystemTime,
};

use futures::FutureExt;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

const VARIABLE: &str = "HOTBAY_TEST_POSTGRES_URL";

/// Runs a case with the URL of a new database, and takes the database away however it ends.
///
/// # Panics
///
/// When no server is named, or it does not answer; and when the case does.
#[expect(clippy::disallowed_methods, reason = "not the host: where the tests' server is")]
pub async fn with_database(case: impl AsyncFnOnce(&str)) {
    sqlx::any::install_default_drivers();
    let server = env::var(VARIABLE).unwrap_or_else(|_| panic!("{VARIABLE} names no server"));
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let name = format!("hotbay_test_{}_{now:x}", std::process::id());
    command(&server, &format!("CREATE DATABASE {name}")).await;
    let (place, query) = server.split_once('?').unwrap_or((&server, ""));
    let (server_of, _) = place.rsplit_once('/').unwrap_or_else(|| panic!("{VARIABLE} names no database"));
    let url = if query.is_empty() { format!("{server_of}/{name}") } else { format!("{server_of}/{name}?{query}") };
    let done = AssertUnwindSafe(case(&url)).catch_unwind().await;
    command(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
    if let Err(panic) = done {
        resume_unwind(panic);
    }
}

async fn command(server: &str, sql: &str) {
    let mut connection = AnyConnection::connect(server)
        .await
        .unwrap_or_else(|error| panic!("{VARIABLE} names a server that does not answer: {error}"));
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    connection.close().await.unwrap_or_else(|error| panic!("{VARIABLE}: {error}"));
}
