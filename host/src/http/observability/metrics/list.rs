//! Metrics one by one: each value with what is known of the span it was measured on.

use std::{cmp::Reverse, sync::Arc};

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Columns, count,
    filter::Filters,
    names::{METRICS, Metric, STATUS, label},
};
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        extract::Query,
        observability::{
            page::{self, PageQuery},
            sum::number,
            traces::direction,
        },
    },
    observe::{Counted, Observe, Order, Window, attrs, filter::Filter},
    types::{id::Millis, span::Span},
};

/// How far into the list a page may be. What is further is found by a time.
const FURTHEST: u64 = 10_000;

/// Which values are listed, in which order.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct ListQuery {
    #[serde(flatten)]
    filters: Filters,
    #[serde(flatten)]
    page: PageQuery,
    /// By what the list is ordered.
    #[serde(default)]
    #[schemars(schema_with = "field")]
    #[expect(dead_code, reason = "there is one way only, and clients name it")]
    field: Option<String>,
    /// Which way; the newest first if absent.
    #[serde(default)]
    #[schemars(schema_with = "direction")]
    direction: Option<String>,
}

fn field(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["timestamp"]})
}

/// A value that is listed.
struct Entry {
    metric: &'static Metric,
    span: Arc<Span>,
    at: Millis,
    value: f64,
}

/// Lists the values of metrics.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    if let Some((news, mut answer)) = news(&app.observe, &query).await? {
        answer["metrics"] = news.iter().map(shown).collect();
        return Ok(Json(answer));
    }
    let (page, per_page) = query.page.numbers();
    let end = page.saturating_add(1).saturating_mul(per_page);
    if end > FURTHEST {
        let message = format!("Too big: only the first {FURTHEST} metrics are listed, narrow timestamp");
        return Err(ApiError::invalid_field(Invalid::Query, "page", message));
    }
    let is_ascending = query.direction.as_deref() == Some("ASC");
    let order = if is_ascending { Order::EarliestEndFirst } else { Order::LatestEndFirst };
    let (mut entries, mut total) = (Vec::new(), 0);
    for (metric, filter) in wanted(&app.observe, &query.filters).await? {
        count(&app.observe, metric, filter.clone(), &Columns::default(), |_| total += 1).await?;
        // Each metric could have all of the page.
        let window = Window { order, offset: 0, limit: end };
        entries.extend(measured(metric, app.observe.spans(filter, window).await?.records));
    }
    if is_ascending {
        entries.sort_by_key(|entry| entry.at);
    } else {
        entries.sort_by_key(|entry| Reverse(entry.at));
    }
    let offset = usize::try_from(page.saturating_mul(per_page)).unwrap_or(usize::MAX);
    let limit = usize::try_from(per_page).unwrap_or(usize::MAX);
    let metrics: Vec<Value> = entries.iter().skip(offset).take(limit).map(shown).collect();
    Ok(Json(json!({"pagination": page::pagination(total, page, per_page), "metrics": metrics})))
}

/// Returns what is new, and what is said about it, if that is what is asked for: the values of
/// the spans that are new.
async fn news(observe: &Observe, query: &ListQuery) -> Result<Option<(Vec<Entry>, Value)>, ApiError> {
    let wanted = wanted(observe, &query.filters).await?;
    let filter = Filter::Or(wanted.iter().map(|(_, filter)| filter.clone()).collect());
    let Some(news) = page::news_of::<Span>(observe, &query.page, filter).await? else { return Ok(None) };
    let mut entries = Vec::new();
    for span in &news.records {
        for (metric, _) in wanted.iter().filter(|(metric, _)| metric.kinds.contains(&span.kind)) {
            entries.extend(measured(metric, vec![Arc::clone(span)]));
        }
    }
    Ok(Some((entries, news.answer())))
}

/// Returns the metrics that are asked for, and from which spans they are counted.
async fn wanted(observe: &Observe, filters: &Filters) -> Result<Vec<(&'static Metric, Filter)>, ApiError> {
    let all: Vec<&str> = match filters.names() {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => METRICS.iter().map(|metric| metric.name).collect(),
    };
    let around = filters.around(observe, Invalid::Query).await?;
    let mut wanted = Vec::new();
    for metric in all.into_iter().filter_map(Metric::find) {
        if let Some(filter) = filters.of(metric, Invalid::Query)? {
            wanted.push((metric, filter.and(around.clone())));
        }
    }
    Ok(wanted)
}

fn measured(metric: &'static Metric, spans: Vec<Arc<Span>>) -> impl Iterator<Item = Entry> {
    spans.into_iter().filter_map(move |span| {
        let tokens = |name| span.attributes.get(attrs::span::USAGE)?.get(name)?.as_u64();
        let counted = Counted {
            started_at: span.started_at,
            duration: span.duration(),
            input_tokens: tokens("inputTokens"),
            output_tokens: tokens("outputTokens"),
            keys: Vec::new(),
        };
        let value = metric.value(&counted)?;
        Some(Entry { metric, at: span.ended_at?, value, span })
    })
}

fn shown(entry: &Entry) -> Value {
    let Entry { metric, span, at, value } = entry;
    let attribute = |name| span.attributes.get(name).filter(|value| value.is_string());
    let entity = span.entity.as_ref();
    let labels = if metric.has_status() { json!({STATUS: label(span.status().as_str())}) } else { json!({}) };
    json!({
        "metricId": format!("{}-{}", span.span_id, metric.name),
        "timestamp": at.iso(),
        "name": metric.name,
        "value": number(Some(*value)),
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "entityType": entity.map(|entity| &entity.kind),
        "entityId": entity.map(|entity| &entity.id),
        "entityName": entity.map(|entity| &entity.name),
        "resourceId": span.resource_id,
        "runId": span.run_id,
        "threadId": span.thread_id,
        "requestId": span.request_id,
        "environment": span.environment,
        "serviceName": span.service_name,
        "tags": if span.tags.is_empty() { Value::Null } else { json!(span.tags) },
        "provider": attribute(attrs::span::PROVIDER),
        "model": attribute(attrs::span::MODEL),
        "labels": labels,
    })
}
