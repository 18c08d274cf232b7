//! Ranges of times and lengths, as requests write them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    http::error::{ApiError, FieldIssue, Invalid},
    observe::filter::Between,
    types::id::Millis,
};

/// From when to when; both ends may be left out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::http) struct DateRange {
    /// From then.
    #[schemars(extend("format" = "date-time"))]
    pub(super) start: Option<String>,
    /// Until then.
    #[schemars(extend("format" = "date-time"))]
    pub(super) end: Option<String>,
    /// The start itself does not belong to it.
    pub(super) start_exclusive: Option<bool>,
    /// The end itself does not belong to it.
    pub(super) end_exclusive: Option<bool>,
}

/// How long, in milliseconds; both ends belong to it and may be left out.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::http) struct Lengths {
    /// So long at least.
    #[schemars(range(min = 0))]
    min: Option<u64>,
    /// So long at most.
    #[schemars(range(min = 0))]
    max: Option<u64>,
}

impl DateRange {
    /// Returns the range; times are whole milliseconds, so an end that is left out is the next one.
    pub(super) fn between(&self, part: Invalid, field: &str) -> Result<Between<Millis>, ApiError> {
        let read = |text: Option<&String>, end: &str| text.map(|text| time(text, part, &format!("{field}.{end}")));
        let mut from = read(self.start.as_ref(), "start").transpose()?;
        let mut to = read(self.end.as_ref(), "end").transpose()?;
        if let (Some(Millis(from)), Some(true)) = (&mut from, self.start_exclusive) {
            *from = from.saturating_add(1);
        }
        if let (Some(Millis(to)), Some(true)) = (&mut to, self.end_exclusive) {
            *to = to.saturating_sub(1);
        }
        Ok(Between { from, to })
    }
}

impl From<Lengths> for Between<u64> {
    fn from(lengths: Lengths) -> Self {
        Self { from: lengths.min, to: lengths.max }
    }
}

/// Reads a time of a request.
pub(in crate::http) fn time(text: &str, part: Invalid, field: &str) -> Result<Millis, ApiError> {
    Millis::parse(text).ok_or_else(|| ApiError::invalid(part, [no_date(field)]))
}

/// Returns what is wrong with a text that is no date.
pub(super) fn no_date(field: &str) -> FieldIssue {
    FieldIssue::new(field, "Invalid input: expected date, received Date")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: serde_json::Value, expected: (Option<i64>, Option<i64>)) {
        let range: DateRange = serde_json::from_value(range).unwrap();
        let between = range.between(Invalid::Query, "startedAt").unwrap();
        assert_eq!((between.from.map(|at| at.0), between.to.map(|at| at.0)), expected);
    }

    #[test]
    fn ends_belong_to_a_range_unless_it_says_otherwise() {
        let (start, end) = ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02.500Z");
        check(serde_json::json!({}), (None, None));
        check(serde_json::json!({"start": start, "end": end}), (Some(1000), Some(2500)));
        check(serde_json::json!({"start": start, "startExclusive": true}), (Some(1001), None));
        check(serde_json::json!({"end": end, "endExclusive": true, "startExclusive": true}), (None, Some(2499)));
        check(serde_json::json!({"start": "1970-01-02"}), (Some(86_400_000), None));
    }

    #[test]
    fn what_is_no_date_says_where() {
        let range = DateRange { end: Some("soon".to_owned()), ..DateRange::default() };
        let error = range.between(Invalid::Query, "endedAt").unwrap_err();
        assert_eq!((error.status.as_u16(), error.issues[0].field.as_str()), (400, "endedAt.end"));
    }
}
