//! Runs that are resumed and broken off: by a crash, by a caller who leaves, by a model that fails.

use std::time::Duration;

use futures::future::join_all;
use hotbay_tests::eventually;
use serde_json::{Value, json};

use super::{get, post};
use crate::working::Working;

const SOON: Duration = Duration::from_secs(60);
const APPROVE: &str = "/api/agents/durable-worker/approve-tool-call-generate";

impl Working {
    /// Has the worker ask for approval of a call that takes `delay`; returns the run and the call.
    async fn waiting(&self, delay: Duration, memory: &Value) -> Value {
        let input = json!({"value": 1, "delayMs": delay.as_millis()});
        let mut body = json!({"messages": format!("call durable-approved {input}")});
        if !memory.is_null() {
            body["memory"] = memory.clone();
        }
        let answer = post(&self.host, "/api/agents/durable-worker/generate", &body).await;
        assert_eq!(answer["finishReason"], "suspended", "{answer}");
        json!({"runId": answer["runId"], "toolCallId": answer["toolCalls"][0]["payload"]["toolCallId"]})
    }

    async fn until_begun(&self, times: usize) {
        eventually(SOON, || async { (self.begun().len() >= times).then_some(()) }).await;
    }

    async fn entries(&self) -> u64 {
        get(&self.host, "/api/memory/threads/t/messages").await["total"].as_u64().unwrap()
    }
}

fn memory() -> Value {
    json!({"thread": "t", "resource": "u"})
}

#[tokio::test]
async fn a_run_is_resumed_again_after_the_host_was_killed_in_between() {
    let mut working = Working::start(&[]).await;
    let waiting = working.waiting(Duration::from_millis(1500), &memory()).await;
    assert_eq!(working.entries().await, 2);
    let stream = working.host.sse("/api/agents/durable-worker/approve-tool-call", &waiting).await.unwrap();
    working.until_begun(1).await;
    working.host.restart().await.unwrap();
    drop(stream);

    assert_eq!(working.entries().await, 2);
    let answer = post(&working.host, APPROVE, &waiting).await;
    assert_eq!(answer["finishReason"], "stop", "{answer}");
    assert_eq!(working.entries().await, 3);
    let begun = working.begun();
    let keys: Vec<&str> = begun.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    assert_eq!(working.host.post_json(APPROVE, &waiting).await.unwrap().0, 404);
    assert_eq!(working.entries().await, 3);
}

#[tokio::test]
async fn a_run_is_resumed_again_after_its_reader_has_left() {
    let working = Working::start(&[]).await;
    for memory in [memory(), Value::Null] {
        let before = working.begun().len();
        let waiting = working.waiting(Duration::from_millis(1500), &memory).await;
        let stream = working.host.sse("/api/agents/durable-worker/approve-tool-call", &waiting).await.unwrap();
        working.until_begun(before + 1).await;
        assert_eq!(working.host.post_json(APPROVE, &waiting).await.unwrap().0, 404);
        drop(stream);
        let answer = eventually(SOON, || async {
            let (status, answer) = working.host.post_json(APPROVE, &waiting).await.unwrap();
            assert!(status == 200 || status == 404, "{status}: {answer}");
            (status == 200).then_some(answer)
        });
        assert_eq!(answer.await["finishReason"], "stop");
        assert_eq!(working.host.post_json(APPROVE, &waiting).await.unwrap().0, 404);
    }
    assert_eq!(working.entries().await, 3);
}

#[tokio::test]
async fn a_run_without_a_conversation_that_fails_waits_again() {
    let working = Working::start(&[]).await;
    let call = json!({"toolName": "durable-approved", "input": {"value": 1}});
    let script = json!([{"toolCalls": [call]}, {"error": "the model is away"}]);
    let body = json!({"messages": "do it", "providerOptions": {"mock": {"script": script}}});
    let answer = post(&working.host, "/api/agents/durable-worker/generate", &body).await;
    let waiting = json!({"runId": answer["runId"], "toolCallId": answer["toolCalls"][0]["payload"]["toolCallId"]});
    for times in 1..=2 {
        let failed = eventually(SOON, || async {
            let (status, answer) = working.host.post_json(APPROVE, &waiting).await.unwrap();
            (status != 404).then_some((status, answer))
        });
        let (status, answer) = failed.await;
        assert!(status != 200 && answer.to_string().contains("the model is away"), "{status}: {answer}");
        assert_eq!(working.begun().len(), times);
    }
}

#[tokio::test]
async fn of_many_who_resume_a_run_without_a_conversation_one_does() {
    let working = Working::start(&[]).await;
    let waiting = working.waiting(Duration::ZERO, &Value::Null).await;
    let resumed = join_all((0..8).map(|_| working.host.post_json(APPROVE, &waiting))).await;
    let mut statuses: Vec<u16> = resumed.into_iter().map(|resumed| resumed.unwrap().0).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(working.begun().len(), 1);
}
