//! Metrics, counted from spans when they are asked for: there is nothing to keep beside the
//! spans, and a metric of yesterday can be asked about in a way nobody thought of yesterday.
//!
//! [`names`] says which there are and what spans they are counted from, [`filter`] which of
//! those, [`sum`] how many values are made into one.

mod discovery;
mod filter;
mod list;
mod names;
mod sum;

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
use sum::{Aggregation, Sum, number, percentile};

/// Groups of a breakdown at most.
const GROUPS: usize = 1000;

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

/// A time a value is compared with.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum Before {
    /// As long, just before.
    #[serde(rename = "previous_period")]
    Period,
    /// A day before.
    #[serde(rename = "previous_day")]
    Day,
    /// A week before.
    #[serde(rename = "previous_week")]
    Week,
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

/// How long a point of a series is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum Interval {
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// A quarter of an hour.
    #[serde(rename = "15m")]
    Quarter,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day.
    #[serde(rename = "1d")]
    Day,
}

impl Interval {
    /// Returns when the point begins a time belongs to.
    fn begin(self, at: Millis) -> Millis {
        let length = 60_000
            * match self {
                Self::Minute => 1,
                Self::FiveMinutes => 5,
                Self::Quarter => 15,
                Self::Hour => 60,
                Self::Day => 24 * 60,
            };
        Millis(at.0.div_euclid(length) * length)
    }
}

fn columns(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": names::DISTINCT})
}

/// One value of a metric, and what it is grouped by.
struct Point {
    at: Millis,
    value: f64,
    columns: Vec<Option<String>>,
}

/// Calls `each` with every value of these metrics.
async fn values(
    observe: &Observe,
    names: &[String],
    filters: &Filters,
    columns: &[Column],
    mut each: impl FnMut(Point) + Send,
) -> Result<(), ApiError> {
    for metric in names.iter().filter_map(|name| Metric::find(name)) {
        let Some(filter) = filters.of(metric, Invalid::Body)? else { continue };
        count(observe, metric, filter, columns, &mut each).await?;
    }
    Ok(())
}

async fn count(
    observe: &Observe,
    metric: &'static Metric,
    filter: Filter,
    columns: &[Column],
    mut each: impl FnMut(Point) + Send,
) -> Result<(), ApiError> {
    let keys: Vec<Key> = columns.iter().filter_map(|column| column.key()).collect();
    let count = observe.count(filter, &keys, |counted| {
        let Some(value) = metric.value(&counted) else { return };
        let took = i64::try_from(counted.duration.unwrap_or(0)).unwrap_or(i64::MAX);
        let mut known = counted.keys.into_iter();
        let columns = columns.iter().map(|column| {
            let known = column.key().and_then(|_| known.next().flatten());
            column.value(metric, known.as_deref())
        });
        each(Point { at: Millis(counted.started_at.0.saturating_add(took)), value, columns: columns.collect() });
    });
    Ok(count.await?)
}

/// Returns what is asked about values beside what they are grouped by.
fn with_distinct(group_by: &[String], aggregation: Aggregation, distinct: Option<&String>) -> Vec<Column> {
    let mut columns: Vec<Column> = group_by.iter().map(|name| Column::find(name)).collect();
    if let (Aggregation::CountDistinct, Some(distinct)) = (aggregation, distinct) {
        columns.push(Column::find(distinct));
    }
    columns
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
    let change = match (value, previous) {
        (Some(value), Some(previous)) if previous != 0.0 => Some((value - previous) / previous.abs() * 100.0),
        _ => None,
    };
    answer["previousValue"] = number(previous);
    answer["changePercent"] = number(change);
    Ok(Json(answer))
}

async fn whole(observe: &Observe, request: &AggregateRequest, filters: &Filters) -> Result<Option<f64>, ApiError> {
    let columns = with_distinct(&[], request.aggregation, request.distinct_column.as_ref());
    let mut sum = Sum::default();
    values(observe, &request.name, filters, &columns, |mut point| {
        let distinct = point.columns.pop().flatten();
        sum.add(point.at, point.value, distinct);
    })
    .await?;
    Ok(sum.value(request.aggregation))
}

/// Returns what metrics come to for each group.
pub(in crate::http) async fn breakdown(
    State(app): State<AppState>,
    Body(request): Body<BreakdownRequest>,
) -> Result<Json<Value>, ApiError> {
    let columns = with_distinct(&request.group_by, request.aggregation, request.distinct_column.as_ref());
    let mut groups: BTreeMap<Vec<Option<String>>, Sum> = BTreeMap::new();
    values(&app.observe, &request.name, &request.filters, &columns, |mut point| {
        let distinct = point.columns.drain(request.group_by.len()..).next().flatten();
        groups.entry(point.columns).or_default().add(point.at, point.value, distinct);
    })
    .await?;
    let mut groups: Vec<(Vec<Option<String>>, f64)> =
        groups.into_iter().filter_map(|(group, sum)| Some((group, sum.value(request.aggregation)?))).collect();
    let is_ascending = request.order_direction.as_deref() == Some("ASC");
    groups.sort_by(|(_, left), (_, right)| if is_ascending { left.total_cmp(right) } else { right.total_cmp(left) });
    groups.truncate(request.limit.unwrap_or(GROUPS));
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(group, value)| {
            let dimensions: Map<String, Value> =
                request.group_by.iter().cloned().zip(group.into_iter().map(|value| json!(value))).collect();
            json!({"dimensions": dimensions, "value": number(Some(value))})
        })
        .collect();
    Ok(Json(json!({"groups": groups})))
}

/// Returns what metrics come to over time.
pub(in crate::http) async fn timeseries(
    State(app): State<AppState>,
    Body(request): Body<SeriesRequest>,
) -> Result<Json<Value>, ApiError> {
    let group_by = request.group_by.as_deref().unwrap_or_default();
    let columns = with_distinct(group_by, request.aggregation, request.distinct_column.as_ref());
    let mut series: BTreeMap<String, BTreeMap<Millis, Sum>> = BTreeMap::new();
    if group_by.is_empty() {
        series.insert(request.name.join(","), BTreeMap::new());
    }
    values(&app.observe, &request.name, &request.filters, &columns, |mut point| {
        let distinct = point.columns.drain(group_by.len()..).next().flatten();
        let name = if group_by.is_empty() {
            request.name.join(",")
        } else {
            let parts: Vec<String> = point.columns.into_iter().map(Option::unwrap_or_default).collect();
            parts.join("|")
        };
        let points = series.entry(name).or_default();
        points.entry(request.interval.begin(point.at)).or_default().add(point.at, point.value, distinct);
    })
    .await?;
    let series: Vec<Value> = series
        .into_iter()
        .map(|(name, points)| {
            let points: Vec<Value> = points
                .into_iter()
                .filter_map(|(at, sum)| {
                    Some(json!({"timestamp": at.iso(), "value": number(Some(sum.value(request.aggregation)?))}))
                })
                .collect();
            json!({"name": name, "points": points})
        })
        .collect();
    Ok(Json(json!({"series": series})))
}

/// Returns the percentiles of a metric over time.
pub(in crate::http) async fn percentiles(
    State(app): State<AppState>,
    Body(request): Body<PercentilesRequest>,
) -> Result<Json<Value>, ApiError> {
    let mut buckets: BTreeMap<Millis, Vec<f64>> = BTreeMap::new();
    values(&app.observe, std::slice::from_ref(&request.name), &request.filters, &[], |point| {
        buckets.entry(request.interval.begin(point.at)).or_default().push(point.value);
    })
    .await?;
    for values in buckets.values_mut() {
        values.sort_by(f64::total_cmp);
    }
    let series: Vec<Value> = request
        .percentiles
        .iter()
        .map(|part| {
            let points: Vec<Value> = buckets
                .iter()
                .map(|(at, values)| json!({"timestamp": at.iso(), "value": number(percentile(values, *part))}))
                .collect();
            json!({"percentile": part, "points": points})
        })
        .collect();
    Ok(Json(json!({"series": series})))
}
