//! What servers answer, read with patience: a member that is missing or of another type reads as
//! empty, so that a console shows what it can of an older or a newer server.

use serde_json::{Map, Value};

/// Reads of a value that may be anything. Paths go down by dots: `snapshot.status`.
pub(crate) trait Json {
    /// Returns what is at the path.
    fn at(&self, path: &str) -> &Value;
    /// Returns the text at the path, or none.
    fn text(&self, path: &str) -> &str;
    /// Returns the whole number at the path.
    fn whole(&self, path: &str) -> Option<u64>;
    /// Returns the number at the path.
    fn number(&self, path: &str) -> Option<f64>;
    /// Returns whether there is `true` at the path.
    fn is(&self, path: &str) -> bool;
    /// Returns the items of the array at the path.
    fn list(&self, path: &str) -> &[Value];
    /// Returns the members of the object at the path, in the server's order.
    fn members(&self, path: &str) -> impl Iterator<Item = (&str, &Value)>;
    /// Returns the moment at the path in Unix milliseconds: an RFC 3339 text or a number.
    fn moment(&self, path: &str) -> Option<i64>;
}

impl Json for Value {
    fn at(&self, path: &str) -> &Value {
        if path.is_empty() {
            return self;
        }
        path.split('.').fold(self, |value, name| value.get(name).unwrap_or(&Self::Null))
    }

    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    fn whole(&self, path: &str) -> Option<u64> {
        self.at(path).as_u64()
    }

    fn number(&self, path: &str) -> Option<f64> {
        self.at(path).as_f64()
    }

    fn is(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or_default()
    }

    fn list(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn members(&self, path: &str) -> impl Iterator<Item = (&str, &Self)> {
        self.at(path).as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
    }

    fn moment(&self, path: &str) -> Option<i64> {
        match self.at(path) {
            Self::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }
}

/// Returns the schema in a text as routes give it: JSON in a text, in an object with `json`.
pub(crate) fn schema(value: &Value) -> Value {
    let parsed = match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    match parsed {
        Value::Object(mut members) if members.contains_key("json") => members.remove("json").unwrap_or(Value::Null),
        other => other,
    }
}

/// Returns the value in few words on one line.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the time of day of a moment, `HH:MM:SS`, in UTC.
pub(crate) fn clock(milliseconds: i64) -> String {
    format(milliseconds, "%H:%M:%S")
}

/// Returns the time of day of a moment to the millisecond, in UTC.
pub(crate) fn exact_clock(milliseconds: i64) -> String {
    format(milliseconds, "%H:%M:%S%.3f")
}

/// Returns day and time of a moment, in UTC.
pub(crate) fn date(milliseconds: i64) -> String {
    format(milliseconds, "%Y-%m-%d %H:%M:%S")
}

fn format(milliseconds: i64, pattern: &str) -> String {
    let moment = jiff::Timestamp::from_millisecond(milliseconds);
    moment.map_or_else(|_| "-".to_owned(), |moment| moment.strftime(pattern).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_or_of_another_type_reads_as_empty() {
        let value = json!({"a": {"b": "text", "n": 3, "yes": true, "list": [1]}, "time": "1970-01-01T00:00:01Z"});
        assert_eq!((value.text("a.b"), value.text("a.n"), value.text("x.y.z")), ("text", "", ""));
        assert_eq!((value.whole("a.n"), value.whole("a.b")), (Some(3), None));
        assert_eq!((value.list("a.list").len(), value.list("a.b").len()), (1, 0));
        assert_eq!((value.moment("time"), value.moment("a.n"), value.moment("a.b")), (Some(1000), Some(3), None));
        assert_eq!(value.members("a").count(), 4);
        assert_eq!(value.members("a.b").count(), 0);
        assert!(value.is("a.yes") && !value.is("a.b"));
    }

    #[test]
    fn schemas_come_out_of_their_wrapping() {
        let schema_in_text = json!(r#"{"json":{"type":"object"}}"#);
        assert_eq!(schema(&schema_in_text), json!({"type": "object"}));
        assert_eq!(schema(&json!({"type": "object"})), json!({"type": "object"}));
        assert_eq!(schema(&json!("nonsense")), Value::Null);
    }

    #[test]
    fn moments_are_shown_in_utc() {
        assert_eq!((clock(3_661_000), exact_clock(1_005).as_str()), ("01:01:01".into(), "00:00:01.005"));
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(clock(i64::MAX), "-");
    }
}
