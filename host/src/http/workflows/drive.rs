//! What makes a run go on: begun, answered, let go on after it was left, run again from a step
//! on. Each in the ways clients wait for it: not at all, to its end, along its stream.

use axum::{Json, extract::State, response::Response};
use serde_json::{Value, json};

use super::{
    super::{
        access::Asker,
        error::{ApiError, Invalid},
        extract::{Body, PathId, Query, Traced},
        rendered::Document,
    },
    graphs,
    request::{
        self, MaybeRunQuery, NoRequest, ObserveQuery, RestartRequest, ResumeRequest, RunQuery, StartRequest,
        TravelRequest,
    },
    run::{self, Shown},
    runs::check_known,
    stream::{self as chunked, Shape},
};
use crate::{
    app::{App, AppState},
    engine::{
        error::EngineError,
        workflow::{self, RunEnd, RunHandle, StartMode},
    },
    types::{id, run::RunStatus},
};

/// Begins a run and waits until it is over or waits for somebody.
pub(in crate::http) async fn start_async(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    traced: Traced,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Document, ApiError> {
    let request = started(&app, &asker, workflow_id, query.run_id, traced, request, StartMode::Anew).await?;
    finish(app.workflows.start(request).await?).await
}

/// Begins a run that was made, and does not wait.
pub(in crate::http) async fn start(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    traced: Traced,
    Query(query): Query<RunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Json<Value>, ApiError> {
    let request = started(&app, &asker, workflow_id, Some(query.run_id), traced, request, StartMode::Known).await?;
    app.workflows.start(request).await?;
    Ok(Json(json!({"message": "Workflow run started"})))
}

/// Begins a run and streams it.
pub(in crate::http) async fn stream(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    traced: Traced,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Response, ApiError> {
    streamed(&app, &asker, workflow_id, query.run_id, traced, request, Shape::Current).await
}

/// Begins a run and streams it in the shape of clients of an older kind.
pub(in crate::http) async fn stream_legacy(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    traced: Traced,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<StartRequest>,
) -> Result<Response, ApiError> {
    streamed(&app, &asker, workflow_id, query.run_id, traced, request, Shape::Legacy).await
}

async fn streamed(
    app: &App,
    asker: &Asker,
    workflow_id: String,
    run_id: Option<String>,
    traced: Traced,
    request: StartRequest,
    shape: Shape,
) -> Result<Response, ApiError> {
    let stays = request.close_on_suspend == Some(false);
    let run_id = run_id.unwrap_or_else(id::fresh);
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    let request =
        started(app, asker, workflow_id.clone(), Some(run_id.clone()), traced, request, StartMode::Fresh).await?;
    // Whoever streams a run that waits is shown how it came there.
    if let Ok(view) = app.workflows.view(&workflow_id, &run_id).await
        && view.row.status == RunStatus::Suspended
    {
        let subscription = app.workflows.observe_waiting(&view.row).await?;
        return Ok(chunked::chunks(name, run_id, shape, subscription));
    }
    match app.workflows.start(request).await {
        Ok(run) => Ok(chunked::chunks(name, run_id, shape, run.subscribe(stays))),
        Err(error @ EngineError::Misfit { .. }) => Ok(chunked::refused(&name, &run_id, &error)),
        Err(error) => Err(error.into()),
    }
}

/// Streams a run that was begun before.
pub(in crate::http) async fn observe(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<ObserveQuery>,
    Body(NoRequest {}): Body<NoRequest>,
) -> Result<Response, ApiError> {
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    check_known(&app, &asker, &workflow_id, Some(&query.run_id)).await?;
    let subscription = app.workflows.observe(&workflow_id, &query.run_id, query.offset.unwrap_or(0)).await?;
    Ok(chunked::chunks(name, query.run_id, Shape::Current, subscription))
}

/// Answers a run that waits, and does not wait.
pub(in crate::http) async fn resume(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Json<Value>, ApiError> {
    resume_in_background(&app, resumed(&app, &asker, workflow_id, query.run_id, request).await?).await?;
    Ok(Json(json!({"message": "Workflow run resumed"})))
}

/// As [`resume`], with another answer.
pub(in crate::http) async fn resume_no_wait(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Json<Value>, ApiError> {
    let request = resumed(&app, &asker, workflow_id, query.run_id, request).await?;
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
pub(in crate::http) async fn resume_async(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Document, ApiError> {
    let request = resumed(&app, &asker, workflow_id, query.run_id, request).await?;
    finish(app.workflows.resume(request).await?).await
}

/// Answers a run that waits, and streams the rest.
pub(in crate::http) async fn resume_stream(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<ResumeRequest>,
) -> Result<Response, ApiError> {
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    let request = resumed(&app, &asker, workflow_id, query.run_id, request).await?;
    let run_id = request.run_id.clone();
    match app.workflows.resume(request).await {
        Ok(run) => Ok(chunked::chunks(name, run_id, Shape::Current, run.subscribe(false))),
        Err(error @ (EngineError::Misfit { .. } | EngineError::NotSuspended(_))) => {
            Ok(chunked::refused(&name, &run_id, &error))
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets a run that was left go on, and does not wait.
pub(in crate::http) async fn restart(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(RestartRequest { .. }): Body<RestartRequest>,
) -> Result<Json<Value>, ApiError> {
    check_known(&app, &asker, &workflow_id, Some(&query.run_id)).await?;
    app.workflows.restart(&workflow_id, &query.run_id).await?;
    Ok(Json(json!({"message": "Workflow run restarted"})))
}

/// Lets a run that was left go on, and waits; one that is over is shown as it is.
pub(in crate::http) async fn restart_async(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(RestartRequest { .. }): Body<RestartRequest>,
) -> Result<Document, ApiError> {
    check_known(&app, &asker, &workflow_id, Some(&query.run_id)).await?;
    if let Some(run) = app.workflows.restart(&workflow_id, &query.run_id).await? {
        return finish(run).await;
    }
    let view = app.workflows.view(&workflow_id, &query.run_id).await?;
    let graphs = graphs(&app, &view.row).await?;
    let nested = run::nested_of(&graphs);
    let shown = Shown { run_id: &query.run_id, graph: &graphs.root, nested: &nested, records: &view.records };
    Ok(Document(run::restarted(&shown, &view.row)))
}

/// Runs a run again from a step on, and does not wait.
pub(in crate::http) async fn travel(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<TravelRequest>,
) -> Result<Json<Value>, ApiError> {
    let request = travelled(&app, &asker, workflow_id, query.run_id, request).await?;
    app.workflows.travel(request).await?;
    Ok(Json(json!({"message": "Workflow run time travel started"})))
}

/// As [`travel`], and waits.
pub(in crate::http) async fn travel_async(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<TravelRequest>,
) -> Result<Document, ApiError> {
    let request = travelled(&app, &asker, workflow_id, query.run_id, request).await?;
    finish(app.workflows.travel(request).await?).await
}

/// As [`travel`], and streams.
pub(in crate::http) async fn travel_stream(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<RunQuery>,
    Body(request): Body<TravelRequest>,
) -> Result<Response, ApiError> {
    let name = app.workflows.find(&workflow_id)?.id.to_string();
    let request = travelled(&app, &asker, workflow_id, query.run_id.clone(), request).await?;
    let run = app.workflows.travel(request).await?;
    Ok(chunked::chunks(name, query.run_id, Shape::Current, run.subscribe(false)))
}

/// Waits for a run and answers with what came of it.
async fn finish(run: RunHandle) -> Result<Document, ApiError> {
    let (run_id, input, program) = (run.run_id().to_owned(), run.input().clone(), run.program().clone());
    let end: RunEnd = run.end().await?;
    let nested = program.nested.iter().map(|(id, entry)| (&**id, &entry.graph)).collect();
    let shown = Shown { run_id: &run_id, graph: &program.root.graph, nested: &nested, records: &end.records };
    Ok(Document(run::answer(&shown, &input, &end)))
}

async fn started(
    app: &App,
    asker: &Asker,
    workflow_id: String,
    run_id: Option<String>,
    traced: Traced,
    request: StartRequest,
    mode: StartMode,
) -> Result<workflow::StartRequest, ApiError> {
    check_known(app, asker, &workflow_id, run_id.as_deref()).await?;
    Ok(workflow::StartRequest {
        workflow_id,
        run_id,
        resource_id: asker.owner(request.resource_id)?,
        input: request.input_data,
        initial_state: request.initial_state,
        request_context: request.request_context,
        per_step: request.per_step == Some(true),
        mode,
        depth: 0,
        trace: traced.with(&request.tracing_options),
    })
}

async fn resumed(
    app: &App,
    asker: &Asker,
    workflow_id: String,
    run_id: Option<String>,
    request: ResumeRequest,
) -> Result<workflow::ResumeRequest, ApiError> {
    let run_id = run_id.or(request.run_id).ok_or_else(|| {
        ApiError::invalid_field(Invalid::Query, "runId", "Invalid input: expected string, received undefined")
    })?;
    check_known(app, asker, &workflow_id, Some(&run_id)).await?;
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

async fn travelled(
    app: &App,
    asker: &Asker,
    workflow_id: String,
    run_id: String,
    request: TravelRequest,
) -> Result<workflow::TravelRequest, ApiError> {
    let step = request.step.map(request::StepName::joined).ok_or_else(|| {
        ApiError::invalid_field(Invalid::Body, "step", "Invalid input: expected string, received undefined")
    })?;
    check_known(app, asker, &workflow_id, Some(&run_id)).await?;
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
