//! Lists, short and long: the time a page takes must not grow with the rows beside it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hotbay_tests::TestHost;
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    Arguments, figure, median,
    session::{Session, round},
};

const FEW: u64 = 1_000;
const MANY_RUNS: u64 = 100_000;
/// How many pages are one round.
const PAGES: usize = 100;

/// Measures both kinds of lists.
///
/// # Errors
///
/// When the store cannot be filled, or a list is not as long as it should be.
pub(crate) async fn measure(host: &TestHost, arguments: &Arguments) -> anyhow::Result<()> {
    let many = arguments.threads;
    fill(host, many).await?;
    let runs = |resource: &str| format!("/api/workflows/linear-workflow/runs?page=0&perPage=20&resourceId={resource}");
    let all = |workflow: &str| format!("/api/workflows/{workflow}/runs?page=0&perPage=20");
    let threads = |owner: &str| format!("/api/memory/threads?resourceId={owner}&page=0&perPage=20");
    let pairs = [
        ("page of a workflow's runs", all("map-workflow"), all("linear-workflow"), MANY_RUNS),
        ("page of an owner's runs", runs("few"), runs("many"), MANY_RUNS - FEW - 1),
        ("page of an owner's threads", threads("few"), threads("many"), many),
    ];
    for (name, short, long, rows) in pairs {
        let short = list(host, arguments, &short, FEW).await?;
        let long = list(host, arguments, &long, rows).await?;
        figure(&format!("{name}, {FEW} rows, p50"), short, "ms", None);
        figure(&format!("{name}, {rows} rows, p50"), long, "ms", Some(2.0 * short));
    }
    Ok(())
}

async fn list(host: &TestHost, arguments: &Arguments, path: &str, total: u64) -> anyhow::Result<f64> {
    let url = host.url("");
    let server = (host.process_id(), url.trim_start_matches("http://").trim_end_matches('/'));
    let page = async |session: &mut Session| {
        let began = Instant::now();
        let listed = session.get(path).await?;
        ensure!(listed["total"] == total, "{path}: {} instead of {total}", listed["total"]);
        Ok::<Duration, anyhow::Error>(began.elapsed())
    };
    let mut figures = Vec::new();
    for _ in 0..arguments.rounds {
        figures.push(round(server, 1, PAGES, page).await?.p50_ms);
    }
    Ok(median(figures))
}

/// Puts rows into the store beside the host: copies of what it wrote itself.
async fn fill(host: &TestHost, threads: u64) -> anyhow::Result<()> {
    for workflow in ["linear-workflow", "map-workflow"] {
        let body = json!({"inputData": {"message": "a"}});
        let (status, answer) = host.post_json(&format!("/api/workflows/{workflow}/start-async"), &body).await?;
        ensure!(status == 200, "{answer}");
    }
    let file = std::fs::read_dir(host.data_dir())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|it| it == "db"))
        .context("the host has a database")?;
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(60));
    let mut connection: SqliteConnection = options.connect().await?;
    let copy = |workflow: &str, resource: &str, count: u64| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
             INSERT INTO workflow_runs SELECT '{workflow}-{resource}-' || i, workflow_id, '{resource}', status, \
             graph_hash, request, state, outcome, chunks, owner, lease_until, fence, wake_at, cancel_requested, \
             created_at + i, updated_at + i FROM n, \
             (SELECT * FROM workflow_runs WHERE workflow_id = '{workflow}' ORDER BY created_at LIMIT 1)"
        )
    };
    let talk = |owner: &str, count: u64| {
        [
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
                 INSERT INTO threads SELECT '{owner}-' || i, '{owner}', '', NULL, NULL, i, i FROM n"
            ),
            format!("INSERT INTO counts (scope, n) VALUES ('threads/{owner}', {count})"),
        ]
    };
    let count = |owner: &str, columns: &str| {
        format!(
            "INSERT INTO counts (scope, n) SELECT 'runs/' || LENGTH(workflow_id) || '/' || workflow_id{owner}, COUNT(*) \
             FROM workflow_runs WHERE run_id IS NOT NULL GROUP BY {columns} ON CONFLICT (scope) DO UPDATE SET n = excluded.n"
        )
    };
    let statements = [
        copy("map-workflow", "map", FEW - 1),
        copy("linear-workflow", "few", FEW),
        copy("linear-workflow", "many", MANY_RUNS - FEW - 1),
        count("", "workflow_id"),
        count(" || '/' || COALESCE(resource_id, '')", "workflow_id, resource_id"),
    ];
    for sql in statements.into_iter().chain(talk("few", FEW)).chain(talk("many", threads)) {
        connection.execute(AssertSqlSafe(sql)).await?;
    }
    connection.close().await?;
    Ok(())
}
