//! Those who listen to a run that nobody drives: they end when it does, whoever ends it.

use hotbay_tests::{
    TestHost,
    http::{Incomplete, Outgoing, send},
};
use serde_json::{Value, json};

use super::{SOON, begin, host_with, page_when};

/// A run that waits for a time after its second step.
const WORKFLOW: &str = "durable-sleep-until";

/// A run's stream that was asked for and has begun.
struct Listener {
    answer: Incomplete,
    text: String,
}

impl Listener {
    /// Listens to a run from its beginning.
    async fn of(host: &TestHost, workflow: &str, run: &str) -> Self {
        let request = Outgoing::post(&format!("/api/workflows/{workflow}/observe?runId={run}"), &json!({}));
        let answer = send(host.address(), request).await.unwrap();
        assert_eq!(answer.response.status(), 200);
        let mut listener = Self { answer, text: String::new() };
        assert!(listener.hear().await, "the stream has no beginning");
        listener
    }

    async fn hear(&mut self) -> bool {
        let heard = tokio::time::timeout(SOON, self.answer.chunk()).await.expect("the listener is left waiting");
        let heard = heard.unwrap();
        heard.iter().for_each(|bytes| self.text.push_str(std::str::from_utf8(bytes).unwrap()));
        heard.is_some()
    }

    /// Returns the types of all chunks once the stream has ended.
    async fn types(mut self) -> Vec<String> {
        while self.hear().await {}
        let chunks = self.text.split_terminator('\u{1e}').map(|chunk| serde_json::from_str::<Value>(chunk).unwrap());
        chunks.map(|chunk| chunk["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Begins a run that waits.
async fn begin_waiting(host: &TestHost, run: &str) {
    assert!(begin(host, WORKFLOW, run, &json!({ "value": 1, "at": "2900-01-01T00:00:00Z" })).await);
    let steps = ["before", "between"];
    hotbay_tests::eventually(SOON, || async {
        let (_, page) = host.get_json(&format!("/api/workflows/{WORKFLOW}/runs/{run}")).await.unwrap();
        let are_done = steps.iter().all(|step| page["steps"][step]["status"] == "success");
        (page["status"] == "waiting" && are_done).then_some(())
    })
    .await;
}

/// Ends a run, or removes it.
async fn end(host: &TestHost, run: &str, how: &str) {
    let path = format!("/api/workflows/{WORKFLOW}/runs/{run}");
    let (status, body) = match how {
        "cancel" => host.post_json(&format!("{path}/cancel"), &json!({})).await.unwrap(),
        _ => {
            let answer = host.send(Outgoing { method: "DELETE".to_owned(), ..Outgoing::get(&path) }).await.unwrap();
            (answer.status.unwrap(), Value::Null)
        }
    };
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn listener_of_a_waiting_run_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let host = host_with(&directory.path().join("ledger"), "", &[]).await;
    for (run, how) in [("canceled", "cancel"), ("removed", "delete")] {
        begin_waiting(&host, run).await;
        let listener = Listener::of(&host, WORKFLOW, run).await;
        end(&host, run, how).await;
        let types = listener.types().await;
        assert_eq!(types.iter().filter(|kind| *kind == "workflow-step-result").count(), 3, "{how}: {types:?}");
    }
    page_when(&host, WORKFLOW, "canceled", "canceled").await;
}

/// What waits at one host is ended there without a last chunk: those who listen at the other one
/// have only the run's row to learn it from.
#[cfg(hotbay_test_postgres)]
#[tokio::test]
async fn listener_at_another_host_ends_when_the_run_does() {
    hotbay_tests::postgres::with_database(async |url| {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["--database-url", url, "--lease", "5s"];
        let first = host_with(&directory.path().join("first"), "", &arguments).await;
        let second = host_with(&directory.path().join("second"), "", &arguments).await;
        for (run, how) in [("canceled", "cancel"), ("removed", "delete")] {
            begin_waiting(&first, run).await;
            let there = Listener::of(&second, WORKFLOW, run).await;
            let here = Listener::of(&first, WORKFLOW, run).await;
            end(&first, run, how).await;
            assert_eq!(there.types().await, here.types().await, "{how}");
        }
    })
    .await;
}
