//! The plugin that embeds on this machine, as the library that is shipped.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use hotbay::plugin::{
    call::{Call, CallError, ChunkSender, Reply, Target},
    services::{HostServices, Requester},
};
use hotbay_plugin::{Error, error::code};
use hotbay_tests::plugin_host::{PluginHost, library, put};
use serde_json::json;

use crate::cli::{hotbay, text, write_model};

const NAME: &str = "hotbay-embed-minilm";
const ID: &str = "local/all-minilm-l6-v2";

async fn host(model: &Path) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        settings.plugins.entry(NAME.into()).or_default().config = json!({ "model": model });
        put(directory, "minilm.so", &std::fs::read(library(NAME)).unwrap());
    })
    .await
}

async fn embed(host: &PluginHost, texts: &[&str]) -> Result<Reply, CallError> {
    let snapshot = host.plugins.registry().snapshot();
    let embedder = snapshot.embedders.get(ID).expect("the plugin is loaded");
    let call = Call { body: serde_json::to_vec(texts).unwrap(), ..Call::default() };
    embedder.generation.call(Target::Embedder(Arc::from(ID)), call).await
}

#[tokio::test]
async fn plugin_loads_without_weights_and_says_how_they_are_had() {
    let model = tempfile::tempdir().unwrap();
    let host = host(model.path()).await;
    match embed(&host, &["one"]).await {
        Err(CallError::Failed { code: code::UNAVAILABLE, message, .. }) => {
            assert!(message.contains("hotbay model pull all-minilm-l6-v2"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

/// A host's data directory, as plugins see it.
struct Data(PathBuf);

#[async_trait]
impl HostServices for Data {
    async fn request(&self, caller: Requester, op: &str, _: Vec<u8>, _: Option<ChunkSender>) -> Result<Vec<u8>, Error> {
        assert_eq!(op, "data.directory");
        Ok(serde_json::to_vec(&self.0.join("plugin-data").join(&*caller.plugin))?)
    }
}

#[tokio::test]
async fn plugin_looks_where_the_command_puts_files() {
    let (data, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_model(from.path());
    let [data_path, from] = [data.path(), from.path()].map(|path| path.to_str().unwrap());
    let pulled = hotbay(data.path(), &["model", "pull", "all-minilm-l6-v2", "--from", from, "--data", data_path]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));

    let host = PluginHost::start_serving(Arc::new(Data(data.path().to_owned())), |directory, _| {
        put(directory, "minilm.so", &std::fs::read(library(NAME)).unwrap());
    })
    .await;
    // It has read the file, and seen that nothing is in it.
    let message = embed(&host, &["one"]).await.unwrap_err().to_string();
    assert!(message.contains("it has no `embeddings.word_embeddings.weight`"), "{message}");
}

#[cfg(hotbay_test_minilm)]
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "not the host: where the weights are")]
async fn texts_come_back_as_vectors_of_the_dimension_it_declares() {
    let model = std::env::var_os("HOTBAY_TEST_MINILM").expect("it was there when this was built");
    let host = host(Path::new(&model)).await;
    let reply = embed(&host, &["a cat", "a kitten", "a tax form"]).await.unwrap();
    let rows: Vec<&[f32]> = reply.vectors.chunks(384).collect();
    assert_eq!((rows.len(), reply.vectors.len()), (3, 3 * 384));
    let near = |other: usize| -> f32 { rows[0].iter().zip(rows[other]).map(|(one, other)| one * other).sum() };
    assert!(near(1) > near(2) + 0.3, "{} and {}", near(1), near(2));
}
