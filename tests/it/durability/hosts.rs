//! Two hosts on one PostgreSQL: either goes on with the other's runs, and a host that was
//! away for too long writes nothing any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use futures::{StreamExt, stream};
use hotbay_tests::{TestHost, eventually, http::Outgoing, postgres::with_database};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::{SOON, begin, host_with, ledger, page_when};

const WORKFLOW: &str = "durable-linear";
const STEPS: [&str; 5] = ["one", "two", "three", "four", "five"];
/// Runs of both hosts together.
const RUNS: usize = 500;
const CALLERS: usize = 32;

/// Starts a host on a shared database. Its ledger is its own, so that it tells who ran what.
async fn host(url: &str, ledger: &Path) -> TestHost {
    host_with(ledger, "", &["--database-url", url, "--lease", "5s"]).await
}

/// Everything that is stored of runs.
async fn everything(url: &str) -> Vec<String> {
    let mut connection = AnyConnection::connect(url).await.unwrap();
    let mut rows = Vec::new();
    for (table, columns) in [
        ("workflow_runs", "run_id, status, chunks, fence, owner, outcome, state, updated_at"),
        ("workflow_steps", "run_id, path, record"),
        ("workflow_chunks", "run_id, first, chunks"),
        ("workflow_memos", "run_id, key, answer"),
    ] {
        let sql = format!("SELECT CAST(ROW({columns}) AS TEXT) AS whole FROM {table} ORDER BY {columns}");
        let found = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        rows.extend(found.iter().map(|row| format!("{table} {}", row.get::<String, _>("whole"))));
    }
    connection.close().await.unwrap();
    rows
}

/// The steps of each run whose bodies began, and how often.
fn begun(lines: &BTreeMap<String, Vec<ledger::Line>>) -> BTreeMap<(&str, &str), usize> {
    let mut begun = BTreeMap::new();
    for (run, lines) in lines {
        for line in lines.iter().filter(|line| line.at == "start") {
            *begun.entry((run.as_str(), line.step.as_str())).or_default() += 1;
        }
    }
    begun
}

/// Bodies that have begun and not ended.
fn open(ledger: &Path) -> usize {
    let lines = ledger::read(ledger);
    let count = |at: &str| lines.values().flatten().filter(|line| line.at == at).count();
    count("start") - count("end")
}

#[tokio::test]
async fn a_paused_host_writes_nothing_more_and_the_other_goes_on() {
    with_database(async |url| {
        let directory = tempfile::tempdir().unwrap();
        let ledgers = [directory.path().join("first"), directory.path().join("second")];
        let (first, second) = (host(url, &ledgers[0]).await, host(url, &ledgers[1]).await);
        stream::iter(0..RUNS)
            .for_each_concurrent(CALLERS, |index| {
                let host = if index % 2 == 0 { &first } else { &second };
                let (run, input) = (format!("run-{index}"), json!({ "value": index, "delayMs": 400 }));
                async move { assert!(begin(host, WORKFLOW, &run, &input).await) }
            })
            .await;
        first.pause().unwrap();
        let left = open(&ledgers[0]);
        assert!(left > 0, "nothing was under way");

        let done = format!("/api/workflows/{WORKFLOW}/runs?status=success&perPage=1&page=0");
        eventually(SOON, || async {
            let (status, answer) = second.get_json(&done).await.unwrap();
            assert_eq!(status, 200, "{answer}");
            (answer["total"] == json!(RUNS)).then_some(())
        })
        .await;
        let before = everything(url).await;
        first.unpause().unwrap();
        // Every body that was under way ends, and what it gave is refused.
        eventually(SOON, || async {
            let lost = first.log().matches("no longer drives the run").count();
            (lost >= left && open(&ledgers[0]) == 0).then_some(())
        })
        .await;
        assert_eq!(first.get_json(&done).await.unwrap().1["total"], json!(RUNS));
        assert_eq!(everything(url).await, before);

        for index in 0..RUNS {
            let page = page_when(&second, WORKFLOW, &format!("run-{index}"), "success").await;
            assert_eq!(page["result"]["value"], json!(index + 5), "{page:#}");
        }
        let ledgers = ledgers.map(|ledger| ledger::read(&ledger));
        for lines in &ledgers {
            for (run, lines) in lines {
                ledger::check_forward(run, lines, &STEPS.each_ref().map(std::slice::from_ref));
                ledger::check_keys(run, lines);
            }
        }
        let [begun_there, begun_here] = [begun(&ledgers[0]), begun(&ledgers[1])];
        let twice = begun_there.values().chain(begun_here.values()).filter(|times| **times > 1).count();
        assert_eq!(twice, 0, "a host began a body again that it had begun");
        let all: BTreeSet<_> = begun_there.keys().chain(begun_here.keys()).collect();
        assert_eq!(all.len(), RUNS * STEPS.len());
        // Those the first host was in the middle of, one of a run at most.
        let both: BTreeSet<&str> =
            begun_there.keys().filter(|step| begun_here.contains_key(*step)).map(|(run, _)| *run).collect();
        let bodies = begun_there.len() + begun_here.len() - all.len();
        assert_eq!(bodies, both.len(), "more than one step of a run has begun at both hosts");
        println!("{RUNS} runs, {left} bodies under way at the pause, {bodies} made again by the other host");
    })
    .await;
}

/// The chunks of a run's stream from its beginning, once it is over.
async fn observed(host: &TestHost, workflow: &str, run: &str) -> Vec<Value> {
    let request = Outgoing::post(&format!("/api/workflows/{workflow}/observe?runId={run}"), &json!({}));
    let answer = host.send(request).await.unwrap();
    assert_eq!(answer.status, Some(200));
    let text = String::from_utf8(answer.data).unwrap();
    text.split_terminator('\u{1e}').map(|chunk| serde_json::from_str(chunk).unwrap()).collect()
}

fn types(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn runs_are_streamed_ended_and_answered_at_the_other_host() {
    with_database(async |url| {
        let directory = tempfile::tempdir().unwrap();
        let ledgers = [directory.path().join("first"), directory.path().join("second")];
        let (first, second) = (host(url, &ledgers[0]).await, host(url, &ledgers[1]).await);

        // Listened to while it goes on at the other host.
        assert!(begin(&first, WORKFLOW, "streamed", &json!({ "value": 1, "delayMs": 300 })).await);
        let there = observed(&second, WORKFLOW, "streamed").await;
        assert_eq!(there.last().unwrap()["type"], "workflow-finish", "{there:#?}");
        let results = there.iter().filter(|chunk| chunk["type"] == "workflow-step-result").count();
        assert_eq!(results, STEPS.len(), "{:?}", types(&there));
        assert_eq!(there, observed(&first, WORKFLOW, "streamed").await);

        // Nobody else may begin it anew meanwhile, anybody may end it.
        assert!(begin(&first, WORKFLOW, "endless", &json!({ "value": 1, "delayMs": 600_000 })).await);
        let input = json!({ "inputData": { "value": 2 } });
        let anew = format!("/api/workflows/{WORKFLOW}/start-async?runId=endless");
        let (status, answer) = second.post_json(&anew, &input).await.unwrap();
        assert_eq!(status, 409, "{answer}");
        let path = format!("/api/workflows/{WORKFLOW}/runs/endless/cancel");
        let (status, answer) = second.post_json(&path, &json!({})).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        page_when(&first, WORKFLOW, "endless", "canceled").await;
        let bodies: Vec<_> = ledger::read(&ledgers[0])["endless"].iter().map(|line| line.step.clone()).collect();
        assert_eq!(bodies, ["one"], "it went on");

        // Answered there, heard here.
        assert!(begin(&first, "durable-suspend", "asked", &json!({ "value": 1 })).await);
        page_when(&second, "durable-suspend", "asked", "suspended").await;
        let resume = "/api/workflows/durable-suspend/resume-async?runId=asked";
        let answer = json!({ "step": "ask", "resumeData": { "add": 5 } });
        let (status, body) = second.post_json(resume, &answer).await.unwrap();
        assert_eq!((status, &body["status"]), (200, &json!("success")), "{body}");
        let whole = observed(&first, "durable-suspend", "asked").await;
        assert_eq!(whole, observed(&second, "durable-suspend", "asked").await);
        assert_eq!(whole.last().unwrap()["payload"]["workflowStatus"], "success", "{whole:#?}");
        let (status, body) = first.post_json(resume, &answer).await.unwrap();
        assert_ne!(status, 200, "answered twice: {body}");
    })
    .await;
}
