//! MCP servers and their tools as plain JSON, and calls of these tools without the protocol.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::AppState,
    engine::direct::{DirectCall, DirectReply, Target},
    http::{
        error::ApiError,
        extract::{Body, Path, PathId, Query},
    },
    mcp::{
        Mcp,
        catalog::{Catalog, Offered},
        result::sentence,
    },
};

/// Which of the servers are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    /// The page, from 0.
    #[serde(default)]
    page: Option<usize>,
    /// How many a page has; all if absent.
    #[serde(default)]
    per_page: Option<usize>,
    /// How many are listed, in the older spelling.
    #[serde(default)]
    limit: Option<usize>,
    /// How many are skipped, in the older spelling.
    #[serde(default)]
    offset: Option<usize>,
}

/// Which version of a server is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct VersionQuery {
    /// Must be the server's.
    #[serde(default)]
    version: Option<String>,
}

/// What a tool is run with.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct ExecuteRequest {
    /// The tool's input.
    #[serde(default)]
    data: Value,
}

/// A page of servers.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct ListResponse {
    /// The servers.
    servers: Vec<Value>,
    /// How many there are in all.
    total_count: usize,
    /// Where the next page is.
    next: Option<String>,
}

/// Lists the servers.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListResponse>, ApiError> {
    let catalogs = app.mcp.catalogs();
    let total_count = catalogs.iter().len();
    let path = format!("{}/mcp/v0/servers", app.config.prefix.trim_end_matches('/'));
    // A page of nothing has no next one.
    let (skipped, taken, next) = match (query.per_page, query.limit) {
        (Some(size), _) => {
            let page = query.page.unwrap_or(0);
            (page.saturating_mul(size), size, format!("{path}?perPage={size}&page={}", page.saturating_add(1)))
        }
        (None, Some(limit)) => {
            let offset = query.offset.unwrap_or(0);
            (offset, limit, format!("{path}?limit={limit}&offset={}", offset.saturating_add(limit)))
        }
        (None, None) => (query.offset.unwrap_or(0), total_count, path),
    };
    let has_more = taken > 0 && skipped.saturating_add(taken) < total_count;
    let servers = catalogs.iter().skip(skipped).take(taken).map(|catalog| info(&app.mcp, catalog)).collect();
    Ok(Json(ListResponse { servers, total_count, next: has_more.then_some(next) }))
}

/// Lists third-party servers, and how they are.
pub(in crate::http) async fn sources(State(app): State<AppState>) -> Json<Value> {
    Json(json!({ "sources": app.sources.status() }))
}

/// Returns a server.
pub(in crate::http) async fn server(
    State(app): State<AppState>,
    PathId(id): PathId,
    Query(query): Query<VersionQuery>,
) -> Result<Json<Value>, ApiError> {
    let catalog = app.mcp.catalog(&id).ok_or_else(|| not_found(&id))?;
    match query.version {
        Some(version) if version != catalog.version => Err(ApiError::not_found(format!(
            "MCP server with ID '{id}' found, but not version '{version}'. Available version: {}",
            catalog.version
        ))),
        _ => Ok(Json(info(&app.mcp, &catalog))),
    }
}

/// Lists a server's tools.
pub(in crate::http) async fn tools(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    let catalog = app.mcp.catalog(&id).ok_or_else(|| not_found(&id))?;
    let tools: Vec<Value> = catalog.tools.iter().map(tool_info).collect();
    Ok(Json(json!({ "tools": tools })))
}

/// Lists a server's resources.
pub(in crate::http) async fn resources(
    State(app): State<AppState>,
    PathId(id): PathId,
) -> Result<Json<Value>, ApiError> {
    let catalog = app.mcp.catalog(&id).ok_or_else(|| not_found(&id))?;
    let resources: Vec<_> = catalog.resources.iter().map(|resource| &resource.told).collect();
    Ok(Json(json!({ "resources": resources })))
}

/// Returns a server's tool.
pub(in crate::http) async fn tool(
    State(app): State<AppState>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let catalog = app.mcp.catalog(&id).ok_or_else(|| not_found(&id))?;
    let offered = catalog.tool(&name).ok_or_else(|| no_tool(&id, &name))?;
    Ok(Json(tool_info(offered)))
}

/// Runs a server's tool.
pub(in crate::http) async fn execute(
    State(app): State<AppState>,
    Path((id, name)): Path<(String, String)>,
    Body(request): Body<ExecuteRequest>,
) -> Result<Json<Value>, ApiError> {
    let catalog = app.mcp.catalog(&id).ok_or_else(|| not_found(&id))?;
    let offered = catalog.tool(&name).ok_or_else(|| no_tool(&id, &name))?;
    // A tool without arguments may be called without any.
    let input = offered.input(if request.data.is_null() { json!({}) } else { request.data });
    let call = DirectCall { target: offered.target.clone(), input, answer: None, sink: None, cause: None };
    let result = match app.engine.call(call).await? {
        DirectReply::Value(text) => {
            let output: Value = serde_json::from_slice(&text).unwrap_or_default();
            json!({"status": "completed", "output": output})
        }
        DirectReply::Ended(output) => json!({"status": "completed", "output": output}),
        DirectReply::Misfit(misfit) => return Err(ApiError::bad_request(sentence(&misfit))),
        DirectReply::Waits(wait) => {
            json!({"status": "suspended", "suspendPayload": wait.payload, "resumeSchema": wait.schema})
        }
    };
    Ok(Json(json!({ "result": result })))
}

fn info(mcp: &Mcp, catalog: &Catalog) -> Value {
    json!({
        "id": catalog.id,
        "name": catalog.name,
        "description": catalog.description,
        "version_detail": {"version": catalog.version, "release_date": mcp.since().iso(), "is_latest": true},
    })
}

fn tool_info(offered: &Offered) -> Value {
    let tool = &offered.tool;
    let mut info = json!({
        "id": tool.name,
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
    });
    if let Some(schema) = &tool.output_schema {
        info["outputSchema"] = json!(schema);
    }
    match offered.target {
        Target::Tool(_) | Target::Source(_) => {}
        Target::Agent(_) => info["toolType"] = "agent".into(),
        Target::Workflow(_) => info["toolType"] = "workflow".into(),
    }
    info
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("MCP server with ID '{id}' not found"))
}

fn no_tool(server: &str, name: &str) -> ApiError {
    ApiError::not_found(format!("Tool with ID '{name}' not found on MCP server '{server}'"))
}
