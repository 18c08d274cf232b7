//! What agents remember of a conversation, and what they leave in it.

use std::time::Duration;

use futures::future::join_all;
use hotbay_tests::eventually;
use serde_json::{Value, json};

use super::{get, host, post, said, say, told, told_texts};

fn pair(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

#[tokio::test]
async fn the_model_sees_the_last_messages_and_no_more() {
    let host = host().await;
    for text in ["one", "two", "three"] {
        say(&host, "echo-agent", "t", text).await;
    }
    let answer = say(&host, "witness", "t", "what?").await;
    let expected = [
        pair("system", "Be there."),
        pair("user", "two"),
        pair("assistant", "Echo: two"),
        pair("user", "three"),
        pair("assistant", "Echo: three"),
        pair("user", "what?"),
    ];
    assert_eq!(told_texts(&answer), expected);
    assert_eq!(answer["rememberedMessages"].as_array().unwrap().len(), 4);

    let ask = async |options: Value| {
        let memory = json!({"thread": "t", "resource": "u", "options": options, "readOnly": true});
        let answer = post(&host, "/api/agents/witness/generate", &json!({"messages": "x", "memory": memory})).await;
        told_texts(&answer).len()
    };
    assert_eq!(ask(json!({"lastMessages": 1})).await, 3);
    assert_eq!(ask(json!({"lastMessages": false})).await, 2);
    assert_eq!(ask(json!({"lastMessages": 100})).await, 10);
}

#[tokio::test]
async fn the_documented_forms_name_the_same_conversation() {
    let host = host().await;
    let bodies = [
        json!({"messages": "1", "threadId": "t", "resourceId": "u"}),
        json!({"messages": "2", "threadId": "t", "resourceId": "u", "memory": true}),
        json!({"messages": "3", "resourceId": "u", "memory": {"key": "t"}}),
        json!({"messages": "4", "memory": {"thread": {"id": "t"}, "resource": "u"}}),
        json!({"messages": "5", "threadId": "t", "resourceId": "u", "memory": false}),
    ];
    for body in &bodies {
        post(&host, "/api/agents/echo-agent/generate", body).await;
    }
    let texts: Vec<_> = said(&host, "t").await.into_iter().filter(|(role, _)| role == "user").collect();
    assert_eq!(texts, ["1", "2", "3", "4"].map(|text| pair("user", text)));
}

#[tokio::test]
async fn a_new_thread_has_the_title_and_metadata_of_its_first_request() {
    let host = host().await;
    let ask = async |thread: Value| {
        let body = json!({"messages": "x", "memory": {"thread": thread, "resource": "u"}});
        post(&host, "/api/agents/echo-agent/generate", &body).await;
        get(&host, "/api/memory/threads/t").await
    };
    let made = ask(json!({"id": "t", "title": "Mine", "metadata": {"a": 1}})).await;
    assert_eq!((&made["title"], &made["metadata"]), (&json!("Mine"), &json!({"a": 1})));
    let later = ask(json!({"id": "t", "title": "Other"})).await;
    assert_eq!((&later["title"], &later["metadata"]), (&json!("Mine"), &json!({"a": 1})));
    assert_eq!(ask(json!({"id": "t", "metadata": {"b": 2}})).await["metadata"], json!({"b": 2}));
}

#[tokio::test]
async fn a_read_only_run_leaves_no_trace() {
    let host = host().await;
    let body = |thread: &str| json!({"messages": "x", "memory": {"thread": thread, "resource": "u", "options": {"readOnly": true}}});
    post(&host, "/api/agents/echo-agent/generate", &body("new")).await;
    assert_eq!(host.get_json("/api/memory/threads/new").await.unwrap().0, 404);
    say(&host, "echo-agent", "t", "before").await;
    post(&host, "/api/agents/echo-agent/generate", &body("t")).await;
    assert_eq!(said(&host, "t").await.len(), 2);
}

#[tokio::test]
async fn turns_at_once_on_one_thread_do_not_mix() {
    let host = host().await;
    let turns = join_all((0..32).map(|n| {
        let host = &host;
        async move { say(host, "echo-agent", "shared", &format!("message {n}")).await }
    }))
    .await;
    assert_eq!(turns.len(), 32);
    let said = said(&host, "shared").await;
    assert_eq!(said.len(), 64);
    for turn in said.chunks(2) {
        assert_eq!(turn[0].0, "user");
        assert_eq!(turn[1], pair("assistant", &format!("Echo: {}", turn[0].1)));
    }
    let mut texts: Vec<_> = said.iter().filter(|(role, _)| role == "user").map(|(_, text)| text).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 32);
    assert_eq!(get(&host, "/api/memory/threads/shared/messages?perPage=1").await["total"], 64);
}

#[tokio::test]
async fn a_thread_two_ask_for_at_once_belongs_to_one_of_them() {
    let host = host().await;
    let ask = |owner: usize| {
        let host = &host;
        async move {
            let body = json!({"messages": "x", "memory": {"thread": "t", "resource": format!("owner-{owner}")}});
            host.post_json("/api/agents/echo-agent/generate", &body).await.unwrap().0
        }
    };
    let mut statuses = join_all((0..8).map(ask)).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403, 403, 403, 403, 403, 403, 403]);
    assert_eq!(said(&host, "t").await.len(), 2);
}

#[tokio::test]
async fn a_streamed_turn_is_stored_when_its_stream_ends() {
    let host = host().await;
    let body = json!({"messages": "hello", "memory": {"thread": "t", "resource": "u"}});
    let mut stream = host.sse("/api/agents/echo-agent/stream", &body).await.unwrap();
    while let Some(event) = stream.next().await.unwrap() {
        if event.data.unwrap_or_default().contains("\"type\":\"finish\"") {
            assert_eq!(said(&host, "t").await, [pair("user", "hello"), pair("assistant", "Echo: hello")]);
        }
    }
    assert_eq!(said(&host, "t").await.len(), 2);
}

#[tokio::test]
async fn a_turn_that_fails_keeps_what_was_said() {
    let host = host().await;
    let body = json!({"messages": "FAIL now", "memory": {"thread": "t", "resource": "u"}});
    assert_eq!(host.post_json("/api/agents/echo-agent/generate", &body).await.unwrap().0, 500);
    let answer = say(&host, "witness", "t", "and?").await;
    assert_eq!(told_texts(&answer)[1..], [pair("user", "FAIL now"), pair("user", "and?")]);
}

#[tokio::test]
async fn a_client_that_sends_the_whole_conversation_is_not_recorded_twice() {
    let host = host().await;
    let ask = async |messages: Value| {
        let body = json!({"messages": messages, "memory": {"thread": "t", "resource": "u"}});
        post(&host, "/api/agents/witness/generate", &body).await
    };
    let first = json!({"id": "q1", "role": "user", "parts": [{"type": "text", "text": "one"}]});
    let answer = ask(json!([first])).await;
    let reply = &answer["response"]["uiMessages"][0];
    let reply = json!({"id": reply["id"], "role": "assistant", "parts": [{"type": "text", "text": "shortened"}]});
    let second = json!({"id": "q2", "role": "user", "parts": [{"type": "text", "text": "two"}]});
    let answer = ask(json!([first, reply, second])).await;
    assert_eq!(told(&answer)["messages"].as_array().unwrap().len(), 4);
    let listed = get(&host, "/api/memory/threads/t/messages").await;
    let ids: Vec<_> = listed["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
    assert_eq!((ids.len(), ids[0], ids[2]), (4, &json!("q1"), &json!("q2")));
}

#[tokio::test]
async fn the_answer_of_a_clients_tool_completes_the_stored_call() {
    let host = host().await;
    let tool = json!({"paint": {"description": "Paints", "inputSchema": {"type": "object"}}});
    let memory = json!({"thread": "t", "resource": "u"});
    let script = json!([{"toolCalls": [{"toolCallId": "c1", "toolName": "paint", "input": {"colour": "red"}}]}]);
    let body = json!({"messages": "paint it", "memory": memory, "clientTools": tool,
        "providerOptions": {"mock": {"script": script}}});
    let answer = post(&host, "/api/agents/notes/generate", &body).await;
    assert_eq!(answer["finishReason"], "tool-calls");
    let result = json!({"type": "tool-result", "toolCallId": "c1", "toolName": "paint",
        "output": {"type": "text", "value": "painted"}});
    let body = json!({"messages": [{"role": "tool", "content": [result]}], "memory": memory, "clientTools": tool});
    post(&host, "/api/agents/notes/generate", &body).await;
    let listed = get(&host, "/api/memory/threads/t/messages").await;
    let messages = listed["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    let call = &messages[1]["content"]["parts"][0]["toolInvocation"];
    assert_eq!((&call["state"], &call["result"]), (&json!("result"), &json!("painted")));
}

#[tokio::test]
async fn processors_trim_and_mask_what_the_model_sees_and_nothing_else() {
    let host = host().await;
    say(&host, "echo-agent", "t", "a long message that is over the limit").await;
    say(&host, "echo-agent", "t", "secret: 42").await;
    let answer = say(&host, "trimmed", "t", "now").await;
    let expected = [pair("user", "secret: ***"), pair("assistant", "Echo: secret: ***"), pair("user", "now")];
    assert_eq!(told_texts(&answer), expected);
    assert_eq!(said(&host, "t").await[2], pair("user", "secret: 42"));

    let body = json!({"messages": "x", "memory": {"thread": "t", "resource": "u"}});
    let (status, refused) = host.post_json("/api/agents/broken/generate", &body).await.unwrap();
    assert_eq!(status, 422);
    assert!(
        refused["error"].as_str().unwrap().contains("no plugin offers the memory processor `nowhere`"),
        "{refused}"
    );
}

#[tokio::test]
async fn plugins_read_conversations_and_take_part_in_them() {
    let host = host().await;
    say(&host, "echo-agent", "t", "one").await;
    say(&host, "echo-agent", "t", "two").await;
    let call =
        async |tool: &str| post(&host, &format!("/api/tools/{tool}/execute"), &json!({"data": {"thread": "t"}})).await;
    assert_eq!(call("recall").await, json!(["Echo: one", "two", "Echo: two"]));
    call("relay").await;
    assert_eq!(said(&host, "t").await[4], pair("user", "from a tool"));
}

#[tokio::test]
async fn a_thread_gets_a_title_after_its_first_exchange() {
    let host = host().await;
    say(&host, "titled", "t", "a trip to Rome").await;
    let title = eventually(Duration::from_secs(20), || async {
        let thread = get(&host, "/api/memory/threads/t").await;
        thread["title"].as_str().filter(|title| !title.is_empty()).map(str::to_owned)
    });
    assert_eq!(title.await, "About a trip to Rome");

    let body = json!({"messages": "x", "memory": {"thread": {"id": "named", "title": "Mine"}, "resource": "u"}});
    post(&host, "/api/agents/titled/generate", &body).await;
    say(&host, "titled", "t", "something else").await;
    say(&host, "titled", "last", "the last one").await;
    // Once the last thread has its title, the others had time to get theirs.
    let last = eventually(Duration::from_secs(20), || async {
        (get(&host, "/api/memory/threads/last").await["title"] == "About the last one").then_some(())
    });
    last.await;
    assert_eq!(get(&host, "/api/memory/threads/named").await["title"], "Mine");
    assert_eq!(get(&host, "/api/memory/threads/t").await["title"], "About a trip to Rome");
}
