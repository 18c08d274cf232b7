//! Values put together as answers show them: by group, over time, and by parts over time. Those
//! of metrics and those of scores and feedback are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    range::DateRange,
    sum::{Aggregation, Sum, number, percentile},
};
use crate::{
    http::error::{ApiError, Invalid},
    observe::filter::Between,
    types::id::Millis,
};

/// Groups of a breakdown at most.
pub(super) const GROUPS: usize = 1000;

/// A time a value is compared with.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum Before {
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

impl Before {
    /// Returns that time, if the present one has both its ends.
    pub(super) fn of(self, range: Option<&DateRange>) -> Result<Option<DateRange>, ApiError> {
        let Some(range) = range else { return Ok(None) };
        let Between { from: Some(from), to: Some(to) } = range.between(Invalid::Body, "filters.timestamp")? else {
            return Ok(None);
        };
        let back = match self {
            Self::Period => to.0.saturating_sub(from.0),
            Self::Day => 86_400_000,
            Self::Week => 7 * 86_400_000,
        };
        let at = |at: Millis| Some(Millis(at.0.saturating_sub(back)).iso());
        // The end of the former period is the start of this one, and counts once.
        let end_exclusive = Some(matches!(self, Self::Period));
        Ok(Some(DateRange { start: at(from), end: at(to), start_exclusive: None, end_exclusive }))
    }
}

/// How long a point of a series is.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum Interval {
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

/// One value, and what it is grouped by.
#[derive(Debug)]
pub(super) struct Point {
    /// When it was measured.
    pub(super) at: Millis,
    /// The value.
    pub(super) value: f64,
    /// What it is told apart by, if that is asked.
    pub(super) distinct: Option<String>,
    /// What it has of what is grouped by, in that order.
    pub(super) columns: Vec<Option<String>>,
}

impl Sum {
    /// Adds a value.
    pub(super) fn point(&mut self, point: Point) {
        self.add(point.at, point.value, point.distinct);
    }
}

/// Adds what a value was before, and how much it has changed.
pub(super) fn compare(answer: &mut Value, value: Option<f64>, previous: Option<f64>) {
    let change = match (value, previous) {
        (Some(value), Some(previous)) if previous != 0.0 => Some((value - previous) / previous.abs() * 100.0),
        _ => None,
    };
    answer["previousValue"] = number(previous);
    answer["changePercent"] = number(change);
}

/// Values by group.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<Vec<Option<String>>, Sum>);

impl Groups {
    /// Adds a value.
    pub(super) fn add(&mut self, mut point: Point) {
        let group = std::mem::take(&mut point.columns);
        self.0.entry(group).or_default().point(point);
    }

    /// Returns `limit` groups, those with the largest values first, or with the least.
    pub(super) fn answer(self, by: &[String], aggregation: Aggregation, is_ascending: bool, limit: usize) -> Value {
        let mut groups: Vec<(Vec<Option<String>>, f64)> =
            self.0.into_iter().filter_map(|(group, sum)| Some((group, sum.value(aggregation)?))).collect();
        let order = |left: f64, right: f64| if is_ascending { left.total_cmp(&right) } else { right.total_cmp(&left) };
        groups.sort_by(|(_, left), (_, right)| order(*left, *right));
        groups.truncate(limit);
        let groups: Vec<Value> = groups
            .into_iter()
            .map(|(group, value)| {
                let dimensions: Map<String, Value> =
                    by.iter().cloned().zip(group.into_iter().map(|value| json!(value))).collect();
                json!({"dimensions": dimensions, "value": number(Some(value))})
            })
            .collect();
        json!({"groups": groups})
    }
}

/// Values over time, one series for each group, or for all.
pub(super) struct Series {
    name: String,
    interval: Interval,
    series: BTreeMap<String, BTreeMap<Millis, Sum>>,
}

impl Series {
    /// Returns one without values. `name` is that of the series of all, if nothing is grouped by.
    pub(super) fn new(name: String, interval: Interval, is_grouped: bool) -> Self {
        let series = if is_grouped { BTreeMap::new() } else { BTreeMap::from([(name.clone(), BTreeMap::new())]) };
        Self { name, interval, series }
    }

    /// Adds a value.
    pub(super) fn add(&mut self, mut point: Point) {
        let columns = std::mem::take(&mut point.columns);
        let name = if columns.is_empty() {
            self.name.clone()
        } else {
            columns.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("|")
        };
        let points = self.series.entry(name).or_default();
        points.entry(self.interval.begin(point.at)).or_default().point(point);
    }

    /// Returns the series.
    pub(super) fn answer(self, aggregation: Aggregation) -> Value {
        let series: Vec<Value> = self
            .series
            .into_iter()
            .map(|(name, points)| {
                let point = |(at, sum): (Millis, Sum)| {
                    Some(json!({"timestamp": at.iso(), "value": number(Some(sum.value(aggregation)?))}))
                };
                json!({"name": name, "points": points.into_iter().filter_map(point).collect::<Vec<_>>()})
            })
            .collect();
        json!({"series": series})
    }
}

/// Below which values the given parts of them are, over time.
pub(super) struct Parts {
    interval: Interval,
    buckets: BTreeMap<Millis, Vec<f64>>,
}

impl Parts {
    /// Returns one without values.
    pub(super) fn new(interval: Interval) -> Self {
        Self { interval, buckets: BTreeMap::new() }
    }

    /// Adds a value.
    pub(super) fn add(&mut self, at: Millis, value: f64) {
        self.buckets.entry(self.interval.begin(at)).or_default().push(value);
    }

    /// Returns a series for each part.
    pub(super) fn answer(mut self, parts: &[f64]) -> Value {
        for values in self.buckets.values_mut() {
            values.sort_by(f64::total_cmp);
        }
        let series: Vec<Value> = parts
            .iter()
            .map(|part| {
                let point = |(at, values): (&Millis, &Vec<f64>)| {
                    json!({"timestamp": at.iso(), "value": number(percentile(values, *part))})
                };
                json!({"percentile": part, "points": self.buckets.iter().map(point).collect::<Vec<_>>()})
            })
            .collect();
        json!({"series": series})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_also_before_1970() {
        assert_eq!(Interval::Day.begin(Millis(86_400_000 + 5)), Millis(86_400_000));
        assert_eq!(Interval::Minute.begin(Millis(-1)), Millis(-60_000));
        assert_eq!(Interval::Quarter.begin(Millis(i64::MIN / 2)).0.rem_euclid(900_000), 0);
    }
}
