//! What is found by the entities around it. Records do not say who is around them, their traces
//! do: the spans of those entities are found first, and then what is below them.

use std::{collections::BTreeSet, sync::Arc};

use super::context::ContextQuery;
use crate::{
    http::error::{ApiError, Invalid},
    observe::{Observe, Window, attrs::Key, filter::Filter},
    types::span::Span,
};

/// Spans of an entity, or below one, at most; with more, the question is refused.
const MOST: u64 = 10_000;

/// Returns the condition on spans that the entities around them are those asked for.
pub(super) async fn spans(observe: &Observe, context: &ContextQuery, part: Invalid) -> Result<Filter, ApiError> {
    let parent = below_parents(observe, context, part).await?.unwrap_or_default();
    Ok(parent.and(in_traces(observe, context, part).await?))
}

/// Returns the condition on log records that the entities around their spans are those asked for.
pub(super) async fn logs(observe: &Observe, context: &ContextQuery, part: Invalid) -> Result<Filter, ApiError> {
    let of_traces = in_traces(observe, context, part).await?;
    let Some(below) = below_parents(observe, context, part).await? else { return Ok(of_traces) };
    let spans = few(observe, below, part, "parentEntityName").await?;
    Ok(of_traces.and(Filter::Is(Key::SpanId, ids(&spans, |span| &span.span_id))))
}

async fn below_parents(observe: &Observe, context: &ContextQuery, part: Invalid) -> Result<Option<Filter>, ApiError> {
    let Some(entity) = context.parent_entity() else { return Ok(None) };
    let parents = few(observe, entity, part, "parentEntityName").await?;
    let traces = Filter::Is(Key::TraceId, ids(&parents, |span| &span.trace_id));
    // Ids of spans are their own in a trace only.
    Ok(Some(Filter::Is(Key::ParentSpanId, ids(&parents, |span| &span.span_id)).and(traces)))
}

async fn in_traces(observe: &Observe, context: &ContextQuery, part: Invalid) -> Result<Filter, ApiError> {
    let Some(entity) = context.root_entity() else { return Ok(Filter::All) };
    let roots = few(observe, entity.and(Filter::Root), part, "rootEntityName").await?;
    Ok(Filter::Is(Key::TraceId, ids(&roots, |span| &span.trace_id)))
}

/// Returns spans, of which there must not be too many.
async fn few(observe: &Observe, filter: Filter, part: Invalid, field: &str) -> Result<Vec<Arc<Span>>, ApiError> {
    let found = observe.spans(filter, Window { limit: MOST, ..Window::default() }).await?;
    if found.total > MOST {
        let message = format!("More than {MOST} spans are such: ask for one entity by its name");
        return Err(ApiError::invalid_field(part, field, message));
    }
    Ok(found.records)
}

fn ids(spans: &[Arc<Span>], id: impl Fn(&Span) -> &String) -> Vec<String> {
    let ids: BTreeSet<&String> = spans.iter().map(|span| id(span)).collect();
    ids.into_iter().cloned().collect()
}
