//! Runs as they are stored: made, listed, shown, ended, removed.

use std::collections::HashMap;

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use super::{
    super::{
        access::Asker,
        error::ApiError,
        extract::{Body, Path, PathId, Query},
    },
    graphs, keys,
    request::{CreateRequest, MaybeRunQuery, RunPageQuery, RunsQuery},
    run::{self, Shown},
};
use crate::{
    app::{App, AppState},
    engine::{
        error::EngineError,
        workflow::{self, Graphs},
    },
    store::runs::RunFilter,
    types::{id, run::RunStatus},
};

/// Counts the runs that go on and that wait, by workflow.
pub(in crate::http) async fn counts(State(app): State<AppState>) -> Result<Json<Map<String, Value>>, ApiError> {
    let keys = keys(&app);
    let ids: Vec<String> = keys.iter().map(|(_, id)| id.clone()).collect();
    let counted = app.workflows.runs().counts(&ids, &[RunStatus::Running, RunStatus::Suspended]).await?;
    let of = |id: &str, status| {
        counted.iter().find(|(workflow, of, _)| workflow == id && *of == status).map_or(0, |(.., count)| *count)
    };
    let entries = keys.into_iter().map(|(key, id)| {
        let counts = json!({"running": of(&id, RunStatus::Running), "suspended": of(&id, RunStatus::Suspended)});
        (key, counts)
    });
    Ok(Json(entries.collect()))
}

/// Makes a run that is not begun.
pub(in crate::http) async fn create(
    State(app): State<AppState>,
    asker: Asker,
    PathId(workflow_id): PathId,
    Query(query): Query<MaybeRunQuery>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    check_known(&app, &asker, &workflow_id, query.run_id.as_deref()).await?;
    let request = workflow::StartRequest {
        workflow_id,
        run_id: query.run_id,
        resource_id: asker.owner(request.resource_id)?,
        ..workflow::StartRequest::default()
    };
    Ok(Json(json!({ "runId": app.workflows.create(request).await? })))
}

/// Lists a workflow's runs.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    asker: Asker,
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
    let owner = asker.owner(query.resource_id)?;
    let filter = RunFilter {
        workflow_id: Some(&entry.id),
        resource_id: owner.as_deref(),
        status,
        from: query.from_date.as_deref().and_then(point),
        to: query.to_date.as_deref().and_then(point),
        limit,
        offset,
    };
    let page = app.workflows.runs().list(&filter).await?;
    let ids: Vec<&str> = page.entries.iter().map(|row| row.run_id.as_str()).collect();
    let records = app.workflows.runs().records_of(&ids).await?;
    let mut graphs: HashMap<String, Option<Graphs>> = HashMap::new();
    for row in &page.entries {
        if !graphs.contains_key(&row.graph_hash) {
            graphs.insert(row.graph_hash.clone(), app.workflows.graphs(row).await?);
        }
    }
    let none = HashMap::new();
    let mut listed = Vec::with_capacity(page.entries.len());
    for row in &page.entries {
        let records = records.get(&row.run_id).unwrap_or(&none);
        let Some(Some(graphs)) = graphs.get(&row.graph_hash) else { continue };
        let nested = run::nested_of(graphs);
        listed.push(run::listed(&Shown { run_id: &row.run_id, graph: &graphs.root, nested: &nested, records }, row));
    }
    Ok(Json(json!({"runs": listed, "total": page.total})))
}

/// Returns one run.
pub(in crate::http) async fn get(
    State(app): State<AppState>,
    asker: Asker,
    Path((workflow_id, run_id)): Path<(String, String)>,
    Query(query): Query<RunPageQuery>,
) -> Result<Json<Value>, ApiError> {
    let view = app.workflows.view(&workflow_id, &run_id).await?;
    asker.check("run", view.row.resource_id.as_deref())?;
    let graphs = graphs(&app, &view.row).await?;
    let is_nested = query.with_nested_workflows.as_deref() != Some("false");
    let fields: Option<Vec<&str>> = query.fields.as_deref().map(|fields| fields.split(',').map(str::trim).collect());
    let nested = run::nested_of(&graphs);
    let shown = Shown { run_id: &run_id, graph: &graphs.root, nested: &nested, records: &view.records };
    Ok(Json(run::page(&shown, &view.row, is_nested, fields.as_deref())))
}

/// Ends a run.
pub(in crate::http) async fn cancel(
    State(app): State<AppState>,
    asker: Asker,
    Path((workflow_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    check_known(&app, &asker, &workflow_id, Some(&run_id)).await?;
    app.workflows.cancel(&workflow_id, &run_id).await?;
    Ok(Json(json!({"message": "Workflow run cancelled"})))
}

/// Removes a run.
pub(in crate::http) async fn delete(
    State(app): State<AppState>,
    asker: Asker,
    Path((workflow_id, run_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    check_known(&app, &asker, &workflow_id, Some(&run_id)).await?;
    app.workflows.delete(&workflow_id, &run_id).await?;
    Ok(Json(json!({"message": "Workflow run deleted"})))
}

/// Makes sure that a run is the asker's, if there is one and they are bound to one owner.
pub(super) async fn check_known(
    app: &App,
    asker: &Asker,
    workflow_id: &str,
    run_id: Option<&str>,
) -> Result<(), ApiError> {
    let Some(run_id) = run_id.filter(|_| asker.is_bound()) else { return Ok(()) };
    match app.workflows.belongs_to(workflow_id, run_id).await {
        Ok(owner) => asker.check("run", owner.as_deref()),
        // Whatever is wrong with the request is told by whoever goes on with it.
        Err(EngineError::UnknownWorkflowRun | EngineError::UnknownWorkflow) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads a point in time; the query's schema has checked that it is one.
fn point(text: &str) -> Option<i64> {
    id::Millis::parse(text).map(|millis| millis.0)
}
