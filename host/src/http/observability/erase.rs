//! Deleting traces.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::AppState,
    http::{error::ApiError, extract::Body},
};

/// Traces to delete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeleteRequest {
    /// Their ids.
    #[schemars(length(max = 1000))]
    trace_ids: Vec<String>,
}

/// Deletes traces for good; that some are not there is fine.
pub(in crate::http) async fn delete(
    State(app): State<AppState>,
    Body(request): Body<DeleteRequest>,
) -> Result<Json<Value>, ApiError> {
    app.observe.erase(&request.trace_ids).await?;
    Ok(Json(json!({"success": true})))
}
