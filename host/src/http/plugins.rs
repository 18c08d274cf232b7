//! Endpoints about plugins: what is loaded, and changing it while the server runs.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{error::ApiError, extract::PathId};
use crate::{
    app::{App, AppState},
    types::plugin::PluginStatus,
};

/// All plugins.
#[derive(Debug, Serialize)]
pub(super) struct ListResponse {
    plugins: Vec<PluginStatus>,
}

pub(super) async fn list(State(app): State<AppState>) -> Json<ListResponse> {
    Json(ListResponse { plugins: app.plugins.list() })
}

pub(super) async fn get(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<PluginStatus>, ApiError> {
    status(&app, &name)
}

pub(super) async fn reload(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.reload(&name).await?;
    status(&app, &name)
}

pub(super) async fn rollback(
    State(app): State<AppState>,
    PathId(name): PathId,
) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.rollback(&name).await?;
    status(&app, &name)
}

pub(super) async fn disable(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.disable(&name).await?;
    status(&app, &name)
}

pub(super) async fn enable(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.enable(&name).await?;
    status(&app, &name)
}

fn status(app: &App, name: &str) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.get(name).map(Json).ok_or_else(|| ApiError::not_found(format!("Plugin with name {name} not found")))
}
