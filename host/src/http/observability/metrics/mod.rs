//! Metrics, counted from spans when they are asked for: there is nothing to keep beside the
//! spans, and a metric of yesterday can be asked about in a way nobody thought of yesterday.
//!
//! [`names`] says which there are and what spans they are counted from, [`filter`] which of
//! those. How many values are made into one is [`super::sum`]'s.

mod discovery;
mod filter;
mod list;
mod names;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    series::{Before, GROUPS, Groups, Interval, Parts, Point, Series, compare},
    sum::{Aggregation, Sum, number},
};
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        extract::Body,
    },
    observe::{Observe, attrs::Key, filter::Filter},
    types::id::Millis,
};
pub(in crate::http) use discovery::{label_keys, label_values, names as list_names};
use filter::Filters;
pub(in crate::http) use list::list;
use names::{Column, Metric};

/// What a metric comes to as a whole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct AggregateRequest {
    /// Which metrics, together.
    #[schemars(length(min = 1, max = 100))]
    name: Vec<String>,
    /// How values are made into one.
    aggregation: Aggregation,
    /// What is told apart by `count_distinct`.
    #[serde(default)]
    #[schemars(schema_with = "columns")]
    distinct_column: Option<String>,
    /// Of which spans.
    #[serde(default)]
    filters: Filters,
    /// With what it is compared: needs both ends of `filters.timestamp`.
    #[serde(default)]
    compare_period: Option<Before>,
}

/// What a metric comes to, by what spans have in common.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct BreakdownRequest {
    /// Which metrics, together.
    #[schemars(length(min = 1, max = 100))]
    name: Vec<String>,
    /// By what.
    #[schemars(length(min = 1, max = 8))]
    group_by: Vec<String>,
    /// How values are made into one.
    aggregation: Aggregation,
    /// What is told apart by `count_distinct`.
    #[serde(default)]
    #[schemars(schema_with = "columns")]
    distinct_column: Option<String>,
    /// Of which spans.
    #[serde(default)]
    filters: Filters,
    /// How many groups at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
    /// Which way they are ordered by their values; the largest first if absent.
    #[serde(default)]
    #[schemars(schema_with = "super::traces::direction")]
    order_direction: Option<String>,
}

/// What a metric comes to, over time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SeriesRequest {
    /// Which metrics, together.
    #[schemars(length(min = 1, max = 100))]
    name: Vec<String>,
    /// How long one point is.
    interval: Interval,
    /// How values are made into one.
    aggregation: Aggregation,
    /// What is told apart by `count_distinct`.
    #[serde(default)]
    #[schemars(schema_with = "columns")]
    distinct_column: Option<String>,
    /// Of which spans.
    #[serde(default)]
    filters: Filters,
    /// By what; one series for each if given.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8))]
    group_by: Option<Vec<String>>,
}

/// Below which values the given parts of them are, over time.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct PercentilesRequest {
    /// Which metric.
    name: String,
    /// The parts, from 0 to 1.
    #[schemars(length(min = 1, max = 100), inner(range(min = 0, max = 1)))]
    percentiles: Vec<f64>,
    /// How long one point is.
    interval: Interval,
    /// Of which spans.
    #[serde(default)]
    filters: Filters,
}

fn columns(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": names::DISTINCT})
}

/// Calls `each` with every value of these metrics.
async fn values(
    observe: &Observe,
    names: &[String],
    filters: &Filters,
    columns: &Columns,
    mut each: impl FnMut(Point) + Send,
) -> Result<(), ApiError> {
    let around = filters.around(observe, Invalid::Body).await?;
    for metric in names.iter().filter_map(|name| Metric::find(name)) {
        let Some(filter) = filters.of(metric, Invalid::Body)? else { continue };
        count(observe, metric, filter.and(around.clone()), columns, &mut each).await?;
    }
    Ok(())
}

async fn count(
    observe: &Observe,
    metric: &'static Metric,
    filter: Filter,
    columns: &Columns,
    mut each: impl FnMut(Point) + Send,
) -> Result<(), ApiError> {
    let keys: Vec<Key> = columns.all.iter().filter_map(|column| column.key()).collect();
    let count = observe.count(filter, &keys, |counted| {
        let Some(value) = metric.value(&counted) else { return };
        let took = i64::try_from(counted.duration.unwrap_or(0)).unwrap_or(i64::MAX);
        let mut known = counted.keys.into_iter();
        let values = columns.all.iter().map(|column| {
            let known = column.key().and_then(|_| known.next().flatten());
            column.value(metric, known.as_deref())
        });
        let mut values: Vec<_> = values.collect();
        let distinct = values.drain(columns.grouped..).next().flatten();
        each(Point { at: Millis(counted.started_at.0.saturating_add(took)), value, distinct, columns: values });
    });
    Ok(count.await?)
}

/// What is asked about values.
#[derive(Default)]
struct Columns {
    /// Those they are grouped by, and the one they are told apart by.
    all: Vec<Column>,
    /// How many they are grouped by.
    grouped: usize,
}

impl Columns {
    fn of(group_by: &[String], aggregation: Aggregation, distinct: Option<&String>) -> Self {
        let mut all: Vec<Column> = group_by.iter().map(|name| Column::find(name)).collect();
        if let (Aggregation::CountDistinct, Some(distinct)) = (aggregation, distinct) {
            all.push(Column::find(distinct));
        }
        Self { all, grouped: group_by.len() }
    }
}

/// Returns what metrics come to as a whole.
pub(in crate::http) async fn aggregate(
    State(app): State<AppState>,
    Body(request): Body<AggregateRequest>,
) -> Result<Json<Value>, ApiError> {
    let value = whole(&app.observe, &request, &request.filters).await?;
    let mut answer = json!({"value": number(value)});
    let Some(period) = request.compare_period else { return Ok(Json(answer)) };
    let Some(before) = request.filters.before(period)? else { return Ok(Json(answer)) };
    let previous = whole(&app.observe, &request, &before).await?;
    compare(&mut answer, value, previous);
    Ok(Json(answer))
}

async fn whole(observe: &Observe, request: &AggregateRequest, filters: &Filters) -> Result<Option<f64>, ApiError> {
    let columns = Columns::of(&[], request.aggregation, request.distinct_column.as_ref());
    let mut sum = Sum::default();
    values(observe, &request.name, filters, &columns, |point| sum.point(point)).await?;
    Ok(sum.value(request.aggregation))
}

/// Returns what metrics come to for each group.
pub(in crate::http) async fn breakdown(
    State(app): State<AppState>,
    Body(request): Body<BreakdownRequest>,
) -> Result<Json<Value>, ApiError> {
    let columns = Columns::of(&request.group_by, request.aggregation, request.distinct_column.as_ref());
    let mut groups = Groups::default();
    values(&app.observe, &request.name, &request.filters, &columns, |point| groups.add(point)).await?;
    let is_ascending = request.order_direction.as_deref() == Some("ASC");
    let limit = request.limit.unwrap_or(GROUPS);
    Ok(Json(groups.answer(&request.group_by, request.aggregation, is_ascending, limit)))
}

/// Returns what metrics come to over time.
pub(in crate::http) async fn timeseries(
    State(app): State<AppState>,
    Body(request): Body<SeriesRequest>,
) -> Result<Json<Value>, ApiError> {
    let group_by = request.group_by.as_deref().unwrap_or_default();
    let columns = Columns::of(group_by, request.aggregation, request.distinct_column.as_ref());
    let mut series = Series::new(request.name.join(","), request.interval, !group_by.is_empty());
    values(&app.observe, &request.name, &request.filters, &columns, |point| series.add(point)).await?;
    Ok(Json(series.answer(request.aggregation)))
}

/// Returns the percentiles of a metric over time.
pub(in crate::http) async fn percentiles(
    State(app): State<AppState>,
    Body(request): Body<PercentilesRequest>,
) -> Result<Json<Value>, ApiError> {
    let mut parts = Parts::new(request.interval);
    let names = std::slice::from_ref(&request.name);
    values(&app.observe, names, &request.filters, &Columns::default(), |point| parts.add(point.at, point.value))
        .await?;
    Ok(Json(parts.answer(&request.percentiles)))
}
