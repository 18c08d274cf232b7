//! Runs of workflows outlive the host: killed at its commits, at any time, with the plugin
//! swapped meanwhile. What really ran is in the plugin's ledger, outside the host.

mod cancel;
mod footprint;
#[cfg(hotbay_test_postgres)]
mod hosts;
mod kill;
mod ledger;
mod limits;
mod listeners;
mod policies;
mod swap;
mod take_up;

use std::{path::Path, time::Duration};

use hotbay_tests::{TestHost, eventually};
use serde_json::{Value, json};

/// How long a run that was left may take to be taken up and to end.
const SOON: Duration = Duration::from_secs(60);

/// Starts a host with the plugin that keeps a ledger.
async fn host(ledger: &Path) -> TestHost {
    host_with(ledger, "", &[]).await
}

/// As [`host`], with more settings.
async fn host_with(ledger: &Path, config: &str, arguments: &[&str]) -> TestHost {
    let config = format!("[plugins.hotbay-test-durable.config]\nledger = {ledger:?}\n{config}");
    let builder = TestHost::builder().config_text(config).plugin("hotbay-test-durable");
    arguments.iter().fold(builder, |builder, argument| builder.argument(argument)).start().await.unwrap()
}

/// Begins a run. Whether the host said that it has; it may die before.
async fn begin(host: &TestHost, workflow: &str, run: &str, input: &Value) -> bool {
    let made = host.post_json(&format!("/api/workflows/{workflow}/create-run?runId={run}"), &json!({})).await;
    if made.is_err() {
        return false;
    }
    let begun =
        host.post_json(&format!("/api/workflows/{workflow}/start?runId={run}"), &json!({ "inputData": input })).await;
    begun.is_ok_and(|(status, _)| status == 200)
}

/// Returns a run's page once it stands so.
async fn page_when(host: &TestHost, workflow: &str, run: &str, status: &str) -> Value {
    eventually(SOON, || async {
        let (_, page) = host.get_json(&format!("/api/workflows/{workflow}/runs/{run}")).await.unwrap();
        let stands = page["status"].as_str().unwrap_or_default().to_owned();
        assert!(!(stands == "failed" && status != "failed"), "{workflow} {run}: {page:#}");
        (stands == status).then_some(page)
    })
    .await
}
