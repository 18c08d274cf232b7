//! What becomes of a step that was running when the host died, and of what the host answered it.

use hotbay_tests::{TestHost, eventually};
use serde_json::json;

use super::{SOON, begin, host, ledger, page_when};
use crate::store::{connect, number};

/// Waits until the ledger has a body's beginning.
async fn until_begun(path: &std::path::Path, run: &str, step: &str) {
    eventually(SOON, || {
        let begun = ledger::read(path)
            .get(run)
            .is_some_and(|lines| lines.iter().any(|line| line.step == step && line.at == "start"));
        std::future::ready(begun.then_some(()))
    })
    .await;
}

/// Kills the host while the careful step of a workflow runs, and starts it again.
async fn killed_in_careful_step(workflow: &str, ledger: &std::path::Path) -> TestHost {
    let mut host = host(ledger).await;
    assert!(begin(&host, workflow, "r", &json!({ "value": 1, "delayMs": 400 })).await);
    until_begun(ledger, "r", "careful").await;
    host.restart().await.unwrap();
    host
}

#[tokio::test]
async fn step_that_may_not_be_repeated_fails_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let host = killed_in_careful_step("durable-recover-fail", &ledger).await;
    let page = page_when(&host, "durable-recover-fail", "r", "failed").await;
    assert_eq!(page["error"]["message"], "the host stopped while step `careful` was running");
    assert_eq!(page["steps"]["before"]["status"], "success");
    let begun = ledger::read(&ledger)["r"].iter().filter(|line| line.step == "careful" && line.at == "start").count();
    assert_eq!(begun, 1);
}

#[tokio::test]
async fn step_that_a_person_must_judge_waits_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let host = killed_in_careful_step("durable-recover-suspend", &ledger).await;
    let page = page_when(&host, "durable-recover-suspend", "r", "suspended").await;
    assert_eq!(page["steps"]["careful"]["suspendPayload"]["step"], "careful");
    let path = "/api/workflows/durable-recover-suspend/resume-async?runId=r";
    let (status, body) = host.post_json(path, &json!({})).await.unwrap();
    assert_eq!((status, &body["result"]["value"]), (200, &json!(4)), "{body}");
}

/// Kills the host while a step goes on that was answered already, and returns what the run comes to.
async fn killed_once_answered(workflow: &str, ledger: &std::path::Path) -> serde_json::Value {
    let mut host = host(ledger).await;
    assert!(begin(&host, workflow, "r", &json!({ "value": 1, "delayMs": 500 })).await);
    let mut connection = connect(&host.data_dir()).await;
    // The answer is stored, the step goes on for a while.
    loop {
        if number(&mut connection, "SELECT COUNT(*) FROM workflow_memos").await == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(connection);
    host.restart().await.unwrap();
    page_when(&host, workflow, "r", "success").await["result"]["value"].clone()
}

/// A step that is repeated is answered by tools and models as before, without asking them again.
#[tokio::test]
async fn repeated_step_gets_the_answers_it_got_before() {
    for (workflow, step, asked, result) in
        [("durable-calls", "call-tool", "durable-add-ten", 12), ("durable-chats", "ask-model", "durable/echo", 2)]
    {
        let directory = tempfile::tempdir().unwrap();
        let ledger = directory.path().join("ledger");
        assert_eq!(killed_once_answered(workflow, &ledger).await, result, "{workflow}");
        let lines = ledger::lines(&ledger);
        let begun = |step: &str| lines.iter().filter(|line| line.step == step && line.at == "start").count();
        assert_eq!((begun(step), begun(asked)), (2, 1), "{lines:#?}");
    }
}
