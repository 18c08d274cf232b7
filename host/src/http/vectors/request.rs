//! What callers send: in the shape of the documentation or of the official client.

use hotbay_plugin::vector_store::Metric;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::issue;
use crate::{
    http::error::ApiError,
    vector::{Entries, Search, Which},
};

/// How many hits if the caller does not say.
const TOP_K: f64 = 10.0;

/// Which index, for callers that say so in the query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct IndexQuery {
    /// The index, if the body does not name one.
    #[serde(default)]
    index_name: Option<String>,
}

/// An index to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct CreateIndexRequest {
    /// Its name.
    pub(super) index_name: String,
    /// Length of its vectors.
    dimension: f64,
    /// How nearness is measured; `cosine` if absent.
    #[serde(default)]
    metric: Option<MetricName>,
}

/// How nearness is measured.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum MetricName {
    /// By the angle.
    Cosine,
    /// By the distance.
    Euclidean,
    /// By the dot product.
    DotProduct,
}

/// Entries to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct UpsertRequest {
    /// The index; without a name the store's default one.
    #[serde(default)]
    index_name: Option<String>,
    /// The vectors: arrays of numbers, or objects with `values`, `id` and `metadata`.
    #[schemars(schema_with = "array")]
    vectors: Vec<Value>,
    /// What is known about each vector.
    #[serde(default)]
    metadata: Option<Vec<Map<String, Value>>>,
    /// The id of each vector; made up if absent.
    #[serde(default)]
    ids: Option<Vec<String>>,
}

/// A vector as it is documented.
#[derive(Deserialize)]
struct Documented {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

/// A search.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct QueryRequest {
    /// The index; without a name the store's default one.
    #[serde(default)]
    index_name: Option<String>,
    /// Near to what.
    #[serde(default)]
    query_vector: Option<Vec<f64>>,
    /// Near to what, as it is documented.
    #[serde(default)]
    vector: Option<Vec<f64>>,
    /// How many hits at most, 10 if absent.
    #[serde(default)]
    top_k: Option<f64>,
    /// What the metadata must be like.
    #[serde(default)]
    filter: Option<Map<String, Value>>,
    /// Whether hits carry their vectors.
    #[serde(default)]
    include_vector: bool,
    /// Whether hits carry their metadata.
    #[serde(default = "yes")]
    pub(super) include_metadata: bool,
}

/// What changes on entries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct UpdateRequest {
    /// Which entries.
    #[serde(flatten)]
    which: DeleteRequest,
    /// Their new vector.
    #[serde(default)]
    vector: Option<Vec<f64>>,
    /// Their new metadata.
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

/// Which entries are meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeleteRequest {
    /// The index; without a name the store's default one.
    #[serde(default)]
    index_name: Option<String>,
    /// One entry, by id.
    #[serde(default)]
    id: Option<String>,
    /// Entries, by id.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// Entries whose metadata is like this.
    #[serde(default)]
    filter: Option<Map<String, Value>>,
}

/// A change, read.
pub(super) struct Update {
    pub(super) index: Option<String>,
    pub(super) which: Which,
    pub(super) vector: Option<Vec<f32>>,
    pub(super) metadata: Option<Map<String, Value>>,
}

impl CreateIndexRequest {
    pub(super) fn dimension(&self) -> Result<u32, ApiError> {
        whole(self.dimension).filter(|dimension| *dimension > 0).ok_or_else(|| {
            ApiError::bad_request("Invalid request index, indexName and positive dimension number are required.")
        })
    }

    pub(super) fn metric(&self) -> Metric {
        match self.metric {
            None | Some(MetricName::Cosine) => Metric::Cosine,
            Some(MetricName::Euclidean) => Metric::Euclidean,
            Some(MetricName::DotProduct) => Metric::DotProduct,
        }
    }
}

impl UpsertRequest {
    pub(super) fn into_entries(self, query: IndexQuery) -> Result<(Option<String>, Entries), ApiError> {
        let Self { index_name, vectors, metadata, ids } = self;
        let count = vectors.len();
        let mut entries = Entries { count, ..Entries::default() };
        let mut length = None;
        for (at, vector) in vectors.into_iter().enumerate() {
            let before = entries.rows.len();
            match vector {
                Value::Array(values) => read(values, &format!("vectors.{at}"), &mut entries.rows)?,
                Value::Object(mut document) => {
                    let field = format!("vectors.{at}.values");
                    match document.remove("values") {
                        Some(Value::Array(values)) => read(values, &field, &mut entries.rows)?,
                        other => return Err(issue(field, expected("array", other.as_ref()))),
                    }
                    let documented: Documented = serde_json::from_value(Value::Object(document))
                        .map_err(|error| issue(format!("vectors.{at}"), format!("Invalid input: {error}")))?;
                    entries.ids.resize(at, None);
                    entries.ids.push(documented.id);
                    entries.metadata.resize(at, None);
                    entries.metadata.push(documented.metadata);
                }
                other => return Err(issue(format!("vectors.{at}"), expected("array", Some(&other)))),
            }
            let found = entries.rows.len() - before;
            let first = *length.get_or_insert(found);
            if first != found {
                let message = format!("all vectors must have one length: the first has {first}, this one {found}");
                return Err(issue(format!("vectors.{at}"), message));
            }
        }
        if !entries.ids.is_empty() {
            entries.ids.resize(count, None);
            entries.metadata.resize(count, None);
        }
        // Lists beside the vectors are about all of them.
        if let Some(ids) = ids {
            if ids.is_empty() && count > 0 {
                return Err(ApiError::bad_request(format!("ids must be as many as vectors: there are 0 for {count}")));
            }
            entries.ids = ids.into_iter().map(Some).collect();
        }
        if let Some(metadata) = metadata {
            entries.metadata = metadata.into_iter().map(Some).collect();
        }
        Ok((index_name.or(query.index_name), entries))
    }
}

impl QueryRequest {
    pub(super) fn into_search(self, query: IndexQuery) -> Result<(Option<String>, Search), ApiError> {
        let (field, vector) = match (self.query_vector, self.vector) {
            (Some(vector), _) => ("queryVector", vector),
            (None, Some(vector)) => ("vector", vector),
            (None, None) => return Err(issue("queryVector", "Invalid input: expected array, received undefined")),
        };
        let Some(top_k) = whole(self.top_k.unwrap_or(TOP_K)).filter(|top_k| *top_k > 0) else {
            return Err(ApiError::bad_request("topK must be a positive integer"));
        };
        let search = Search {
            vector: floats(vector, field)?,
            top_k,
            filter: self.filter.map_or(Value::Null, Value::Object),
            include_vector: self.include_vector,
        };
        Ok((self.index_name.or(query.index_name), search))
    }
}

impl UpdateRequest {
    pub(super) fn into_update(self, query: IndexQuery) -> Result<Update, ApiError> {
        let vector = self.vector.map(|vector| floats(vector, "vector")).transpose()?;
        if vector.as_ref().is_some_and(Vec::is_empty) {
            return Err(issue("vector", "a vector must have at least one dimension"));
        }
        let (index, which) = self.which.into_which(query)?;
        Ok(Update { index, which, vector, metadata: self.metadata })
    }
}

impl DeleteRequest {
    pub(super) fn into_which(self, query: IndexQuery) -> Result<(Option<String>, Which), ApiError> {
        let which = match (self.id, self.ids, self.filter) {
            (Some(id), None, None) => Which::Ids(vec![id]),
            (None, Some(ids), None) => Which::Ids(ids),
            // Everything is deleted with its index, not by a filter that was forgotten.
            (None, None, Some(filter)) if filter.is_empty() => {
                return Err(ApiError::bad_request("the filter must not be empty"));
            }
            (None, None, Some(filter)) => Which::Filter(Value::Object(filter)),
            _ => return Err(ApiError::bad_request("say which entries are meant: by one of `id`, `ids` and `filter`")),
        };
        Ok((self.index_name.or(query.index_name), which))
    }
}

fn yes() -> bool {
    true
}

fn array(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array"})
}

/// A number that counts something.
fn whole(number: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in the range")]
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
}

fn read(values: Vec<Value>, field: &str, rows: &mut Vec<f32>) -> Result<(), ApiError> {
    rows.reserve(values.len());
    for (at, value) in values.into_iter().enumerate() {
        let Some(number) = value.as_f64() else {
            return Err(issue(format!("{field}.{at}"), expected("number", Some(&value))));
        };
        rows.push(float(number, || format!("{field}.{at}"))?);
    }
    Ok(())
}

fn floats(values: Vec<f64>, field: &str) -> Result<Vec<f32>, ApiError> {
    values.into_iter().enumerate().map(|(at, value)| float(value, || format!("{field}.{at}"))).collect()
}

fn float(number: f64, field: impl FnOnce() -> String) -> Result<f32, ApiError> {
    #[expect(clippy::cast_possible_truncation, reason = "vectors are of 32-bit floats")]
    let float = number as f32;
    if float.is_finite() { Ok(float) } else { Err(issue(field(), "Invalid input: too large for a 32-bit float")) }
}

/// The sentence about a value of another type, as clients know it.
fn expected(what: &str, found: Option<&Value>) -> String {
    let found = match found {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    };
    format!("Invalid input: expected {what}, received {found}")
}
