//! Many values made into one.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::types::id::Millis;

/// How values are made into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aggregation {
    /// All together.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The most.
    Max,
    /// How many.
    Count,
    /// How many that differ in a column.
    CountDistinct,
    /// The latest.
    Last,
}

/// What is known of values.
#[derive(Debug, Default)]
pub(super) struct Sum {
    count: u64,
    sum: f64,
    extremes: Option<(f64, f64)>,
    last: Option<(Millis, f64)>,
    distinct: HashSet<String>,
}

impl Sum {
    /// Adds a value.
    pub(super) fn add(&mut self, at: Millis, value: f64, distinct: Option<String>) {
        self.count += 1;
        self.sum += value;
        let (least, most) = self.extremes.unwrap_or((value, value));
        self.extremes = Some((least.min(value), most.max(value)));
        if self.last.is_none_or(|(last, _)| at >= last) {
            self.last = Some((at, value));
        }
        self.distinct.extend(distinct);
    }

    /// Returns what they come to; of nothing there is a count, but no sum.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 values nobody counts")]
    pub(super) fn value(&self, aggregation: Aggregation) -> Option<f64> {
        match aggregation {
            Aggregation::Count => Some(self.count as f64),
            Aggregation::CountDistinct => Some(self.distinct.len() as f64),
            _ if self.count == 0 => None,
            Aggregation::Sum => Some(self.sum),
            Aggregation::Avg => Some(self.sum / self.count as f64),
            Aggregation::Min => self.extremes.map(|(least, _)| least),
            Aggregation::Max => self.extremes.map(|(_, most)| most),
            Aggregation::Last => self.last.map(|(_, value)| value),
        }
    }
}

/// Returns below what value this part of the values is, which stand in order; between two of
/// them it is as far as the part is.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the place is between 0 and the number of values"
)]
pub(super) fn percentile(values: &[f64], part: f64) -> Option<f64> {
    let place = part.clamp(0.0, 1.0) * values.len().checked_sub(1)? as f64;
    let (low, high) = (values.get(place.floor() as usize)?, values.get(place.ceil() as usize)?);
    Some(low + (high - low) * place.fract())
}

/// Returns a number as it is written; whole ones are.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
pub(super) fn number(value: Option<f64>) -> Value {
    match value {
        Some(value) if value.fract() == 0.0 && value.abs() < 9e15 => Value::from(value as i64),
        Some(value) => Value::from(value),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_made_into_one() {
        let mut sum = Sum::default();
        for (at, value, who) in [(2, 5.0, "a"), (1, 1.0, "b"), (2, 3.0, "a")] {
            sum.add(Millis(at), value, Some(who.to_owned()));
        }
        for (aggregation, expected) in [
            (Aggregation::Sum, 9.0),
            (Aggregation::Avg, 3.0),
            (Aggregation::Min, 1.0),
            (Aggregation::Max, 5.0),
            (Aggregation::Count, 3.0),
            (Aggregation::CountDistinct, 2.0),
            (Aggregation::Last, 3.0),
        ] {
            assert_eq!(sum.value(aggregation), Some(expected), "{aggregation:?}");
        }
        assert_eq!(Sum::default().value(Aggregation::Count), Some(0.0));
        assert_eq!(Sum::default().value(Aggregation::Avg), None);
    }

    #[test]
    fn percentiles_lie_between_values() {
        for (values, part, expected) in [
            (&[][..], 0.5, None),
            (&[7.0], 0.99, Some(7.0)),
            (&[1.0, 3.0], 0.5, Some(2.0)),
            (&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25, Some(2.0)),
            (&[1.0, 2.0], 1.0, Some(2.0)),
        ] {
            assert_eq!(percentile(values, part), expected);
        }
    }

    #[test]
    fn whole_numbers_are_written_whole() {
        assert_eq!(number(Some(3.0)).to_string(), "3");
        assert_eq!(number(Some(2.5)).to_string(), "2.5");
        assert_eq!(number(None), Value::Null);
    }
}
