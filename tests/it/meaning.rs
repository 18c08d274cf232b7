//! Recall by meaning as it is meant: a real model on this machine, the local vector store, an agent.
//! Compiled only where the model's weights are.

use std::{path::PathBuf, sync::Arc, time::Duration};

use hotbay::plugin::call::{Call, Target};
use hotbay_tests::{
    TestHost, eventually,
    plugin_host::{PluginHost, library, put},
};
use serde_json::{Value, json};

const EMBEDDER: &str = "hotbay-embed-minilm";
const STORE: &str = "hotbay-vector-local";
const ID: &str = "local/all-minilm-l6-v2";
/// Numbers of a vector.
const DIMENSION: usize = 384;

#[expect(clippy::disallowed_methods, reason = "not the host: where the weights are")]
fn weights() -> PathBuf {
    std::env::var_os("HOTBAY_TEST_MINILM").expect("it was there when this was built").into()
}

async fn post(host: &TestHost, path: &str, body: Value) -> Value {
    let (status, answer) = host.post_json(path, &body).await.unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Things people talk of, no two of them alike.
fn said(n: usize) -> String {
    const WHO: [&str; 10] = [
        "The plumber",
        "My sister",
        "Our accountant",
        "A neighbour",
        "The new intern",
        "Grandfather",
        "The landlord",
        "A colleague from Oslo",
        "The dentist",
        "Our youngest son",
    ];
    const DID: [&str; 16] = [
        "repaired",
        "sold",
        "forgot",
        "photographed",
        "complained about",
        "insured",
        "painted",
        "dreamt of",
        "calculated",
        "translated",
        "cooked",
        "measured",
        "inherited",
        "lost",
        "borrowed",
        "designed",
    ];
    const WHAT: [&str; 20] = [
        "the kitchen sink",
        "an old violin",
        "the tax return",
        "a sailing boat",
        "the mushroom soup",
        "a letter from Japan",
        "the garden fence",
        "a database index",
        "the wedding dress",
        "a chess problem",
        "the mountain bike",
        "a bottle of wine",
        "the election results",
        "a solar panel",
        "the fever thermometer",
        "a poem about winter",
        "the train ticket",
        "a rescue dog",
        "the roof of the barn",
        "an insurance contract",
    ];
    const WHEN: [&str; 8] = [
        "on a rainy Monday",
        "before the holidays",
        "without telling anybody",
        "for the second time",
        "while the children slept",
        "at the airport",
        "in great haste",
        "with surprising care",
    ];
    format!("{} {} {} {}.", WHO[n % 10], DID[n / 10 % 16], WHAT[n / 160 % 20], WHEN[n / 3200 % 8])
}

#[tokio::test]
async fn an_agent_answers_from_what_was_said_five_hundred_messages_ago() {
    let config = format!("[memory]\nembedder = \"{ID}\"\n[plugins.{EMBEDDER}.config]\nmodel = {:?}\n", weights());
    let host = [EMBEDDER, STORE, "hotbay-test-memory"]
        .into_iter()
        .fold(TestHost::builder().config_text(config), |builder, plugin| builder.plugin(plugin));
    let host = host.start().await.unwrap();
    let (_, embedders) = host.get_json("/api/embedders").await.unwrap();
    assert!(
        embedders["embedders"].as_array().unwrap().iter().any(|it| it["id"] == ID && it["dimensions"] == DIMENSION)
    );
    post(&host, "/api/memory/threads?agentId=recalling", json!({"threadId": "t", "resourceId": "u"})).await;
    let message = |n: usize| {
        // It shares no word with the question but one that many sentences have.
        let text =
            if n == 2 { "I am allergic to peanuts, they make my throat swell.".to_owned() } else { said(n * 37) };
        let at = format!("2026-01-01T{:02}:{:02}:00.000Z", n / 60, n % 60);
        json!({"id": format!("m{n}"), "role": "user", "threadId": "t", "resourceId": "u", "content": text, "createdAt": at})
    };
    let messages: Vec<Value> = (0..503).map(message).collect();
    post(&host, "/api/memory/save-messages?agentId=recalling", json!({ "messages": messages })).await;
    eventually(Duration::from_secs(120), || async {
        let (_, spaces) = host.get_json("/api/memory/embeddings").await.unwrap();
        (spaces["spaces"][0]["waiting"] == 0 && spaces["spaces"][0]["messages"] == 503).then_some(())
    })
    .await;
    let asked = json!({"messages": "Do I have any food allergies?", "memory": {"thread": "t", "resource": "u"}});
    let answer = post(&host, "/api/agents/recalling/generate", asked).await;
    let told = answer["text"].as_str().unwrap();
    assert!(told.contains("allergic to peanuts"), "{told}");
    assert!(told.matches("\"role\"").count() < 12, "it is told a few messages, not all: {told}");
}

#[tokio::test]
async fn the_graph_finds_what_an_exact_search_finds_on_real_embeddings() {
    const TEXTS: usize = 2000;
    const PROBES: usize = 100;
    let model = weights();
    let plugins = PluginHost::start_with(|directory, settings| {
        settings.plugins.entry(EMBEDDER.into()).or_default().config = json!({ "model": model, "threads": 2 });
        put(directory, "minilm.so", &std::fs::read(library(EMBEDDER)).unwrap());
    })
    .await;
    let snapshot = plugins.plugins.registry().snapshot();
    let embedder = snapshot.embedders.get(ID).expect("the plugin is loaded");
    // Spread over all that can be said; the probes are among what was not taken.
    let texts: Vec<String> = (0..TEXTS + PROBES).map(|n| said(n * 12 + 5)).collect();
    let call =
        Call { body: serde_json::to_vec(&texts).unwrap(), deadline: Some(Duration::from_secs(300)), ..Call::default() };
    let reply = embedder.generation.call(Target::Embedder(Arc::from(ID)), call).await.unwrap();
    let rows: Vec<&[f32]> = reply.vectors.chunks(DIMENSION).collect();
    assert_eq!(rows.len(), TEXTS + PROBES);
    let (stored, probes) = rows.split_at(TEXTS);

    // With the last one of them there are enough for a graph: it covers them all.
    let config = format!("[plugins.{STORE}.config]\ngraph_from = {TEXTS}\n");
    let host = TestHost::builder().config_text(config).argument("--body-limit").argument("64MB").plugin(STORE);
    let host = host.start().await.unwrap();
    post(&host, "/api/vector/local/create-index", json!({"indexName": "said", "dimension": DIMENSION})).await;
    for (batch, some) in stored.chunks(500).enumerate() {
        let ids: Vec<String> = (0..some.len()).map(|n| (batch * 500 + n).to_string()).collect();
        post(&host, "/api/vector/local/upsert", json!({"indexName": "said", "vectors": some, "ids": ids})).await;
    }
    // The graph is built aside; until it is there a search is exact, so this waits for its file.
    let directory = host.data_dir();
    eventually(Duration::from_secs(60), || async { has_graph(&directory).then_some(()) }).await;
    let mut right = 0;
    for probe in probes {
        let body = json!({"indexName": "said", "queryVector": probe, "topK": 10});
        let hits = post(&host, "/api/vector/local/query", body).await;
        let found: Vec<usize> =
            hits.as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().parse().unwrap()).collect();
        let mut exact: Vec<(f32, usize)> =
            stored.iter().enumerate().map(|(n, row)| (row.iter().zip(*probe).map(|(a, b)| a * b).sum(), n)).collect();
        exact.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        right += exact[..10].iter().filter(|(_, n)| found.contains(n)).count();
    }
    let recall = right as f64 / (PROBES * 10) as f64;
    assert!(recall >= 0.97, "recall@10 is {recall}");
}

/// Whether an index of the data directory has a graph on the disk.
fn has_graph(directory: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() { has_graph(&path) } else { path.extension().is_some_and(|kind| kind == "graph") }
    })
}
