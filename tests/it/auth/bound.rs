//! Who is bound to one owner sees and touches that owner's threads and runs, and nobody else's.

use hotbay_tests::TestHost;
use serde_json::{Value, json};

use super::{ADMIN, ANN, BOB, TOKENS, ask};

async fn host() -> TestHost {
    TestHost::builder().config_text(TOKENS).plugin("hotbay-test-reference").start().await.unwrap()
}

async fn post(host: &TestHost, token: &str, path: &str, body: Value) -> (u16, Value) {
    ask(host, token, "POST", path, Some(&body)).await
}

/// Asks with a token of somebody else and expects to be told whose it is not.
#[track_caller]
fn refused((status, answer): &(u16, Value), what: &str) {
    assert_eq!(*status, 403, "{what}: {answer}");
    assert!(answer["error"].as_str().unwrap_or_default().contains("different resource"), "{what}: {answer}");
}

#[tokio::test]
async fn threads_and_messages() {
    let host = host().await;
    let thread = |id: &str, owner: &str| json!({"threadId": id, "resourceId": owner, "title": id});
    assert_eq!(post(&host, ANN, "/api/memory/threads", thread("a", "ann")).await.0, 200);
    assert_eq!(post(&host, BOB, "/api/memory/threads", thread("b", "bob")).await.0, 200);
    refused(&post(&host, ANN, "/api/memory/threads", thread("x", "bob")).await, "a thread for somebody else");
    refused(&post(&host, ANN, "/api/memory/threads", thread("b", "ann")).await, "in place of somebody else's");
    let message = |id: &str, thread: &str, owner: &str| json!({"messages": [{"id": id, "threadId": thread, "resourceId": owner, "role": "user", "content": "secret"}]});
    let save = "/api/memory/save-messages";
    assert_eq!(post(&host, BOB, save, message("m", "b", "bob")).await.0, 200);
    refused(&post(&host, ANN, save, message("n", "b", "bob")).await, "a message of somebody else");
    refused(&post(&host, ANN, save, message("n", "b", "ann")).await, "in somebody else's thread");
    refused(&post(&host, ANN, save, message("m", "a", "ann")).await, "in place of somebody else's");

    let (_, listed) = ask(&host, ANN, "GET", "/api/memory/threads", None).await;
    assert_eq!((&listed["total"], &listed["threads"][0]["id"]), (&json!(1), &json!("a")), "{listed}");
    let (_, all) = ask(&host, ADMIN, "GET", "/api/memory/threads", None).await;
    assert_eq!(all["total"], 2, "who is bound to nobody sees both");
    let agent = "agentId=echo-agent";
    for (method, path, body) in [
        ("GET", "/api/memory/threads?resourceId=bob".to_owned(), None),
        ("GET", "/api/memory/threads/b".to_owned(), None),
        ("GET", "/api/memory/threads/b?resourceId=bob".to_owned(), None),
        ("PATCH", "/api/memory/threads/b".to_owned(), Some(json!({"title": "mine"}))),
        ("DELETE", "/api/memory/threads/b".to_owned(), None),
        ("POST", "/api/memory/threads/b/clone".to_owned(), Some(json!({}))),
        ("POST", "/api/memory/threads/a/clone".to_owned(), Some(json!({"resourceId": "bob"}))),
        ("GET", "/api/memory/threads/b/messages".to_owned(), None),
        ("POST", "/api/memory/threads/b/messages".to_owned(), Some(json!({"role": "user", "content": "x"}))),
        ("POST", "/api/memory/threads/a/messages".to_owned(), Some(json!({"id": "m", "role": "user", "content": "x"}))),
        ("GET", format!("/api/memory/threads/b/working-memory?{agent}"), None),
        ("GET", format!("/api/memory/search?{agent}&searchQuery=secret&resourceId=bob"), None),
        ("GET", format!("/api/memory/search?{agent}&searchQuery=secret&resourceId=ann&threadId=b"), None),
        ("POST", "/api/memory/messages/delete".to_owned(), Some(json!({"messageIds": "m"}))),
    ] {
        refused(&ask(&host, ANN, method, &path, body.as_ref()).await, &format!("{method} {path}"));
    }
    let include = "/api/memory/threads/a/messages?include=[{\"id\":\"m\",\"threadId\":\"b\"}]";
    let (status, messages) = ask(&host, ANN, "GET", include, None).await;
    assert_eq!((status, &messages["messages"]), (200, &json!([])), "{messages}");
    let (_, kept) = ask(&host, BOB, "GET", "/api/memory/threads/b/messages", None).await;
    assert_eq!(kept["messages"].as_array().unwrap().len(), 1, "nothing was changed: {kept}");
    assert_eq!(ask(&host, BOB, "DELETE", "/api/memory/threads/b", None).await.0, 200, "one's own may be deleted");
}

#[tokio::test]
async fn runs_of_agents() {
    let host = host().await;
    let generate = "/api/agents/weather-agent/generate";
    let ask_for = |thread: &str| json!({"messages": "APPROVE", "memory": {"thread": thread}});
    let (status, suspended) = post(&host, ANN, generate, ask_for("t")).await;
    assert_eq!((status, &suspended["finishReason"]), (200, &json!("suspended")), "{suspended}");
    let (_, thread) = ask(&host, ADMIN, "GET", "/api/memory/threads/t", None).await;
    assert_eq!(thread["resourceId"], "ann", "whose it is need not be said");
    refused(&post(&host, BOB, generate, ask_for("t")).await, "a thread of somebody else");
    let others = json!({"messages": "x", "memory": {"thread": "u", "resource": "ann"}});
    refused(&post(&host, BOB, generate, others).await, "a thread for somebody else");

    let decision = json!({"runId": suspended["runId"], "toolCallId": suspended["suspendPayload"]["toolCallId"]});
    let decide = |what: &str| format!("/api/agents/weather-agent/{what}");
    for what in ["approve-tool-call", "approve-tool-call-generate", "decline-tool-call", "decline-tool-call-generate"] {
        refused(&post(&host, BOB, &decide(what), decision.clone()).await, what);
    }
    let resume = json!({"runId": suspended["runId"], "resumeData": {"answer": "x"}});
    refused(&post(&host, BOB, &decide("resume-stream"), resume).await, "resume-stream");
    let (status, done) = post(&host, ANN, &decide("approve-tool-call-generate"), decision).await;
    assert_eq!(status, 200, "{done}");
    assert!(done["text"].as_str().unwrap().contains("file.txt"), "{done}");

    let (_, alone) = post(&host, ANN, generate, json!({"messages": "APPROVE", "memory": false})).await;
    let decision = json!({"runId": alone["runId"], "toolCallId": alone["suspendPayload"]["toolCallId"]});
    let approve = decide("approve-tool-call-generate");
    refused(&post(&host, BOB, &approve, decision.clone()).await, "a run without a thread has an owner, too");
    assert_eq!(post(&host, ANN, &approve, decision).await.0, 200);
}

#[tokio::test]
async fn runs_of_workflows() {
    let host = host().await;
    let path = |what: &str| format!("/api/workflows/suspend-workflow/{what}");
    let input = json!({"inputData": {"message": "hi"}});
    let (status, answer) = post(&host, ANN, &path("start-async?runId=r"), input.clone()).await;
    assert_eq!((status, &answer["status"]), (200, &json!("suspended")), "{answer}");
    let (_, run) = ask(&host, ADMIN, "GET", &path("runs/r"), None).await;
    assert_eq!(run["resourceId"], "ann", "whose it is need not be said");
    let named = json!({"inputData": {"message": "hi"}, "resourceId": "ann"});
    refused(&post(&host, BOB, &path("start-async?runId=s"), named).await, "a run for somebody else");

    let resume = json!({"step": "ask-approval", "resumeData": {"approved": true}});
    for (method, what, body) in [
        ("GET", "runs?resourceId=ann", None),
        ("GET", "runs/r", None),
        ("DELETE", "runs/r", None),
        ("POST", "runs/r/cancel", None),
        ("POST", "create-run?runId=r", Some(json!({}))),
        ("POST", "start?runId=r", Some(input.clone())),
        ("POST", "start-async?runId=r", Some(input.clone())),
        ("POST", "stream?runId=r", Some(input.clone())),
        ("POST", "stream-legacy?runId=r", Some(input.clone())),
        ("POST", "observe?runId=r", Some(json!({}))),
        ("POST", "resume?runId=r", Some(resume.clone())),
        ("POST", "resume-async?runId=r", Some(resume.clone())),
        ("POST", "resume-stream?runId=r", Some(resume.clone())),
        ("POST", "resume-no-wait?runId=r", Some(resume.clone())),
        ("POST", "restart?runId=r", Some(json!({}))),
        ("POST", "restart-async?runId=r", Some(json!({}))),
        ("POST", "time-travel?runId=r", Some(json!({"step": "upper"}))),
        ("POST", "time-travel-async?runId=r", Some(json!({"step": "upper"}))),
        ("POST", "time-travel-stream?runId=r", Some(json!({"step": "upper"}))),
    ] {
        refused(&ask(&host, BOB, method, &path(what), body.as_ref()).await, &format!("{method} {what}"));
    }
    let (_, listed) = ask(&host, BOB, "GET", &path("runs"), None).await;
    assert_eq!(listed["total"], 0, "{listed}");
    let (_, listed) = ask(&host, ANN, "GET", &path("runs"), None).await;
    assert_eq!(listed["total"], 1, "{listed}");
    let all = async |token| ask(&host, token, "GET", "/api/runs", None).await.1;
    assert_eq!(all(BOB).await["total"], 0);
    let listed = all(ANN).await;
    assert_eq!((&listed["total"], &listed["runs"][0]["waitingAt"]), (&json!(1), &json!(["ask-approval"])), "{listed}");
    assert_eq!(all(ADMIN).await["total"], 1);
    refused(&ask(&host, BOB, "GET", "/api/runs?resourceId=ann", None).await, "runs of somebody else");
    let (status, done) = post(&host, ANN, &path("resume-async?runId=r"), resume).await;
    assert_eq!((status, &done["status"]), (200, &json!("success")), "{done}");
}
