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

/// Makes a thread, says something, has a run wait, lets it go on: five commits. Returns how many
/// of these were acknowledged, and the run that waits.
async fn live(host: &TestHost) -> (usize, Option<Value>) {
    let memory = json!({"thread": "t", "resource": "u"});
    let agent = "/api/agents/weather-agent";
    let steps = [
        ("/api/memory/threads".to_owned(), json!({"resourceId": "u", "threadId": "t"})),
        ("/api/agents/echo-agent/generate".to_owned(), json!({"messages": "hello", "memory": memory})),
        (format!("{agent}/generate"), json!({"messages": "APPROVE it", "memory": memory})),
        (format!("{agent}/approve-tool-call-generate"), Value::Null),
    ];
    let mut waiting = None;
    for (acknowledged, (path, body)) in steps.into_iter().enumerate() {
        let body = if body.is_null() { waiting.clone().unwrap_or_default() } else { body };
        let Ok((status, answer)) = host.post_json(&path, &body).await else { return (acknowledged, waiting) };
        assert_eq!(status, 200, "{path}: {answer}");
        if answer["finishReason"] == "suspended" {
            let call = &answer["toolCalls"][0]["payload"]["toolCallId"];
            waiting = Some(json!({"runId": answer["runId"], "toolCallId": call}));
        }
    }
    (4, waiting)
}

#[tokio::test]
async fn whatever_commit_the_host_dies_at_turns_are_whole() {
    for fault in [
        "before:1", "after:1", "before:2", "after:2", "before:3", "after:3", "before:4", "after:4", "before:5",
        "after:5",
    ] {
        let builder = TestHost::builder().plugin("hotbay-test-reference").variable("HOTBAY_TEST_FAULT", fault);
        let mut host = builder.start().await.unwrap();
        let (acknowledged, waiting) = live(&host).await;
        assert!(acknowledged < 4, "{fault}: the host did not die");
        host.set_variable("HOTBAY_TEST_FAULT", None);
        host.restart().await.unwrap();
        let (status, listed) = host.get_json("/api/memory/threads/t/messages").await.unwrap();
        let kept = listed["messages"].as_array().map_or(0, Vec::len);
        let entries_by_step = [0, 0, 2, 4, 5];
        assert!(status == 200 || acknowledged == 0, "{fault}: {listed}");
        assert!(kept >= entries_by_step[acknowledged] && entries_by_step.contains(&kept), "{fault}: {kept} entries");
        assert_eq!(listed["total"].as_u64().unwrap_or(0), kept as u64, "{fault}");
        // A run that was said to wait still does, until what came of it is in the thread.
        if let Some(waiting) = waiting {
            let path = "/api/agents/weather-agent/approve-tool-call-generate";
            let (status, answer) = host.post_json(path, &waiting).await.unwrap();
            let is_over = kept == 5;
            assert_eq!(status, if is_over { 404 } else { 200 }, "{fault}: {answer}");
            assert_eq!(get(&host, "/api/memory/threads/t/messages").await["total"], 5, "{fault}");
        }
    }
}
