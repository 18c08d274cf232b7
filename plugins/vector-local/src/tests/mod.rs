mod durable;
mod searches;

use std::path::Path;

use hotbay_plugin::{
    testing::{TestHost, TestPlugin, TestStore, store_contract},
    vector_store::{Entry, Query, Upsert},
};
use serde_json::json;
use tempfile::TempDir;

/// A store that has a graph from so many vectors on.
struct Bed {
    plugin: TestPlugin,
    store: TestStore,
}

impl Bed {
    fn open(directory: &Path, graph_from: usize) -> Self {
        let host = TestHost::new().data_directory(directory);
        let plugin = host.open(super::plugin(), &json!({ "graph_from": graph_from })).unwrap();
        let store = plugin.vector_store("local").unwrap();
        Self { plugin, store }
    }

    /// Shuts the plugin down, as a swap does.
    fn close(self) {
        drop(self.store);
        self.plugin.shutdown().unwrap();
    }
}

fn vector(random: &mut fastrand::Rng, dimension: usize) -> Vec<f32> {
    (0..dimension).map(|_| random.f32() - 0.5).collect()
}

fn ids(store: &TestStore, index: &str, vector: &[f32], top_k: usize) -> Vec<String> {
    store.query(&Query::new(index, vector.to_vec(), top_k)).unwrap().into_iter().map(|hit| hit.id).collect()
}

fn put(store: &TestStore, index: &str, entries: Vec<Entry>) {
    store.upsert(&Upsert::new(index, entries)).unwrap();
}

#[test]
fn store_keeps_the_contract() {
    let directory = TempDir::new().unwrap();
    store_contract::check(&Bed::open(directory.path(), 10_000).store);
    let left: Vec<_> = std::fs::read_dir(directory.path().join("indexes")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.file_name() == ".lock"), "deleted indexes leave nothing: {left:?}");
}

#[test]
fn store_keeps_the_contract_with_a_graph() {
    let directory = TempDir::new().unwrap();
    store_contract::check(&Bed::open(directory.path(), 1).store);
}
