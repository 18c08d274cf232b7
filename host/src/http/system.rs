//! Endpoints about the server itself: health, who may call, what it is made of.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::access::MaybeAsker;
use crate::app::AppState;

/// The server is up.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Health {
    /// Always.
    success: bool,
}

pub(super) async fn health() -> Json<Health> {
    Json(Health { success: true })
}

/// Whether the server can do its work.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Readiness {
    /// It can.
    ready: bool,
    /// What it lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Answers 503 while the store cannot be used, so that a load balancer looks elsewhere. What is wrong is
/// told to those who may see it.
pub(super) async fn ready(State(app): State<AppState>, MaybeAsker(asker): MaybeAsker) -> (StatusCode, Json<Readiness>) {
    let reason = app.store.problem().await;
    let ready = reason.is_none();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_told = !app.auth.is_required() || asker.is_some();
    (status, Json(Readiness { ready, reason: reason.filter(|_| is_told) }))
}

/// What the server is made of.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Packages {
    /// Packages of the reference server's language; there are none here.
    packages: Vec<String>,
    /// It is no development server.
    is_dev: bool,
    /// Agents cannot be edited over the API.
    cms_enabled: bool,
    /// There are no calls by voice.
    live_kit_connection_route_enabled: bool,
    /// Traces can be asked for.
    observability_enabled: bool,
    /// What keeps threads, runs and workflows.
    storage_type: String,
    /// What keeps traces.
    observability_storage_type: String,
    /// What can be asked of it; nothing is said if nothing is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    observability_storage_capabilities: Option<Capabilities>,
    /// How traces get there: each span is recorded as it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    observability_runtime_strategy: Option<&'static str>,
}

/// What can be asked of what is recorded.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Capabilities {
    /// Metrics.
    metrics: bool,
    /// Log records.
    logs: bool,
    /// What is new since a cursor.
    delta_polling: bool,
    /// Traces by a predicate.
    trace_query: bool,
    /// By how long they took, too.
    trace_query_root_duration: bool,
    /// What predicates may ask about.
    trace_query_discovery: bool,
}

pub(super) async fn packages(State(app): State<AppState>) -> Json<Packages> {
    let system = &app.config.system;
    let records = app.config.record.is_on();
    let capabilities = Capabilities {
        metrics: true,
        logs: true,
        delta_polling: true,
        trace_query: true,
        trace_query_root_duration: true,
        trace_query_discovery: true,
    };
    Json(Packages {
        packages: Vec::new(),
        is_dev: false,
        cms_enabled: false,
        live_kit_connection_route_enabled: false,
        observability_enabled: system.observability_enabled.unwrap_or(records),
        storage_type: system.storage_type.clone(),
        observability_storage_type: system.observability_storage_type.clone(),
        observability_storage_capabilities: records.then_some(capabilities),
        observability_runtime_strategy: records.then_some("event-sourced"),
    })
}

/// The answer of lists by name of which Hotbay has no entries.
pub(super) async fn none_by_name() -> Json<BTreeMap<String, Value>> {
    Json(BTreeMap::new())
}

pub(super) async fn providers(State(app): State<AppState>) -> Json<Value> {
    Json(json!({"providers": app.models.providers()}))
}
