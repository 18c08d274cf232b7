//! Agents: what there is, asking one, and deciding what a suspended run waits for.

mod answer;
mod chunk;
mod frames;
pub(super) mod info;
mod input;
mod messages;
mod request;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    access::Asker,
    error::ApiError,
    extract::{Body, Path, PathId, Query, Traced},
    rendered::{Document, rendered},
    sse,
    tools::{self, ExecuteQuery, ExecuteRequest, answered},
};
use crate::{
    app::AppState,
    engine::{Decision, Run, error::EngineError, event::Unobserved},
    plugin::registry::{AgentEntry, Snapshot},
};
use frames::Frames;
use request::{ApprovalRequest, GenerateRequest, ResumeRequest};

/// How agents are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Leaves schemas out.
    #[serde(default)]
    partial: Option<String>,
}

/// Which state of an agent is meant; there is one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GetQuery {
    /// `draft` or `published`.
    #[serde(default)]
    #[schemars(schema_with = "status")]
    #[expect(dead_code, reason = "checked by its schema; a plugin's agents have no drafts")]
    status: Option<String>,
}

fn status(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["draft", "published"]})
}

/// Lists the agents by id.
pub(super) async fn list(State(app): State<AppState>, Query(query): Query<ListQuery>) -> Response {
    let snapshot = app.engine.snapshot();
    let partial = query.partial.as_deref() == Some("true");
    rendered(&snapshot, if partial { "agents, partial" } else { "agents" }, "", || -> Map<String, Value> {
        let agents = snapshot.agents.iter().map(|entry| {
            let mut agent = info::agent(&snapshot, entry, partial);
            agent.insert("id".to_owned(), entry.manifest.id.as_str().into());
            agent.insert("hasDraft".to_owned(), false.into());
            (entry.manifest.id.clone(), agent.into())
        });
        agents.collect()
    })
}

/// Returns one agent.
pub(super) async fn get(
    State(app): State<AppState>,
    PathId(id): PathId,
    Query(_): Query<GetQuery>,
) -> Result<Response, ApiError> {
    let snapshot = app.engine.snapshot();
    let entry = find(&snapshot, &id)?;
    Ok(rendered(&snapshot, "agent", &id, || info::agent(&snapshot, entry, false)))
}

/// Lists an agent's tools by the names models see.
pub(super) async fn own_tools(State(app): State<AppState>, PathId(id): PathId) -> Result<Response, ApiError> {
    let snapshot = app.engine.snapshot();
    let entry = find(&snapshot, &id)?;
    Ok(rendered(&snapshot, "agent's tools", &id, || info::tools(&snapshot, &entry.manifest, false)))
}

/// Returns one of an agent's tools.
pub(super) async fn tool(
    State(app): State<AppState>,
    Path((id, tool)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let snapshot = app.engine.snapshot();
    tools::tool(&snapshot, own_tool(find(&snapshot, &id)?, &tool)?)
}

/// Runs one of an agent's tools by itself.
pub(super) async fn execute_tool(
    State(app): State<AppState>,
    Path((id, tool)): Path<(String, String)>,
    traced: Traced,
    Query(query): Query<ExecuteQuery>,
    Body(request): Body<ExecuteRequest>,
) -> Result<Response, ApiError> {
    let snapshot = app.engine.snapshot();
    let tool_id = own_tool(find(&snapshot, &id)?, &tool)?;
    let ExecuteRequest { data, request_context } = request;
    let answer = app.engine.execute_tool(tool_id, &data, request_context, query.run_id, &traced.options()).await?;
    Ok(answered(answer))
}

/// Asks an agent and waits for the whole answer.
pub(super) async fn generate(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    traced: Traced,
    Body(request): Body<GenerateRequest>,
) -> Result<Document, ApiError> {
    finish(prepare(&app, &asker, id, traced, request).await?).await
}

/// Asks an agent and streams what happens.
pub(super) async fn stream(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    traced: Traced,
    Body(request): Body<GenerateRequest>,
) -> Result<Response, ApiError> {
    Ok(streamed(&app, prepare(&app, &asker, id, traced, request).await?))
}

/// Lets a waiting tool call run, and streams the rest of its run.
pub(super) async fn approve(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Body(request): Body<ApprovalRequest>,
) -> Result<Response, ApiError> {
    Ok(streamed(&app, decide(&app, &asker, &id, &request, Decision::Approve).await?))
}

/// Lets a waiting tool call run, and waits for the rest of its run.
pub(super) async fn approve_generate(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Body(request): Body<ApprovalRequest>,
) -> Result<Document, ApiError> {
    finish(decide(&app, &asker, &id, &request, Decision::Approve).await?).await
}

/// Refuses a waiting tool call, and streams the rest of its run.
pub(super) async fn decline(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Body(request): Body<ApprovalRequest>,
) -> Result<Response, ApiError> {
    let decision = Decision::Decline { reason: request.reason.clone() };
    Ok(streamed(&app, decide(&app, &asker, &id, &request, decision).await?))
}

/// Refuses a waiting tool call, and waits for the rest of its run.
pub(super) async fn decline_generate(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Body(request): Body<ApprovalRequest>,
) -> Result<Document, ApiError> {
    let decision = Decision::Decline { reason: request.reason.clone() };
    finish(decide(&app, &asker, &id, &request, decision).await?).await
}

/// Gives a suspended tool call what it waits for, and streams the rest of its run.
pub(super) async fn resume(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Body(request): Body<ResumeRequest>,
) -> Result<Response, ApiError> {
    let ResumeRequest { run_id, resume_data, tool_call_id } = request;
    check_run(&app, &asker, &id, &run_id).await?;
    let decision = Decision::Resume(resume_data);
    let run = app.engine.resume(&id, &run_id, tool_call_id.as_deref(), decision).await?;
    Ok(streamed(&app, run))
}

/// Refuses the calls of clients of an older kind, in the reference's words.
pub(super) async fn legacy(State(app): State<AppState>, PathId(id): PathId) -> Result<Response, ApiError> {
    find(&app.engine.snapshot(), &id)?;
    Err(ApiError::bad_request(
        "Models with specificationVersion \"v2\" are not supported for generateLegacy(). Please use generate() instead.",
    ))
}

async fn prepare(
    app: &AppState,
    asker: &Asker,
    id: String,
    traced: Traced,
    request: GenerateRequest,
) -> Result<Run, ApiError> {
    find(&app.engine.snapshot(), &id)?;
    let trace = traced.with(&request.tracing_options);
    let mut run = request.into_run(id, asker)?;
    run.options.trace = trace;
    run.options.deadline = Some(app.config.deadlines.run);
    Ok(app.engine.prepare(run).await?)
}

async fn decide(
    app: &AppState,
    asker: &Asker,
    id: &str,
    request: &ApprovalRequest,
    decision: Decision,
) -> Result<Run, ApiError> {
    check_run(app, asker, id, &request.run_id).await?;
    Ok(app.engine.resume(id, &request.run_id, Some(&request.tool_call_id), decision).await?)
}

/// Makes sure that a suspended run is the asker's, if they are bound to one owner.
async fn check_run(app: &AppState, asker: &Asker, id: &str, run_id: &str) -> Result<(), ApiError> {
    if !asker.is_bound() {
        return Ok(());
    }
    asker.check("run", app.engine.owner_of_suspended(id, run_id).await?.as_deref())
}

/// Streams a run until it ends, its reader goes, or the host does.
fn streamed(app: &AppState, run: Run) -> Response {
    let farewell = Extension(frames::farewell(&run.turn.run_id));
    (farewell, sse::events(Frames::new(run).take_until(app.tasks.token().cancelled_owned()))).into_response()
}

async fn finish(mut run: Run) -> Result<Document, ApiError> {
    run.drive(&mut Unobserved).await?;
    Ok(Document(answer::of(&run.turn)))
}

fn find<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a AgentEntry, ApiError> {
    let entry = snapshot.agents.get(id).ok_or_else(|| EngineError::UnknownAgent(id.to_owned()))?;
    Ok(entry)
}

/// Returns the id of the tool an agent has under this id or key.
fn own_tool<'a>(agent: &'a AgentEntry, tool: &str) -> Result<&'a str, ApiError> {
    let tools = &agent.manifest.tools;
    let found = tools.iter().find(|it| it.id == tool).or_else(|| tools.iter().find(|it| it.key == tool));
    let found = found.ok_or_else(|| EngineError::UnknownTool(tool.to_owned()))?;
    Ok(&found.id)
}
