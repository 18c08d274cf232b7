//! What survives when the host is killed: every message that was acknowledged, and every run
//! that waits.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use hotbay_tests::{TestHost, eventually, http::Outgoing, replay::client};
use serde_json::{Value, json};

use super::{get, host, post};

/// Has the weather agent ask for approval; returns the run and the call.
async fn suspended(host: &TestHost, thread: &str) -> (String, String) {
    let body = json!({"messages": "APPROVE it", "memory": {"thread": thread, "resource": "u"}});
    let answer = post(host, "/api/agents/weather-agent/generate", &body).await;
    assert_eq!(answer["finishReason"], "suspended");
    let call = answer["toolCalls"][0]["payload"]["toolCallId"].as_str().unwrap();
    (answer["runId"].as_str().unwrap().to_owned(), call.to_owned())
}

#[tokio::test]
async fn a_suspended_run_goes_on_after_the_host_was_killed() {
    let mut host = host().await;
    let (run, call) = suspended(&host, "t").await;
    host.restart().await.unwrap();
    let listed = get(&host, "/api/memory/threads/t/messages").await;
    assert_eq!(listed["total"], 2);
    assert!(listed["messages"][1]["content"]["metadata"]["pendingToolApprovals"].is_object(), "{listed}");

    let body = json!({"runId": run, "toolCallId": call});
    let answer = post(&host, "/api/agents/weather-agent/approve-tool-call-generate", &body).await;
    assert_eq!(answer["finishReason"], "stop");
    assert!(answer["text"].as_str().unwrap().starts_with("Tool said:"), "{answer}");
    let listed = get(&host, "/api/memory/threads/t/messages").await;
    assert_eq!(listed["total"], 3);
    let waiting = &listed["messages"][1]["content"];
    assert_eq!(waiting["parts"][0]["toolInvocation"]["state"], "result");
    assert!(waiting["metadata"]["pendingToolApprovals"].is_null(), "{listed}");
    let (status, _) = host.post_json("/api/agents/weather-agent/approve-tool-call-generate", &body).await.unwrap();
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_run_that_is_resumed_twice_at_once_goes_on_once() {
    let host = host().await;
    let (run, call) = suspended(&host, "t").await;
    let body = json!({"runId": run, "toolCallId": call});
    let path = "/api/agents/weather-agent/approve-tool-call-generate";
    let resumed = join_all((0..8).map(|_| host.post_json(path, &body))).await;
    let mut statuses: Vec<u16> = resumed.into_iter().map(|resumed| resumed.unwrap().0).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(get(&host, "/api/memory/threads/t/messages").await["total"], 3);
}

#[tokio::test]
async fn a_run_without_a_conversation_waits_just_as_well() {
    let mut host = host().await;
    let body = json!({"messages": "SUSPEND it"});
    let answer = post(&host, "/api/agents/weather-agent/generate", &body).await;
    host.restart().await.unwrap();
    let body = json!({"runId": answer["runId"], "resumeData": {"answer": "this one"}});
    let mut stream = host.sse("/api/agents/weather-agent/resume-stream", &body).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = stream.next().await.unwrap() {
        events.push(event.data.unwrap_or_default());
    }
    assert!(events[0].contains("this one"), "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
}

/// What was acknowledged, kept outside the host: ids of messages, by thread.
type Ledger = Arc<Mutex<BTreeSet<(String, String)>>>;

/// Talks to the host until it does not answer, and writes down what it acknowledged.
async fn talk(host: &TestHost, writer: usize, round: usize, ledger: Ledger) {
    let address = host.address().clone();
    for n in 0.. {
        let thread = format!("thread-{}", writer % 4);
        let memory = json!({"thread": thread, "resource": "u"});
        let (path, body) = if n % 2 == 0 {
            ("/api/agents/echo-agent/generate", json!({"messages": format!("{round}-{writer}-{n}"), "memory": memory}))
        } else {
            let message = json!({"role": "user", "content": format!("{round}-{writer}-{n}"), "threadId": thread,
                "resourceId": "u"});
            ("/api/memory/save-messages", json!({"messages": [message, message]}))
        };
        let answer = client::send(&address, Outgoing::post(path, &body), Duration::from_secs(20), None).await;
        if answer.status != Some(200) || answer.error.is_some() {
            return;
        }
        let Ok(answer) = serde_json::from_str::<Value>(&answer.text()) else { return };
        let remembered = answer["rememberedMessages"].as_array().map_or(0, Vec::len);
        let written = answer["messages"].as_array().unwrap().iter().skip(remembered);
        let mut ledger = ledger.lock().unwrap();
        ledger.extend(written.map(|message| (thread.clone(), message["id"].as_str().unwrap().to_owned())));
    }
}

#[tokio::test]
async fn no_acknowledged_message_is_lost_when_the_host_is_killed() {
    let mut host = host().await;
    let ledger = Ledger::default();
    for round in 0..4 {
        let before = ledger.lock().unwrap().len();
        {
            let talking = join_all((0..8).map(|writer| talk(&host, writer, round, Arc::clone(&ledger))));
            // Killed from outside in the midst of it: at another number of acknowledgements each time.
            let enough = before + 40 + 17 * round;
            let kill = async {
                let reached = eventually(Duration::from_secs(60), || async {
                    (ledger.lock().unwrap().len() >= enough).then_some(())
                });
                reached.await;
                let id = host.process_id().to_string();
                std::process::Command::new("kill").args(["-KILL", &id]).status().unwrap();
            };
            futures::future::join(talking, kill).await;
        }
        host.restart().await.unwrap();
        let mut kept = BTreeSet::new();
        for thread in (0..4).map(|n| format!("thread-{n}")) {
            let listed = get(&host, &format!("/api/memory/threads/{thread}/messages?perPage=100000")).await;
            let messages = listed["messages"].as_array().unwrap();
            assert_eq!(listed["total"], messages.len());
            let ids = messages.iter().map(|message| message["id"].as_str().unwrap().to_owned());
            kept.extend(ids.map(|id| (thread.clone(), id)));
        }
        let lost: Vec<_> = ledger.lock().unwrap().difference(&kept).cloned().collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");
    }
    assert!(ledger.lock().unwrap().len() > 160);
}
