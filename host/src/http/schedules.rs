//! Schedules: workflows that start by themselves.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    error::ApiError,
    extract::{PathId, Query},
};
use crate::{app::AppState, store::schedules::ScheduleRow};

/// Which schedules are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Those of this workflow.
    #[serde(default)]
    workflow_id: Option<String>,
    /// Those that stand so.
    #[serde(default)]
    #[schemars(schema_with = "status")]
    status: Option<String>,
}

fn status(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["active", "paused"]})
}

/// The schedules.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ListResponse {
    /// By id.
    schedules: Vec<Value>,
}

/// Lists the schedules.
pub(super) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListResponse>, ApiError> {
    let mut schedules = app.workflows.schedules(query.workflow_id.as_deref()).await?;
    if let Some(status) = &query.status {
        schedules.retain(|row| row.is_paused == (status == "paused"));
    }
    Ok(Json(ListResponse { schedules: schedules.iter().map(shown).collect() }))
}

/// Returns a schedule.
pub(super) async fn get(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    Ok(Json(shown(&app.workflows.schedule(&id).await?)))
}

/// Stops a schedule from starting runs.
pub(super) async fn pause(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    Ok(Json(shown(&app.workflows.pause_schedule(&id, true).await?)))
}

/// Lets a schedule start runs again, from now on.
pub(super) async fn resume(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    Ok(Json(shown(&app.workflows.pause_schedule(&id, false).await?)))
}

/// Starts a schedule's workflow now.
pub(super) async fn run(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    let run_id = app.workflows.run_schedule(&id).await?;
    Ok(Json(json!({"scheduleId": id, "claimId": run_id, "runId": run_id,
        "scheduledFireAt": crate::types::id::Millis::now().0})))
}

fn shown(row: &ScheduleRow) -> Value {
    let mut shown = json!({
        "id": row.id,
        "workflowId": row.workflow_id,
        "cron": row.definition.cron,
        "status": if row.is_paused { "paused" } else { "active" },
        "inputData": row.definition.input,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
    });
    if let Some(timezone) = &row.definition.timezone {
        shown["timezone"] = timezone.as_str().into();
    }
    for (key, at) in [("nextFireAt", row.next_at), ("lastFireAt", row.last_at)] {
        if let Some(at) = at {
            shown[key] = at.into();
        }
    }
    if let Some(run_id) = &row.last_run_id {
        shown["lastRunId"] = run_id.as_str().into();
    }
    shown
}
