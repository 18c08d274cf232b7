//! Vector stores over HTTP: both spellings of every path, both shapes of every body.
//!
//! `request` turns what callers send into what [`crate::vector`] takes; the handlers ask
//! the store and show what it answers.

mod request;
mod span;

use axum::{Json, extract::State};
use hotbay_plugin::vector_store::{IndexStats, Metric};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    error::{ApiError, Invalid},
    extract::{Body, Path, PathId, Query, Traced},
};
use crate::{
    app::AppState,
    model::catalog::EmbedderInfo,
    vector::{Hit, VectorError, operation::Operation},
};
use request::{CreateIndexRequest, DeleteRequest, IndexQuery, QueryRequest, UpdateRequest, UpsertRequest};
use span::recorded;

/// The vector stores.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListResponse {
    /// One entry a store.
    vectors: Vec<StoreResponse>,
}

/// A vector store.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StoreResponse {
    /// What it is called in paths.
    name: String,
    /// The same.
    id: String,
    /// What kind of store it is.
    #[serde(rename = "type")]
    kind: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

/// The models that turn text into vectors.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EmbeddersResponse {
    /// One entry a model.
    embedders: Vec<EmbedderInfo>,
}

/// It is done.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    /// Always.
    success: bool,
}

/// What was added.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UpsertResponse {
    /// The ids, in the order of the vectors.
    ids: Vec<String>,
}

/// What an index holds.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DescribeResponse {
    /// Length of its vectors.
    dimension: u32,
    /// How many there are.
    count: u64,
    /// How nearness is measured.
    metric: &'static str,
}

/// An entry that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HitResponse {
    /// Its id.
    id: String,
    /// How near it is; more is nearer.
    score: f32,
    /// What is known about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    metadata: Option<Box<RawValue>>,
    /// Its vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vec<f32>>,
}

/// Lists the stores.
pub(super) async fn list(State(app): State<AppState>) -> Json<ListResponse> {
    let snapshot = app.vectors.snapshot();
    let vectors = snapshot.vector_stores.iter().map(|entry| {
        let manifest = &entry.manifest;
        let kind = if manifest.kind.is_empty() { entry.generation.plugin().to_string() } else { manifest.kind.clone() };
        StoreResponse {
            name: manifest.name.clone(),
            id: manifest.name.clone(),
            kind,
            description: manifest.description.clone(),
        }
    });
    Json(ListResponse { vectors: vectors.collect() })
}

/// Lists the models that embed.
pub(super) async fn embedders(State(app): State<AppState>) -> Json<EmbeddersResponse> {
    Json(EmbeddersResponse { embedders: app.models.embedders(&app.vectors.snapshot()) })
}

/// Lists a store's indexes.
pub(super) async fn indexes(State(app): State<AppState>, PathId(store): PathId) -> Result<Json<Vec<String>>, ApiError> {
    Ok(Json(app.vectors.store(&store)?.list_indexes().await?))
}

/// Creates an index.
pub(super) async fn create_index(
    State(app): State<AppState>,
    PathId(store): PathId,
    Body(request): Body<CreateIndexRequest>,
) -> Result<Json<Done>, ApiError> {
    let store = app.vectors.store(&store)?;
    let (dimension, metric) = (request.dimension()?, request.metric());
    store.create_index(&request.index_name, dimension, metric).await?;
    Ok(Json(Done { success: true }))
}

/// Describes an index.
pub(super) async fn describe_index(
    State(app): State<AppState>,
    Path((store, index)): Path<(String, String)>,
) -> Result<Json<DescribeResponse>, ApiError> {
    let IndexStats { dimension, count, metric } = app.vectors.store(&store)?.describe_index(&index).await?;
    let metric = match metric {
        Metric::Cosine => "cosine",
        Metric::Euclidean => "euclidean",
        Metric::DotProduct => "dotproduct",
    };
    Ok(Json(DescribeResponse { dimension, count, metric }))
}

/// Deletes an index.
pub(super) async fn delete_index(
    State(app): State<AppState>,
    Path((store, index)): Path<(String, String)>,
) -> Result<Json<Done>, ApiError> {
    app.vectors.store(&store)?.delete_index(&index).await?;
    Ok(Json(Done { success: true }))
}

/// Adds entries.
pub(super) async fn upsert(
    State(app): State<AppState>,
    PathId(name): PathId,
    traced: Traced,
    Query(query): Query<IndexQuery>,
    Body(request): Body<UpsertRequest>,
) -> Result<Json<UpsertResponse>, ApiError> {
    let store = app.vectors.store(&name)?;
    let (index, entries) = request.into_entries(query)?;
    let dimensions = entries.rows.len().checked_div(entries.count);
    let told = Operation { name: "upsert", store: &name, index: index.as_deref(), dimensions, ..Operation::default() };
    let ids = recorded(&app, traced, told, store.upsert(index.as_deref(), entries)).await?;
    Ok(Json(UpsertResponse { ids }))
}

/// Finds entries.
pub(super) async fn query(
    State(app): State<AppState>,
    PathId(name): PathId,
    traced: Traced,
    Query(query): Query<IndexQuery>,
    Body(request): Body<QueryRequest>,
) -> Result<Json<Vec<HitResponse>>, ApiError> {
    let store = app.vectors.store(&name)?;
    let include_metadata = request.include_metadata;
    let (index, search) = request.into_search(query)?;
    let (top_k, dimensions) = (Some(search.top_k), Some(search.vector.len()));
    let told = Operation { name: "query", store: &name, index: index.as_deref(), top_k, dimensions };
    let hits = recorded(&app, traced, told, store.query(index.as_deref(), search)).await?;
    let hits = hits.into_iter().map(|Hit { id, score, metadata, vector }| HitResponse {
        id,
        score,
        metadata: include_metadata.then(|| metadata.unwrap_or_else(no_metadata)),
        vector,
    });
    Ok(Json(hits.collect()))
}

/// Changes entries.
pub(super) async fn update(
    State(app): State<AppState>,
    PathId(name): PathId,
    traced: Traced,
    Query(query): Query<IndexQuery>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<Done>, ApiError> {
    let store = app.vectors.store(&name)?;
    let update = request.into_update(query)?;
    let index = update.index.as_deref();
    let told = Operation { name: "update", store: &name, index, ..Operation::default() };
    recorded(&app, traced, told, store.update(index, update.which, update.vector, update.metadata)).await?;
    Ok(Json(Done { success: true }))
}

/// Deletes entries.
pub(super) async fn delete(
    State(app): State<AppState>,
    PathId(name): PathId,
    traced: Traced,
    Query(query): Query<IndexQuery>,
    Body(request): Body<DeleteRequest>,
) -> Result<Json<Done>, ApiError> {
    let store = app.vectors.store(&name)?;
    let (index, which) = request.into_which(query)?;
    let told = Operation { name: "delete", store: &name, index: index.as_deref(), ..Operation::default() };
    recorded(&app, traced, told, store.delete(index.as_deref(), which)).await?;
    Ok(Json(Done { success: true }))
}

fn no_metadata() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")
}

impl From<VectorError> for ApiError {
    fn from(error: VectorError) -> Self {
        match error {
            VectorError::UnknownStore(_) => Self::not_found(error.to_string()),
            VectorError::Invalid(message) => Self::bad_request(message),
            VectorError::Call(error) => Self::from(error),
            VectorError::Garbled { .. } => Self::new(http::StatusCode::BAD_GATEWAY, error.to_string()).because(error),
        }
    }
}

/// An issue of the body.
fn issue(field: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::invalid_field(Invalid::Body, field, message)
}
