//! From which spans a metric is counted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::names::{Metric, STATUS};
use crate::{
    http::{
        error::{ApiError, Invalid},
        observability::{
            around,
            context::{self, ContextQuery},
            range::DateRange,
            series::Before,
        },
    },
    observe::{
        Observe,
        attrs::Key,
        filter::{Between, Filter},
    },
    types::{
        id::Millis,
        span::{SpanKind, SpanStatus},
    },
};

/// Which spans.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct Filters {
    #[serde(flatten)]
    context: ContextQuery,
    /// When they ended: that is when a metric is measured.
    timestamp: Option<DateRange>,
    /// The span itself.
    span_id: Option<String>,
    /// The traces.
    #[schemars(length(min = 1, max = 1000))]
    trace_ids: Option<Vec<String>>,
    /// These metrics only.
    #[schemars(length(min = 1, max = 100))]
    name: Option<Vec<String>>,
    /// The provider of the model.
    provider: Option<String>,
    /// The model.
    model: Option<String>,
    /// The unit of costs. Costs are not known here: nothing is found by it.
    cost_unit: Option<String>,
    /// Labels: `status` is `ok` or `error`.
    labels: Option<BTreeMap<String, String>>,
}

impl Filters {
    /// Returns the condition on the spans a metric is counted from, but for what is around them;
    /// `None` if there can be none.
    pub(super) fn of(&self, metric: &Metric, part: Invalid) -> Result<Option<Filter>, ApiError> {
        let kinds = metric.kinds.iter().map(|kind| SpanKind::as_str(*kind).to_owned()).collect();
        let mut all =
            vec![Filter::Is(Key::SpanType, kinds), self.context.filter(part)?, Filter::Ended(self.time(part)?)];
        all.extend(context::keys([
            (Key::SpanId, &self.span_id),
            (Key::Provider, &self.provider),
            (Key::Model, &self.model),
        ]));
        if let Some(ids) = &self.trace_ids {
            all.push(Filter::Is(Key::TraceId, ids.clone()));
        }
        let is_named = self.name.as_ref().is_none_or(|names| names.iter().any(|name| name == metric.name));
        if !is_named || self.cost_unit.is_some() {
            return Ok(None);
        }
        for (name, value) in self.labels.iter().flatten() {
            let status = match value.as_str() {
                "ok" => SpanStatus::Success,
                "error" => SpanStatus::Error,
                _ => return Ok(None),
            };
            if name != STATUS || !metric.has_status() {
                return Ok(None);
            }
            all.push(Filter::is(Key::Status, status.as_str()));
        }
        Ok(Some(context::and(all)))
    }

    /// Returns the condition on the entities around the spans.
    pub(super) async fn around(&self, observe: &Observe, part: Invalid) -> Result<Filter, ApiError> {
        around::spans(observe, &self.context, part).await
    }

    /// Returns the metrics that are asked for by name.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.name.as_deref()
    }

    fn time(&self, part: Invalid) -> Result<Between<Millis>, ApiError> {
        self.timestamp.as_ref().map_or(Ok(Between::default()), |range| range.between(part, "filters.timestamp"))
    }

    /// Returns the same spans of another time, if this one has both its ends.
    pub(super) fn before(&self, period: Before) -> Result<Option<Self>, ApiError> {
        let timestamp = period.of(self.timestamp.as_ref())?;
        Ok(timestamp.map(|timestamp| Self { timestamp: Some(timestamp), ..self.clone() }))
    }
}
