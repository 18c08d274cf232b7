//! What is asked of spans and log records: a condition, and whether one record meets it.
//!
//! The index answers the same conditions for what it holds (`search`); here is what they
//! mean, one record at a time, which is also how what is not indexed yet is searched.

use serde_json::Value;

use super::{attrs::Key, record::Record, words};
use crate::types::{id::Millis, log::Level};

/// A condition on records.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Filter {
    /// Every record.
    #[default]
    All,
    /// All of these hold; with none, every record.
    And(Vec<Self>),
    /// One of these holds; with none, no record.
    Or(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// A key has one of these values.
    Is(Key, Vec<String>),
    /// There is a value of the key.
    Has(Key),
    /// It began, or was written, within this time.
    Time(Between<Millis>),
    /// It ended within this time. No log record does.
    Ended(Between<Millis>),
    /// It took so many milliseconds. Neither a log record nor a span that runs did.
    Took(Between<u64>),
    /// It is a log record of one of these levels.
    Level(Vec<Level>),
    /// A field of a log record, or of a span's metadata, has this value. The name may be a dotted
    /// path. Texts, numbers and booleans are compared, each with its own kind.
    Field(String, Value),
    /// There is such a field.
    HasField(String),
    /// It is the first span of its trace here.
    Root,
    /// It is the first span of its trace, and it or something below it failed.
    HasChildError,
    /// All words of the text are in its message or name, or in what a span was given, came to or
    /// failed with.
    Text(String),
    /// It is found by this query, in the index's own syntax.
    Query(String),
}

/// A range; ends that are not given are open, those that are given belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between<T> {
    /// The least.
    pub from: Option<T>,
    /// The most.
    pub to: Option<T>,
}

impl<T: PartialOrd + Copy> Between<T> {
    /// Whether a value belongs to it.
    #[must_use]
    pub fn contains(&self, value: T) -> bool {
        self.from.is_none_or(|from| value >= from) && self.to.is_none_or(|to| value <= to)
    }
}

impl Filter {
    /// Returns the condition that a key has this value.
    #[must_use]
    pub fn is(key: Key, value: impl Into<String>) -> Self {
        Self::Is(key, vec![value.into()])
    }

    /// Returns the condition that this holds, and that as well.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, other) => other,
            (this, Self::All) => this,
            (Self::And(mut all), other) => {
                all.push(other);
                Self::And(all)
            }
            (this, other) => Self::And(vec![this, other]),
        }
    }

    /// Whether a record meets the condition.
    ///
    /// [`Filter::Query`] has a meaning in the index only, nothing meets it here.
    #[must_use]
    pub fn matches(&self, record: Record<'_>) -> bool {
        match self {
            Self::All => true,
            Self::And(all) => all.iter().all(|filter| filter.matches(record)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(record)),
            Self::Not(filter) => !filter.matches(record),
            Self::Is(key, wanted) => record.any(*key, |value| wanted.iter().any(|it| it == value)),
            Self::Has(key) => record.any(*key, |_| true),
            Self::Time(between) => between.contains(record.time()),
            Self::Ended(between) => record.ended_at().is_some_and(|at| between.contains(at)),
            Self::Took(between) => record.duration().is_some_and(|took| between.contains(took)),
            Self::Level(levels) => record.level().is_some_and(|level| levels.contains(&level)),
            Self::Field(path, wanted) => field(record, path).is_some_and(|value| is_equal(value, wanted)),
            Self::HasField(path) => field(record, path).is_some_and(|value| !value.is_null()),
            Self::Root => record.is_root(),
            Self::HasChildError => record.has_child_error(),
            Self::Text(text) => {
                let mut wanted = words::of(text);
                record.texts(|text| {
                    if !wanted.is_empty() {
                        let found = words::of(text);
                        wanted.retain(|word| !found.contains(word));
                    }
                });
                wanted.is_empty()
            }
            Self::Query(_) => false,
        }
    }

    /// Whether only the index can tell what meets it.
    #[must_use]
    pub fn needs_index(&self) -> bool {
        match self {
            Self::Query(_) => true,
            Self::And(all) | Self::Or(all) => all.iter().any(Self::needs_index),
            Self::Not(filter) => filter.needs_index(),
            _ => false,
        }
    }
}

/// Returns the value at a dotted path; a key that has dots itself is found as well.
fn field<'a>(record: Record<'a>, path: &str) -> Option<&'a Value> {
    let fields = record.fields();
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    let mut parts = path.split('.');
    let first = fields.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

fn is_equal(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Number(value), Value::Number(wanted)) => value.as_f64() == wanted.as_f64(),
        (Value::Array(values), wanted) => values.iter().any(|value| is_equal(value, wanted)),
        (Value::String(value), Value::String(wanted)) => value == wanted,
        (Value::Bool(value), Value::Bool(wanted)) => value == wanted,
        _ => false,
    }
}
