//! Log records as Studio reads them: `GET /observability/logs`. [`crate::http::logs`] has the
//! same records as the logger wrote them.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    around,
    context::{self, ContextQuery},
    page::{self, PageQuery},
    range::DateRange,
    traces::direction,
};
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        extract::Query,
    },
    observe::{Observe, Order, Window, attrs::Key, filter::Filter},
    types::log::{Level, LogRecord},
};

/// Spans of an entity whose log records are looked for, the newest ones.
const SPANS: u64 = 1000;

/// Which log records are listed, in which order.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    #[serde(flatten)]
    context: ContextQuery,
    #[serde(flatten)]
    page: PageQuery,
    /// When it was written.
    timestamp: Option<DateRange>,
    /// The span.
    span_id: Option<String>,
    /// Its level, or several.
    #[schemars(schema_with = "levels")]
    level: Option<Vec<String>>,
    /// Where it comes from: `host`, a plugin, another service.
    transport: Option<String>,
    /// The part that wrote it.
    component: Option<String>,
    /// By what the list is ordered.
    #[schemars(schema_with = "field")]
    field: Option<String>,
    /// Which way; the newest first if absent.
    #[schemars(schema_with = "direction")]
    direction: Option<String>,
}

fn levels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string", "enum": Level::ALL.map(Level::as_str)}})
}

fn field(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["timestamp"]})
}

impl ListQuery {
    async fn filter(&self, observe: &Observe) -> Result<Filter, ApiError> {
        let part = Invalid::Query;
        let mut all = vec![self.context.without_entity(part)?];
        if let Some(range) = &self.timestamp {
            all.push(Filter::Time(range.between(part, "timestamp")?));
        }
        if let Some(levels) = self.level.as_ref().filter(|levels| !levels.is_empty()) {
            all.push(Filter::Level(levels.iter().filter_map(|level| Level::parse(level)).collect()));
        }
        let keys = [(Key::SpanId, &self.span_id), (Key::Transport, &self.transport), (Key::Component, &self.component)];
        all.extend(context::keys(keys));
        if let Some(entity) = self.context.entity() {
            all.push(of_entity(observe, entity).await?);
        }
        all.push(around::logs(observe, &self.context, part).await?);
        Ok(context::and(all))
    }
}

/// Returns the condition that a record belongs to the traces an entity worked in: records
/// themselves know no entity.
async fn of_entity(observe: &Observe, entity: Filter) -> Result<Filter, ApiError> {
    let window = Window { order: Order::NewestFirst, offset: 0, limit: SPANS };
    let spans = observe.spans(entity, window).await?.records;
    let traces: BTreeSet<String> = spans.iter().map(|span| span.trace_id.clone()).collect();
    Ok(Filter::Is(Key::TraceId, traces.into_iter().collect()))
}

/// Lists log records.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let filter = query.filter(&app.observe).await?;
    let order = if query.direction.as_deref() == Some("ASC") { Order::OldestFirst } else { Order::NewestFirst };
    Ok(Json(page::list(&app.observe, &query.page, filter, order, "logs", shown).await?))
}

fn shown(log: &LogRecord) -> Value {
    let mut data = Map::new();
    data.insert("transport".to_owned(), log.transport.as_str().into());
    if !log.component.is_empty() {
        data.insert("component".to_owned(), log.component.as_str().into());
    }
    for (name, value) in &log.fields {
        data.insert(name.clone(), value.clone());
    }
    json!({
        "logId": log.id,
        "timestamp": log.time.iso(),
        "level": log.level.as_str(),
        "message": log.message,
        "data": data,
        "traceId": log.trace_id,
        "spanId": log.span_id,
        "runId": log.run_id,
        "threadId": log.thread_id,
        "resourceId": log.resource_id,
        "requestId": log.request_id,
        "environment": log.environment,
        "serviceName": log.service_name,
    })
}
