//! Vector stores offered by a plugin.
//!
//! An author implements [`VectorStore`]; `adapter` puts it behind the boundary, where an
//! operation has a name, a JSON document and rows of `f32`. The documents are the
//! structs of this module, see [`crate::host_ops`]. What stores share is [`mod@filter`] and
//! [`exact`]; [`crate::testing::store_contract`] is what all of them must do.

mod adapter;
pub mod exact;
pub mod filter;

use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use adapter::StoreEntry;
pub use filter::Filter;

use crate::{Ctx, Error, Result, error::code};

/// A store of vectors with metadata, in named indexes.
///
/// Methods may be written as `async fn`. They are called at once from many threads.
pub trait VectorStore: Send + Sync + Sized + 'static {
    /// Names the store in URLs.
    const NAME: &'static str;
    /// Says what the store is.
    const DESCRIPTION: &'static str = "";
    /// Says what kind of store it is, to clients that tell stores apart; the plugin's name if empty.
    const KIND: &'static str = "";

    /// Opens the store, once, before its first operation; a failure is tried again by the next one.
    fn open(ctx: &Ctx) -> impl Future<Output = Result<Self>> + Send;

    /// Creates an index. If there is one of this name it stays as it is, whatever its dimension.
    fn create_index(&self, ctx: &Ctx, index: CreateIndex) -> impl Future<Output = Result<()>> + Send;

    /// Returns the names of all indexes, oldest first where the store knows.
    fn list_indexes(&self, ctx: &Ctx) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Describes an index.
    fn describe_index(&self, ctx: &Ctx, name: &str) -> impl Future<Output = Result<IndexStats>> + Send;

    /// Deletes an index and what is in it.
    fn delete_index(&self, ctx: &Ctx, name: &str) -> impl Future<Output = Result<()>> + Send;

    /// Adds vectors, replacing those with the same ids, and returns the ids.
    fn upsert(&self, ctx: &Ctx, upsert: Upsert) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Returns the vectors nearest to one, best first.
    fn query(&self, ctx: &Ctx, query: Query) -> impl Future<Output = Result<Vec<Hit>>> + Send;

    /// Changes the vector or the metadata of entries and returns how many.
    fn update(&self, ctx: &Ctx, update: Update) -> impl Future<Output = Result<u64>> + Send;

    /// Deletes entries and returns how many.
    fn delete(&self, ctx: &Ctx, delete: Delete) -> impl Future<Output = Result<u64>> + Send;
}

/// The longest vectors an index may be for.
pub const MAX_DIMENSION: u32 = 1 << 16;

/// Says to a caller that there is no such index.
#[must_use]
pub fn unknown_index(name: &str) -> Error {
    Error::with_code(code::NOT_FOUND, format!("Index {name} not found"))
}

/// Says to a caller that an index is for vectors of another length.
#[must_use]
pub fn wrong_dimension(index: &str, expected: u32, found: usize) -> Error {
    Error::input(format!(
        "Vector dimension mismatch: Index \"{index}\" expects {expected} dimensions but got {found} dimensions. \
         Either use a matching embedding model or delete and recreate the index with the new dimension."
    ))
}

/// Refuses what is no name of an index: it has to do as a name of a table, of a file and in a URL.
///
/// # Errors
/// [`code::INPUT`] and a sentence for the caller.
pub fn check_index_name(name: &str) -> Result<()> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = name.as_bytes();
    if (1..=63).contains(&bytes.len()) && !bytes[0].is_ascii_digit() && bytes.iter().all(is_word) {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Error::input(format!(
        "Invalid index name: {shown}. Must start with a letter or underscore, contain only letters, numbers, or \
         underscores, and be at most 63 characters long."
    )))
}

/// How the distance of two vectors is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// The angle between them.
    #[default]
    Cosine,
    /// The straight line between them.
    Euclidean,
    /// Their dot product.
    #[serde(rename = "dotproduct")]
    DotProduct,
}

/// An index to create.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreateIndex {
    /// Its name.
    pub name: String,
    /// Length of its vectors.
    pub dimension: u32,
    /// How distance is measured.
    #[serde(default)]
    pub metric: Metric,
}

/// What an index holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexStats {
    /// Length of its vectors.
    pub dimension: u32,
    /// How many there are.
    pub count: u64,
    /// How distance is measured.
    pub metric: Metric,
}

/// An entry to add.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id; the store makes one up if absent.
    pub id: Option<String>,
    /// Its vector.
    pub vector: Vec<f32>,
    /// What is known about it.
    pub metadata: Map<String, Value>,
}

impl Entry {
    /// Returns an entry with this id and vector.
    #[must_use]
    pub fn new(id: impl Into<String>, vector: Vec<f32>) -> Self {
        Self { id: Some(id.into()), vector, metadata: Map::new() }
    }

    /// Adds one thing that is known about it.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// Entries to add.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Upsert {
    /// The index.
    pub index: String,
    /// The entries; all vectors have the same length.
    pub entries: Vec<Entry>,
}

impl Upsert {
    /// Returns entries for an index.
    #[must_use]
    pub fn new(index: impl Into<String>, entries: Vec<Entry>) -> Self {
        Self { index: index.into(), entries }
    }
}

/// A search.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// The index.
    pub index: String,
    /// Near to what.
    pub vector: Vec<f32>,
    /// How many hits at most.
    pub top_k: usize,
    /// What the metadata must be like, or [`Value::Null`].
    pub filter: Value,
    /// Whether hits carry their vectors.
    pub include_vector: bool,
}

impl Query {
    /// Returns a search without a filter.
    #[must_use]
    pub fn new(index: impl Into<String>, vector: Vec<f32>, top_k: usize) -> Self {
        Self { index: index.into(), vector, top_k, ..Self::default() }
    }
}

/// An entry that was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// How near it is; more is nearer.
    pub score: f32,
    /// What is known about it.
    pub metadata: Map<String, Value>,
    /// Its vector, if it was asked for.
    pub vector: Option<Vec<f32>>,
}

/// Which entries an operation means.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Selection {
    /// Those with these ids.
    Ids(Vec<String>),
    /// Those whose metadata is like this.
    Filter(Value),
}

/// A selection whose filter was read. It has no further kinds, so a store that handles these two never
/// takes one it does not know for all entries.
#[derive(Debug, Clone)]
pub enum Chosen<'a> {
    /// Those with these ids.
    Ids(&'a [String]),
    /// Those this filter matches.
    Matching(Filter),
}

impl<'a> Chosen<'a> {
    /// Reads a selection.
    ///
    /// # Errors
    /// [`code::INPUT`] if the filter is none.
    pub fn of(selection: &'a Selection) -> Result<Self> {
        match selection {
            Selection::Ids(ids) => Ok(Self::Ids(ids)),
            Selection::Filter(filter) => Filter::parse(filter).map(Self::Matching),
        }
    }
}

/// A change of entries.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Update {
    /// The index.
    pub index: String,
    /// Which entries.
    pub selection: Selection,
    /// Their new vector, if it changes.
    pub vector: Option<Vec<f32>>,
    /// Their new metadata, if it changes.
    pub metadata: Option<Map<String, Value>>,
}

/// A removal of entries.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Delete {
    /// The index.
    pub index: String,
    /// Which entries.
    pub selection: Selection,
}
