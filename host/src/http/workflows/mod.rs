//! Workflows: what there is. Their runs are in `runs`, how they are begun and go on in `drive`.

mod graph;
mod info;
mod request;
mod run;
mod stream;

pub(super) mod drive;
pub(super) mod runs;

use axum::{Json, extract::State};
use serde_json::{Map, Value};

use super::{
    error::ApiError,
    extract::{PathId, Query},
};
use crate::{
    app::{App, AppState},
    engine::workflow::Graphs,
    store::runs::RunRow,
};
use request::ListQuery;

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

async fn graphs(app: &App, row: &RunRow) -> Result<Graphs, ApiError> {
    app.workflows.graphs(row).await?.ok_or_else(|| ApiError::internal("the graph of a run is not stored"))
}
