//! A host that dies again and again, before and after its commits and at any time in between.

use std::{collections::BTreeMap, time::Duration};

use hotbay_tests::{TestHost, eventually};
use serde_json::{Value, json};

use super::{SOON, begin, host, ledger, page_when};

/// What a workflow makes of a number, and in which groups its bodies run, one after another.
struct Case {
    workflow: &'static str,
    result: fn(i64) -> i64,
    groups: &'static [&'static [&'static str]],
}

const CASES: &[Case] = &[
    Case {
        workflow: "durable-linear",
        result: |v| v + 5,
        groups: &[&["one"], &["two"], &["three"], &["four"], &["five"]],
    },
    Case { workflow: "durable-parallel", result: |v| 4 * v + 2, groups: &[&["left", "middle", "right"], &["sum"]] },
    Case {
        workflow: "durable-branch",
        result: |v| if v % 2 == 0 { 3 * v + 1 } else { 2 * v + 2 },
        groups: &[&["even", "odd", "always"], &["sum"]],
    },
    Case { workflow: "durable-dountil", result: |v| 2 * (v + 1).max(5), groups: &[&["up"], &["double"]] },
    Case { workflow: "durable-dowhile", result: |v| 2 * (v + 1).max(5), groups: &[&["up"], &["double"]] },
    Case { workflow: "durable-foreach", result: |v| 16 * v + 56, groups: &[&["each"], &["total"]] },
    Case { workflow: "durable-map", result: |v| (v + 1) * 100 + 1, groups: &[&["before"], &["after"]] },
    Case {
        workflow: "durable-nested",
        result: |v| 2 * (v + 2) + 1,
        groups: &[&["before"], &["first"], &["second"], &["after"]],
    },
    Case { workflow: "durable-tool", result: |v| v + 12, groups: &[&["before"], &["durable-add-ten"], &["after"]] },
    Case { workflow: "durable-agent", result: |v| v + 2, groups: &[&["before"], &["after"]] },
    Case {
        workflow: "durable-everything",
        result: |v| {
            let sum = 5 * (v + 1) + 12;
            16 * ((sum / 10 + 1) * 10) + 73
        },
        groups: &[&["before"], &["sum"], &["up"], &["total"], &["after"]],
    },
    Case { workflow: "durable-sleep", result: |v| v + 3, groups: &[&["before"], &["between"], &["after"]] },
    Case { workflow: "durable-sleep-until", result: |v| v + 3, groups: &[&["before"], &["between"], &["after"]] },
    Case { workflow: "durable-retry", result: |v| v + 2, groups: &[&["flaky"], &["after"]] },
    Case { workflow: "durable-suspend", result: |v| v + 7, groups: &[&["before"], &["ask"], &["after"]] },
];

/// Begun runs: the case and the input, by id.
type Begun = BTreeMap<String, (usize, i64)>;

/// Lets every run come to its end, answering those that wait for somebody, and checks its result.
async fn drain(host: &TestHost, begun: &Begun) {
    for (run, &(case, value)) in begun {
        let Case { workflow, result, .. } = CASES[case];
        if workflow == "durable-suspend" {
            let path = format!("/api/workflows/{workflow}/runs/{run}");
            let stands = eventually(SOON, || async {
                let (_, page) = host.get_json(&path).await.unwrap();
                let status = page["status"].as_str().unwrap().to_owned();
                ["suspended", "success"].contains(&status.as_str()).then_some(status)
            });
            if stands.await == "suspended" {
                let answer = json!({ "step": "ask", "resumeData": { "add": 5 } });
                let path = format!("/api/workflows/{workflow}/resume-async?runId={run}");
                let (status, body) = host.post_json(&path, &answer).await.unwrap();
                assert_eq!((status, &body["status"]), (200, &json!("success")), "{run}: {body}");
            }
        }
        let page = page_when(host, workflow, run, "success").await;
        assert_eq!(page["result"]["value"], json!(result(value)), "{workflow} of {value}: {page:#}");
        let steps = page["steps"].as_object().unwrap();
        assert!(steps.values().all(|step| step["status"] == "success" && step.get("output").is_some()), "{page:#}");
    }
}

fn check_ledger(path: &std::path::Path, begun: &Begun) {
    let lines = ledger::read(path);
    for (run, &(case, _)) in begun {
        let lines = &lines[run];
        ledger::check_forward(run, lines, CASES[case].groups);
        ledger::check_keys(run, lines);
    }
}

/// Kills that are made: enough that each commit of each workflow is hit from both sides.
const KILLS: u32 = 210;
/// Kills between two looks at everything.
const ROUND: u32 = 14;

#[tokio::test]
async fn runs_go_on_whatever_commit_the_host_dies_at() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host(&ledger).await;
    let (mut kills, mut begun) = (0, Begun::new());
    let mut all = Begun::new();
    while kills < KILLS {
        let side = if kills.is_multiple_of(2) { "before" } else { "after" };
        // Runs that were left are claimed first, a commit each; then come the commits of steps.
        let commit = 1 + (kills * 7) % (8 + 2 * begun.len() as u32);
        host.set_variable("HOTBAY_TEST_FAULT", Some(&format!("{side}:{commit}")));
        host.kill().ok();
        // It may be dead before it has said that it listens.
        if host.restart().await.is_ok() {
            let index = kills as usize % CASES.len();
            let (run, value) = (format!("run-{kills}"), i64::from(kills % 9) + 1);
            if begin(&host, CASES[index].workflow, &run, &json!({ "value": value })).await {
                begun.insert(run, (index, value));
            }
            let died =
                eventually(Duration::from_secs(5), || std::future::ready(host.has_ended().unwrap().then_some(())));
            // With little to do it may never reach the chosen commit.
            drop(tokio::time::timeout(Duration::from_millis(700), died).await);
        }
        kills += 1;
        if kills % ROUND == 0 || kills == KILLS {
            host.set_variable("HOTBAY_TEST_FAULT", None);
            host.kill().ok();
            host.restart().await.unwrap();
            drain(&host, &begun).await;
            all.append(&mut begun);
        }
    }
    check_ledger(&ledger, &all);
    println!("{kills} kills, {} runs begun, all ended", all.len());
    assert!(all.len() > 60, "only {} runs were begun", all.len());
}

#[tokio::test]
async fn runs_go_on_whenever_the_host_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let mut host = host(&ledger).await;
    let mut begun = Begun::new();
    for kill in 0..20_u64 {
        for (index, case) in CASES.iter().enumerate() {
            let (run, value) = (format!("run-{kill}-{index}"), 3);
            if begin(&host, case.workflow, &run, &json!({ "value": value, "delayMs": 3 })).await {
                begun.insert(run, (index, value));
            }
        }
        // Somewhere in what goes on now: the number is not the time's but the round's.
        tokio::time::sleep(Duration::from_millis(kill * 37 % 60)).await;
        host.restart().await.unwrap();
        drain(&host, &begun).await;
        check_ledger(&ledger, &begun);
        begun.clear();
    }
}

/// Waits are rows: a run that sleeps when the host dies wakes at its time, not before, not anew.
#[tokio::test]
async fn sleeps_end_at_their_time_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = host(&directory.path().join("ledger")).await;
    let input: Value = json!({ "value": 1, "delayMs": 1500 });
    assert!(begin(&host, "durable-sleep", "sleeper", &input).await);
    let path = "/api/workflows/durable-sleep/runs/sleeper";
    eventually(SOON, || async {
        let (_, page) = host.get_json(path).await.unwrap();
        (page["waitingPaths"].as_object().is_some_and(|waiting| !waiting.is_empty())
            && page["steps"].get("between").is_some_and(|step| step["status"] == "success"))
        .then_some(())
    })
    .await;
    host.restart().await.unwrap();
    let page = page_when(&host, "durable-sleep", "sleeper", "success").await;
    let steps = page["steps"].as_object().unwrap();
    let sleep = steps.iter().filter(|(name, _)| name.starts_with("sleep_")).map(|(_, step)| step);
    let slept: Vec<i64> =
        sleep.map(|step| step["endedAt"].as_i64().unwrap() - step["startedAt"].as_i64().unwrap()).collect();
    assert!(slept.iter().any(|slept| *slept >= 1500), "{page:#}");
}
