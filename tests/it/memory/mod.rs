//! Memory over HTTP: what clients keep, what agents remember, and what survives.

mod agents;
mod durable;
mod notes;
mod recalled;
mod resumed;
mod routes;

use hotbay_tests::TestHost;
use serde_json::{Value, json};

/// A host with agents that remember.
async fn host() -> TestHost {
    TestHost::builder().plugin("hotbay-test-reference").plugin("hotbay-test-memory").start().await.unwrap()
}

/// Posts a body that must be answered with a 200.
async fn post(host: &TestHost, path: &str, body: &Value) -> Value {
    let (status, answer) = host.post_json(path, body).await.unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Gets a path that must be answered with a 200.
async fn get(host: &TestHost, path: &str) -> Value {
    let (status, answer) = host.get_json(path).await.unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Says something to an agent in a thread of `u`.
async fn say(host: &TestHost, agent: &str, thread: &str, text: &str) -> Value {
    let body = json!({"messages": text, "memory": {"thread": thread, "resource": "u"}});
    post(host, &format!("/api/agents/{agent}/generate"), &body).await
}

/// What was said in a thread: who, and the texts.
async fn said(host: &TestHost, thread: &str) -> Vec<(String, String)> {
    let listed = get(host, &format!("/api/memory/threads/{thread}/messages?perPage=1000")).await;
    let entry = |message: &Value| {
        let text = message["content"]["content"].as_str().unwrap_or_default();
        (message["role"].as_str().unwrap_or_default().to_owned(), text.to_owned())
    };
    listed["messages"].as_array().unwrap().iter().map(entry).collect()
}

/// What the witness was told: the document in its answer.
fn told(answer: &Value) -> Value {
    serde_json::from_str(answer["text"].as_str().unwrap()).unwrap()
}

/// The texts of the messages the witness was told, with their roles.
fn told_texts(answer: &Value) -> Vec<(String, String)> {
    let text = |message: &Value| match &message["content"] {
        Value::String(text) => text.clone(),
        parts => parts.as_array().unwrap().iter().filter_map(|part| part["text"].as_str()).collect(),
    };
    let told = told(answer);
    let messages = told["messages"].as_array().unwrap().iter();
    messages.map(|message| (message["role"].as_str().unwrap().to_owned(), text(message))).collect()
}
