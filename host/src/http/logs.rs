//! Log records as the logger wrote them, by where they come from.
//!
//! A *transport* is where records come from: `host`, each plugin, each other service that sends
//! its own. With a log file there is `file` too: everything that is in the file. Unlike other
//! lists this one is read from its beginning; `direction=DESC` turns it around.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    error::{ApiError, Invalid},
    extract::{PathId, Query},
    observability::{FURTHEST, range, short},
};
use crate::{
    app::AppState,
    observe::{
        Order, Window,
        attrs::Key,
        filter::{Between, Filter},
        line,
        record::RecordKind,
    },
    types::log::Level,
};

/// Records on a page if the caller does not say.
const PER_PAGE: u64 = 100;
/// The transport of what is in the log file.
const FILE: &str = "file";
/// The transport of the host itself.
const HOST: &str = "host";

/// Which records are listed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListQuery {
    /// Where they come from; from everywhere if absent.
    transport_id: Option<String>,
    /// Which page, from 0.
    #[schemars(schema_with = "from_zero")]
    page: Option<u64>,
    /// Records on a page.
    #[schemars(schema_with = "a_page")]
    per_page: Option<u64>,
    /// Those written then or later.
    #[schemars(extend("format" = "date-time"))]
    from_date: Option<String>,
    /// Those written then or before.
    #[schemars(extend("format" = "date-time"))]
    to_date: Option<String>,
    /// Those of this level.
    #[schemars(schema_with = "levels")]
    log_level: Option<String>,
    /// `key:value`, may be repeated; all must hold.
    filters: Option<Vec<String>>,
    /// A query in the index's own syntax, over message and fields.
    q: Option<String>,
    /// Which way; the oldest first if absent.
    #[schemars(schema_with = "direction")]
    direction: Option<String>,
}

/// A page of records.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListResponse {
    /// The records: `level`, `time`, `msg` and whatever else they say.
    logs: Vec<Map<String, Value>>,
    /// How many there are in all.
    total: u64,
    /// Which page, from 0.
    page: u64,
    /// Records on a page.
    per_page: u64,
    /// Whether there are more behind it.
    has_more: bool,
}

/// Where records come from.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Transports {
    /// In order.
    transports: Vec<String>,
}

fn from_zero(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": FURTHEST})
}

fn a_page(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0, "maximum": 10_000})
}

fn levels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["debug", "info", "warn", "error", "silent"]})
}

fn direction(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["ASC", "DESC"]})
}

/// Lists where records come from.
pub(super) async fn transports(State(app): State<AppState>) -> Result<Json<Transports>, ApiError> {
    let mut transports: BTreeSet<String> =
        app.observe.values(RecordKind::Logs, Key::Transport, Filter::All).await?.into_iter().collect();
    transports.insert(HOST.to_owned());
    transports.extend(app.plugins.list().into_iter().map(|plugin| plugin.name));
    if app.config.log.file.is_some() {
        transports.insert(FILE.to_owned());
    }
    Ok(Json(Transports { transports: transports.into_iter().collect() }))
}

/// Lists records.
pub(super) async fn list(
    State(app): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListResponse>, ApiError> {
    page(&app, &query, Filter::All).await
}

/// Lists the records of a run.
pub(super) async fn by_run(
    State(app): State<AppState>,
    PathId(run_id): PathId,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListResponse>, ApiError> {
    page(&app, &query, Filter::is(Key::RunId, run_id)).await
}

async fn page(app: &AppState, query: &ListQuery, of: Filter) -> Result<Json<ListResponse>, ApiError> {
    let filter = query.filter(app.config.log.file.is_some())?.and(of);
    let (page, per_page) = (query.page.unwrap_or(0), query.per_page.unwrap_or(PER_PAGE));
    let order = if query.direction.as_deref() == Some("DESC") { Order::NewestFirst } else { Order::OldestFirst };
    let window = Window { order, offset: page.saturating_mul(per_page), limit: per_page };
    let found = app.observe.logs(filter, window).await?;
    let end = page.saturating_add(1).saturating_mul(per_page);
    Ok(Json(ListResponse {
        logs: found.records.iter().map(|log| line::of(log)).collect(),
        total: found.total,
        page,
        per_page,
        has_more: end < found.total,
    }))
}

impl ListQuery {
    fn filter(&self, has_file: bool) -> Result<Filter, ApiError> {
        let mut filter = Filter::All;
        if let Some(transport) = self.transport_id.as_deref() {
            filter = filter.and(from(transport, has_file));
        }
        let time = |text: &Option<String>, field| {
            text.as_deref().map(|text| range::time(text, Invalid::Query, field)).transpose()
        };
        let between = Between { from: time(&self.from_date, "fromDate")?, to: time(&self.to_date, "toDate")? };
        if between != Between::default() {
            filter = filter.and(Filter::Time(between));
        }
        if let Some(level) = self.log_level.as_deref() {
            filter = filter.and(Filter::Level(named(level)));
        }
        for (index, pair) in self.filters.iter().flatten().enumerate() {
            let field = format!("filters.{index}");
            let Some((key, value)) = short(pair, Invalid::Query, &field)?.split_once(':') else {
                return Err(ApiError::invalid_field(Invalid::Query, field, "Invalid input: expected key:value"));
            };
            filter = filter.and(is(key.trim(), value.trim()));
        }
        if let Some(q) = self.q.as_deref().filter(|q| !q.trim().is_empty()) {
            filter = filter.and(Filter::Query(short(q, Invalid::Query, "q")?.to_owned()));
        }
        Ok(filter)
    }
}

/// Returns the condition that a record comes from there.
fn from(transport: &str, has_file: bool) -> Filter {
    if transport == FILE && has_file {
        // The file has what this host writes, not what others send.
        return Filter::Not(Box::new(Filter::Has(Key::ServiceName)));
    }
    Filter::is(Key::Transport, transport)
}

/// Returns the levels of a name; errors are fatal or not.
fn named(level: &str) -> Vec<Level> {
    match Level::parse(level) {
        Some(Level::Error) => vec![Level::Error, Level::Fatal],
        Some(level) => vec![level],
        None => Vec::new(),
    }
}

/// Returns the condition that what a line says under a name is this text.
fn is(name: &str, value: &str) -> Filter {
    let key = match name {
        "component" => Key::Component,
        "trace_id" | "traceId" => Key::TraceId,
        "span_id" | "spanId" => Key::SpanId,
        "runId" => Key::RunId,
        "threadId" => Key::ThreadId,
        "resourceId" => Key::ResourceId,
        "requestId" => Key::RequestId,
        "transport" => Key::Transport,
        "serviceName" => Key::ServiceName,
        "environment" => Key::Environment,
        "plugin" => Key::Plugin,
        "logId" => Key::LogId,
        "level" => {
            let is_it = |level: &Level| level.as_str() == value || level.number().to_string() == value;
            return Filter::Level(Level::ALL.into_iter().filter(is_it).collect());
        }
        "name" if value == line::LOGGER => {
            // Most lines do not say who the logger is, and are shown with its name.
            let other = Filter::Not(Box::new(Filter::HasField("name".to_owned())));
            return Filter::Or(vec![Filter::Field("name".to_owned(), value.into()), other]);
        }
        name => {
            let mut any = vec![Filter::Field(name.to_owned(), value.into())];
            // A number or a boolean is meant as well as the text it is written as.
            if let Ok(scalar @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(value) {
                any.push(Filter::Field(name.to_owned(), scalar));
            }
            return Filter::Or(any);
        }
    };
    Filter::is(key, value)
}
