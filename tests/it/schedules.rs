//! Workflows that start by themselves: listed, paused, run by hand, and caught up with after
//! the host was down.

use std::time::Duration;

use hotbay::store::{Store, StoreSettings};
use hotbay_tests::{TestHost, eventually};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The schedule of the plugin's one workflow that has any.
const YEARLY: &str = "wf_durable-yearly";
const SOON: Duration = Duration::from_secs(30);

async fn host(ledger: &std::path::Path) -> TestHost {
    let config = format!("[plugins.hotbay-test-durable.config]\nledger = {ledger:?}\n");
    TestHost::builder().config_text(config).plugin("hotbay-test-durable").start().await.unwrap()
}

async fn schedule(host: &TestHost) -> Option<Value> {
    let (status, body) = host.get_json(&format!("/api/schedules/{YEARLY}")).await.unwrap();
    (status == 200).then_some(body)
}

async fn post(host: &TestHost, path: &str) -> (u16, Value) {
    host.post_json(path, &json!({})).await.unwrap()
}

#[tokio::test]
async fn schedules_of_plugins_are_listed_with_their_next_time() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(&directory.path().join("ledger")).await;
    let row = eventually(SOON, || schedule(&host)).await;
    assert_eq!(row["workflowId"], "durable-yearly");
    assert_eq!((&row["cron"], &row["timezone"]), (&json!("0 0 1 1 *"), &json!("Europe/Paris")));
    assert_eq!(row["status"], "active");
    // New year in Paris is 23:00 in UTC.
    let next = hotbay::types::id::Millis(row["nextFireAt"].as_i64().unwrap()).iso();
    assert!(next.ends_with("-12-31T23:00:00.000Z"), "{next}");
    let (_, listed) = host.get_json("/api/schedules?workflowId=durable-yearly").await.unwrap();
    assert_eq!(listed, json!({ "schedules": [row] }));
    let (_, others) = host.get_json("/api/schedules?workflowId=durable-linear").await.unwrap();
    assert_eq!(others, json!({ "schedules": [] }));
    assert_eq!(host.get_json("/api/schedules/nope").await.unwrap().0, 404);
}

#[tokio::test]
async fn paused_schedules_stay_paused_and_can_be_run_by_hand() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = host(&directory.path().join("ledger")).await;
    eventually(SOON, || schedule(&host)).await;
    let (status, paused) = post(&host, &format!("/api/schedules/{YEARLY}/pause")).await;
    assert_eq!((status, &paused["status"]), (200, &json!("paused")));
    host.restart().await.unwrap();
    assert_eq!(schedule(&host).await.unwrap()["status"], "paused");
    let (status, run) = post(&host, &format!("/api/schedules/{YEARLY}/run")).await;
    assert_eq!(status, 200, "{run}");
    let page = format!("/api/workflows/durable-yearly/runs/{}", run["runId"].as_str().unwrap());
    let ended = eventually(SOON, || async {
        let (_, page) = host.get_json(&page).await.unwrap();
        (page["status"] == "success").then_some(page)
    });
    assert_eq!(ended.await["steps"].as_object().unwrap().len(), 1);
    let (_, resumed) = post(&host, &format!("/api/schedules/{YEARLY}/resume")).await;
    assert_eq!(resumed["status"], "active");
}

#[tokio::test]
async fn what_was_due_while_the_host_was_down_is_started_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = host(&directory.path().join("ledger")).await;
    eventually(SOON, || schedule(&host)).await;
    host.stop(SOON).await.unwrap();
    make_due(&host.data_dir()).await;
    host.restart().await.unwrap();
    let row = eventually(SOON, || async { schedule(&host).await.filter(|row| row["lastRunId"].is_string()) }).await;
    assert!(row["nextFireAt"].as_i64() > row["lastFireAt"].as_i64(), "{row}");
    host.restart().await.unwrap();
    let runs = eventually(SOON, || async {
        let (_, body) = host.get_json("/api/workflows/durable-yearly/runs").await.unwrap();
        (body["runs"][0]["snapshot"]["status"] == "success").then_some(body)
    });
    let runs = runs.await;
    assert_eq!((&runs["total"], &runs["runs"][0]["runId"]), (&json!(1), &row["lastRunId"]));
}

/// Moves the schedule's next time into the past.
async fn make_due(data: &std::path::Path) {
    let settings = StoreSettings { data: data.to_owned(), url: None, fault: None };
    let (store, writer) = Store::open(&settings).await.unwrap();
    let cancel = CancellationToken::new();
    let write = async {
        store.schedules().set_paused(YEARLY, false, Some(1000), 1000).await.unwrap();
        cancel.cancel();
    };
    tokio::join!(writer.expect("SQLite has a writer").run(cancel.clone()), write);
    store.close().await;
}
