//! Threads and messages as the documented requests have them, which name no agent.

use hotbay_tests::{TestHost, http::Outgoing};
use serde_json::{Value, json};

use super::{get, host, post, said};

async fn thread(host: &TestHost, body: Value) -> String {
    let thread = post(host, "/api/memory/threads", &body).await;
    thread["id"].as_str().unwrap().to_owned()
}

async fn send(host: &TestHost, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut request = match body {
        Some(body) => Outgoing::post(path, body),
        None => Outgoing::get(path),
    };
    method.clone_into(&mut request.method);
    let answer = host.send(request).await.unwrap();
    (answer.status.unwrap(), serde_json::from_str(&answer.text()).unwrap())
}

#[tokio::test]
async fn a_conversation_is_kept_copied_and_deleted_without_an_agent() {
    let host = host().await;
    let id = thread(&host, json!({"resourceId": "u", "title": "Plans", "metadata": {"topic": "a"}})).await;
    let path = format!("/api/memory/threads/{id}");
    let one = post(&host, &format!("{path}/messages"), &json!({"role": "user", "content": "first"})).await;
    assert_eq!(one["messages"][0]["threadId"], id);
    let two = json!({"messages": [{"role": "assistant", "content": "second"}, {"role": "user", "content": "third"}]});
    post(&host, &format!("{path}/messages"), &two).await;
    assert_eq!(said(&host, &id).await.len(), 3);

    let copy = json!({"resourceId": "v", "newThreadId": "copy", "metadata": {"k": 1},
        "options": {"messageLimit": 2}});
    let copy = post(&host, &format!("{path}/clone"), &copy).await;
    assert_eq!(copy["thread"]["title"], "Clone of Plans");
    assert_eq!(copy["thread"]["resourceId"], "v");
    assert_eq!(copy["thread"]["metadata"]["clone"]["sourceThreadId"], id);
    let texts: Vec<_> = said(&host, "copy").await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["second", "third"]);

    let (status, changed) = send(&host, "PATCH", &path, Some(&json!({"title": "Other"}))).await;
    assert_eq!((status, &changed["title"], &changed["metadata"]), (200, &json!("Other"), &json!({"topic": "a"})));
    assert_eq!(send(&host, "DELETE", &path, None).await, (200, json!({"result": "Thread deleted"})));
    assert_eq!(host.get_json(&path).await.unwrap().0, 404);
    assert_eq!(said(&host, "copy").await.len(), 2);
    let (status, _) =
        host.post_json(&format!("{path}/messages"), &json!({"role": "user", "content": "x"})).await.unwrap();
    assert_eq!(status, 404);
}

#[tokio::test]
async fn threads_are_found_by_owner_metadata_and_page() {
    let host = host().await;
    for n in 0..5 {
        thread(&host, json!({"resourceId": format!("u{}", n % 2), "threadId": format!("t{n}"), "metadata": {"n": n}}))
            .await;
    }
    let listed = get(&host, "/api/memory/threads?resourceId=u0&perPage=2&page=1").await;
    assert_eq!((&listed["total"], &listed["hasMore"], &listed["page"]), (&json!(3), &json!(false), &json!(1)));
    assert_eq!(listed["threads"].as_array().unwrap().len(), 1);
    let listed = get(&host, "/api/memory/threads?metadata=%7B%22n%22%3A3%7D").await;
    assert_eq!((&listed["threads"][0]["id"], &listed["total"]), (&json!("t3"), &json!(1)));
    post(&host, "/api/memory/threads/t3/transfer", &json!({"resourceId": "u0"})).await;
    assert_eq!(get(&host, "/api/memory/threads?resourceId=u0").await["total"], 4);
    let (status, _) = host.post_json("/api/memory/threads/t3/transfer", &json!({"resourceId": ""})).await.unwrap();
    assert_eq!(status, 400);
}

#[tokio::test]
async fn messages_are_narrowed_and_searched() {
    let host = host().await;
    thread(&host, json!({"resourceId": "u", "threadId": "t", "title": "Trip"})).await;
    let message = |n: u32, role: &str, text: &str| {
        json!({"id": format!("m{n}"), "role": role, "content": text, "threadId": "t", "resourceId": "u",
            "createdAt": format!("2026-01-01T00:00:0{n}.000Z")})
    };
    let messages = [
        message(0, "user", "Where is Rome?"),
        message(1, "assistant", "In Italy."),
        message(2, "user", "How is the weather in rome today?"),
        message(3, "assistant", "Sunny."),
    ];
    post(&host, "/api/memory/save-messages", &json!({"messages": messages})).await;
    let ids = |listed: &Value| -> Vec<String> {
        let messages = listed["messages"].as_array().unwrap().iter();
        messages.map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    };
    let path = "/api/memory/threads/t/messages";
    let listed = get(&host, &format!("{path}?filter=%7B%22roles%22%3A%5B%22assistant%22%5D%7D")).await;
    assert_eq!((ids(&listed), &listed["total"]), (vec!["m1".to_owned(), "m3".to_owned()], &json!(2)));
    let range =
        "%7B%22dateRange%22%3A%7B%22start%22%3A%222026-01-01T00%3A00%3A01.000Z%22%2C%22startExclusive%22%3Atrue%7D%7D";
    assert_eq!(ids(&get(&host, &format!("{path}?filter={range}")).await), ["m2", "m3"]);
    let desc = "orderBy[field]=createdAt&orderBy[direction]=DESC&perPage=2";
    assert_eq!(ids(&get(&host, &format!("{path}?{desc}")).await), ["m3", "m2"]);
    let (status, refused) =
        host.get_json(&format!("{path}?filter=%7B%22dateRange%22%3A%7B%22start%22%3A%22x%22%7D%7D")).await.unwrap();
    assert_eq!((status, &refused["issues"][0]["field"]), (400, &json!("filter.dateRange.start")));

    let search = "/api/memory/search?agentId=witness&resourceId=u&searchQuery";
    let found = get(&host, &format!("{search}=ROME")).await;
    assert_eq!((&found["count"], &found["results"][0]["id"]), (&json!(2), &json!("m2")));
    assert_eq!(found["results"][0]["context"]["before"].as_array().unwrap().len(), 2);
    assert_eq!(found["results"][0]["context"]["after"][0]["content"], "Sunny.");
    assert_eq!(get(&host, &format!("{search}=weather%20rome")).await["count"], 1);
    assert_eq!(get(&host, &format!("{search}=paris")).await["count"], 0);
    let (status, _) =
        host.get_json("/api/memory/search?agentId=witness&resourceId=v&threadId=t&searchQuery=x").await.unwrap();
    assert_eq!(status, 403);
}

#[tokio::test]
async fn what_a_client_saves_comes_back_word_for_word() {
    let host = host().await;
    thread(&host, json!({"resourceId": "u", "threadId": "t"})).await;
    let content = json!({"format": 2, "parts": [{"type": "data-chart", "data": {"x": [1, 2.5, null]}}],
        "reactions": {"👍": 2}, "metadata": {"z": 1, "a": {"deep": true}}});
    let message = json!({"id": "m", "role": "assistant", "type": "v2", "threadId": "t", "resourceId": "u",
        "content": content});
    post(&host, "/api/memory/save-messages?agentId=witness", &json!({"messages": [message]})).await;
    let listed = get(&host, "/api/memory/threads/t/messages?agentId=witness").await;
    assert_eq!(listed["messages"][0]["content"].to_string(), content.to_string());
}

#[tokio::test]
async fn an_agent_that_is_named_must_remember() {
    let host = host().await;
    let body = json!({"resourceId": "u"});
    let refused = async |path: &str| host.post_json(path, &body).await.unwrap();
    assert_eq!(refused("/api/memory/threads?agentId=nobody").await, (404, json!({"error": "Agent not found"})));
    let (status, _) = refused("/api/memory/threads?agentId=structured-agent").await;
    assert_eq!(status, 400);
    assert_eq!(get(&host, "/api/memory/status?agentId=nobody").await, json!({"result": true}));
    assert_eq!(get(&host, "/api/memory/config?agentId=nobody").await, json!({"config": null}));
    let config = get(&host, "/api/memory/config?agentId=notes").await;
    assert_eq!(config["config"]["workingMemory"], json!({"enabled": true, "template": "# Notes\n- Name:"}));
}
