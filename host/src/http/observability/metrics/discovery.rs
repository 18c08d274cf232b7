//! Which metrics, labels and values of labels there are.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{METRICS, Metric, STATUS, label};
use crate::{
    app::AppState,
    http::{error::ApiError, extract::Query, observability::discovery::Names},
    observe::{attrs::Key, filter::Filter, record::RecordKind},
};

/// Which names are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::http) struct NamesQuery {
    /// Those that begin so.
    #[serde(default)]
    prefix: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[schemars(range(min = 1))]
    limit: Option<usize>,
}

/// Of which metric.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct KeysQuery {
    /// Its name.
    metric_name: String,
}

/// Of which label of which metric.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ValuesQuery {
    /// The metric's name.
    metric_name: String,
    /// The label.
    label_key: String,
    /// Values that begin so.
    #[serde(default)]
    prefix: Option<String>,
    /// How many at most.
    #[serde(default)]
    #[schemars(range(min = 1))]
    limit: Option<usize>,
}

/// Labels.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Keys {
    /// In order.
    keys: Vec<String>,
}

/// Values of a label.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct Values {
    /// In order.
    values: Vec<String>,
}

/// Returns the metrics there are values of.
pub(in crate::http) async fn names(
    State(app): State<AppState>,
    Query(query): Query<NamesQuery>,
) -> Result<Json<Names>, ApiError> {
    let kinds = app.observe.values(RecordKind::Spans, Key::SpanType, Filter::All).await?;
    let is_met = |metric: &Metric| metric.kinds.iter().any(|kind| kinds.iter().any(|met| met == kind.as_str()));
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let names = METRICS.iter().filter(|metric| metric.name.starts_with(prefix) && is_met(metric));
    let names = names.map(|metric| metric.name.to_owned()).take(query.limit.unwrap_or(usize::MAX)).collect();
    Ok(Json(Names { names }))
}

/// Returns the labels of a metric.
pub(in crate::http) async fn label_keys(Query(query): Query<KeysQuery>) -> Json<Keys> {
    let has_status = Metric::find(&query.metric_name).is_some_and(Metric::has_status);
    Json(Keys { keys: has_status.then(|| STATUS.to_owned()).into_iter().collect() })
}

/// Returns the values of a label.
pub(in crate::http) async fn label_values(
    State(app): State<AppState>,
    Query(query): Query<ValuesQuery>,
) -> Result<Json<Values>, ApiError> {
    let metric = Metric::find(&query.metric_name).filter(|metric| metric.has_status() && query.label_key == STATUS);
    let Some(metric) = metric else { return Ok(Json(Values { values: Vec::new() })) };
    let kinds = metric.kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let ended = Filter::Is(Key::SpanType, kinds).and(Filter::Ended(Default::default()));
    let statuses = app.observe.values(RecordKind::Spans, Key::Status, ended).await?;
    let prefix = query.prefix.as_deref().unwrap_or_default();
    let mut values: Vec<String> = statuses.iter().map(|status| label(status).to_owned()).collect();
    values.retain(|value| value.starts_with(prefix));
    values.sort();
    values.truncate(query.limit.unwrap_or(usize::MAX));
    Ok(Json(Values { values }))
}
