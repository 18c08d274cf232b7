//! The plugin is replaced while its runs wait or go on.

use std::path::Path;

use hotbay_tests::{TestHost, eventually, plugin_host::durable};
use serde_json::{Value, json};

use super::{SOON, begin, host, page_when};

const WORKFLOW: &str = "durable-swap";

/// Puts a build in the place of the plugin's file, as one rename, and waits until it serves.
async fn swap(host: &TestHost, build: &str) {
    let generation = generation(host).await;
    let directory = host.plugin_dir();
    let file = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let new = directory.join(".new");
    std::fs::write(&new, durable(build)).unwrap();
    std::fs::rename(&new, &file).unwrap();
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
