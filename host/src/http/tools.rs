//! Tools: what there is, and running one by itself.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    agents::info,
    error::ApiError,
    extract::{Body, PathId, Query, Traced},
    rendered::{Document, json, rendered},
};
use crate::{
    app::AppState,
    engine::{ToolAnswer, error::EngineError},
    plugin::registry::Snapshot,
};

/// What a tool is run with.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecuteRequest {
    /// The tool's input.
    #[schemars(schema_with = "needed")]
    pub(super) data: Value,
    /// Passed to the tool.
    #[serde(default)]
    pub(super) request_context: Map<String, Value>,
}

/// What a tool is run for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExecuteQuery {
    /// The run it belongs to.
    #[serde(default)]
    pub(super) run_id: Option<String>,
}

/// Lists the tools by id.
pub(super) async fn list(State(app): State<AppState>) -> Response {
    let snapshot = app.engine.snapshot();
    rendered(&snapshot, "tools", "", || -> Map<String, Value> {
        snapshot.tools.iter().map(|entry| (entry.manifest.id.clone(), info::tool(&entry.manifest, false))).collect()
    })
}

/// Returns one tool.
pub(super) async fn get(State(app): State<AppState>, PathId(id): PathId) -> Result<Response, ApiError> {
    let snapshot = app.engine.snapshot();
    tool(&snapshot, &id)
}

/// Answers with a tool.
pub(super) fn tool(snapshot: &Snapshot, id: &str) -> Result<Response, ApiError> {
    let entry = snapshot.tools.get(id).ok_or_else(|| EngineError::UnknownTool(id.to_owned()))?;
    Ok(rendered(snapshot, "tool", id, || info::tool(&entry.manifest, false)))
}

/// Runs a tool by itself.
pub(super) async fn execute(
    State(app): State<AppState>,
    PathId(id): PathId,
    traced: Traced,
    Query(query): Query<ExecuteQuery>,
    Body(request): Body<ExecuteRequest>,
) -> Result<Response, ApiError> {
    let snapshot = app.engine.snapshot();
    if snapshot.tools.get(id.as_str()).is_none() {
        return Err(EngineError::UnknownTool(id).into());
    }
    if is_nothing(&request.data) {
        return Err(ApiError::bad_request("Argument \"data\" is required"));
    }
    let ExecuteRequest { data, request_context } = request;
    let trace = traced.options();
    Ok(answered(app.engine.execute_tool(&id, &data, request_context, query.run_id, &trace).await?))
}

/// Answers with what a tool answered: its own JSON, or what does not fit.
pub(super) fn answered(answer: ToolAnswer) -> Response {
    match answer {
        ToolAnswer::Value(text) => json(text),
        ToolAnswer::Misfit(misfit) => Document(misfit).into_response(),
    }
}

/// What counts as no input at all where the reference asks for some.
fn is_nothing(data: &Value) -> bool {
    match data {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn needed(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-missing": "data is required"})
}
