//! A disk that is full, and then is not. `HOTBAY_TEST_SMALL_DISK` names a small file system;
//! `.ci/run` mounts one.

use std::{fs::File, io::Write, path::PathBuf};

use hotbay_tests::{TestHost, eventually};
use serde_json::json;
use tempfile::TempDir;

use super::{NOTICE, assert_no_panic, ledger::Ledger, until_not_ready, until_ready};

#[expect(clippy::disallowed_methods, reason = "not the host: a test cannot mount a file system")]
fn small_disk() -> PathBuf {
    const VARIABLE: &str = "HOTBAY_TEST_SMALL_DISK";
    std::env::var_os(VARIABLE).unwrap_or_else(|| panic!("{VARIABLE} was set when this was built")).into()
}

/// Writes until nothing more fits.
fn fill_up(path: PathBuf) {
    const MOST: usize = 1 << 30;
    let mut file = File::create(path).unwrap();
    // Large pieces first; what a small one still finds room for is filled as well.
    for piece in [1 << 20, 4096, 64] {
        let bytes = vec![0; piece];
        let mut written = 0;
        while file.write_all(&bytes).is_ok() {
            written += piece;
            assert!(written < MOST, "HOTBAY_TEST_SMALL_DISK is not small");
        }
    }
}

#[tokio::test]
async fn full_disk_stops_writes_until_there_is_space() {
    let data = TempDir::new_in(small_disk()).unwrap();
    let mut host = TestHost::builder().data(data.path()).start().await.unwrap();
    until_ready(&host).await;
    Ledger::begin(&host).await.unwrap();
    let mut ledger = Ledger::default();
    assert_eq!(ledger.save(&host, "before").await.unwrap().0, 200);
    let filler = data.path().join("filler");
    fill_up(filler.clone());
    // What the database's files still have room for is acknowledged, and then nothing is.
    let mut refused = 0;
    for number in 0.. {
        let (status, error) = ledger.save(&host, &format!("full {number}")).await.unwrap();
        assert!(status == 200 || error == "the store is not available; try again", "{status}: {error}");
        refused += usize::from(status == 503);
        if refused == 10 {
            break;
        }
        assert!(number < 10_000, "the disk is not full");
    }
    ledger.check(&host).await;
    let reason = until_not_ready(&host, "full").await;
    std::fs::remove_file(filler).unwrap();
    assert!(reason.contains("free space"), "{reason}");
    until_ready(&host).await;
    assert_eq!(ledger.save(&host, "after").await.unwrap().0, 200);
    host.restart().await.unwrap();
    assert_eq!(ledger.check(&host).await, ledger.len());
    assert_no_panic(&host.log());
}

/// Sends records until one is not taken; returns the names of those that were acknowledged.
async fn send_until_refused(host: &TestHost, acknowledged: &mut Vec<String>) {
    for _ in 0..10_000 {
        let name = format!("record {}", acknowledged.len());
        let filling = "x".repeat(64 << 10);
        let record = json!({"severityNumber": 9, "body": {"stringValue": name},
            "attributes": [{"key": "filling", "value": {"stringValue": filling}}]});
        let body = json!({"resourceLogs": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "sender"}}]},
            "scopeLogs": [{"logRecords": [record]}]}]});
        match host.post_json("/v1/logs", &body).await.unwrap() {
            (200, _) => acknowledged.push(name),
            (503, answer) => {
                assert!(!answer["message"].as_str().unwrap_or_default().is_empty(), "{answer}");
                return;
            }
            (status, answer) => panic!("{status}: {answer}"),
        }
    }
    panic!("the disk is not full");
}

/// The names of the sender's records, each as often as it is there.
async fn recorded(host: &TestHost) -> Vec<String> {
    let mut names = Vec::new();
    for page in 0.. {
        let path = format!("/api/logs?transportId=sender&perPage=100&page={page}");
        let (status, answer) = host.get_json(&path).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        names.extend(answer["logs"].as_array().unwrap().iter().map(|log| log["msg"].as_str().unwrap().to_owned()));
        if answer["hasMore"] == false {
            break;
        }
    }
    names
}

#[tokio::test]
async fn records_of_a_full_disk_are_kept_in_memory_until_there_is_space() {
    let data = TempDir::new_in(small_disk()).unwrap();
    let mut host = TestHost::builder().data(data.path()).start().await.unwrap();
    until_ready(&host).await;
    let filler = data.path().join("filler");
    fill_up(filler.clone());
    let mut acknowledged = Vec::new();
    send_until_refused(&host, &mut acknowledged).await;
    let said = host.log();
    let said = said.lines().filter(|line| line.contains("logs and traces cannot be written")).count();
    assert_eq!(said, 1, "it is said once");
    // What was refused is found as well, as long as the host lives.
    let found = recorded(&host).await;
    assert!(acknowledged.iter().all(|name| found.contains(name)), "{found:?}");
    std::fs::remove_file(filler).unwrap();
    let again = eventually(NOTICE, async || {
        let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "again"}}]}]}]});
        (host.post_json("/v1/logs", &body).await.unwrap().0 == 200).then_some("again")
    })
    .await;
    host.restart().await.unwrap();
    let mut found = recorded(&host).await;
    found.sort_unstable();
    let doubled: Vec<_> =
        acknowledged.iter().filter(|name| found.iter().filter(|it| it == name).count() != 1).collect();
    // The last one was refused, and may be there.
    let tried_again = format!("record {}", acknowledged.len());
    assert!(doubled.is_empty(), "{doubled:?}");
    assert!(found.iter().all(|name| acknowledged.contains(name) || *name == tried_again), "{found:?}");
    let (_, answer) = host.get_json("/api/logs?transportId=otlp").await.unwrap();
    assert_eq!(answer["logs"][0]["msg"], again, "{answer}");
    assert_no_panic(&host.log());
}
