//! Runs of all workflows, for those who look after a server: what there is and how it stands. What
//! went into a run and came out is told by its own page, in `workflows`.

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{access::Asker, error::ApiError, extract::Query};
use crate::{
    app::AppState,
    store::runs::{RunFilter, RunHead},
    types::{id::Millis, run::RunStatus},
};

/// Runs on a page if the caller does not say.
const PER_PAGE: u64 = 50;

/// Which runs are listed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Those of this workflow.
    workflow_id: Option<String>,
    /// Those that stand so.
    #[schemars(schema_with = "status")]
    status: Option<String>,
    /// Those for this one.
    resource_id: Option<String>,
    /// Those made then or later.
    #[schemars(extend("format" = "date-time"))]
    from_date: Option<String>,
    /// Those made then or before.
    #[schemars(extend("format" = "date-time"))]
    to_date: Option<String>,
    /// Which page, from 0.
    #[schemars(range(min = 0))]
    page: Option<u64>,
    /// Runs on a page, 50 if absent.
    #[schemars(range(min = 1, max = 500))]
    per_page: Option<u64>,
}

/// A page of runs, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListResponse {
    runs: Vec<RunResponse>,
    /// How many there are in all.
    total: u64,
    /// Which page, from 0.
    page: u64,
    /// Runs on a page.
    per_page: u64,
    /// Whether there are more behind it.
    has_more: bool,
}

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunResponse {
    /// Names it.
    run_id: String,
    /// Its workflow, which may be gone.
    workflow_id: String,
    /// How it stands.
    #[schemars(schema_with = "status")]
    status: &'static str,
    /// When it was made, ISO 8601 as all times here.
    created_at: String,
    /// When it changed last.
    updated_at: String,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    /// When it goes on by itself, if it waits for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    wake_at: Option<String>,
    /// The steps at which it waits for somebody; of a workflow inside it as `inner.ask`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting_at: Vec<String>,
}

fn status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": RunStatus::ALL.map(RunStatus::as_str)})
}

/// Lists the runs of all workflows.
pub(super) async fn list(
    State(app): State<AppState>,
    asker: Asker,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListResponse>, ApiError> {
    let (page, per_page) = (query.page.unwrap_or(0), query.per_page.unwrap_or(PER_PAGE));
    let owner = asker.owner(query.resource_id)?;
    let time = |text: Option<&str>| text.and_then(Millis::parse).map(|time| time.0);
    let wanted = RunFilter {
        workflow_id: query.workflow_id.as_deref(),
        resource_id: owner.as_deref(),
        status: query.status.as_deref().and_then(RunStatus::of),
        from: time(query.from_date.as_deref()),
        to: time(query.to_date.as_deref()),
        limit: Some(per_page),
        offset: page.saturating_mul(per_page),
    };
    let runs = app.workflows.runs();
    let found = runs.heads(&wanted).await?;
    let waiting = found.entries.iter().filter(|run| run.status == RunStatus::Suspended);
    let mut places = runs.waiting_at(&waiting.map(|run| run.run_id.as_str()).collect::<Vec<_>>()).await?;
    let has_more = wanted.offset.saturating_add(found.entries.len() as u64) < found.total;
    let shown = found.entries.into_iter().map(|run| {
        let waiting_at = places.remove(&run.run_id).unwrap_or_default();
        RunResponse { waiting_at: waiting_at.into_iter().collect(), ..RunResponse::from(run) }
    });
    Ok(Json(ListResponse { runs: shown.collect(), total: found.total, page, per_page, has_more }))
}

impl From<RunHead> for RunResponse {
    fn from(run: RunHead) -> Self {
        Self {
            run_id: run.run_id,
            workflow_id: run.workflow_id,
            status: run.status.as_str(),
            created_at: Millis(run.created_at).iso(),
            updated_at: Millis(run.updated_at).iso(),
            resource_id: run.resource_id,
            wake_at: run.wake_at.map(|time| Millis(time).iso()),
            waiting_at: Vec::new(),
        }
    }
}
