//! The plugin is replaced while its runs wait or go on.

use std::path::Path;

use hotbay_tests::{TestHost, eventually, plugin_host::durable};
use serde_json::{Value, json};

use super::{SOON, begin, host, host_with, ledger, page_when};

const WORKFLOW: &str = "durable-swap";

/// Puts a build in the place of the plugin's file, as one rename.
fn put(host: &TestHost, build: &str) {
    let directory = host.plugin_dir();
    let file = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let new = directory.join(".new");
    std::fs::write(&new, durable(build)).unwrap();
    std::fs::rename(&new, &file).unwrap();
}

/// Puts a build in the place of the plugin's file and waits until it serves.
async fn swap(host: &TestHost, build: &str) {
    let generation = generation(host).await;
    put(host, build);
    eventually(SOON, || async { (self::generation(host).await > generation).then_some(()) }).await;
}

async fn generation(host: &TestHost) -> u64 {
    let (_, plugin) = host.get_json("/api/plugins/hotbay-test-durable").await.unwrap();
    plugin["generation"].as_u64().unwrap_or_else(|| panic!("{plugin:#}"))
}

async fn suspended(ledger: &Path) -> TestHost {
    let host = host(ledger).await;
    assert!(begin(&host, WORKFLOW, "waits", &json!({ "text": "hello" })).await);
    page_when(&host, WORKFLOW, "waits", "suspended").await;
    host
}

async fn resume(host: &TestHost) -> (u16, Value) {
    let answer = json!({ "resumeData": { "text": "go" } });
    host.post_json(&format!("/api/workflows/{WORKFLOW}/resume-async?runId=waits"), &answer).await.unwrap()
}

#[tokio::test]
async fn suspended_run_goes_on_with_another_build_of_the_same_graph() {
    let directory = tempfile::tempdir().unwrap();
    let host = suspended(&directory.path().join("ledger")).await;
    swap(&host, "two").await;
    let (status, body) = resume(&host).await;
    assert_eq!((status, &body["result"]), (200, &json!({ "text": "hello one go two" })), "{body}");
}

#[tokio::test]
async fn suspended_run_of_a_changed_graph_stays_until_the_graph_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = suspended(&directory.path().join("ledger")).await;
    swap(&host, "changed").await;
    let (status, body) = resume(&host).await;
    assert_eq!(status, 409, "{body}");
    let sentence = body["error"].as_str().unwrap();
    assert!(sentence.contains(WORKFLOW) && sentence.contains("has changed"), "{sentence}");
    // Nothing of the run is lost, in this process or the next.
    host.restart().await.unwrap();
    assert_eq!(page_when(&host, WORKFLOW, "waits", "suspended").await["status"], "suspended");
    swap(&host, "one").await;
    let (status, body) = resume(&host).await;
    assert_eq!((status, &body["result"]), (200, &json!({ "text": "hello one go one" })), "{body}");
}

#[tokio::test]
async fn run_that_goes_on_during_a_swap_ends() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(&directory.path().join("ledger")).await;
    assert!(begin(&host, "durable-linear", "goes-on", &json!({ "value": 1, "delayMs": 300 })).await);
    swap(&host, "two").await;
    let page = page_when(&host, "durable-linear", "goes-on", "success").await;
    assert_eq!(page["result"]["value"], 6);
}

/// The old build is given up while a step of it still runs: the new one repeats the step.
#[tokio::test]
async fn step_that_outlasts_the_drain_is_made_again_by_the_new_build() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let deadlines = ["--drain-deadline", "100ms", "--stream-drain-deadline", "300ms"];
    let host = host_with(&ledger, "", &deadlines).await;
    assert!(begin(&host, "durable-linear", "r", &json!({ "value": 1, "delayMs": 2500 })).await);
    eventually(SOON, || std::future::ready((!ledger::lines(&ledger).is_empty()).then_some(()))).await;
    swap(&host, "two").await;
    let page = page_when(&host, "durable-linear", "r", "success").await;
    assert_eq!(page["result"]["value"], 6, "{page:#}");
    let lines = ledger::lines(&ledger);
    let begun: Vec<_> = lines.iter().filter(|line| line.step == "one" && line.at == "start").collect();
    let [first, again] = &begun[..] else { panic!("{lines:#?}") };
    assert_eq!((&first.key, first.attempt), (&again.key, again.attempt), "an interruption is no failure");
    assert_eq!(lines.iter().filter(|line| line.step == "one" && line.at == "end").count(), 1, "{lines:#?}");
}

/// A run that was going on and whose graph is gone when the host is back waits, and says why.
#[tokio::test]
async fn run_whose_graph_changed_under_it_is_parked_until_the_graph_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host(&ledger).await;
    let path = format!("/api/workflows/{WORKFLOW}");
    assert!(begin(&host, WORKFLOW, "r", &json!({ "text": "hello", "delayMs": 600_000 })).await);
    eventually(SOON, || std::future::ready((!ledger::lines(&ledger).is_empty()).then_some(()))).await;
    host.kill().unwrap();
    put(&host, "changed");
    host.restart().await.unwrap();
    let page = page_when(&host, WORKFLOW, "r", "suspended").await;
    let reason = page["parked"]["reason"].as_str().unwrap();
    assert!(reason.contains(WORKFLOW) && reason.contains("load the former build"), "{reason}");
    let (status, body) = host.post_json(&format!("{path}/restart?runId=r"), &json!({})).await.unwrap();
    assert_eq!(status, 409, "{body}");
    swap(&host, "one").await;
    let (status, body) = host.post_json(&format!("{path}/restart?runId=r"), &json!({})).await.unwrap();
    assert_eq!(status, 200, "{body}");
    // The same step again.
    eventually(SOON, || std::future::ready((ledger::lines(&ledger).len() == 2).then_some(()))).await;
    let (_, page) = host.get_json(&format!("{path}/runs/r")).await.unwrap();
    assert_eq!((&page["status"], page.get("parked")), (&json!("running"), None), "{page:#}");
    let lines = ledger::lines(&ledger);
    assert_eq!((&lines[0].step, &lines[0].key), (&lines[1].step, &lines[1].key), "{lines:#?}");
}
