//! Vector stores over HTTP: both spellings and bodies, mistakes, crashes, swaps under load.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hotbay_tests::{
    TestHost,
    http::{Connection, Outgoing},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const PLUGIN: &str = "hotbay-vector-local";
/// How often a host is killed while it writes.
const KILLS: usize = 15;
/// Vectors of one write.
const BATCH: usize = 3;
/// Swaps of the store under load.
const SWAPS: usize = 20;

async fn host() -> TestHost {
    TestHost::builder().plugin(PLUGIN).start().await.unwrap()
}

/// Posts and returns an answer that succeeded.
async fn post(host: &TestHost, path: &str, body: Value) -> Value {
    let (status, answer) = host.post_json(path, &body).await.unwrap();
    assert_eq!(status, 200, "{path} {body} is answered with {answer}");
    answer
}

fn ids(hits: &Value) -> Vec<&str> {
    hits.as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn documented_requests_need_no_index() {
    let host = host().await;
    let path = |what: &str| format!("/api/vectors/local/{what}");
    assert_eq!(post(&host, &path("query"), json!({"vector": [1, 0]})).await, json!([]));
    let vectors = json!([
        {"id": "a", "values": [1, 0], "metadata": {"kind": "x"}},
        {"id": "b", "values": [0.6, 0.8]},
    ]);
    assert_eq!(post(&host, &path("upsert"), json!({"vectors": vectors})).await, json!({"ids": ["a", "b"]}));
    let hits = post(&host, &path("query"), json!({"vector": [1, 0], "topK": 5})).await;
    assert_eq!(ids(&hits), ["a", "b"]);
    assert_eq!((&hits[0]["metadata"], &hits[1]["metadata"]), (&json!({"kind": "x"}), &json!({})));
    let bare = json!({"vector": [1, 0], "filter": {"kind": "x"}, "includeMetadata": false});
    assert_eq!(post(&host, &path("query"), bare).await, json!([{"id": "a", "score": 1.0}]));
    assert_eq!(post(&host, &path("delete"), json!({"ids": ["a"]})).await, json!({"success": true}));
    assert_eq!(ids(&post(&host, &path("query"), json!({"vector": [1, 0]})).await), ["b"]);
    let (_, described) = host.get_json("/api/vector/local/indexes/default").await.unwrap();
    assert_eq!(described, json!({"dimension": 2, "count": 1, "metric": "cosine"}));
}

#[tokio::test]
async fn both_spellings_take_both_bodies() {
    let host = host().await;
    for root in ["vector", "vectors"] {
        let path = |what: &str| format!("/api/{root}/local/{what}");
        let create = json!({"indexName": root, "dimension": 2, "metric": "euclidean"});
        assert_eq!(post(&host, &path("create-index"), create).await, json!({"success": true}));
        let plain = json!({"indexName": root, "vectors": [[1, 0], [2, 0]], "ids": ["a", "b"], "metadata": [{"n": 1}, {"n": 2}]});
        assert_eq!(post(&host, &path("upsert"), plain).await, json!({"ids": ["a", "b"]}));
        let documented = json!({"vectors": [{"id": "c", "values": [3, 0], "metadata": {"n": 3}}, [4, 0]]});
        let made = post(&host, &path(&format!("upsert?indexName={root}")), documented).await;
        assert_eq!((made["ids"][0].as_str(), made["ids"].as_array().unwrap().len()), (Some("c"), 2));
        let query = json!({"indexName": root, "queryVector": [3, 0], "topK": 2, "includeVector": true});
        let hits = post(&host, &path("query"), query).await;
        assert_eq!(hits[0], json!({"id": "c", "score": 1.0, "metadata": {"n": 3}, "vector": [3.0, 0.0]}));
        let update = json!({"indexName": root, "id": "a", "vector": [3, 0], "metadata": {"n": 10}});
        assert_eq!(post(&host, &path("update"), update).await, json!({"success": true}));
        let by_filter = json!({"indexName": root, "filter": {"n": {"$gte": 3}}});
        assert_eq!(post(&host, &path("delete"), by_filter).await, json!({"success": true}));
        let left = post(&host, &path("query"), json!({"indexName": root, "queryVector": [3, 0]})).await;
        assert!(ids(&left).contains(&"b") && left.as_array().unwrap().len() == 2, "{left}");
        let (_, described) = host.get_json(&path(&format!("indexes/{root}"))).await.unwrap();
        assert_eq!(described, json!({"dimension": 2, "count": 2, "metric": "euclidean"}));
    }
    assert_eq!(host.get_json("/api/vectors/local/indexes").await.unwrap().1, json!(["vector", "vectors"]));
    let delete = Outgoing { method: "DELETE".to_owned(), ..Outgoing::get("/api/vectors/local/indexes/vector") };
    assert_eq!(host.send(delete).await.unwrap().status, Some(200));
    assert_eq!(host.get_json("/api/vector/local/indexes").await.unwrap().1, json!(["vectors"]));
}

#[tokio::test]
async fn several_stores_are_kept_apart() {
    let host = TestHost::builder().plugin(PLUGIN).plugin("hotbay-test-reference").start().await.unwrap();
    let (_, listed) = host.get_json("/api/vectors").await.unwrap();
    let stores: Vec<_> =
        listed["vectors"].as_array().unwrap().iter().map(|store| (&store["id"], &store["type"])).collect();
    assert_eq!(stores, [(&json!("libsql"), &json!("LibSQLVector")), (&json!("local"), &json!(PLUGIN))]);
    for (store, x) in [("libsql", 1), ("local", 2)] {
        let create = json!({"indexName": "docs", "dimension": 1, "metric": "dotproduct"});
        post(&host, &format!("/api/vector/{store}/create-index"), create).await;
        let upsert = json!({"indexName": "docs", "vectors": [[x]], "ids": [store]});
        post(&host, &format!("/api/vector/{store}/upsert"), upsert).await;
    }
    for store in ["libsql", "local"] {
        let hits =
            post(&host, &format!("/api/vector/{store}/query"), json!({"indexName": "docs", "queryVector": [1]})).await;
        assert_eq!(ids(&hits), [store]);
    }
}

#[tokio::test]
async fn mistakes_are_told_as_such() {
    let host = host().await;
    post(&host, "/api/vector/local/create-index", json!({"indexName": "docs", "dimension": 2})).await;
    let refused = async |path: &str, body: Value, status: u16, sentence: &str| {
        let (found, answer) = host.post_json(&format!("/api/vector/local/{path}"), &body).await.unwrap();
        let shown: String = body.to_string().chars().take(200).collect();
        assert_eq!(
            (found, answer["error"].as_str().unwrap_or_default()),
            (status, sentence),
            "{path} {shown}: {answer}"
        );
    };
    let body = "Invalid request body";
    for (dimension, metric) in [(json!(0), "cosine"), (json!(-1), "cosine"), (json!(1.5), "cosine")] {
        let create = json!({"indexName": "x", "dimension": dimension, "metric": metric});
        refused(
            "create-index",
            create,
            400,
            "Invalid request index, indexName and positive dimension number are required.",
        )
        .await;
    }
    let long = "a vector must have between 1 and 65536 dimensions, not 100000";
    refused("create-index", json!({"indexName": "x", "dimension": 100_000}), 400, long).await;
    for name in ["", "bad-name!", "1st", "../up", "a/b", ".hidden", &"x".repeat(64)] {
        let sentence = format!(
            "Invalid index name: {name}. Must start with a letter or underscore, contain only letters, numbers, or underscores, and be at most 63 characters long."
        );
        refused("create-index", json!({"indexName": name, "dimension": 2}), 400, &sentence).await;
        refused("upsert", json!({"indexName": name, "vectors": [[1, 2]]}), 404, &format!("Index {name} not found"))
            .await;
    }
    let upsert = |vectors: Value| json!({"indexName": "docs", "vectors": vectors});
    let other = "Vector dimension mismatch: Index \"docs\" expects 2 dimensions but got 3 dimensions. Either use a matching embedding model or delete and recreate the index with the new dimension.";
    refused("upsert", upsert(json!([[1, 2, 3]])), 400, other).await;
    refused("upsert", upsert(json!([])), 400, "vectors must hold at least one vector").await;
    refused("upsert", upsert(json!([[]])), 400, "a vector must have between 1 and 65536 dimensions, not 0").await;
    refused("upsert", upsert(json!([vec![0.5; 100_000]])), 400, long).await;
    for vectors in [
        json!([[1, "x"]]),
        json!([[1, null]]),
        json!([[1, 1e39]]),
        json!([[1, 2], [1]]),
        json!([{"id": "a"}]),
        json!([1]),
        json!("x"),
    ] {
        refused("upsert", upsert(vectors), 400, body).await;
    }
    let with = |key: &str, value: Value| {
        let mut body = upsert(json!([[1, 2], [3, 4]]));
        body[key] = value;
        body
    };
    refused("upsert", with("ids", json!(["a"])), 400, "ids must be as many as vectors: there are 1 for 2").await;
    refused("upsert", with("ids", json!([])), 400, "ids must be as many as vectors: there are 0 for 2").await;
    refused("upsert", with("ids", json!(["a", "a"])), 400, "the id `a` is there twice").await;
    refused("upsert", with("ids", json!(["a", ""])), 400, "an id must not be empty").await;
    refused("upsert", with("ids", json!([1, 2])), 400, body).await;
    refused("upsert", with("metadata", json!([{}])), 400, "metadata must be as many as vectors: there are 1 for 2")
        .await;
    let query = |key: &str, value: Value| {
        let mut body = json!({"indexName": "docs", "queryVector": [1, 2]});
        body[key] = value;
        body
    };
    refused("query", query("queryVector", json!([1, 2, 3])), 400, other).await;
    refused("query", query("queryVector", json!([1, 1e39])), 400, body).await;
    for top_k in [json!(0), json!(-1), json!(1.5)] {
        refused("query", query("topK", top_k), 400, "topK must be a positive integer").await;
    }
    refused("query", query("topK", json!(100_000)), 400, "topK must be between 1 and 10000").await;
    refused("query", query("filter", json!({"n": {"$bogus": 1}})), 400, "Unsupported operator: $bogus").await;
    let deep = (0..100).fold(json!({"n": 1}), |inner, _| json!({"$not": inner}));
    refused("query", query("filter", deep), 400, "the filter is nested more than 32 levels deep").await;
    let bomb = json!({"t": {"$regex": r"(\w{50}){50}"}});
    refused("query", query("filter", bomb), 400, "$regex is too large when it is compiled").await;
    refused("query", query("indexName", json!("nope")), 404, "Index nope not found").await;
    let which = "say which entries are meant: by one of `id`, `ids` and `filter`";
    refused("delete", json!({"indexName": "docs"}), 400, which).await;
    refused("delete", json!({"indexName": "docs", "id": "a", "filter": {"n": 1}}), 400, which).await;
    refused("delete", json!({"indexName": "docs", "filter": {}}), 400, "the filter must not be empty").await;
    refused("delete", json!({"indexName": "nope", "ids": ["a"]}), 404, "Index nope not found").await;
    let nothing = "give a vector or metadata, for otherwise nothing changes";
    refused("update", json!({"indexName": "docs", "id": "a"}), 400, nothing).await;
    let (status, answer) = host.get_json("/api/vector/local/indexes/nope").await.unwrap();
    assert_eq!((status, answer), (404, json!({"error": "Index nope not found"})));
    assert_eq!(host.get_json("/api/vector/nope/indexes").await.unwrap().0, 404);
    let (_, described) = host.get_json("/api/vector/local/indexes/docs").await.unwrap();
    assert_eq!(described["count"], 0, "nothing of it was done");
}

#[tokio::test]
async fn ten_thousand_vectors_are_one_request() {
    let host = host().await;
    post(&host, "/api/vector/local/create-index", json!({"indexName": "docs", "dimension": 4, "metric": "euclidean"}))
        .await;
    let vectors: Vec<[usize; 4]> = (0..10_000).map(|n| [n, n / 100, n % 7, 1]).collect();
    let upsert = json!({"indexName": "docs", "vectors": vectors});
    assert_eq!(post(&host, "/api/vector/local/upsert", upsert).await["ids"].as_array().unwrap().len(), 10_000);
    let query = json!({"indexName": "docs", "queryVector": [5000, 50, 2, 1], "topK": 1});
    assert_eq!(post(&host, "/api/vector/local/query", query).await[0]["score"], 1.0);
}

/// Upserts batch after batch, each under a name of its own, until there is no answer; returns the acknowledged ones.
async fn write(host: &TestHost, round: usize, writer: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(host.address()).await else { return acknowledged };
    for number in 0.. {
        let name = format!("{round}/{writer}/{number}");
        let ids: Vec<_> = (0..BATCH).map(|part| format!("{name}/{part}")).collect();
        let body = json!({"indexName": "ledger", "vectors": vec![[1, number, writer]; BATCH], "ids": ids});
        match connection.send(Outgoing::post("/api/vector/local/upsert", &body)).await {
            Ok((200, _)) => acknowledged.push(name),
            _ => break,
        }
    }
    acknowledged
}

/// Returns the ids that are there.
async fn stored(host: &TestHost) -> BTreeSet<String> {
    let query = json!({"indexName": "ledger", "queryVector": [1, 0, 0], "topK": 10_000});
    ids(&post(host, "/api/vector/local/query", query).await).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_host_is_killed() {
    let mut host = host().await;
    post(
        &host,
        "/api/vector/local/create-index",
        json!({"indexName": "ledger", "dimension": 3, "metric": "euclidean"}),
    )
    .await;
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let writers = futures::future::join_all((0..4).map(|writer| write(&host, round, writer)));
        let strike = async {
            tokio::time::sleep(Duration::from_millis(5 + 7 * round as u64)).await;
            host.strike().unwrap();
        };
        let (written, ()) = tokio::join!(writers, strike);
        acknowledged.extend(written.concat());
        host.restart().await.unwrap();
        let stored = stored(&host).await;
        for name in &acknowledged {
            for part in 0..BATCH {
                assert!(stored.contains(&format!("{name}/{part}")), "{name} was acknowledged, after {round} kills");
            }
        }
        assert!(stored.len().is_multiple_of(BATCH), "a batch is there in part");
    }
    assert!(acknowledged.len() > KILLS, "there was nothing to lose: {}", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_of_the_store_under_load_fail_no_request_and_lose_nothing() {
    let host = host().await;
    post(
        &host,
        "/api/vector/local/create-index",
        json!({"indexName": "ledger", "dimension": 3, "metric": "euclidean"}),
    )
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for writer in 0..2_usize {
        let (address, stop) = (host.address().clone(), Arc::clone(&stop));
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await.unwrap();
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                let id = format!("{writer}/{written}");
                let upsert = json!({"indexName": "ledger", "vectors": [[writer, written, 7]], "ids": [id]});
                let (status, body) =
                    connection.send(Outgoing::post("/api/vector/local/upsert", &upsert)).await.unwrap();
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
                let query = json!({"indexName": "ledger", "queryVector": [writer, written, 7], "topK": 1});
                let (status, body) = connection.send(Outgoing::post("/api/vector/local/query", &query)).await.unwrap();
                let hits: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(
                    (status, hits[0]["id"].as_str()),
                    (200, Some(id.as_str())),
                    "what is acknowledged is found: {hits}"
                );
                written += 1;
            }
            written
        });
    }
    for swap in 0..SWAPS {
        let answer = post(&host, &format!("/api/plugins/{PLUGIN}/reload"), json!({})).await;
        assert_eq!(answer["state"], "serving", "{answer}");
        if let Some(ended) = clients.try_join_next() {
            panic!("a client gave up after {swap} swaps: {ended:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written: usize = clients.join_all().await.into_iter().sum();
    assert!(written > SWAPS, "there was no load: {written}");
    let (_, described) = host.get_json("/api/vector/local/indexes/ledger").await.unwrap();
    assert_eq!(described["count"], written);
}
