//! Runs that are told to end, and limits that hold whoever begins or takes up a run.

use std::{path::Path, time::Duration};

use hotbay_tests::{TestHost, eventually};
use serde_json::{Value, json};

/// Longer than anything here takes; reached only when a test fails.
const SOON: Duration = Duration::from_secs(60);

async fn host(ledger: &Path, config: &str, arguments: &[&str]) -> TestHost {
    let config = format!("[plugins.hotbay-test-durable.config]\nledger = {ledger:?}\n{config}");
    let builder = TestHost::builder().config_text(config).plugin("hotbay-test-durable");
    arguments.iter().fold(builder, |builder, argument| builder.argument(argument)).start().await.unwrap()
}

/// Begins a run; it is acknowledged when this returns.
async fn begin(host: &TestHost, workflow: &str, run: &str, input: &Value) {
    let path = format!("/api/workflows/{workflow}");
    let (status, body) = host.post_json(&format!("{path}/create-run?runId={run}"), &json!({})).await.unwrap();
    assert_eq!(status, 200, "{body}");
    let body = json!({ "inputData": input });
    let (status, body) = host.post_json(&format!("{path}/start?runId={run}"), &body).await.unwrap();
    assert_eq!(status, 200, "{body}");
}

async fn page_when(host: &TestHost, workflow: &str, run: &str, status: &str) -> Value {
    eventually(SOON, || async {
        let (_, page) = host.get_json(&format!("/api/workflows/{workflow}/runs/{run}")).await.unwrap();
        (page["status"] == status).then_some(page)
    })
    .await
}

/// Returns the lines of the ledger, the oldest first.
fn lines(ledger: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the runs whose bodies began, in the order in which the first of each did.
fn order(lines: &[Value]) -> Vec<&str> {
    let mut order: Vec<&str> = Vec::new();
    for run in lines.iter().map(|line| line["run"].as_str().unwrap()) {
        if !order.contains(&run) {
            order.push(run);
        }
    }
    order
}

#[tokio::test]
async fn one_at_a_time_stays_one_at_a_time_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host(&ledger, "[workflows.durable-linear]\nmax = 1\nqueue = 9\n", &[]).await;
    let runs = ["e", "d", "c", "b", "a"];
    for run in runs {
        begin(&host, "durable-linear", run, &json!({ "value": 1, "delayMs": 40 })).await;
    }
    eventually(SOON, || std::future::ready((!lines(&ledger).is_empty()).then_some(()))).await;
    host.restart().await.unwrap();
    for run in runs {
        assert_eq!(page_when(&host, "durable-linear", run, "success").await["result"]["value"], 6, "{run}");
    }
    let lines = lines(&ledger);
    assert_eq!(order(&lines), runs, "not in the order they were begun in");
    // The first was going on when the host died; after it each body ends before the next begins.
    let began = lines.iter().position(|line| line["run"] != "e").unwrap();
    for pair in lines[began..].chunks(2) {
        let [start, end] = pair else { panic!("an odd line: {lines:#?}") };
        assert_eq!((&start["at"], &end["at"]), (&json!("start"), &json!("end")), "{lines:#?}");
        assert_eq!(start["run"], end["run"], "{lines:#?}");
    }
}

#[tokio::test]
async fn step_that_does_not_end_is_given_up_after_the_grace() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let host = host(&ledger, "", &["--cancel-grace", "200ms"]).await;
    begin(&host, "durable-linear", "r", &json!({ "value": 1, "delayMs": 3_600_000 })).await;
    eventually(SOON, || std::future::ready((lines(&ledger).len() == 1).then_some(()))).await;
    let (status, body) = host.post_json("/api/workflows/durable-linear/runs/r/cancel", &json!({})).await.unwrap();
    assert_eq!(status, 200, "{body}");
    page_when(&host, "durable-linear", "r", "canceled").await;
    assert_eq!(lines(&ledger).len(), 1, "the body came to an end");
}

#[tokio::test]
async fn run_that_was_cancelled_and_is_restarted_goes_on_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    // A short lease makes the host look often for runs that are to end.
    let host = host(&ledger, "", &["--cancel-grace", "100ms", "--lease", "600ms"]).await;
    begin(&host, "durable-linear", "r", &json!({ "value": 1, "delayMs": 250 })).await;
    eventually(SOON, || std::future::ready((!lines(&ledger).is_empty()).then_some(()))).await;
    let path = "/api/workflows/durable-linear";
    host.post_json(&format!("{path}/runs/r/cancel"), &json!({})).await.unwrap();
    page_when(&host, "durable-linear", "r", "canceled").await;
    let request = json!({ "step": "one", "inputData": { "value": 1, "delayMs": 250 } });
    let (status, body) = host.post_json(&format!("{path}/time-travel-async?runId=r"), &request).await.unwrap();
    assert_eq!((status, &body["status"]), (200, &json!("success")), "{body}");
}
