//! The console in a real terminal against a real host: what operators do all day.

mod live;
mod orders;
mod scripts;
mod terminals;

use hotbay_tests::{
    TestHost,
    pty::{Program, Terminal},
};
use serde_json::{Value, json};

const REFERENCE: &str = "hotbay-test-reference";

async fn host() -> TestHost {
    TestHost::builder().plugin(REFERENCE).start().await.unwrap()
}

/// The console, watching a host, on a screen of it.
fn console(host: &TestHost, screen: &str) -> Terminal {
    let url = host.url("");
    let terminal = Program::built("hotbay-tui").arguments(&["--url", &url, "--screen", screen]).start().unwrap();
    terminal.see("live");
    terminal
}

async fn post(host: &TestHost, path: &str, body: Value) -> Value {
    let (status, answer) = host.post_json(path, &body).await.unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn start_run(host: &TestHost, workflow: &str, input: Value) -> String {
    let path = format!("/api/workflows/{workflow}/start-async");
    let run = post(host, &path, json!({"inputData": input})).await;
    run["runId"].as_str().unwrap().to_owned()
}

/// The end of a run's id, as lists show it.
fn tail(run: &str) -> String {
    run.chars().skip(run.chars().count() - 8).collect()
}
