//! Vector stores: those of plugins, found by name and asked for what they do.
//!
//! [`Vectors`] is the door; HTTP goes through it. What a caller may not ask is refused here,
//! so that every store is spared it: names, dimensions, numbers that are none, filters.
//! The stores themselves are behind [`crate::plugin::call`]; their documents are listed in
//! [`hotbay_plugin::host_ops`].

pub mod operation;

use std::{collections::HashSet, sync::Arc};

use hotbay_plugin::{
    error::code,
    vector_store::{Filter, IndexStats, MAX_DIMENSION, Metric, check_index_name},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json, value::RawValue};

use crate::plugin::{
    call::{Call, CallError, Reply, Target},
    registry::{Registry, Snapshot, VectorStoreEntry},
};

/// The index of callers that name none.
pub const DEFAULT_INDEX: &str = "default";
/// The most hits a search may ask for.
pub const MAX_TOP_K: u32 = 10_000;

/// Why a store was not asked, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// No plugin offers such a store.
    #[error("Vector with name {0} not found")]
    UnknownStore(String),
    /// The caller's mistake.
    #[error("{0}")]
    Invalid(String),
    /// The store failed, or refused.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store answered something that is no answer to what it was asked.
    #[error("vector store `{store}` did not answer `{op}` as it must: {source}")]
    Garbled {
        /// The store.
        store: String,
        /// What it was asked.
        op: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
}

/// All vector stores. Cheap to clone.
#[derive(Clone)]
pub struct Vectors {
    registry: Arc<Registry>,
}

/// A store, kept from being retired while it is held.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    entry: Arc<VectorStoreEntry>,
}

/// Entries to add.
#[derive(Debug, Default)]
pub struct Entries {
    /// All vectors, one after the other.
    pub rows: Vec<f32>,
    /// How many there are.
    pub count: usize,
    /// Their ids; none at all, or one each.
    pub ids: Vec<Option<String>>,
    /// What is known about them; none at all, or one each.
    pub metadata: Vec<Option<Map<String, Value>>>,
}

/// A search.
#[derive(Debug)]
pub struct Search {
    /// Near to what.
    pub vector: Vec<f32>,
    /// How many hits at most.
    pub top_k: u32,
    /// What the metadata must be like.
    pub filter: Value,
    /// Whether hits carry their vectors.
    pub include_vector: bool,
}

/// An entry that was found.
#[derive(Debug, Deserialize)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// How near it is.
    pub score: f32,
    /// What is known about it, as it was stored.
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
    /// Its vector, if it was asked for.
    #[serde(skip)]
    pub vector: Option<Vec<f32>>,
}

/// Which entries are meant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// Those with these ids.
    Ids(Vec<String>),
    /// Those whose metadata is like this.
    Filter(Value),
}

impl Vectors {
    /// Looks for stores in a registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Returns all plugins at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.registry.snapshot()
    }

    /// Returns a store.
    ///
    /// # Errors
    /// If no plugin offers one of this name.
    pub fn store(&self, name: &str) -> Result<StoreHandle, VectorError> {
        let snapshot = self.registry.snapshot();
        let entry = snapshot.vector_stores.get(name).ok_or_else(|| VectorError::UnknownStore(name.to_owned()))?;
        Ok(StoreHandle { entry: Arc::clone(entry) })
    }
}

impl StoreHandle {
    /// Creates an index; one that is there stays as it is.
    ///
    /// # Errors
    /// If the name or the dimension cannot be, or the store fails.
    pub async fn create_index(&self, name: &str, dimension: u32, metric: Metric) -> Result<(), VectorError> {
        check_index_name(name).map_err(|error| VectorError::Invalid(error.message))?;
        check_dimension(dimension as usize)?;
        self.ask("create_index", &json!({ "name": name, "dimension": dimension, "metric": metric })).await
    }

    /// Returns the names of the indexes.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_indexes(&self) -> Result<Vec<String>, VectorError> {
        self.ask("list_indexes", &json!({})).await
    }

    /// Describes an index.
    ///
    /// # Errors
    /// If there is no such index, or the store fails.
    pub async fn describe_index(&self, name: &str) -> Result<IndexStats, VectorError> {
        self.ask("describe_index", &json!({ "name": name })).await
    }

    /// Deletes an index; one that is not there is deleted already.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete_index(&self, name: &str) -> Result<(), VectorError> {
        self.ask("delete_index", &json!({ "name": name })).await
    }

    /// Adds entries, replacing those with the same ids, and returns the ids. A caller that names no
    /// index gets [`DEFAULT_INDEX`], made with the dimension of what is added first.
    ///
    /// # Errors
    /// If the entries cannot be, the index is not there or is for others, or the store fails.
    pub async fn upsert(&self, index: Option<&str>, entries: Entries) -> Result<Vec<String>, VectorError> {
        check_entries(&entries)?;
        let Entries { rows, count, ids, metadata } = entries;
        let name = index.unwrap_or(DEFAULT_INDEX);
        let body = json!({ "index": name, "count": count, "ids": ids, "metadata": metadata });
        if index.is_some() {
            return self.ask_with("upsert", &body, rows).await;
        }
        match self.ask_with("upsert", &body, rows.clone()).await {
            Err(error) if error.is_not_found() => {
                let dimension = u32::try_from(rows.len() / count).unwrap_or(u32::MAX);
                self.create_index(name, dimension, Metric::default()).await?;
                self.ask_with("upsert", &body, rows).await
            }
            answered => answered,
        }
    }

    /// Returns the entries nearest to a vector, best first. Nothing is found in [`DEFAULT_INDEX`] before
    /// something was added.
    ///
    /// # Errors
    /// If the search cannot be, the index is not there or is for other vectors, or the store fails.
    pub async fn query(&self, index: Option<&str>, search: Search) -> Result<Vec<Hit>, VectorError> {
        let Search { vector, top_k, filter, include_vector } = search;
        check_dimension(vector.len())?;
        check_finite(&vector)?;
        check_filter(&filter)?;
        if !(1..=MAX_TOP_K).contains(&top_k) {
            return Err(VectorError::Invalid(format!("topK must be between 1 and {MAX_TOP_K}")));
        }
        let op = "query";
        let body = json!({
            "index": index.unwrap_or(DEFAULT_INDEX),
            "topK": top_k,
            "filter": filter,
            "includeVector": include_vector,
        });
        let reply = match self.perform(op, &body, vector).await {
            Err(error) if index.is_none() && error.is_not_found() => return Ok(Vec::new()),
            reply => reply?,
        };
        let mut hits: Vec<Hit> = self.read(op, &reply)?;
        if include_vector && !hits.is_empty() {
            let length = reply.vectors.len() / hits.len();
            if length > 0 {
                for (hit, row) in hits.iter_mut().zip(reply.vectors.chunks_exact(length)) {
                    hit.vector = Some(row.to_vec());
                }
            }
        }
        Ok(hits)
    }

    /// Changes the vector or the metadata of entries and returns how many.
    ///
    /// # Errors
    /// If nothing changes, the vector or the filter cannot be, the index is not there, or the store fails.
    pub async fn update(
        &self,
        index: Option<&str>,
        which: Which,
        vector: Option<Vec<f32>>,
        metadata: Option<Map<String, Value>>,
    ) -> Result<u64, VectorError> {
        check_which(&which)?;
        if vector.is_none() && metadata.is_none() {
            return Err(VectorError::Invalid("give a vector or metadata, for otherwise nothing changes".to_owned()));
        }
        let row = vector.unwrap_or_default();
        check_finite(&row)?;
        let mut body = json!(which);
        body["index"] = index.unwrap_or(DEFAULT_INDEX).into();
        body["metadata"] = json!(metadata);
        self.ask_with("update", &body, row).await.or_else(|error| error.nothing_in(index))
    }

    /// Deletes entries and returns how many.
    ///
    /// # Errors
    /// If the filter cannot be, the index is not there, or the store fails.
    pub async fn delete(&self, index: Option<&str>, which: Which) -> Result<u64, VectorError> {
        check_which(&which)?;
        let mut body = json!(which);
        body["index"] = index.unwrap_or(DEFAULT_INDEX).into();
        self.ask("delete", &body).await.or_else(|error| error.nothing_in(index))
    }

    async fn ask<T: DeserializeOwned>(&self, op: &'static str, body: &Value) -> Result<T, VectorError> {
        self.ask_with(op, body, Vec::new()).await
    }

    async fn ask_with<T: DeserializeOwned>(
        &self,
        op: &'static str,
        body: &Value,
        rows: Vec<f32>,
    ) -> Result<T, VectorError> {
        let reply = self.perform(op, body, rows).await?;
        self.read(op, &reply)
    }

    async fn perform(&self, op: &'static str, body: &Value, vectors: Vec<f32>) -> Result<Reply, VectorError> {
        let target = Target::VectorStore { name: self.entry.manifest.name.as_str().into(), op: op.into() };
        let call = Call { body: body.to_string().into_bytes(), vectors, ..Call::default() };
        Ok(self.entry.generation.call(target, call).await?)
    }

    fn read<T: DeserializeOwned>(&self, op: &'static str, reply: &Reply) -> Result<T, VectorError> {
        let store = || self.entry.manifest.name.clone();
        serde_json::from_slice(&reply.body).map_err(|source| VectorError::Garbled { store: store(), op, source })
    }
}

impl VectorError {
    /// Whether there is no such index.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Call(CallError::Failed { code: code::NOT_FOUND, .. }))
    }

    /// An index nobody has named is empty before it is there.
    fn nothing_in(self, index: Option<&str>) -> Result<u64, Self> {
        if index.is_none() && self.is_not_found() { Ok(0) } else { Err(self) }
    }
}

fn check_entries(entries: &Entries) -> Result<(), VectorError> {
    let Entries { rows, count, ids, metadata } = entries;
    if *count == 0 {
        return Err(VectorError::Invalid("vectors must hold at least one vector".to_owned()));
    }
    check_dimension(rows.len() / count)?;
    check_finite(rows)?;
    for (what, length) in [("ids", ids.len()), ("metadata", metadata.len())] {
        if length != 0 && length != *count {
            let message = format!("{what} must be as many as vectors: there are {length} for {count}");
            return Err(VectorError::Invalid(message));
        }
    }
    let mut seen = HashSet::with_capacity(ids.len());
    for id in ids.iter().flatten() {
        if id.is_empty() {
            return Err(VectorError::Invalid("an id must not be empty".to_owned()));
        }
        if !seen.insert(id) {
            return Err(VectorError::Invalid(format!("the id `{id}` is there twice")));
        }
    }
    Ok(())
}

fn check_dimension(dimension: usize) -> Result<(), VectorError> {
    if (1..=MAX_DIMENSION as usize).contains(&dimension) {
        return Ok(());
    }
    let message = format!("a vector must have between 1 and {MAX_DIMENSION} dimensions, not {dimension}");
    Err(VectorError::Invalid(message))
}

fn check_finite(values: &[f32]) -> Result<(), VectorError> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(VectorError::Invalid("a vector must hold numbers a 32-bit float has room for".to_owned()))
}

fn check_which(which: &Which) -> Result<(), VectorError> {
    match which {
        Which::Ids(_) => Ok(()),
        Which::Filter(filter) => check_filter(filter),
    }
}

fn check_filter(filter: &Value) -> Result<(), VectorError> {
    Filter::parse(filter).map(drop).map_err(|error| VectorError::Invalid(error.message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::arbitrary;
    use proptest::prelude::*;

    /// What filters are made of.
    const WORDS: &[&str] = &[
        "$and",
        "$or",
        "$not",
        "$nor",
        "$eq",
        "$ne",
        "$gt",
        "$gte",
        "$lt",
        "$lte",
        "$in",
        "$nin",
        "$all",
        "$exists",
        "$regex",
        "$options",
        "$contains",
        "$elemMatch",
        "$size",
        "a",
        "a.b",
        "a.0",
        "(a+)+$",
        "[",
    ];

    #[track_caller]
    fn refused(result: Result<(), VectorError>, sentence: &str) {
        assert_eq!(result.unwrap_err().to_string(), sentence);
    }

    fn entries(count: usize, rows: &[f32], ids: &[&str]) -> Entries {
        let ids = ids.iter().map(|id| Some((*id).to_owned())).collect();
        Entries { rows: rows.to_vec(), count, ids, metadata: Vec::new() }
    }

    #[test]
    fn entries_that_do_not_add_up_are_refused() {
        refused(check_entries(&entries(0, &[], &[])), "vectors must hold at least one vector");
        let empty = "a vector must have between 1 and 65536 dimensions, not 0";
        refused(check_entries(&entries(2, &[], &[])), empty);
        let long = "a vector must have between 1 and 65536 dimensions, not 100000";
        refused(check_entries(&entries(1, &[0.5; 100_000], &[])), long);
        let no_numbers = "a vector must hold numbers a 32-bit float has room for";
        refused(check_entries(&entries(1, &[1.0, f32::NAN], &[])), no_numbers);
        refused(check_entries(&entries(1, &[f32::INFINITY], &[])), no_numbers);
        let few = "ids must be as many as vectors: there are 1 for 2";
        refused(check_entries(&entries(2, &[1.0, 2.0], &["a"])), few);
        refused(check_entries(&entries(2, &[1.0, 2.0], &["a", "a"])), "the id `a` is there twice");
        refused(check_entries(&entries(1, &[1.0], &[""])), "an id must not be empty");
        check_entries(&entries(2, &[1.0, 2.0], &["a", "b"])).unwrap();
    }

    #[test]
    fn filters_are_read_before_a_store_is_asked() {
        let which = Which::Filter(json!({ "n": { "$bogus": 1 } }));
        refused(check_which(&which), "Unsupported operator: $bogus");
    }

    proptest! {
        /// Whatever a filter is, it is one or is told to be none, and asks of any metadata what it may.
        #[test]
        fn filters_of_anything_are_judged(filter in arbitrary::json(WORDS), metadata in arbitrary::json(WORDS)) {
            if let (Ok(filter), Value::Object(metadata)) = (Filter::parse(&filter), metadata) {
                prop_assert!(filter.matches(&metadata) || !filter.is_everything());
            }
        }
    }
}
