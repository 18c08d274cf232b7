//! Runs that are told to end.

use hotbay_tests::eventually;
use serde_json::json;

use super::{SOON, begin, host_with, ledger, page_when};

#[tokio::test]
async fn step_that_does_not_end_is_given_up_after_the_grace() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let host = host_with(&ledger, "", &["--cancel-grace", "200ms"]).await;
    assert!(begin(&host, "durable-linear", "r", &json!({ "value": 1, "delayMs": 3_600_000 })).await);
    eventually(SOON, || std::future::ready((ledger::lines(&ledger).len() == 1).then_some(()))).await;
    let (status, body) = host.post_json("/api/workflows/durable-linear/runs/r/cancel", &json!({})).await.unwrap();
    assert_eq!(status, 200, "{body}");
    page_when(&host, "durable-linear", "r", "canceled").await;
    assert_eq!(ledger::lines(&ledger).len(), 1, "the body came to an end");
}

#[tokio::test]
async fn run_that_was_cancelled_and_is_restarted_goes_on_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    // A short lease makes the host look often for runs that are to end.
    let host = host_with(&ledger, "", &["--cancel-grace", "100ms", "--lease", "600ms"]).await;
    assert!(begin(&host, "durable-linear", "r", &json!({ "value": 1, "delayMs": 250 })).await);
    eventually(SOON, || std::future::ready((!ledger::lines(&ledger).is_empty()).then_some(()))).await;
    let path = "/api/workflows/durable-linear";
    host.post_json(&format!("{path}/runs/r/cancel"), &json!({})).await.unwrap();
    page_when(&host, "durable-linear", "r", "canceled").await;
    let request = json!({ "step": "one", "inputData": { "value": 1, "delayMs": 250 } });
    let (status, body) = host.post_json(&format!("{path}/time-travel-async?runId=r"), &request).await.unwrap();
    assert_eq!((status, &body["status"]), (200, &json!("success")), "{body}");
}
