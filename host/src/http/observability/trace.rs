//! One trace: its spans, one of them, what is below one, and the steps it took.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{span, trajectory};
use crate::{
    app::AppState,
    http::{
        error::ApiError,
        extract::{Path, PathId, Query},
    },
    types::span::Span,
};

/// How much of a branch is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct BranchQuery {
    /// How far below the span: with 0 the span alone, everything if absent.
    #[serde(default)]
    #[schemars(range(min = 0))]
    depth: Option<u32>,
}

/// Returns all spans of a trace, in the order they began.
pub(in crate::http) async fn get(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    let spans = spans(&app, &id).await?;
    Ok(Json(json!({"traceId": id, "spans": spans.iter().map(|it| span::whole(it)).collect::<Vec<_>>()})))
}

/// Returns a trace without what goes in and comes out.
pub(in crate::http) async fn light(State(app): State<AppState>, PathId(id): PathId) -> Result<Json<Value>, ApiError> {
    let spans = spans(&app, &id).await?;
    Ok(Json(json!({"traceId": id, "spans": spans.iter().map(|it| span::light(it)).collect::<Vec<_>>()})))
}

/// Returns one span.
pub(in crate::http) async fn one(
    State(app): State<AppState>,
    Path((trace_id, span_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let spans = app.observe.trace(&trace_id).await?;
    let found = spans.iter().find(|it| it.span_id == span_id);
    Ok(Json(json!({"span": span::without_status(found.ok_or_else(no_span)?)})))
}

/// Returns a span and what is below it.
pub(in crate::http) async fn branch(
    State(app): State<AppState>,
    Path((trace_id, span_id)): Path<(String, String)>,
    Query(query): Query<BranchQuery>,
) -> Result<Json<Value>, ApiError> {
    let spans = app.observe.trace(&trace_id).await?;
    if !spans.iter().any(|it| it.span_id == span_id) {
        return Err(no_span());
    }
    let kept = below(&spans, &span_id, query.depth.unwrap_or(u32::MAX));
    let shown: Vec<_> =
        spans.iter().filter(|it| kept.contains(it.span_id.as_str())).map(|it| span::whole(it)).collect();
    Ok(Json(json!({"traceId": trace_id, "spans": shown})))
}

/// Returns the steps a trace took: its runs, calls and answers, each with those below it.
pub(in crate::http) async fn trajectory(
    State(app): State<AppState>,
    PathId(id): PathId,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(trajectory::of(&spans(&app, &id).await?)))
}

async fn spans(app: &AppState, id: &str) -> Result<Vec<Arc<Span>>, ApiError> {
    let spans = app.observe.trace(id).await?;
    if spans.is_empty() {
        return Err(ApiError::not_found(format!("Trace with ID '{id}' not found")));
    }
    Ok(spans)
}

fn no_span() -> ApiError {
    ApiError::not_found("Span not found")
}

/// Returns the ids of a span and of those at most so far below it.
fn below<'a>(spans: &'a [Arc<Span>], root: &'a str, depth: u32) -> HashSet<&'a str> {
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    for span in spans {
        children.entry(span.parent_id.as_deref().unwrap_or_default()).or_default().push(&span.span_id);
    }
    let mut kept = HashSet::from([root]);
    let mut last = vec![root];
    for _ in 0..depth {
        // A span that is below itself, as another service may send it, is met once.
        last = last.iter().flat_map(|id| children.get(id).into_iter().flatten()).copied().collect();
        last.retain(|id| kept.insert(id));
        if last.is_empty() {
            break;
        }
    }
    kept
}
