//! Logs and traces of a host that is killed, and killed again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use futures::future::join_all;
use hotbay_tests::{
    TestHost, eventually,
    plugin_host::{build_of, put},
};
use serde_json::{Value, json};

/// How often the host dies.
const KILLS: u32 = 50;
/// Who sends at once.
const SENDERS: u32 = 4;
const SOON: Duration = Duration::from_secs(30);

/// What a sender sends in one request: two records, named so that each is told from all others.
fn batch(kill: u32, sender: u32, number: u32) -> Value {
    let record = |part: &str| {
        json!({
            "severityNumber": 9,
            "body": {"stringValue": format!("{kill}-{sender}-{number}-{part}")},
        })
    };
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "sender"}}]},
        "scopeLogs": [{"logRecords": [record("a"), record("b")]}],
    }]})
}

/// Sends until the host is gone and returns what it has acknowledged, and the last it may have.
/// It dies when all senders together have so many answers.
async fn send(host: &TestHost, kill: u32, sender: u32, left: &AtomicI64) -> (Vec<String>, Option<u32>) {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        match host.post_json("/v1/logs", &batch(kill, sender, number)).await {
            Ok((200, _)) => {
                acknowledged.extend(["a", "b"].map(|part| format!("{kill}-{sender}-{number}-{part}")));
                if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                    host.strike().unwrap();
                }
            }
            Ok((status, answer)) => panic!("{status}: {answer}"),
            Err(_) => return (acknowledged, Some(number)),
        }
    }
    (acknowledged, None)
}

/// Every record of the sender's there is, and how often.
async fn found(host: &TestHost) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for page in 0.. {
        let path = format!("/api/logs?transportId=sender&perPage=1000&page={page}");
        let (status, answer) = host.get_json(&path).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        for log in answer["logs"].as_array().unwrap() {
            *found.entry(log["msg"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        if answer["hasMore"] == false {
            break;
        }
    }
    found
}

#[tokio::test]
async fn fifty_kills_lose_no_record_that_was_acknowledged_and_double_none() {
    let mut host = TestHost::builder().start().await.unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for kill in 0..KILLS {
        // Now and then after commits, most often before.
        let left = AtomicI64::new(fastrand::i64(1..if kill % 5 == 0 { 600 } else { 60 }));
        let sent = join_all((0..SENDERS).map(|sender| send(&host, kill, sender, &left))).await;
        for (sender, (known, last)) in (0..).zip(sent) {
            acknowledged.extend(known);
            unknown.extend(
                last.into_iter().flat_map(|number| ["a", "b"].map(|part| format!("{kill}-{sender}-{number}-{part}"))),
            );
        }
        host.restart().await.unwrap();
    }
    let records = eventually(SOON, || async {
        let records = found(&host).await;
        acknowledged.iter().all(|name| records.contains_key(name)).then_some(records)
    })
    .await;
    assert!(acknowledged.len() > 500, "{} were acknowledged only", acknowledged.len());
    let doubled: Vec<_> = records.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    let known: BTreeSet<&String> = acknowledged.iter().chain(&unknown).collect();
    let strange: Vec<_> = records.keys().filter(|name| !known.contains(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    println!("{} records acknowledged over {KILLS} kills, {} found", acknowledged.len(), records.len());
}

#[tokio::test]
async fn bytes_of_a_plugin_that_are_no_text_are_recorded_as_far_as_they_are() {
    let host = TestHost::builder().start().await.unwrap();
    put(&host.plugin_dir(), "bad.so", &build_of("bad", "1"));
    eventually(SOON, async || {
        let call = host.post_json("/api/tools/bad:log_bytes/execute", &json!({"data": {}})).await.unwrap();
        (call.0 == 200).then_some(())
    })
    .await;
    let (status, answer) = host.get_json("/api/logs?transportId=bad").await.unwrap();
    let log = answer["logs"].as_array().unwrap().iter().find(|log| log["msg"] == "these are no letters");
    let log = log.unwrap_or_else(|| panic!("{status}: {answer}"));
    assert_eq!((&log["city"], &log["n"]), (&json!("R\u{fffd}\u{fffd}me"), &json!(1)), "{log}");
}
