//! How many runs of a workflow go on at once, whoever begins or takes them up.

use std::collections::HashMap;

use hotbay_tests::{eventually, http::Outgoing};
use serde_json::{Value, json};

use super::{
    SOON, begin, host_with,
    ledger::{self, Line},
    page_when,
};

/// Returns the runs whose bodies began, in the order in which the first of each did.
fn order(lines: &[Line]) -> Vec<&str> {
    let mut order: Vec<&str> = Vec::new();
    for run in lines.iter().map(Line::run) {
        if !order.contains(&run) {
            order.push(run);
        }
    }
    order
}

/// Returns how many bodies were under way at once at most, of runs that `of` gives the same name.
fn most_at_once(lines: &[Line], of: impl Fn(&str) -> String) -> usize {
    let mut under_way: HashMap<String, usize> = HashMap::new();
    let mut most = 0;
    for line in lines {
        let now = under_way.entry(of(line.run())).or_default();
        *now = if line.at == "start" { *now + 1 } else { *now - 1 };
        most = most.max(*now);
    }
    most
}

#[tokio::test]
async fn runs_beyond_the_limit_wait_and_beyond_the_queue_are_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host_with(&ledger, "[workflows.durable-linear]\nmax = 1\nqueue = 2\n", &[]).await;
    let input = json!({ "value": 1, "delayMs": 100 });
    for run in ["first", "second", "third"] {
        assert!(begin(&host, "durable-linear", run, &input).await, "{run}");
    }
    let (_, second) = host.get_json("/api/workflows/durable-linear/runs/second").await.unwrap();
    assert_eq!(second["status"], "pending");
    let body = json!({ "inputData": input });
    let refused = host.send(Outgoing::post("/api/workflows/durable-linear/start-async", &body)).await.unwrap();
    assert_eq!(refused.status, Some(429));
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    // A run that waits for its turn is as safe as one that goes on.
    host.restart().await.unwrap();
    for run in ["first", "second", "third"] {
        assert_eq!(page_when(&host, "durable-linear", run, "success").await["result"]["value"], 6, "{run}");
    }
}

#[tokio::test]
async fn run_that_waits_for_its_turn_can_be_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let host = host_with(&ledger, "[workflows.durable-linear]\nmax = 1\n", &[]).await;
    assert!(begin(&host, "durable-linear", "first", &json!({ "value": 1, "delayMs": 200 })).await);
    assert!(begin(&host, "durable-linear", "second", &json!({ "value": 1 })).await);
    let (status, _) = host.post_json("/api/workflows/durable-linear/runs/second/cancel", &json!({})).await.unwrap();
    assert_eq!(status, 200);
    page_when(&host, "durable-linear", "second", "canceled").await;
    page_when(&host, "durable-linear", "first", "success").await;
    assert!(!ledger::read(&ledger).contains_key("second"));
}

#[tokio::test]
async fn one_at_a_time_stays_one_at_a_time_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host_with(&ledger, "[workflows.durable-linear]\nmax = 1\nqueue = 9\n", &[]).await;
    let runs = ["e", "d", "c", "b", "a"];
    for run in runs {
        assert!(begin(&host, "durable-linear", run, &json!({ "value": 1, "delayMs": 40 })).await);
    }
    eventually(SOON, || std::future::ready((!ledger::lines(&ledger).is_empty()).then_some(()))).await;
    host.restart().await.unwrap();
    for run in runs {
        assert_eq!(page_when(&host, "durable-linear", run, "success").await["result"]["value"], 6, "{run}");
    }
    let lines = ledger::lines(&ledger);
    assert_eq!(order(&lines), runs, "not in the order they were begun in");
    // The first was going on when the host died; after it each body ends before the next begins.
    let began = lines.iter().position(|line| line.run() != "e").unwrap();
    for pair in lines[began..].chunks(2) {
        let [start, end] = pair else { panic!("an odd line: {lines:#?}") };
        assert_eq!((&*start.at, &*end.at), ("start", "end"), "{lines:#?}");
        assert_eq!(start.run, end.run, "{lines:#?}");
    }
}

/// What a workflow asks for in its plugin holds, in all and for each resource, unless a setting says otherwise.
#[tokio::test]
async fn what_the_plugin_asks_for_holds_until_a_setting_says_otherwise() {
    const WORKFLOW: &str = "durable-limited";
    for (config, most) in [("", 2), ("[workflows.durable-limited]\nmax = 1\nqueue = 4\n", 1)] {
        let directory = tempfile::tempdir().unwrap();
        let ledger = directory.path().join("ledger");
        let host = host_with(&ledger, config, &[]).await;
        let ask = async |run: &str, path: &str, body: Value| {
            let path = format!("/api/workflows/{WORKFLOW}/{path}?runId={run}");
            host.send(Outgoing::post(&path, &body)).await.unwrap().status.unwrap()
        };
        let resource = |run: &str| run.split('-').next().unwrap().to_owned();
        let runs = ["a-1", "a-2", "a-3", "b-1", "c-1"];
        for run in runs.into_iter().chain(["d-1"]) {
            assert_eq!(ask(run, "create-run", json!({ "resourceId": resource(run) })).await, 200);
        }
        // Those that go on at once do so until all others have been begun.
        let input = |run: &str| {
            let delay = if ["a-1", "b-1"].contains(&run) { 2000 } else { 100 };
            json!({ "inputData": { "value": 1, "delayMs": delay } })
        };
        for run in runs {
            assert_eq!(ask(run, "start", input(run)).await, 200, "{run}");
        }
        assert_eq!(ask("d-1", "start", input("d-1")).await, 429, "all places are taken");
        for run in runs {
            assert_eq!(page_when(&host, WORKFLOW, run, "success").await["result"]["value"], 2, "{run}");
        }
        let lines = ledger::lines(&ledger);
        assert_eq!(most_at_once(&lines, resource), 1, "{lines:#?}");
        assert_eq!(most_at_once(&lines, |_| String::new()), most, "{lines:#?}");
    }
}

#[tokio::test]
async fn runs_are_told_apart_by_a_part_of_their_input() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let config = "[workflows.\"*\"]\nkey = \"value\"\nmax_per_key = 1\n";
    let host = host_with(&ledger, config, &[]).await;
    for (run, value) in [("one-a", 1), ("one-b", 1), ("two-a", 2), ("two-b", 2)] {
        assert!(begin(&host, "durable-linear", run, &json!({ "value": value, "delayMs": 100 })).await);
    }
    for run in ["one-a", "one-b", "two-a", "two-b"] {
        page_when(&host, "durable-linear", run, "success").await;
    }
    let lines = ledger::lines(&ledger);
    let key = |run: &str| run.split('-').next().unwrap().to_owned();
    assert_eq!(most_at_once(&lines, key), 1, "{lines:#?}");
    assert_eq!(most_at_once(&lines, |_| String::new()), 2, "{lines:#?}");
    // The second of a key begins when the first is over, not in its pauses.
    for pair in [["one-a", "one-b"], ["two-a", "two-b"]] {
        let of_key: Vec<Line> = lines.iter().filter(|line| pair.contains(&line.run())).cloned().collect();
        let change = of_key.iter().position(|line| line.run() == pair[1]).unwrap();
        assert!(of_key[change..].iter().all(|line| line.run() == pair[1]), "{of_key:#?}");
    }
}
