//! Models over a network, against a server that behaves and misbehaves on command.
#![expect(clippy::unwrap_used, reason = "the functions beside the tests are tests too")]

mod embedders;
mod failures;
mod hosted;
mod limits;
mod wire;

use std::{future::Future, sync::Arc, time::Duration};

use futures::StreamExt;
use hotbay::model::{Model, ModelError, PartStream, catalog::Models};
use hotbay_plugin::chat::{ChatRequest, Message, Part, StreamPart};
use hotbay_tests::openai_fake::OpenAiFake;

/// Returns the model `fake/model` of a fake, with these settings besides.
fn model(fake: &OpenAiFake, settings: &str) -> Arc<dyn Model> {
    provider("fake", &fake.base_url(), settings)
}

/// Returns the model `<name>/model` at an address, with these settings besides.
fn provider(name: &str, base_url: &str, settings: &str) -> Arc<dyn Model> {
    let text = format!("[{name}]\nbase_url = \"{base_url}\"\n{settings}\n");
    let models = Models::new(toml::from_str(&text).unwrap(), |variable| {
        (variable == "FAKE_KEY").then(|| "sk-of-the-fake".to_owned())
    });
    models.resolve(&format!("{name}/model")).unwrap()
}

fn user(text: &str) -> Message {
    Message::User(vec![Part::Text { text: text.into() }])
}

fn hello() -> ChatRequest {
    ChatRequest { messages: vec![user("hello")], ..ChatRequest::default() }
}

/// Fails the test if it takes long: nothing here waits for anything but the loopback.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it hangs")
}

/// Asks, and takes all parts and the error at their end.
async fn ask(model: &dyn Model, request: ChatRequest) -> (Vec<StreamPart>, Option<ModelError>) {
    match within(model.chat(request)).await {
        Ok(parts) => drain(parts).await,
        Err(error) => (Vec::new(), Some(error)),
    }
}

async fn drain(mut stream: PartStream) -> (Vec<StreamPart>, Option<ModelError>) {
    let mut parts = Vec::new();
    while let Some(part) = within(stream.next()).await {
        match part {
            Ok(part) => parts.push(part),
            Err(error) => {
                assert!(within(stream.next()).await.is_none(), "something follows {error}");
                return (parts, Some(error));
            }
        }
    }
    (parts, None)
}

/// Asks, and takes all parts of an answer that is complete.
async fn answer(model: &dyn Model, request: ChatRequest) -> Vec<StreamPart> {
    let (parts, error) = ask(model, request).await;
    assert!(error.is_none(), "{error:?} after {parts:?}");
    parts
}

/// Asks for an answer that fails.
async fn failure(model: &dyn Model, request: ChatRequest) -> ModelError {
    let (parts, error) = ask(model, request).await;
    error.unwrap_or_else(|| panic!("no error in {parts:?}"))
}

fn text(parts: &[StreamPart]) -> String {
    let deltas = parts.iter().filter_map(|part| match part {
        StreamPart::TextDelta { delta, .. } => Some(delta.as_str()),
        _ => None,
    });
    deltas.collect()
}

/// Returns the parts as the JSON that plugins and snapshots see.
fn raw(parts: &[StreamPart]) -> serde_json::Value {
    serde_json::to_value(parts).unwrap()
}
