//! The list of the runs of all workflows.

use serde_json::{Value, json};

use super::Host;
use crate::{
    store::runs::{Lease, NewRun},
    types::run::{RunInput, RunOutcome, RunStatus},
};

/// A host with runs of two workflows that are not there any more, one made each second of 1970.
async fn host() -> Host {
    let host = Host::start().await;
    let runs = host.app.store.runs();
    for (seconds, (run_id, workflow_id, resource_id, status)) in [
        ("1", "pack", Some("ann"), RunStatus::Success),
        ("2", "pack", None, RunStatus::Pending),
        ("3", "send", Some("ann"), RunStatus::Pending),
        ("4", "send", Some("bob"), RunStatus::Failed),
    ]
    .into_iter()
    .enumerate()
    {
        let (input, now) = (RunInput::default(), 1000 * i64::try_from(seconds).unwrap());
        let status_now = RunStatus::Pending;
        let run =
            NewRun { run_id, workflow_id, resource_id, graph_hash: "", input: &input, status: status_now, state: None };
        runs.insert(&run, Lease::NONE, now).await.unwrap();
        if status != status_now {
            let row = runs.get(run_id).await.unwrap().unwrap();
            runs.settle(&row, status, &RunOutcome::default(), now + 1).await.unwrap();
        }
    }
    host
}

async fn listed(host: &Host, query: &str) -> (Vec<String>, Value) {
    let answer = host.get(&format!("/api/runs{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let answer = answer.json();
    let ids = answer["runs"].as_array().unwrap().iter().map(|run| run["runId"].as_str().unwrap().to_owned());
    (ids.collect(), answer)
}

#[tokio::test]
async fn runs_of_all_workflows_are_told_without_what_is_in_them() {
    let (_, answer) = listed(&host().await, "?perPage=2").await;
    assert_eq!(
        answer,
        json!({
            "runs": [
                {
                    "runId": "4", "workflowId": "send", "status": "failed", "resourceId": "bob",
                    "createdAt": "1970-01-01T00:00:03.000Z", "updatedAt": "1970-01-01T00:00:03.001Z"
                },
                {
                    "runId": "3", "workflowId": "send", "status": "pending", "resourceId": "ann",
                    "createdAt": "1970-01-01T00:00:02.000Z", "updatedAt": "1970-01-01T00:00:02.000Z"
                }
            ],
            "total": 4, "page": 0, "perPage": 2, "hasMore": true
        })
    );
}

#[tokio::test]
async fn they_are_found_by_all_that_is_told_of_them() {
    let host = host().await;
    for (query, expected, total) in [
        ("", vec!["4", "3", "2", "1"], 4),
        ("?perPage=3&page=1", vec!["1"], 4),
        ("?page=9", vec![], 4),
        ("?workflowId=pack", vec!["2", "1"], 2),
        ("?workflowId=none", vec![], 0),
        ("?status=pending", vec!["3", "2"], 2),
        ("?resourceId=ann", vec!["3", "1"], 2),
        ("?resourceId=ann&status=success&workflowId=pack", vec!["1"], 1),
        ("?fromDate=1970-01-01T00:00:01Z&toDate=1970-01-01T00:00:02Z", vec!["3", "2"], 2),
    ] {
        let (ids, answer) = listed(&host, query).await;
        assert_eq!(
            (ids, &answer["total"]),
            (expected.into_iter().map(str::to_owned).collect(), &json!(total)),
            "{query}"
        );
    }
    for (query, field) in [
        ("?status=what", "status"),
        ("?page=-1", "page"),
        ("?perPage=0", "perPage"),
        ("?perPage=501", "perPage"),
        ("?fromDate=then", "fromDate"),
    ] {
        let answer = host.get(&format!("/api/runs{query}")).await;
        assert_eq!((answer.status, &answer.json()["issues"][0]["field"]), (400, &json!(field)), "{query}");
    }
}
