//! Workflows as tools of agents.

use std::time::Duration;

use hotbay_tests::eventually;
use serde_json::{Value, json};

use crate::working::Working;

const WORKER: &str = "/api/agents/durable-worker";

/// The plugin whose workflows the agent runs beside those of its own.
const OTHER: &str = "hotbay-test-reference";

impl Working {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.host.post_json(path, body).await.unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn call(&self, tool: &str, arguments: &Value) -> Value {
        self.post(&format!("{WORKER}/generate"), &json!({"messages": format!("call {tool} {arguments}")})).await
    }

    /// Answers the call a run waits for; returns the events of the rest.
    async fn resume(&self, waiting: &Value, data: &Value) -> Vec<Value> {
        let body = json!({"runId": waiting["runId"], "resumeData": data});
        let mut stream = self.host.sse(&format!("{WORKER}/resume-stream"), &body).await.unwrap();
        let mut events = Vec::new();
        while let Some(event) = stream.next().await.unwrap() {
            let data = event.data.unwrap_or_default();
            if data != "[DONE]" {
                events.push(serde_json::from_str(&data).unwrap());
            }
        }
        events
    }

    async fn run(&self, workflow: &str, id: &Value) -> Value {
        let path = format!("/api/workflows/{workflow}/runs/{}", id.as_str().unwrap());
        let (status, run) = self.host.get_json(&path).await.unwrap();
        assert_eq!(status, 200, "{run}");
        run
    }

    async fn runs(&self, workflow: &str) -> u64 {
        let (_, runs) = self.host.get_json(&format!("/api/workflows/{workflow}/runs")).await.unwrap();
        runs["total"].as_u64().unwrap()
    }

    fn times(&self, step: &str) -> usize {
        self.begun().iter().filter(|line| line["step"] == step).count()
    }
}

/// What the first tool of an answer gave.
fn result(answer: &Value) -> &Value {
    &answer["toolResults"][0]["payload"]["result"]
}

fn event<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let found = events.iter().find(|event| event["type"] == kind);
    &found.unwrap_or_else(|| panic!("no {kind} in {events:#?}"))["payload"]
}

#[tokio::test]
async fn a_finished_run_is_the_tools_result() {
    let working = Working::start(&[OTHER]).await;
    let answer = working.call("workflow-durable-suspend", &json!({"inputData": {"value": "no number"}})).await;
    assert!(answer.to_string().contains("Invalid input data"), "{answer:#}");
    assert_eq!(working.runs("durable-suspend").await, 0);

    let answer = working.call("workflow-durable-linear", &json!({"inputData": {"value": 1}})).await;
    let result = result(&answer);
    let run = working.run("durable-linear", &result["runId"]).await;
    assert_eq!(run["status"], "success");
    assert!(run["result"]["value"].is_i64(), "{run}");
    assert_eq!(result["result"], run["result"]);
    assert!(answer["text"].as_str().unwrap().starts_with("[scripted model]"), "{answer}");
}

#[tokio::test]
async fn a_failed_run_is_the_tools_error() {
    let working = Working::start(&[OTHER]).await;
    let answer = working.call("workflow-failing-workflow", &json!({"inputData": {"message": "a"}})).await;
    assert!(result(&answer)["runId"].is_null(), "{answer}");
    assert!(answer.to_string().contains("gave no result: step exploded"), "{answer:#}");
    assert_eq!(working.runs("failing-workflow").await, 1);
}

#[tokio::test]
async fn a_run_that_waits_suspends_the_agents_and_goes_on_with_it() {
    let mut working = Working::start(&[OTHER]).await;
    let waiting = working.call("workflow-durable-suspend", &json!({"inputData": {"value": 1}})).await;
    assert_eq!(waiting["finishReason"], "suspended", "{waiting:#}");
    let payload = &waiting["suspendPayload"];
    assert_eq!(payload["suspendPayload"], json!({"need": "a number"}), "{waiting:#}");
    assert!(payload["resumeSchema"].as_str().unwrap().contains("\"add\""), "{payload}");

    working.host.restart().await.unwrap();
    let body = json!({"runId": waiting["runId"], "resumeData": {"add": "no number"}});
    let (status, _) = working.host.post_json(&format!("{WORKER}/resume-stream"), &body).await.unwrap();
    assert_eq!(status, 400);
    let events = working.resume(&waiting, &json!({"add": 5})).await;
    let result = &event(&events, "tool-result")["result"];
    assert_eq!(result["result"]["value"], 8);
    assert_eq!(working.run("durable-suspend", &result["runId"]).await["status"], "success");
    assert_eq!(working.runs("durable-suspend").await, 1);
}

#[tokio::test]
async fn a_call_that_is_made_again_finds_the_run_it_had_begun() {
    let mut working = Working::start(&[OTHER]).await;
    let input = json!({"value": 1, "delayMs": 700});
    let waiting = working.call("workflow-durable-suspend", &json!({"inputData": input})).await;
    let body = json!({"runId": waiting["runId"], "resumeData": {"add": 5}});
    let stream = working.host.sse(&format!("{WORKER}/resume-stream"), &body).await.unwrap();
    eventually(Duration::from_secs(60), || async { (working.times("after") == 1).then_some(()) }).await;
    working.host.restart().await.unwrap();
    drop(stream);
    let events = working.resume(&waiting, &json!({"add": 7})).await;
    // The first answer counted: what came of it was stored before the host died.
    assert_eq!(event(&events, "tool-result")["result"]["result"]["value"], 8);
    assert_eq!(working.runs("durable-suspend").await, 1);
    assert_eq!(working.times("before"), 1);
}
