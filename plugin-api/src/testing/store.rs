//! A plugin's vector store, called by the names its operations have on the boundary.

use serde_json::{Value, json};

use super::{accept, block_on, call_ctx};
use crate::{
    Result,
    abi::{VectorReply, VectorStoreBox},
    manifest::CallMeta,
    vector_store::{CreateIndex, Hit, IndexStats, Metric, Query, Upsert},
    wire,
};

/// A vector store of a plugin under test.
pub struct TestStore {
    store: VectorStoreBox,
}

impl TestStore {
    pub(super) fn new(store: VectorStoreBox) -> Self {
        Self { store }
    }

    /// Performs an operation as the host does; see [`crate::host_ops`] for its document and rows.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn call(&self, op: &str, body: &Value, rows: Vec<f32>) -> Result<(Value, Vec<f32>)> {
        let VectorReply { body, vectors } = self.perform(op, body, rows)?;
        Ok((wire::from_slice(&body, op)?, vectors.into_vec()))
    }

    /// Creates an index.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn create_index(&self, name: &str, dimension: u32, metric: Metric) -> Result<()> {
        let index = CreateIndex { name: name.to_owned(), dimension, metric };
        self.perform("create_index", &serde_json::to_value(index)?, Vec::new()).map(drop)
    }

    /// Returns the names of all indexes.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn list_indexes(&self) -> Result<Vec<String>> {
        wire::from_slice(&self.perform("list_indexes", &json!({}), Vec::new())?.body, "index names")
    }

    /// Deletes an index.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn delete_index(&self, name: &str) -> Result<()> {
        self.perform("delete_index", &json!({ "name": name }), Vec::new()).map(drop)
    }

    /// Describes an index.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn describe_index(&self, name: &str) -> Result<IndexStats> {
        let reply = self.perform("describe_index", &json!({ "name": name }), Vec::new())?;
        wire::from_slice(&reply.body, "index stats")
    }

    /// Adds vectors and returns their ids.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn upsert(&self, upsert: &Upsert) -> Result<Vec<String>> {
        let ids: Vec<_> = upsert.entries.iter().map(|entry| &entry.id).collect();
        let metadata: Vec<_> = upsert.entries.iter().map(|entry| &entry.metadata).collect();
        let body = json!({ "index": upsert.index, "count": ids.len(), "ids": ids, "metadata": metadata });
        let rows = upsert.entries.iter().flat_map(|entry| entry.vector.iter().copied()).collect();
        wire::from_slice(&self.perform("upsert", &body, rows)?.body, "ids")
    }

    /// Returns the vectors nearest to one.
    ///
    /// # Errors
    /// What the store fails with.
    pub fn query(&self, query: &Query) -> Result<Vec<Hit>> {
        let body = json!({
            "index": query.index,
            "topK": query.top_k,
            "filter": query.filter,
            "includeVector": query.include_vector,
        });
        let (body, rows) = self.call("query", &body, query.vector.clone())?;
        let found: Vec<FoundHit> = wire::from_value(body, "hits")?;
        let length = if found.is_empty() { 0 } else { rows.len() / found.len() };
        let hits = found.into_iter().enumerate().map(|(index, hit)| Hit {
            id: hit.id,
            score: hit.score,
            metadata: hit.metadata,
            vector: rows.get(index * length..(index + 1) * length).filter(|row| !row.is_empty()).map(<[f32]>::to_vec),
        });
        Ok(hits.collect())
    }

    fn perform(&self, op: &str, body: &Value, rows: Vec<f32>) -> Result<VectorReply> {
        let ctx = call_ctx(&CallMeta::default(), None)?;
        accept(block_on(self.store.call(ctx, op.into(), serde_json::to_vec(body)?.into(), rows.into()))?)
    }
}

#[derive(serde::Deserialize)]
struct FoundHit {
    id: String,
    score: f32,
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
}

impl std::fmt::Debug for TestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestStore").finish_non_exhaustive()
    }
}
