//! Whether metadata matches a [`Filter`], which yes, no and neither decide as in SQL.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::{Comparison, Filter, Path, Test};

impl Filter {
    /// Whether metadata is like this.
    #[must_use]
    pub fn matches(&self, metadata: &Map<String, Value>) -> bool {
        self.holds(Root::Object(metadata)) == Some(true)
    }

    /// `None` if it is neither so nor not so.
    fn holds(&self, root: Root<'_>) -> Option<bool> {
        match self {
            Self::And(parts) => decide(parts, root, false),
            Self::Or(parts) => decide(parts, root, true),
            Self::Not(inner) => inner.holds(root).map(|holds| !holds),
            Self::Field { path, test } => test.holds(root.at(path).filter(|value| !value.is_null())),
        }
    }
}

/// Weighs parts until one is `deciding`; otherwise one that is neither leaves the whole so.
fn decide(parts: &[Filter], root: Root<'_>, deciding: bool) -> Option<bool> {
    let mut whole = Some(!deciding);
    for part in parts {
        match part.holds(root) {
            Some(holds) if holds == deciding => return Some(deciding),
            Some(_) => {}
            None => whole = None,
        }
    }
    whole
}

/// What paths begin at.
#[derive(Clone, Copy)]
enum Root<'a> {
    Object(&'a Map<String, Value>),
    Value(&'a Value),
}

impl<'a> Root<'a> {
    fn at(self, path: &Path) -> Option<&'a Value> {
        let mut keys = path.keys();
        let mut value = match self {
            Self::Object(object) => object.get(keys.next()?)?,
            Self::Value(value) => value,
        };
        for key in keys {
            value = value.as_object()?.get(key)?;
        }
        Some(value)
    }
}

impl Test {
    /// `value` is the field's, absent if it is missing or null.
    fn holds(&self, value: Option<&Value>) -> Option<bool> {
        match self {
            Self::Equal(Value::Null) => return Some(value.is_none()),
            Self::Exists(exists) => return Some(value.is_some() == *exists),
            Self::In(values) | Self::All(values) if values.is_empty() => return Some(false),
            _ => {}
        }
        let value = value?;
        Some(match self {
            Self::Equal(wanted) => equal(value, wanted),
            Self::Compare(comparison, bound) => is_beside(*comparison, value, bound),
            Self::In(wanted) => match value {
                Value::Array(elements) => wanted.iter().any(|wanted| has(elements, wanted)),
                value => has(wanted, value),
            },
            Self::All(wanted) => match value {
                Value::Array(elements) => wanted.iter().all(|wanted| has(elements, wanted)),
                _ => false,
            },
            Self::Contains(wanted) => contains(value, wanted),
            Self::Size(length) => {
                value.as_array().and_then(|elements| u64::try_from(elements.len()).ok()) == Some(*length)
            }
            Self::Exists(exists) => *exists,
            Self::Regex(regex) => value.as_str().is_some_and(|text| regex.is_match(text)),
            Self::Element(filter) => value
                .as_array()
                .is_some_and(|elements| elements.iter().any(|one| filter.holds(Root::Value(one)) == Some(true))),
        })
    }
}

fn has(values: &[Value], wanted: &Value) -> bool {
    values.iter().any(|value| equal(value, wanted))
}

fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Array(elements), Value::Array(wanted)) => wanted.iter().any(|wanted| has(elements, wanted)),
        (Value::Array(elements), wanted) => has(elements, wanted),
        (Value::String(text), Value::String(wanted)) => text.to_lowercase().contains(&wanted.to_lowercase()),
        (value, wanted) => equal(value, wanted),
    }
}

/// As JSON values are equal, except that `1` and `1.0` are one number.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => ordered(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(key, value): (&String, &Value)| other.get(key).is_some_and(|other| equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        (one, other) => one == other,
    }
}

fn is_beside(comparison: Comparison, value: &Value, bound: &Value) -> bool {
    let ordering = match (value, bound) {
        (Value::Number(value), Value::Number(bound)) => ordered(value, bound),
        // Text that is a number is one beside numbers.
        (Value::String(value), Value::Number(bound)) => {
            number(value).and_then(|value| value.partial_cmp(&bound.as_f64()?))
        }
        (Value::Number(value), Value::String(bound)) => {
            number(bound).and_then(|bound| value.as_f64()?.partial_cmp(&bound))
        }
        (Value::String(value), Value::String(bound)) => Some(value.as_str().cmp(bound)),
        _ => None,
    };
    let Some(ordering) = ordering else { return false };
    match comparison {
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Whole numbers are compared as such: a double has no room for all of them.
fn ordered(one: &Number, other: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}
