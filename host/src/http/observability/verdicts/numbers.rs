//! Numbers made of scores and feedback: as a whole, by group, over time.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::filter::Filters;
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        observability::{
            series::{Before, GROUPS, Groups, Interval, Parts, Point, Series, compare},
            sum::{Aggregation, Sum, number},
        },
    },
    store::verdicts::{Verdict, VerdictKind, VerdictOrder, VerdictQuery},
    types::id::Millis,
};

/// Of which scores, or of which feedback. One of the first two is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Source<T> {
    /// What they are about.
    #[serde(flatten)]
    about: T,
    /// Which of those.
    #[serde(default)]
    filters: Filters,
}

/// The scorer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Scorer {
    /// Its id.
    scorer_id: String,
    /// Where the scores come from.
    #[serde(default)]
    score_source: Option<String>,
}

/// What sort of feedback.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Sort {
    /// Its name.
    feedback_type: String,
    /// Where the feedback comes from.
    #[serde(default)]
    feedback_source: Option<String>,
}

/// What numbers are about.
pub(super) trait About {
    /// Their kind.
    const KIND: VerdictKind;

    /// Returns the scorer, or the sort, and the source if one is asked for.
    fn names(&self) -> (&str, Option<&str>);
}

impl About for Scorer {
    const KIND: VerdictKind = VerdictKind::Score;

    fn names(&self) -> (&str, Option<&str>) {
        (&self.scorer_id, self.score_source.as_deref())
    }
}

impl About for Sort {
    const KIND: VerdictKind = VerdictKind::Feedback;

    fn names(&self) -> (&str, Option<&str>) {
        (&self.feedback_type, self.feedback_source.as_deref())
    }
}

/// One number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct AggregateRequest<T> {
    #[serde(flatten)]
    source: Source<T>,
    /// How values are made into one.
    aggregation: Aggregation,
    /// With what it is compared: needs both ends of `filters.timestamp`.
    #[serde(default)]
    compare_period: Option<Before>,
}

/// A number for each group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct BreakdownRequest<T> {
    #[serde(flatten)]
    source: Source<T>,
    /// By what.
    #[schemars(length(min = 1, max = 8))]
    group_by: Vec<String>,
    /// How values are made into one.
    aggregation: Aggregation,
}

/// Numbers over time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SeriesRequest<T> {
    #[serde(flatten)]
    source: Source<T>,
    /// How long one point is.
    interval: Interval,
    /// How values are made into one.
    aggregation: Aggregation,
    /// By what; one series for each if given.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8))]
    group_by: Option<Vec<String>>,
}

/// Below which values the given parts of them are, over time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct PercentilesRequest<T> {
    #[serde(flatten)]
    source: Source<T>,
    /// The parts, from 0 to 1.
    #[schemars(length(min = 1, max = 100), inner(range(min = 0, max = 1)))]
    percentiles: Vec<f64>,
    /// How long one point is.
    interval: Interval,
}

impl<T: About> Source<T> {
    /// Calls `each` with every value, those that are no numbers if they are `counted` only.
    async fn values(
        &self,
        app: &AppState,
        filters: &Filters,
        columns: &[String],
        is_counted: bool,
        mut each: impl FnMut(Point) + Send,
    ) -> Result<(), ApiError> {
        let (about, source) = self.about.names();
        let mut query = filters.query(T::KIND, Invalid::Body)?;
        // What the filters ask for must hold as well.
        let is_asked = query.about.as_ref().is_none_or(|all| all.iter().any(|it| it == about));
        query.about = Some(if is_asked { vec![about.to_owned()] } else { Vec::new() });
        let query = VerdictQuery { order: VerdictOrder::Oldest, ..query };
        let of_source = match T::KIND {
            VerdictKind::Score => "scoreSource",
            VerdictKind::Feedback => "feedbackSource",
        };
        filters
            .read(&app.store, &query, |verdict, document| {
                let is_source = |wanted| document.get(of_source).and_then(Value::as_str) == Some(wanted);
                if source.is_none_or(is_source)
                    && let Some(point) = point(&verdict, &document, columns, is_counted)
                {
                    each(point);
                }
                true
            })
            .await
    }

    async fn whole(
        &self,
        app: &AppState,
        aggregation: Aggregation,
        filters: &Filters,
    ) -> Result<Option<f64>, ApiError> {
        let mut sum = Sum::default();
        self.values(app, filters, &[], counts(aggregation), |point| sum.point(point)).await?;
        Ok(sum.value(aggregation))
    }
}

fn counts(aggregation: Aggregation) -> bool {
    matches!(aggregation, Aggregation::Count | Aggregation::CountDistinct)
}

fn point(verdict: &Verdict, document: &Map<String, Value>, columns: &[String], is_counted: bool) -> Option<Point> {
    let value = document.get(verdict.kind.value())?;
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Some(Point {
        at: Millis(verdict.at),
        value: if is_counted { value.as_f64().unwrap_or_default() } else { value.as_f64()? },
        distinct: is_counted.then(|| text(value)).flatten(),
        columns: columns.iter().map(|name| document.get(name).and_then(text)).collect(),
    })
}

/// Returns what values come to as a whole.
pub(super) async fn aggregate<T: About>(app: &AppState, request: &AggregateRequest<T>) -> Result<Value, ApiError> {
    let AggregateRequest { source, aggregation, compare_period } = request;
    let value = source.whole(app, *aggregation, &source.filters).await?;
    let mut answer = json!({"value": number(value)});
    let Some(period) = compare_period else { return Ok(answer) };
    if let Some(before) = source.filters.before(*period)? {
        let previous = source.whole(app, *aggregation, &before).await?;
        compare(&mut answer, value, previous);
    }
    Ok(answer)
}

/// Returns what values come to for each group.
pub(super) async fn breakdown<T: About>(app: &AppState, request: &BreakdownRequest<T>) -> Result<Value, ApiError> {
    let BreakdownRequest { source, group_by, aggregation } = request;
    let mut groups = Groups::default();
    source.values(app, &source.filters, group_by, counts(*aggregation), |point| groups.add(point)).await?;
    Ok(groups.answer(group_by, *aggregation, false, GROUPS))
}

/// Returns what values come to over time.
pub(super) async fn timeseries<T: About>(app: &AppState, request: &SeriesRequest<T>) -> Result<Value, ApiError> {
    let SeriesRequest { source, interval, aggregation, group_by } = request;
    let group_by = group_by.as_deref().unwrap_or_default();
    let mut series = Series::new(source.about.names().0.to_owned(), *interval, !group_by.is_empty());
    source.values(app, &source.filters, group_by, counts(*aggregation), |point| series.add(point)).await?;
    Ok(series.answer(*aggregation))
}

/// Returns the percentiles of values over time.
pub(super) async fn percentiles<T: About>(app: &AppState, request: &PercentilesRequest<T>) -> Result<Value, ApiError> {
    let PercentilesRequest { source, percentiles, interval } = request;
    let mut parts = Parts::new(*interval);
    source.values(app, &source.filters, &[], false, |point| parts.add(point.at, point.value)).await?;
    Ok(parts.answer(percentiles))
}
