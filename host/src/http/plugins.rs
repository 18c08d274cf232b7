//! Endpoints about plugins: what is loaded, and changing it while the server runs.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    error::{ApiError, Invalid},
    extract::{Body, PathId},
};
use crate::{
    app::{App, AppState},
    config,
    plugin::settings::CanaryPlan,
    types::plugin::{CanaryStatus, PluginStatus},
};

/// How a build is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CanaryRequest {
    /// The share of calls it gets; 10 if absent.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 100))]
    percent: Option<f64>,
    /// For how long, as `90s`, `5m` or `2h`; 5m if absent.
    #[serde(default, rename = "for")]
    time: Option<String>,
    /// How many calls are needed to judge it; 20 if absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    min_calls: Option<u64>,
    /// The hash, or how it begins, of a build that was loaded before; else the file's if another one serves, else the next one.
    #[serde(default)]
    build: Option<String>,
}

impl CanaryRequest {
    fn plan(&self) -> Result<CanaryPlan, ApiError> {
        let usual = CanaryPlan::default();
        let time = self.time.as_deref().map(config::parse_time).transpose();
        let time =
            time.map_err(|expected| ApiError::invalid_field(Invalid::Body, "for", format!("expected {expected}")))?;
        Ok(CanaryPlan {
            percent: self.percent.unwrap_or(usual.percent),
            time: time.unwrap_or(usual.time),
            min_calls: self.min_calls.unwrap_or(usual.min_calls),
        })
    }
}

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

/// Tries a build on a share of the calls.
pub(super) async fn try_out(
    State(app): State<AppState>,
    PathId(name): PathId,
    Body(request): Body<CanaryRequest>,
) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.canary(&name, request.plan()?, request.build.as_deref()).await?;
    status(&app, &name)
}

/// Returns the build that is tried, or was last.
pub(super) async fn canary(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<CanaryStatus>, ApiError> {
    let Json(status) = status(&app, &name)?;
    let none = || ApiError::not_found(format!("No build of plugin {name} is or was tried"));
    status.canary.map(Json).ok_or_else(none)
}

/// Lets the build that is tried serve alone.
pub(super) async fn promote(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.promote(&name).await?;
    status(&app, &name)
}

/// Gives the build that is tried up.
pub(super) async fn abort(State(app): State<AppState>, PathId(name): PathId) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.abort(&name).await?;
    status(&app, &name)
}

fn status(app: &App, name: &str) -> Result<Json<PluginStatus>, ApiError> {
    app.plugins.get(name).map(Json).ok_or_else(|| ApiError::not_found(format!("Plugin with name {name} not found")))
}
