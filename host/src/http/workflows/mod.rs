//! Workflows: what there is, and runs of them: begun, watched, answered, ended.

mod graph;
mod info;
mod request;
mod run;
mod stream;

use std::collections::HashMap;

use axum::{Json, extract::State, response::Response};
use serde_json::{Map, Value, json};

use super::{
    error::{ApiError, Invalid},
    extract::{Body, Path, PathId, Query},
};
use crate::{
    app::{App, AppState},
    engine::{
        error::EngineError,
        workflow::{self, Graphs, RunEnd, RunHandle, StartMode},
    },
    store::runs::{RunFilter, RunRow},
    types::{id, run::RunStatus},
};
use request::{
    CreateRequest, ListQuery, MaybeRunQuery, NoRequest, ObserveQuery, RestartRequest, ResumeRequest, RunPageQuery,
    RunQuery, RunsQuery, StartRequest, TravelRequest,
};
use run::Shown;
use stream::Shape;

/// Lists the workflows by id, those MCP servers offer under a key of their own by that key, too.
pub(super) async fn list(State(app): State<AppState>, Query(query): Query<ListQuery>) -> Json<Map<String, Value>> {
    let snapshot = app.engine.snapshot();
    let is_partial = query.partial.as_deref() == Some("true");
    let entries = keys(&app).into_iter().filter_map(|(key, id)| {
        let entry = snapshot.workflows.get(id.as_str())?;
        let info = if is_partial { info::brief(&snapshot, entry) } else { info::workflow(&snapshot, entry) };
        Some((key, info.into()))
    });
    Json(entries.collect())
}

/// Returns the names clients know workflows by, and the workflows' ids.
fn keys(app: &App) -> Vec<(String, String)> {
    let snapshot = app.engine.snapshot();
    let shown = snapshot.workflows.iter().filter(|entry| !entry.manifest.internal);
    let mut keys: Vec<(String, String)> = shown.map(|entry| (entry.id.to_string(), entry.id.to_string())).collect();
    for offered in snapshot.mcp_servers.iter().flat_map(|server| &server.manifest.workflows) {
        if !keys.iter().any(|(key, _)| *key == offered.key) {
            keys.push((offered.key.clone(), offered.id.clone()));
        }
    }
    keys
}

/// Returns one workflow.
pub(super) async fn get(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Map<String, Value>>, ApiError> {
    let entry = app.workflows.find(&id)?;
    Ok(Json(info::workflow(&app.engine.snapshot(), &entry)))
}

/// Counts the runs that go on and that wait, by workflow.
pub(super) async fn counts(State(app): State<AppState>) -> Result<Json<Map<String, Value>>, ApiError> {
    let counted = app.workflows.runs().counts(&[RunStatus::Running, RunStatus::Suspended]).await?;
    let of = |id: &str, status| {
        counted.iter().find(|(workflow, of, _)| workflow == id && *of == status).map_or(0, |(.., count)| *count)
    };
    let entries = keys(&app).into_iter().map(|(key, id)| {
        let counts = json!({"running": of(&id, RunStatus::Running), "suspended": of(&id, RunStatus::Suspended)});
        (key, counts)
    });
    Ok(Json(entries.collect()))
}

/// Makes a run that is not begun.
pub(super) async fn create(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let request = workflow::StartRequest {
        workflow_id,
        run_id: query.run_id,
        resource_id: request.resource_id,
        ..workflow::StartRequest::default()
    };
    Ok(Json(json!({ "runId": app.workflows.create(request).await? })))
}

/// Begins a run and waits until it is over or waits for somebody.
pub(super) async fn start_async(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Json<Value>, ApiError> {
    let request = started(workflow_id, query.run_id, request, StartMode::Anew);
    finish(app.workflows.start(request).await?).await
}

/// Begins a run that was made, and does not wait.
pub(super) async fn start(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Json<Value>, ApiError> {
    app.workflows.start(started(workflow_id, Some(query.run_id), request, StartMode::Known)).await?;
    Ok(Json(json!({"message": "Workflow run started"})))
}

/// Begins a run and streams it.
pub(super) async fn stream(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Response, ApiError> {
    streamed(&app, workflow_id, query.run_id, request, Shape::Current).await
}

/// Begins a run and streams it in the shape of clients of an older kind.
pub(super) async fn stream_legacy(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Response, ApiError> {
    streamed(&app, workflow_id, query.run_id, request, Shape::Legacy).await
}

async fn streamed(
    app: &App,
    workflow_id: String,
    run_id: Option<String>,
    request: StartRequest,
    shape: Shape,
) -> Result<Response, ApiError> {
    let stays = request.close_on_suspend == Some(false);
    let run_id = run_id.unwrap_or_else(id::fresh);
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    // Whoever streams a run that waits is shown how it came there.
    if let Ok(view) = app.workflows.view(&workflow_id, &run_id).await
        && view.row.status == RunStatus::Suspended
    {
        let subscription = app.workflows.observe_waiting(&view.row).await?;
        return Ok(stream::chunks(name, run_id, shape, subscription));
    }
    let request = started(workflow_id, Some(run_id.clone()), request, StartMode::Fresh);
    match app.workflows.start(request).await {
        Ok(run) => Ok(stream::chunks(name, run_id, shape, run.subscribe(stays))),
        Err(error @ EngineError::Misfit { .. }) => Ok(stream::refused(&name, &run_id, &error)),
        Err(error) => Err(error.into()),
    }
}

/// Streams a run that was begun before.
pub(super) async fn observe(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<ObserveQuery>,
    Body(NoRequest {}): Body<NoRequest>,
) -> Result<Response, ApiError> {
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    let subscription = app.workflows.observe(&workflow_id, &query.run_id, query.offset.unwrap_or(0)).await?;
    Ok(stream::chunks(name, query.run_id, Shape::Current, subscription))
}

/// Answers a run that waits, and does not wait.
pub(super) async fn resume(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Json<Value>, ApiError> {
    resume_in_background(&app, resumed(workflow_id, query.run_id, request)?).await?;
    Ok(Json(json!({"message": "Workflow run resumed"})))
}

/// As [`resume`], with another answer.
pub(super) async fn resume_no_wait(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Json<Value>, ApiError> {
    let request = resumed(workflow_id, query.run_id, request)?;
    let run_id = request.run_id.clone();
    resume_in_background(&app, request).await?;
    Ok(Json(json!({ "runId": run_id })))
}

/// Clients are told that the answer has arrived, also if it cannot be used: they look at the run.
async fn resume_in_background(app: &App, request: workflow::ResumeRequest) -> Result<(), ApiError> {
    let run_id = request.run_id.clone();
    match app.workflows.resume(request).await {
        Ok(_) => Ok(()),
        Err(error @ (EngineError::NotSuspended(_) | EngineError::Misfit { .. })) => {
            tracing::info!(run.id = run_id, %error, "a run was not resumed");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Answers a run that waits, and waits until it is over or waits again.
pub(super) async fn resume_async(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Json<Value>, ApiError> {
    finish(app.workflows.resume(resumed(workflow_id, query.run_id, request)?).await?).await
}

/// Answers a run that waits, and streams the rest.
pub(super) async fn resume_stream(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Response, ApiError> {
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    let request = resumed(workflow_id, query.run_id, request)?;
    let run_id = request.run_id.clone();
    match app.workflows.resume(request).await {
        Ok(run) => Ok(stream::chunks(name, run_id, Shape::Current, run.subscribe(false))),
        Err(error @ (EngineError::Misfit { .. } | EngineError::NotSuspended(_))) => {
            Ok(stream::refused(&name, &run_id, &error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Lists a workflow's runs.
pub(super) async fn runs(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Value>, ApiError> {
    let entry = app.workflows.find(&workflow_id)?;
    let limit = query.per_page.or(query.limit);
    if limit.is_some_and(|limit| limit <= 0) {
        return Err(ApiError::bad_request("perPage must be a positive integer"));
    }
    let limit = limit.and_then(|limit| u64::try_from(limit).ok());
    let offset = match (query.page, query.offset) {
        (Some(page), _) => u64::try_from(page).unwrap_or(0).saturating_mul(limit.unwrap_or(0)),
        (None, Some(offset)) => u64::try_from(offset).unwrap_or(0),
        (None, None) => 0,
    };
    let status = query.status.as_deref().and_then(RunStatus::of);
    // Some names of states no run is ever in.
    if query.status.is_some() && status.is_none() {
        return Ok(Json(json!({"runs": [], "total": 0})));
    }
    let filter = RunFilter {
        workflow_id: Some(&entry.id),
        resource_id: query.resource_id.as_deref(),
        status,
        from: query.from_date.as_deref().and_then(point),
        to: query.to_date.as_deref().and_then(point),
        limit,
        offset,
    };
    let page = app.workflows.runs().list(&filter).await?;
    let ids: Vec<&str> = page.runs.iter().map(|row| row.run_id.as_str()).collect();
    let records = app.workflows.runs().records_of(&ids).await?;
    let mut graphs: HashMap<String, Option<Graphs>> = HashMap::new();
    for row in &page.runs {
        if !graphs.contains_key(&row.graph_hash) {
            graphs.insert(row.graph_hash.clone(), app.workflows.graphs(row).await?);
        }
    }
    let none = HashMap::new();
    let mut listed = Vec::with_capacity(page.runs.len());
    for row in &page.runs {
        let records = records.get(&row.run_id).unwrap_or(&none);
        let Some(Some(graphs)) = graphs.get(&row.graph_hash) else { continue };
        let nested = run::nested_of(graphs);
        listed.push(run::listed(&Shown { run_id: &row.run_id, graph: &graphs.root, nested: &nested, records }, row));
    }
    Ok(Json(json!({"runs": listed, "total": page.total})))
}

/// Returns one run.
pub(super) async fn run_page(
    State(app): State<AppState>,
    Path((workflow_id, run_id)): Path<(String, String)>,
    Query(query): Query<RunPageQuery>,
) -> Result<Json<Value>, ApiError> {
    let view = app.workflows.view(&workflow_id, &run_id).await?;
    let graphs = graphs(&app, &view.row).await?;
    let is_nested = query.with_nested_workflows.as_deref() != Some("false");
    let fields: Option<Vec<&str>> = query.fields.as_deref().map(|fields| fields.split(',').map(str::trim).collect());
    let nested = run::nested_of(&graphs);
    let shown = Shown { run_id: &run_id, graph: &graphs.root, nested: &nested, records: &view.records };
    Ok(Json(run::page(&shown, &view.row, is_nested, fields.as_deref())))
}

/// Ends a run.
pub(super) async fn cancel(
    State(app): State<AppState>,
    Path((workflow_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.workflows.cancel(&workflow_id, &run_id).await?;
    Ok(Json(json!({"message": "Workflow run cancelled"})))
}

/// Removes a run.
pub(super) async fn delete(
    State(app): State<AppState>,
    Path((workflow_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.workflows.delete(&workflow_id, &run_id).await?;
    Ok(Json(json!({"message": "Workflow run deleted"})))
}

/// Lets a run that was left go on, and does not wait.
pub(super) async fn restart(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(RestartRequest { .. }): Body<RestartRequest>,
) -> Result<Json<Value>, ApiError> {
    app.workflows.restart(&workflow_id, &query.run_id).await?;
    Ok(Json(json!({"message": "Workflow run restarted"})))
}

/// Lets a run that was left go on, and waits; one that is over is shown as it is.
pub(super) async fn restart_async(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(RestartRequest { .. }): Body<RestartRequest>,
) -> Result<Json<Value>, ApiError> {
    if let Some(run) = app.workflows.restart(&workflow_id, &query.run_id).await? {
        return finish(run).await;
    }
    let view = app.workflows.view(&workflow_id, &query.run_id).await?;
    let graphs = graphs(&app, &view.row).await?;
    let nested = run::nested_of(&graphs);
    let shown = Shown { run_id: &query.run_id, graph: &graphs.root, nested: &nested, records: &view.records };
    Ok(Json(run::restarted(&shown, &view.row)))
}

/// Runs a run again from a step on, and does not wait.
pub(super) async fn travel(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<TravelRequest>,
) -> Result<Json<Value>, ApiError> {
    app.workflows.travel(travelled(workflow_id, query.run_id, request)?).await?;
    Ok(Json(json!({"message": "Workflow run time travel started"})))
}

/// As [`travel`], and waits.
pub(super) async fn travel_async(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<TravelRequest>,
) -> Result<Json<Value>, ApiError> {
    finish(app.workflows.travel(travelled(workflow_id, query.run_id, request)?).await?).await
}

/// As [`travel`], and streams.
pub(super) async fn travel_stream(
    State(app): State<AppState>,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<TravelRequest>,
) -> Result<Response, ApiError> {
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    let run = app.workflows.travel(travelled(workflow_id, query.run_id.clone(), request)?).await?;
    Ok(stream::chunks(name, query.run_id, Shape::Current, run.subscribe(false)))
}

/// Waits for a run and answers with what came of it.
async fn finish(run: RunHandle) -> Result<Json<Value>, ApiError> {
    let (run_id, input, program) = (run.run_id().to_owned(), run.input().clone(), run.program().clone());
    let end: RunEnd = run.end().await?;
    let nested = program.nested.iter().map(|(id, entry)| (&**id, &entry.graph)).collect();
    let shown = Shown { run_id: &run_id, graph: &program.root.graph, nested: &nested, records: &end.records };
    Ok(Json(run::answer(&shown, &input, &end)))
}

async fn graphs(app: &App, row: &RunRow) -> Result<Graphs, ApiError> {
    app.workflows.graphs(row).await?.ok_or_else(|| ApiError::internal("the graph of a run is not stored"))
}

fn started(
    workflow_id: String,
    run_id: Option<String>,
    request: StartRequest,
    mode: StartMode,
) -> workflow::StartRequest {
    workflow::StartRequest {
        workflow_id,
        run_id,
        resource_id: request.resource_id,
        input: request.input_data,
        initial_state: request.initial_state,
        request_context: request.request_context,
        per_step: request.per_step == Some(true),
        mode,
        depth: 0,
    }
}

fn resumed(
    workflow_id: String,
    run_id: Option<String>,
    request: ResumeRequest,
) -> Result<workflow::ResumeRequest, ApiError> {
    let run_id = run_id.or(request.run_id).ok_or_else(|| {
        ApiError::invalid_field(Invalid::Query, "runId", "Invalid input: expected string, received undefined")
    })?;
    Ok(workflow::ResumeRequest {
        workflow_id,
        run_id,
        step: request.step.map(request::StepName::joined),
        label: request.label,
        item: request.for_each_index,
        data: request.resume_data,
        request_context: Some(request.request_context),
    })
}

fn travelled(workflow_id: String, run_id: String, request: TravelRequest) -> Result<workflow::TravelRequest, ApiError> {
    let step = request.step.map(request::StepName::joined).ok_or_else(|| {
        ApiError::invalid_field(Invalid::Body, "step", "Invalid input: expected string, received undefined")
    })?;
    Ok(workflow::TravelRequest {
        workflow_id,
        run_id,
        step,
        input: request.input_data,
        context: request.context,
        state: request.initial_state,
        request_context: Some(request.request_context),
    })
}

/// Reads a point in time; the query's schema has checked that it is one.
fn point(text: &str) -> Option<i64> {
    id::Millis::parse(text).map(|millis| millis.0)
}
