//! Lists of traces, by their first spans, and of branches: of runs and calls wherever in a
//! trace they are.

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    around,
    context::{self, ContextQuery},
    page::{self, PageQuery},
    range::{DateRange, Lengths},
    span,
};
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        extract::Query,
    },
    observe::{Order, attrs::Key, filter::Filter},
    types::span::{Span, SpanKind, SpanStatus},
};

/// What people look for by itself, wherever in a trace it is.
const BRANCHES: [SpanKind; 9] = [
    SpanKind::AgentRun,
    SpanKind::WorkflowRun,
    SpanKind::ProcessorRun,
    SpanKind::ScorerRun,
    SpanKind::RagIngestion,
    SpanKind::ToolCall,
    SpanKind::McpToolCall,
    SpanKind::McpServerRequest,
    SpanKind::ProviderToolCall,
];

/// Which spans are listed, in which order.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    #[serde(flatten)]
    context: ContextQuery,
    #[serde(flatten)]
    page: PageQuery,
    /// When it began.
    started_at: Option<DateRange>,
    /// When it ended; what runs has not.
    ended_at: Option<DateRange>,
    /// When it began, by another name.
    date_range: Option<DateRange>,
    /// What it times.
    #[schemars(schema_with = "span_type")]
    span_type: Option<String>,
    /// Its exact name.
    name: Option<String>,
    /// How it stands.
    #[schemars(schema_with = "status")]
    status: Option<String>,
    /// Whether something below it failed.
    has_child_error: Option<bool>,
    /// What its metadata must hold.
    #[schemars(schema_with = "record")]
    metadata: Option<Map<String, Value>>,
    /// What its scope must hold.
    #[schemars(schema_with = "record")]
    scope: Option<Map<String, Value>>,
    /// How long it took, in milliseconds.
    duration: Option<Lengths>,
    /// The model.
    model: Option<String>,
    /// The model's provider.
    provider: Option<String>,
    /// By what the list is ordered.
    #[schemars(schema_with = "field")]
    field: Option<String>,
    /// Which way; the latest first if absent.
    #[schemars(schema_with = "direction")]
    direction: Option<String>,
}

fn span_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": SpanKind::ALL.map(SpanKind::as_str).to_vec()})
}

fn status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": SpanStatus::ALL.map(SpanStatus::as_str)})
}

fn record(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

fn field(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["startedAt", "endedAt"]})
}

/// Returns the schema of which way a list goes.
pub(super) fn direction(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["ASC", "DESC"]})
}

impl ListQuery {
    fn filter(&self) -> Result<Filter, ApiError> {
        let part = Invalid::Query;
        let mut all = vec![self.context.filter(part)?];
        for (range, name) in [(&self.started_at, "startedAt"), (&self.date_range, "dateRange")] {
            if let Some(range) = range {
                all.push(Filter::Time(range.between(part, name)?));
            }
        }
        if let Some(range) = &self.ended_at {
            all.push(Filter::Ended(range.between(part, "endedAt")?));
        }
        let keys = [
            (Key::SpanType, &self.span_type),
            (Key::Name, &self.name),
            (Key::Status, &self.status),
            (Key::Model, &self.model),
            (Key::Provider, &self.provider),
        ];
        all.extend(context::keys(keys));
        match self.has_child_error {
            Some(true) => all.push(Filter::HasChildError),
            Some(false) => all.push(Filter::Not(Box::new(Filter::HasChildError))),
            None => {}
        }
        for (prefix, wanted) in [("", &self.metadata), ("scope", &self.scope)] {
            all.extend(wanted.iter().flat_map(|wanted| context::fields(prefix, wanted)));
        }
        if let Some(lengths) = self.duration {
            all.push(Filter::Took(lengths.into()));
        }
        Ok(context::and(all))
    }

    fn order(&self) -> Order {
        let is_ascending = self.direction.as_deref() == Some("ASC");
        match (self.field.as_deref(), is_ascending) {
            (Some("endedAt"), true) => Order::EarliestEndFirst,
            (Some("endedAt"), false) => Order::LatestEndFirst,
            (_, true) => Order::OldestFirst,
            (_, false) => Order::NewestFirst,
        }
    }

    fn roots(&self) -> Filter {
        match self.context.entity_type.as_deref() {
            Some(context::PLUGIN) => Filter::Root,
            _ => roots(),
        }
    }

    async fn list(
        &self,
        app: &AppState,
        anchors: Filter,
        name: &str,
        shown: fn(&Span) -> Value,
    ) -> Result<Value, ApiError> {
        let around = around::spans(&app.observe, &self.context, Invalid::Query).await?;
        let filter = self.filter()?.and(anchors).and(around);
        page::list(&app.observe, &self.page, filter, self.order(), name, shown).await
    }
}

/// Returns the condition that a span is the first of a trace of what somebody asked for: that
/// plugins were loaded is listed to those who ask for it by `entityType`.
pub(super) fn roots() -> Filter {
    Filter::Root.and(Filter::Not(Box::new(Filter::is(Key::EntityType, context::PLUGIN))))
}

/// Lists traces: the first span of each.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(query.list(&app, query.roots(), "spans", span::whole).await?))
}

/// Lists traces without what goes in and comes out.
pub(in crate::http) async fn light(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(query.list(&app, query.roots(), "spans", span::row).await?))
}

/// Lists runs and calls.
pub(in crate::http) async fn branches(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let anchors = Filter::Is(Key::SpanType, BRANCHES.map(|kind| kind.as_str().to_owned()).to_vec());
    Ok(Json(query.list(&app, anchors, "branches", span::whole).await?))
}

/// Lists traces as the documentation has it: the page's numbers stand at the top.
pub(in crate::http) async fn documented(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let mut answer = query.list(&app, query.roots(), "spans", span::whole).await?;
    answer["traces"] = answer["spans"].clone();
    for name in ["total", "page", "perPage", "hasMore"] {
        if let Some(value) = answer["pagination"].get(name).cloned() {
            answer[name] = value;
        }
    }
    Ok(Json(answer))
}
