//! Embedders over a network: OpenAI-compatible servers and hosted providers.

use std::sync::Arc;

use hotbay::{
    model::{
        ModelError,
        catalog::Models,
        embedder::{Embedder, Embeddings},
    },
    plugin::registry::Snapshot,
};
use hotbay_tests::openai_fake::{OpenAiFake, Reply};
use serde_json::{Value, json};

use super::within;

/// Returns the embedder `<name>/model` at a fake's address, with these settings besides.
fn embedder(name: &str, fake: &OpenAiFake, settings: &str) -> Arc<dyn Embedder> {
    named(&format!("{name}/model"), fake, settings).unwrap()
}

fn named(id: &str, fake: &OpenAiFake, settings: &str) -> Result<Arc<dyn Embedder>, ModelError> {
    let provider = id.split('/').next().unwrap();
    let text = format!("[{provider}]\nbase_url = \"{}\"\n{settings}\n", fake.base_url());
    Models::new(toml::from_str(&text).unwrap(), |_| None).embedder(&Snapshot::default(), id, None)
}

fn texts() -> Vec<String> {
    vec!["one".to_owned(), "two".to_owned()]
}

async fn embed(embedder: &dyn Embedder) -> Result<Embeddings, ModelError> {
    within(embedder.embed(texts())).await
}

fn rows(rows: &[(usize, [f64; 2])]) -> Reply {
    let data: Vec<Value> = rows.iter().map(|(index, row)| json!({"index": index, "embedding": row})).collect();
    Reply::json(
        200,
        &json!({"object": "list", "model": "model", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}),
    )
}

#[tokio::test]
async fn texts_of_one_request_get_their_vectors_in_order() {
    let fake = OpenAiFake::start([rows(&[(1, [3.0, 4.0]), (0, [1.0, 2.0])])]).await;
    let settings = "api_key = 'sk-of-the-fake'\n[own.headers]\nx-team = 'red'";
    let embeddings = embed(&*embedder("own", &fake, settings)).await.unwrap();
    assert_eq!(embeddings, Embeddings { rows: vec![1.0, 2.0, 3.0, 4.0], dimension: 2 });
    let asked = &fake.requests()[0];
    assert_eq!(asked.path, "/v1/embeddings");
    assert_eq!(asked.headers["authorization"], "Bearer sk-of-the-fake");
    assert_eq!(asked.headers["x-team"], "red");
    assert_eq!(asked.body, json!({"model": "model", "input": ["one", "two"], "encoding_format": "float"}));
}

#[tokio::test]
async fn passing_failures_are_repeated_and_others_told() {
    let busy = || Reply::json(429, &json!({"error": {"message": "too much"}})).header("retry-after-ms", "1");
    let fake = OpenAiFake::start([busy(), busy(), rows(&[(0, [1.0, 0.0]), (1, [0.0, 1.0])])]).await;
    assert_eq!(embed(&*embedder("own", &fake, "")).await.unwrap().dimension, 2);
    assert_eq!(fake.requests().len(), 3);
    let fake = OpenAiFake::start([Reply::json(400, &json!({"error": {"message": "no such model"}}))]).await;
    let error = embed(&*embedder("own", &fake, "")).await.unwrap_err();
    assert!(matches!(error, ModelError::Refused { status: Some(400), .. }), "{error:?}");
    assert!(error.to_string().contains("no such model"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_and_nothing_else() {
    let of = |rows: Value| Reply::json(200, &json!({ "data": rows }));
    let one = json!({"index": 0, "embedding": [1.0]});
    for (reply, part) in [
        (Reply::raw(200, "text/html", "<html>"), "what are no embeddings"),
        (of(json!([one])), "1 vectors for 2 texts"),
        (of(json!([one, {"index": 1, "embedding": [1.0, 2.0]}])), "different lengths"),
        (of(json!([{"index": 0, "embedding": []}, {"index": 1, "embedding": []}])), "0 numbers for 2 texts"),
        (of(json!([one, {"index": 1, "embedding": ["x"]}])), "what are no embeddings"),
    ] {
        let fake = OpenAiFake::start([reply]).await;
        let error = embed(&*embedder("own", &fake, "")).await.unwrap_err();
        assert!(matches!(error, ModelError::Garbled(_)) && error.to_string().contains(part), "{error:?}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_time_it_may_take() {
    let fake = OpenAiFake::start([Reply::silence()]).await;
    let error = embed(&*embedder("own", &fake, "first_byte_timeout_ms = 50")).await.unwrap_err();
    assert!(matches!(error, ModelError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn hosted_providers_are_asked_on_their_own_wires() {
    let key = "api_key = 'sk-of-the-fake'";
    let fake = OpenAiFake::start([rows(&[(0, [1.0, 2.0]), (1, [3.0, 4.0])])]).await;
    let openai = named("openai/text-embedding-3-small", &fake, key).unwrap();
    assert_eq!(embed(&*openai).await.unwrap().rows, [1.0, 2.0, 3.0, 4.0]);
    let asked = &fake.requests()[0];
    assert_eq!((asked.path.as_str(), &asked.body["model"]), ("/v1/embeddings", &json!("text-embedding-3-small")));
    assert_eq!(asked.body["dimensions"], Value::Null);

    let answer = json!({"embeddings": [{"values": [1.0, 2.0, 3.0]}, {"values": [4.0, 5.0, 6.0]}]});
    let fake = OpenAiFake::start([Reply::json(200, &answer)]).await;
    let google = named("google/gemini-embedding-001", &fake, key).unwrap();
    assert_eq!(embed(&*google).await.unwrap().rows, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let asked = &fake.requests()[0];
    assert!(asked.path.contains("gemini-embedding-001:batchEmbedContents"), "{}", asked.path);
    assert_eq!(asked.headers["x-goog-api-key"], "sk-of-the-fake");
    assert_eq!(asked.body["requests"][1]["content"]["parts"][0]["text"], "two");
    assert_eq!(asked.body["requests"][1]["outputDimensionality"], 768, "as it is listed");
}

#[tokio::test]
async fn names_that_are_none_are_told_with_what_to_do() {
    let fake = OpenAiFake::start([]).await;
    let error = |id: &str| named(id, &fake, "").err().unwrap().to_string();
    assert!(error("nothing").contains("`nothing` is not the name of an embedder, write `provider/model`"));
    let models = Models::new(std::collections::BTreeMap::new(), |_| None);
    let error = |id: &str| models.embedder(&Snapshot::default(), id, None).err().unwrap().to_string();
    assert!(error("openai/text-embedding-3-small").contains("OPENAI_API_KEY"));
    assert!(error("who/knows").contains("unknown provider `who`"));
    let ngram = models.embedder(&Snapshot::default(), "mock/ngram", None).unwrap();
    assert_eq!(embed(&*ngram).await.unwrap().dimension, 256);
}
