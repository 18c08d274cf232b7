//! `/observability/scores`: what scorers said.

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    document,
    list::{self, ListQuery},
    numbers::{self, AggregateRequest, BreakdownRequest, PercentilesRequest, Scorer, SeriesRequest},
};
use crate::{
    app::AppState,
    http::{
        error::ApiError,
        extract::{Body, Path, PathId, Query},
        observability::page::{self, PageQuery},
    },
    store::verdicts::{Verdict, VerdictKind},
    types::id::Millis,
};

const KIND: VerdictKind = VerdictKind::Score;

/// A score to keep.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct CreateRequest {
    /// What the scorer says.
    #[schemars(schema_with = "score")]
    score: Map<String, Value>,
}

fn score(_: &mut SchemaGenerator) -> Schema {
    document::schema(KIND)
}

/// Scores to delete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeleteRequest {
    /// Their ids.
    #[schemars(length(max = 1000))]
    score_ids: Vec<String>,
    /// If they belong to this organization.
    #[serde(default)]
    organization_id: Option<String>,
    /// If they belong to this owner.
    #[serde(default)]
    resource_id: Option<String>,
}

/// Traces to score.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ScoreRequest {
    /// By which scorer.
    #[schemars(length(min = 1))]
    scorer_name: String,
    /// Which traces, or which of their spans.
    #[schemars(length(min = 1))]
    #[expect(dead_code, reason = "there is no scorer to score them")]
    targets: Vec<Target>,
}

/// A trace, or a span of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "there is no scorer to score it")]
pub(in crate::http) struct Target {
    /// The trace.
    trace_id: String,
    /// The span.
    #[serde(default)]
    span_id: Option<String>,
}

/// Which part of a span's scores is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct SpanQuery {
    #[serde(flatten)]
    page: PageQuery,
}

/// Lists scores.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(query.list(&app, KIND, "scores").await?))
}

/// Keeps a score, in place of one of its id.
pub(in crate::http) async fn create(
    State(app): State<AppState>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    app.store.verdicts().put(&document::made(KIND, request.score, Millis::now())).await?;
    Ok(Json(json!({"success": true})))
}

/// Deletes scores; that some are not there is fine.
pub(in crate::http) async fn delete(
    State(app): State<AppState>,
    Body(request): Body<DeleteRequest>,
) -> Result<Json<Value>, ApiError> {
    let (organization, owner) = (request.organization_id.as_deref(), request.resource_id.as_deref());
    app.store.verdicts().delete(KIND, &request.score_ids, organization, owner).await?;
    Ok(Json(json!({"success": true})))
}

/// Returns a score.
pub(in crate::http) async fn get(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    let Some(score) = app.store.verdicts().get(KIND, &id).await? else {
        return Err(ApiError::not_found(format!("Score with ID '{id}' not found")));
    };
    Ok(Json(json!({"score": document::shown(&score, document::read(&score)?)})))
}

/// Returns what scores come to as a whole.
pub(in crate::http) async fn aggregate(
    State(app): State<AppState>,
    Body(request): Body<AggregateRequest<Scorer>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::aggregate(&app, &request).await?))
}

/// Returns what scores come to for each group.
pub(in crate::http) async fn breakdown(
    State(app): State<AppState>,
    Body(request): Body<BreakdownRequest<Scorer>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::breakdown(&app, &request).await?))
}

/// Returns what scores come to over time.
pub(in crate::http) async fn timeseries(
    State(app): State<AppState>,
    Body(request): Body<SeriesRequest<Scorer>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::timeseries(&app, &request).await?))
}

/// Returns percentiles of scores over time.
pub(in crate::http) async fn percentiles(
    State(app): State<AppState>,
    Body(request): Body<PercentilesRequest<Scorer>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::percentiles(&app, &request).await?))
}

/// Refuses to score traces: no plugin offers a scorer.
pub(in crate::http) async fn score_traces(Body(request): Body<ScoreRequest>) -> ApiError {
    ApiError::not_found(format!("Scorer '{}' not found", request.scorer_name))
}

/// Lists a span's scores, in the older shape.
pub(in crate::http) async fn of_span(
    State(app): State<AppState>,
    Path((trace_id, span_id)): Path<(String, String)>,
    Query(query): Query<SpanQuery>,
) -> Result<Json<Value>, ApiError> {
    let (page, per_page) = query.page.numbers();
    let (scores, total) = list::of_span(&app, trace_id, span_id, (page, per_page)).await?;
    let scores: Vec<Value> = scores.iter().map(older).collect::<Result<_, _>>()?;
    Ok(Json(json!({"pagination": page::pagination(total, page, per_page), "scores": scores})))
}

fn older(score: &Verdict) -> Result<Value, ApiError> {
    let document = document::read(score)?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let at = Millis(score.at).iso();
    let mut shown = json!({
        "id": score.id,
        "scorerId": score.about,
        "entityId": text("entityId").unwrap_or_default(),
        "runId": text("runId").unwrap_or_default(),
        "output": null,
        "score": document.get(KIND.value()),
        "scorer": {"id": score.about, "name": text("scorerName").unwrap_or(&score.about)},
        "source": if text("source") == Some("TEST") { "TEST" } else { "LIVE" },
        "entity": {"id": text("entityId"), "name": text("entityName")},
        "createdAt": at,
        "updatedAt": at,
    });
    let kind = match text("entityType") {
        Some("agent") => Some("AGENT"),
        Some("workflow_run") => Some("WORKFLOW"),
        Some("workflow_step") => Some("STEP"),
        Some("trajectory") => Some("TRAJECTORY"),
        _ => None,
    };
    if let Some(kind) = kind {
        shown["entityType"] = kind.into();
    }
    for name in ["traceId", "spanId", "resourceId", "threadId", "organizationId", "reason", "metadata"] {
        if let Some(value) = document.get(name) {
            shown[name] = value.clone();
        }
    }
    Ok(shown)
}
