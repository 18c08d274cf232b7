//! What is found by its meaning: by agents, by search, after a kill, after a change.

use std::time::Duration;

use hotbay_tests::{
    TestHost, eventually,
    http::Outgoing,
    openai_fake::{OpenAiFake, Reply},
};
use serde_json::{Value, json};

use super::{get, post, say, told_texts};
use crate::cli::{hotbay, text};

/// How long embedding in the background may take.
const SOON: Duration = Duration::from_secs(60);

/// Starts a host with agents that recall, a vector store and the scripted embedder.
async fn host() -> TestHost {
    host_with("[memory]\nembedder = \"mock/ngram\"\n").await
}

async fn host_with(config: &str) -> TestHost {
    let host = TestHost::builder().config_text(config).plugin("hotbay-test-memory").plugin("hotbay-vector-local");
    host.start().await.unwrap()
}

/// A message as clients save it.
fn message(id: &str, thread: &str, text: &str) -> Value {
    json!({"id": id, "role": "user", "threadId": thread, "resourceId": "u", "content": text})
}

/// Saves messages for an agent.
async fn save(host: &TestHost, agent: &str, messages: &[Value]) {
    post(host, &format!("/api/memory/save-messages?agentId={agent}"), &json!({ "messages": messages })).await;
}

/// Waits until so many messages are found by their meaning, and none waits.
async fn embedded(host: &TestHost, messages: u64) -> Value {
    eventually(SOON, || async {
        let spaces = get(host, "/api/memory/embeddings").await["spaces"].take();
        let sum = |key: &str| spaces.as_array().unwrap().iter().map(|space| space[key].as_u64().unwrap()).sum::<u64>();
        (sum("messages") == messages && sum("waiting") == 0).then_some(spaces)
    })
    .await
}

/// Searches in the conversations of `u`; returns the ids that were found.
async fn search(host: &TestHost, agent: &str, text: &str, more: &str) -> Vec<String> {
    let found = get(host, &format!("/api/memory/search?agentId={agent}&resourceId=u&searchQuery={text}{more}")).await;
    assert_eq!(found["searchType"], "semantic", "{found}");
    found["results"].as_array().unwrap().iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_was_said_long_ago_is_told_to_the_model_in_its_place() {
    let host = host().await;
    post(&host, "/api/memory/threads?agentId=recalling", &json!({"threadId": "t", "resourceId": "u"})).await;
    let mut messages: Vec<Value> =
        (0..500).map(|n| message(&format!("m{n}"), "t", &format!("Invoice number {n} was paid on time."))).collect();
    messages[3] = message("m3", "t", "My bicycle is painted green and named Rosinante.");
    for (n, message) in messages.iter_mut().enumerate() {
        message["createdAt"] = format!("2026-01-01T00:{:02}:{:02}.000Z", n / 60, n % 60).into();
    }
    save(&host, "recalling", &messages).await;
    embedded(&host, 500).await;
    let answer = say(&host, "recalling", "t", "What is the name of my bicycle?").await;
    let texts: Vec<String> = told_texts(&answer).into_iter().map(|(_, text)| text).collect();
    let found = texts.iter().position(|text| text.contains("Rosinante")).unwrap_or_else(|| panic!("{texts:#?}"));
    assert_eq!(texts[found + 1], "Invoice number 4 was paid on time.", "the one after it");
    assert_eq!(
        &texts[texts.len() - 3..texts.len() - 1],
        ["Invoice number 498 was paid on time.", "Invoice number 499 was paid on time."]
    );
    // The turn itself is found from now on.
    embedded(&host, 502).await;
    // What it took is in its trace, below what the agent remembers.
    let trace = get(&host, &format!("/api/observability/traces/{}", answer["traceId"].as_str().unwrap())).await;
    let of_kind = |kind: &str| trace["spans"].as_array().unwrap().iter().find(|span| span["spanType"] == kind).unwrap();
    let (memory, embedding, query) =
        (of_kind("memory_operation"), of_kind("rag_embedding"), of_kind("rag_vector_operation"));
    assert_eq!((&embedding["parentSpanId"], &query["parentSpanId"]), (&memory["spanId"], &memory["spanId"]));
    assert_eq!(
        (&embedding["attributes"]["model"], &embedding["attributes"]["dimensions"]),
        (&json!("ngram"), &json!(256))
    );
    assert_eq!((&query["attributes"]["store"], &query["attributes"]["returned"]), (&json!("local"), &json!(8)));
    let without = json!({"messages": "What is the name of my bicycle?",
        "memory": {"thread": "t", "resource": "u", "options": {"semanticRecall": false}}});
    let answer = post(&host, "/api/agents/recalling/generate", &without).await;
    let texts = told_texts(&answer);
    assert!(texts.len() <= 3, "a request that recalls nothing is told the last messages alone: {texts:?}");
}

#[tokio::test]
async fn other_conversations_are_told_of_to_their_owner_alone() {
    let host = host().await;
    for (thread, owner) in [("old", "u"), ("theirs", "v")] {
        let text = json!({"messages": format!("The password of the {thread} cellar is swordfish."),
            "memory": {"thread": {"id": thread, "title": "Cellars"}, "resource": owner}});
        post(&host, "/api/agents/recalling/generate", &text).await;
    }
    embedded(&host, 4).await;
    let answer = say(&host, "recalling", "new", "What is the password of the cellar?").await;
    let texts = told_texts(&answer);
    let (role, told) = &texts[0];
    assert_eq!(role, "system", "{texts:?}");
    assert!(told.contains("Conversation Cellars:") && told.contains("the old cellar is swordfish"), "{told}");
    assert!(texts.iter().all(|(_, text)| !text.contains("theirs")), "{texts:?}");
    // An agent that keeps conversations apart is told nothing of it.
    let answer = say(&host, "secluded", "newer", "What is the password of the cellar?").await;
    assert_eq!(told_texts(&answer).len(), 1, "{answer}");
}

#[tokio::test]
async fn search_finds_the_nearest_first_and_says_how_near() {
    let host = host().await;
    let mut marked = message("b", "t", "The train to Lisbon leaves at nine.");
    marked["content"] = json!({"format": 2, "parts": [{"type": "text", "text": "The train to Lisbon leaves at nine."}],
        "metadata": {"project": "travel"}});
    let all = [message("a", "t", "Lunch is at noon."), marked, message("c", "o", "Lisbon has seven hills.")];
    save(&host, "recalling", &all).await;
    embedded(&host, 3).await;
    let path = "/api/memory/search?agentId=recalling&resourceId=u&searchQuery=train%20to%20Lisbon";
    let found = get(&host, path).await;
    assert_eq!(found["searchType"], "semantic");
    assert_eq!(found["searchScope"], "resource");
    assert_eq!(found["count"], 3);
    let ids: Vec<&str> = found["results"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b", "c", "a"]);
    let scores: Vec<f64> =
        found["results"].as_array().unwrap().iter().map(|it| it["score"].as_f64().unwrap()).collect();
    assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
    assert_eq!(found["results"][0]["context"], json!({"before": [], "after": []}), "as the agent's options have it");
    assert_eq!(search(&host, "recalling", "Lisbon", "&threadId=o").await, ["c"]);
    assert_eq!(search(&host, "recalling", "Lisbon", "&limit=1").await.len(), 1);
    let filter = "&memoryConfig=%7B%22semanticRecall%22%3A%7B%22filter%22%3A%7B%22project%22%3A%22travel%22%7D%7D%7D";
    assert_eq!(search(&host, "recalling", "Lisbon", filter).await, ["b"]);
    let bogus = "&memoryConfig=%7B%22semanticRecall%22%3A%7B%22filter%22%3A%7B%22a%22%3A%7B%22%24x%22%3A1%7D%7D%7D%7D";
    let (status, answer) = host.get_json(&format!("{path}{bogus}")).await.unwrap();
    assert_eq!((status, answer["error"].as_str()), (400, Some("Unsupported operator: $x")));
    // A caller may have it go by words, as a run may.
    let words = "&memoryConfig=%7B%22semanticRecall%22%3Afalse%7D";
    let found = get(&host, &format!("{path}{words}")).await;
    assert_eq!((found["searchType"].as_str(), found["count"].as_u64()), (Some("text"), Some(1)), "{found}");
    let strangers = get(&host, "/api/memory/search?agentId=recalling&resourceId=v&searchQuery=Lisbon").await;
    assert_eq!(strangers["count"], 0);
}

#[tokio::test]
async fn what_is_changed_deleted_or_given_away_is_no_longer_found_as_it_was() {
    let host = host().await;
    for thread in ["t", "o"] {
        post(&host, "/api/memory/threads?agentId=recalling", &json!({"threadId": thread, "resourceId": "u"})).await;
    }
    let long = "The harbour of Genoa is full of ships. ".repeat(100);
    save(
        &host,
        "recalling",
        &[message("a", "t", &long), message("b", "t", "Genoa has a harbour."), message("c", "o", "Genoa.")],
    )
    .await;
    embedded(&host, 3).await;
    assert_eq!(search(&host, "recalling", "harbour%20of%20Genoa", "").await.len(), 3);
    let vectors = |spaces: &Value| {
        let index = spaces[0]["index"].as_str().unwrap().to_owned();
        let host = &host;
        async move { get(host, &format!("/api/vector/local/indexes/{index}")).await["count"].as_u64().unwrap() }
    };
    let spaces = embedded(&host, 3).await;
    assert_eq!(vectors(&spaces).await, 7, "a long message is found by its pieces");

    // Shorter now: the pieces that are too many go.
    save(&host, "recalling", &[message("a", "t", "Turin has a river.")]).await;
    let spaces = embedded(&host, 3).await;
    assert_eq!(vectors(&spaces).await, 3);
    post(&host, "/api/memory/messages/delete?agentId=recalling", &json!({"messageIds": ["b"]})).await;
    let spaces = embedded(&host, 2).await;
    assert_eq!(vectors(&spaces).await, 2);
    assert_eq!(search(&host, "recalling", "Genoa", "").await, ["c", "a"]);

    post(&host, "/api/memory/threads/o/transfer?agentId=recalling", &json!({"resourceId": "v"})).await;
    assert_eq!(search(&host, "recalling", "Genoa", "").await, ["a"], "at once, whatever the index still says");
    embedded(&host, 2).await;
    let theirs = get(&host, "/api/memory/search?agentId=recalling&resourceId=v&searchQuery=Genoa").await;
    assert_eq!(theirs["results"][0]["id"], "c");
    let delete = Outgoing::get("/api/memory/threads/t?agentId=recalling");
    let deleted = host.send(Outgoing { method: "DELETE".to_owned(), ..delete }).await.unwrap();
    assert_eq!(deleted.status, Some(200));
    let spaces = embedded(&host, 1).await;
    assert_eq!(vectors(&spaces).await, 1);
}

#[tokio::test]
async fn what_waits_is_embedded_after_the_host_was_killed() {
    let mut host = host().await;
    for round in 0..4 {
        let some: Vec<Value> =
            (0..200).map(|n| message(&format!("m{round}-{n}"), "t", &format!("letter {n} of {round}"))).collect();
        save(&host, "recalling", &some).await;
        // Killed while it embeds what was acknowledged.
        host.restart().await.unwrap();
    }
    embedded(&host, 800).await;
    assert_eq!(search(&host, "recalling", "letter%2017%20of%202", "&limit=1").await, ["m2-17"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_embedded_holds_up_no_other() {
    let host = host().await;
    let all = [message("a", "t", "one"), message("b", "t", "this is poison"), message("c", "t", "three")];
    save(&host, "picky", &all).await;
    embedded(&host, 3).await;
    let mut found = search(&host, "picky", "one", "").await;
    found.sort_unstable();
    assert_eq!(found, ["a", "c"]);
    assert!(host.log().contains("a message cannot be embedded"), "{}", host.log());
    // Nor does a question that cannot be embedded fail the run.
    let answer = say(&host, "picky", "t", "poison?").await;
    assert!(told_texts(&answer).iter().any(|(_, text)| text == "poison?"), "{answer}");
    let found = get(&host, "/api/memory/search?agentId=picky&resourceId=u&searchQuery=poison").await;
    assert_eq!((found["searchType"].as_str(), found["count"].as_u64()), (Some("text"), Some(3)), "{found}");
}

#[tokio::test]
async fn everything_is_embedded_again_when_it_is_asked_for() {
    let host = host().await;
    save(&host, "witness", &[message("a", "t", "Said to an agent that recalls nothing.")]).await;
    save(&host, "recalling", &[message("b", "t", "Said to one that does.")]).await;
    embedded(&host, 1).await;
    let renewed = post(&host, "/api/memory/embeddings/renew?agentId=recalling", &json!({})).await;
    assert_eq!(renewed, json!({"embedders": ["mock/ngram"]}));
    embedded(&host, 2).await;
    assert_eq!(search(&host, "recalling", "recalls%20nothing", "&limit=1").await, ["a"]);
    let renewed = post(&host, "/api/memory/embeddings/renew", &json!({})).await;
    assert_eq!(renewed, json!({"embedders": ["mock/ngram", "test-memory/picky"]}));
    embedded(&host, 4).await;
    // As what was said to an agent that recalls because a request has it so.
    let host = TestHost::builder().config_text("[memory]\nembedder = \"mock/ngram\"\n");
    let host = host.plugin("hotbay-test-reference").plugin("hotbay-vector-local").start().await.unwrap();
    assert_eq!(post(&host, "/api/memory/embeddings/renew", &json!({})).await, json!({"embedders": []}));
    let memory = json!({"thread": "t", "resource": "u", "options": {"semanticRecall": true}});
    post(&host, "/api/agents/echo-agent/generate", &json!({"messages": "hello", "memory": memory})).await;
    embedded(&host, 2).await;
    let renewed = post(&host, "/api/memory/embeddings/renew", &json!({})).await;
    assert_eq!(renewed, json!({"embedders": ["mock/ngram"]}));
}

#[tokio::test]
async fn what_cannot_be_embedded_again_is_told() {
    let host = host().await;
    let (status, answer) = host.post_json("/api/memory/embeddings/renew?agentId=witness", &json!({})).await.unwrap();
    assert_eq!(
        (status, answer["error"].as_str()),
        (400, Some("this agent does not recall by meaning: turn semanticRecall on"))
    );
    let (status, _) = host.post_json("/api/memory/embeddings/renew?agentId=nobody", &json!({})).await.unwrap();
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_command_line_tells_how_far_it_is_and_has_it_done_again() {
    let host = host().await;
    let url = host.url("");
    let run = |arguments: &[&str]| hotbay(&host.data_dir(), &[arguments, &["--url", &url]].concat());
    let none = run(&["memory", "status"]);
    assert!(text(&none.stdout).starts_with("no message is found by its meaning"), "{}", text(&none.stdout));
    save(&host, "recalling", &[message("a", "t", "one"), message("b", "t", "two")]).await;
    embedded(&host, 2).await;
    let again = run(&["memory", "reembed", "--agent", "recalling"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("embedded again with mock/ngram"), "{}", text(&again.stdout));
    embedded(&host, 2).await;
    let status = text(&run(&["memory", "status"]).stdout);
    let rows: Vec<Vec<&str>> = status.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["mock/ngram", "local", "2", "0"], "{status}");
    let refused = run(&["memory", "reembed", "--agent", "witness"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("turn semanticRecall on"), "{}", text(&refused.stderr));
}

#[tokio::test]
async fn an_embedder_over_the_network_is_waited_for() {
    let vector = |n: f64| json!({"index": 0, "embedding": [n, 1.0]});
    // Its provider is down at first; what waits is embedded once it is not.
    let down = Reply::json(401, &json!({"error": {"message": "who are you?"}}));
    let up = Reply::json(200, &json!({"data": [vector(0.5)]}));
    let fake = OpenAiFake::start([down, up.clone(), up]).await;
    let config = format!(
        "[memory]\nembedder = \"remote/small\"\n[providers.remote]\nbase_url = \"{}\"\nmax_retries = 0\n",
        fake.base_url()
    );
    let host = host_with(&config).await;
    save(&host, "recalling", &[message("a", "t", "Only this.")]).await;
    embedded(&host, 1).await;
    assert_eq!(search(&host, "recalling", "this", "").await, ["a"]);
    let asked = fake.requests();
    assert_eq!(asked[1].path, "/v1/embeddings");
    assert_eq!(asked[1].body, json!({"model": "small", "input": ["Only this."], "encoding_format": "float"}));
}
