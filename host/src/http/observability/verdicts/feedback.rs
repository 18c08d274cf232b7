//! `/observability/feedback`: what people said.

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    document::{self, REVIEW_STATUS},
    filter::review_status,
    list::ListQuery,
    numbers::{self, AggregateRequest, BreakdownRequest, PercentilesRequest, SeriesRequest, Sort},
};
use crate::{
    app::AppState,
    http::{
        error::ApiError,
        extract::{Body, PathId, Query},
    },
    store::{StoreError, verdicts::VerdictKind},
    types::id::Millis,
};

const KIND: VerdictKind = VerdictKind::Feedback;

/// Feedback to keep.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct CreateRequest {
    /// What somebody says.
    #[schemars(schema_with = "said")]
    feedback: Map<String, Value>,
}

fn said(_: &mut SchemaGenerator) -> Schema {
    document::schema(KIND)
}

/// Feedback to delete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeleteRequest {
    /// Its ids.
    #[schemars(length(max = 1000))]
    feedback_ids: Vec<String>,
    /// If it belongs to this organization.
    #[serde(default)]
    organization_id: Option<String>,
    /// If it belongs to this owner.
    #[serde(default)]
    resource_id: Option<String>,
}

/// Whether somebody looked at feedback.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ReviewRequest {
    /// Whether.
    #[schemars(schema_with = "review_status")]
    review_status: String,
}

/// Lists feedback.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(query.list(&app, KIND, "feedback").await?))
}

/// Keeps feedback, in place of that of its id.
pub(in crate::http) async fn create(
    State(app): State<AppState>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    app.store.verdicts().put(&document::made(KIND, request.feedback, Millis::now())).await?;
    Ok(Json(json!({"success": true})))
}

/// Deletes feedback; that some is not there is fine.
pub(in crate::http) async fn delete(
    State(app): State<AppState>,
    Body(request): Body<DeleteRequest>,
) -> Result<Json<Value>, ApiError> {
    let (organization, owner) = (request.organization_id.as_deref(), request.resource_id.as_deref());
    app.store.verdicts().delete(KIND, &request.feedback_ids, organization, owner).await?;
    Ok(Json(json!({"success": true})))
}

/// Says whether somebody looked at feedback.
pub(in crate::http) async fn review(
    State(app): State<AppState>,
    PathId(id): PathId,
    Body(request): Body<ReviewRequest>,
) -> Result<Json<Value>, ApiError> {
    let verdicts = app.store.verdicts();
    loop {
        let Some(found) = verdicts.get(KIND, &id).await? else {
            return Err(ApiError::not_found(format!("Feedback with ID '{id}' not found")));
        };
        let mut document = document::read(&found)?;
        document.insert(REVIEW_STATUS.to_owned(), request.review_status.as_str().into());
        match verdicts.change(&found, &Value::Object(document.clone()).to_string()).await {
            Ok(()) => return Ok(Json(document::shown(&found, document))),
            // Somebody else was faster: what they wrote is read again.
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns what feedback comes to as a whole.
pub(in crate::http) async fn aggregate(
    State(app): State<AppState>,
    Body(request): Body<AggregateRequest<Sort>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::aggregate(&app, &request).await?))
}

/// Returns what feedback comes to for each group.
pub(in crate::http) async fn breakdown(
    State(app): State<AppState>,
    Body(request): Body<BreakdownRequest<Sort>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::breakdown(&app, &request).await?))
}

/// Returns what feedback comes to over time.
pub(in crate::http) async fn timeseries(
    State(app): State<AppState>,
    Body(request): Body<SeriesRequest<Sort>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::timeseries(&app, &request).await?))
}

/// Returns percentiles of feedback over time.
pub(in crate::http) async fn percentiles(
    State(app): State<AppState>,
    Body(request): Body<PercentilesRequest<Sort>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(numbers::percentiles(&app, &request).await?))
}
