//! Traces found by a predicate: `POST /observability/traces/query`.
//!
//! [`fields`] says what a predicate may ask about, [`predicate`] reads one. What is asked about
//! the spans of a trace is answered first, by the ids of the traces that have such a span; after
//! that a predicate is a condition on first spans like any other.

pub(in crate::http) mod discovery;
mod fields;
mod predicate;
mod said;

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    page::{self, By, Cursor, Direction},
    range, span,
    traces::roots,
};
use crate::{
    app::{App, AppState},
    http::{
        error::{ApiError, FieldIssue, Invalid},
        extract::Body,
    },
    observe::{
        Observe, Order, Window,
        attrs::Key,
        filter::{Between, Filter},
        record::RecordKind,
    },
    types::{id::Millis, span::Span},
};
use predicate::{Predicate, Related};

/// Spans, or traces, that answer a question at most; with more, the question is refused.
const RELATED: usize = 10_000;

/// From when to when; the start belongs to it, the end does not.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(in crate::http) struct TimeRange {
    /// From then.
    #[schemars(extend("format" = "date-time"))]
    from: String,
    /// Until then.
    #[schemars(extend("format" = "date-time"))]
    to: String,
}

/// Which traces are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct QueryRequest {
    /// When they began.
    time_range: TimeRange,
    /// What must hold of them: `{op, left, right}`, `{op, value, set}`, `{op, path}`,
    /// `{op, args}`, `{op: "not", arg}`, `{spans: {some | none}}`.
    #[serde(default, rename = "where")]
    #[schemars(schema_with = "object")]
    predicate: Option<Value>,
    /// `{by: ["threadId"]}` for the conversations they belong to, in place of the traces.
    #[serde(default)]
    #[schemars(schema_with = "group")]
    group: Option<Value>,
    /// One `{field: startedAt | endedAt, direction: asc | desc}`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1))]
    order_by: Option<Vec<OrderBy>>,
    /// What comes after a cursor.
    #[serde(default)]
    page: Option<Keyset>,
    /// A page by its number.
    #[serde(default)]
    pagination: Option<Numbered>,
    /// `delta` for what is new.
    #[serde(default)]
    #[schemars(schema_with = "delta")]
    mode: Option<String>,
    /// The cursor of `delta`.
    #[serde(default)]
    #[schemars(length(min = 1))]
    after: Option<String>,
    /// How many new traces at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u64>,
}

/// By what traces are ordered.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(in crate::http) struct OrderBy {
    /// Which time.
    field: OrderField,
    /// Which way.
    direction: OrderDirection,
}

/// A time traces are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum OrderField {
    /// When it began.
    StartedAt,
    /// When it ended.
    EndedAt,
}

/// A way traces are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OrderDirection {
    /// The earliest first.
    Asc,
    /// The latest first.
    Desc,
}

/// A part of a list by a cursor.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(in crate::http) struct Keyset {
    /// How many at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u64>,
    /// What the page before said is next.
    #[serde(default)]
    #[schemars(length(min = 1), extend("nullable" = true))]
    after: Option<String>,
}

/// A part of a list by its number.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Numbered {
    /// Which page, from 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    page: Option<u64>,
    /// Traces on a page.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    per_page: Option<u64>,
}

fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

fn group(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "required": ["by"], "properties": {
        "by": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string", "enum": ["threadId"]}}
    }})
}

fn delta(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["delta"]})
}

impl TimeRange {
    /// Returns the range.
    fn between(&self) -> Result<Between<Millis>, ApiError> {
        let from = range::time(&self.from, Invalid::Body, "timeRange.from")?;
        let to = range::time(&self.to, Invalid::Body, "timeRange.to")?;
        if from >= to {
            return Err(wrong("timeRange", "`from` must be earlier than `to`"));
        }
        Ok(Between { from: Some(from), to: Some(Millis(to.0.saturating_sub(1))) })
    }
}

/// Returns the error of a request that makes no sense here.
fn wrong(field: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError::invalid(Invalid::Body, [FieldIssue::new(field, message)])
}

impl QueryRequest {
    /// Refuses what cannot be asked together.
    fn check(&self) -> Result<(), ApiError> {
        let given = [
            ("page", self.page.is_some()),
            ("pagination", self.pagination.is_some()),
            ("group", self.group.is_some()),
            ("orderBy", self.order_by.is_some()),
        ];
        if self.mode.is_some() {
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((field, _)) => Err(wrong(*field, format!("Delta trace queries do not support {field}"))),
                None => Ok(()),
            };
        }
        for (field, is_given) in [("after", self.after.is_some()), ("limit", self.limit.is_some())] {
            if is_given {
                return Err(wrong(field, format!("{field} requires delta mode")));
            }
        }
        match (&self.page, &self.pagination, &self.group, &self.order_by) {
            (Some(_), Some(_), _, _) => {
                Err(wrong("pagination", "Trace queries cannot combine keyset and page pagination"))
            }
            (_, Some(_), Some(_), _) => {
                Err(wrong("pagination", "Grouped trace queries do not support page pagination"))
            }
            (_, _, Some(_), Some(_)) => Err(wrong("orderBy", "Grouped trace queries use fixed threadId ordering")),
            _ => Ok(()),
        }
    }

    /// Returns the condition on first spans: that they ended, in time, and the predicate.
    async fn filter(&self, app: &App) -> Result<Filter, ApiError> {
        let between = self.time_range.between()?;
        let mut filter = roots().and(Filter::Time(between)).and(Filter::Ended(Between::default()));
        if let Some(predicate) = &self.predicate {
            let predicate = Predicate::read(predicate)?;
            let mut answers = Vec::new();
            for related in predicate.related() {
                let traces = match related {
                    Related::Spans(filter) => with_span(&app.observe, filter.clone(), between.from).await?,
                    Related::Said(kind, said) => said.traces(&app.store, *kind, RELATED).await?,
                };
                let too_many = || wrong("where", format!("More than {RELATED} are such: narrow timeRange or where"));
                answers.push(traces.ok_or_else(too_many)?.into_iter().collect());
            }
            filter = filter.and(predicate.filter(&answers));
        }
        Ok(filter)
    }
}

/// Returns the traces a predicate is true of.
pub(in crate::http) async fn query(
    State(app): State<AppState>,
    Body(request): Body<QueryRequest>,
) -> Result<Json<Value>, ApiError> {
    request.check()?;
    let filter = request.filter(&app).await?;
    let answer = if request.mode.is_some() {
        news(&app.observe, &request, filter).await?
    } else if request.group.is_some() {
        threads(&app.observe, request.page.as_ref(), filter).await?
    } else {
        let order = request.order_by.as_deref().and_then(<[OrderBy]>::first).copied();
        let order = order.unwrap_or(OrderBy { field: OrderField::StartedAt, direction: OrderDirection::Desc });
        match request.pagination {
            Some(numbered) => numbered_page(&app.observe, numbered, order, filter).await?,
            None => keyset_page(&app.observe, request.page.as_ref(), order, filter).await?,
        }
    };
    Ok(Json(answer))
}

/// Returns the traces that have such a span, `None` if there are too many.
async fn with_span(
    observe: &Observe,
    filter: Filter,
    from: Option<Millis>,
) -> Result<Option<BTreeSet<String>>, ApiError> {
    // No span of a trace begins before its first one.
    let filter = filter.and(Filter::Time(Between { from, to: None }));
    let found = observe.spans(filter, Window { limit: RELATED as u64, ..Window::default() }).await?;
    let ids = found.records.iter().map(|span| span.trace_id.clone()).collect();
    Ok((found.total <= RELATED as u64).then_some(ids))
}

fn shown(traces: &[Arc<Span>]) -> Value {
    traces.iter().map(|root| span::trace(root)).collect()
}

async fn news(observe: &Observe, request: &QueryRequest, filter: Filter) -> Result<Value, ApiError> {
    let limit = request.limit.unwrap_or(10);
    let news = page::news::<Span>(observe, request.after.as_deref(), limit, filter, Invalid::Body).await?;
    let mut answer = news.answer();
    answer["traces"] = shown(&news.records);
    Ok(answer)
}

async fn threads(observe: &Observe, page: Option<&Keyset>, filter: Filter) -> Result<Value, ApiError> {
    let limit = usize::try_from(page.and_then(|page| page.limit).unwrap_or(100)).unwrap_or(usize::MAX);
    let after = page.and_then(|page| page.after.as_deref());
    let mut ids = observe.values(RecordKind::Spans, Key::ThreadId, filter).await?;
    ids.retain(|id| after.is_none_or(|after| id.as_str() > after));
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let next = ids.last().filter(|_| has_more).cloned();
    let groups: Vec<Value> = ids.iter().map(|id| json!({"threadId": id})).collect();
    Ok(json!({"groups": groups, "page": {"next": next}}))
}

async fn numbered_page(
    observe: &Observe,
    numbered: Numbered,
    order: OrderBy,
    filter: Filter,
) -> Result<Value, ApiError> {
    let (page, per_page) = (numbered.page.unwrap_or(0), numbered.per_page.unwrap_or(10));
    let order = match (order.field, order.direction) {
        (OrderField::StartedAt, OrderDirection::Asc) => Order::OldestFirst,
        (OrderField::StartedAt, OrderDirection::Desc) => Order::NewestFirst,
        (OrderField::EndedAt, OrderDirection::Asc) => Order::EarliestEndFirst,
        (OrderField::EndedAt, OrderDirection::Desc) => Order::LatestEndFirst,
    };
    let window = Window { order, offset: page.saturating_mul(per_page), limit: per_page };
    let found = observe.spans(filter, window).await?;
    Ok(json!({"traces": shown(&found.records), "pagination": page::pagination(found.total, page, per_page)}))
}

async fn keyset_page(
    observe: &Observe,
    page: Option<&Keyset>,
    order: OrderBy,
    filter: Filter,
) -> Result<Value, ApiError> {
    let limit = page.and_then(|page| page.limit).unwrap_or(100);
    let after = match page.and_then(|page| page.after.as_deref()) {
        Some(after) => Some(Cursor::read(after).ok_or_else(|| page::malformed(Invalid::Body, "page.after"))?),
        None => None,
    };
    let by = match order.field {
        OrderField::StartedAt => By::Start,
        OrderField::EndedAt => By::End,
    };
    let direction = match order.direction {
        OrderDirection::Asc => Direction::Forward,
        OrderDirection::Desc => Direction::Backward,
    };
    let (traces, next) = page::go_on::<Span>(observe, filter, by, direction, after.as_ref(), limit).await?;
    Ok(json!({"traces": shown(&traces), "page": {"next": next.map(|next| next.text())}}))
}
