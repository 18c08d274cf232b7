//! What a predicate may ask about, and how each question is a condition.

use serde_json::Value;

use crate::{
    observe::{
        attrs::Key,
        filter::{Between, Filter},
    },
    types::{id::Millis, span::SpanStatus},
};

/// About what a predicate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// A trace, by its first span.
    Trace,
    /// Any span of it.
    Spans,
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// A text that is known of a span.
    Key(Key),
    /// When it began.
    Start,
    /// When it ended.
    End,
    /// How long it took.
    Duration,
    /// Whether it failed.
    Error,
    /// Its tags.
    Tags,
    /// A value of its metadata.
    Metadata(String),
    /// What the API has, and nothing here says.
    Unknown,
}

/// What of values of a field can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether they are equal.
    Text,
    /// Also which is less.
    Number,
    /// The same, for times.
    Time,
    /// Whether there is one.
    Presence,
    /// Whether one is among them.
    List,
}

/// How two values stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Equal.
    Eq,
    /// There is one, but another.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// More.
    Gt,
    /// More or equal.
    Gte,
}

/// A field as it is listed: its path, what it is, whether its values are suggested.
pub(super) type Row = (&'static str, Field, bool);

/// Returns the fields of a scope, in the order they are listed.
pub(super) fn of(scope: Scope) -> Vec<Row> {
    let key = |path, key, is_suggested| (path, Field::Key(key), is_suggested);
    match scope {
        Scope::Trace => vec![
            key("traceId", Key::TraceId, false),
            key("threadId", Key::ThreadId, false),
            key("resourceId", Key::ResourceId, false),
            key("runId", Key::RunId, false),
            key("requestId", Key::RequestId, false),
            ("startedAt", Field::Start, false),
            ("endedAt", Field::End, false),
            ("durationMs", Field::Duration, false),
            key("name", Key::Name, true),
            key("spanType", Key::SpanType, true),
            key("entityId", Key::EntityId, true),
            key("entityName", Key::EntityName, true),
            key("entityType", Key::EntityType, true),
            key("serviceName", Key::ServiceName, true),
            key("environment", Key::Environment, true),
            key("plugin", Key::Plugin, true),
            key("status", Key::Status, true),
            ("tags", Field::Tags, true),
        ],
        Scope::Spans => vec![
            key("spanId", Key::SpanId, false),
            key("name", Key::Name, true),
            key("spanType", Key::SpanType, true),
            key("model", Key::Model, true),
            key("provider", Key::Provider, true),
            ("startedAt", Field::Start, false),
            ("endedAt", Field::End, false),
            ("durationMs", Field::Duration, false),
            key("status", Key::Status, true),
            ("error", Field::Error, false),
            key("entityType", Key::EntityType, true),
            key("entityId", Key::EntityId, false),
            key("entityName", Key::EntityName, true),
            key("plugin", Key::Plugin, true),
            ("entityVersionId", Field::Unknown, false),
            ("parentEntityVersionId", Field::Unknown, false),
            ("rootEntityVersionId", Field::Unknown, false),
        ],
    }
}

/// Returns the field at a path.
pub(super) fn find(scope: Scope, path: &str) -> Option<Field> {
    if let Some(key) = path.strip_prefix("metadata.").filter(|key| !key.is_empty()) {
        return Some(Field::Metadata(key.to_owned()));
    }
    of(scope).into_iter().find(|(known, _, _)| *known == path).map(|(_, field, _)| field)
}

impl Field {
    /// Returns what can be asked.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Key(_) | Self::Metadata(_) | Self::Unknown => Kind::Text,
            Self::Start | Self::End => Kind::Time,
            Self::Duration => Kind::Number,
            Self::Error => Kind::Presence,
            Self::Tags => Kind::List,
        }
    }

    /// Returns the condition that there is a value.
    pub(super) fn exists(&self) -> Filter {
        match self {
            Self::Key(key) => Filter::Has(*key),
            Self::Start => Filter::All,
            Self::End => Filter::Ended(Between::default()),
            Self::Duration => Filter::Took(Between::default()),
            Self::Error => Filter::is(Key::Status, SpanStatus::Error.as_str()),
            Self::Tags => Filter::Has(Key::Tag),
            Self::Metadata(name) => Filter::HasField(name.clone()),
            Self::Unknown => Filter::Or(Vec::new()),
        }
    }

    /// Returns the condition that a value stands so to this one; what is wrong if it cannot.
    pub(super) fn compare(&self, comparison: Comparison, value: &Value) -> Result<Filter, &'static str> {
        if comparison == Comparison::Ne {
            let equal = self.compare(Comparison::Eq, value)?;
            return Ok(self.exists().and(Filter::Not(Box::new(equal))));
        }
        match (self, comparison) {
            (Self::Key(key), Comparison::Eq) => Ok(Filter::is(*key, text(value)?)),
            (Self::Metadata(name), Comparison::Eq) => match value {
                Value::Null => Err("expected a string, a number or a boolean, not null"),
                value => Ok(Filter::Field(name.clone(), value.clone())),
            },
            (Self::Unknown, Comparison::Eq) => text(value).map(|_| Filter::Or(Vec::new())),
            (Self::Start, comparison) => Ok(Filter::Time(times(comparison, value)?)),
            (Self::End, comparison) => Ok(Filter::Ended(times(comparison, value)?)),
            (Self::Duration, comparison) => lengths(comparison, value),
            (Self::Key(_) | Self::Metadata(_) | Self::Unknown, _) => Err("this field is not ordered"),
            (Self::Error, _) => Err("of this field only exists and notExists can be asked"),
            (Self::Tags, _) => Err("of this field only includes, notIncludes, exists and notExists can be asked"),
        }
    }
}

fn text(value: &Value) -> Result<&str, &'static str> {
    value.as_str().ok_or("expected a string")
}

fn times(comparison: Comparison, value: &Value) -> Result<Between<Millis>, &'static str> {
    let at = value.as_str().and_then(Millis::parse).ok_or("expected a date")?;
    let (before, behind) = (Millis(at.0.saturating_sub(1)), Millis(at.0.saturating_add(1)));
    Ok(match comparison {
        Comparison::Eq | Comparison::Ne => Between { from: Some(at), to: Some(at) },
        Comparison::Lt => Between { from: None, to: Some(before) },
        Comparison::Lte => Between { from: None, to: Some(at) },
        Comparison::Gt => Between { from: Some(behind), to: None },
        Comparison::Gte => Between { from: Some(at), to: None },
    })
}

/// Lengths are whole milliseconds, the value need not be.
fn lengths(comparison: Comparison, value: &Value) -> Result<Filter, &'static str> {
    let value = value.as_f64().ok_or("expected a number")?;
    let (least, most) = match comparison {
        Comparison::Eq | Comparison::Ne if value.fract() != 0.0 => return Ok(Filter::Or(Vec::new())),
        Comparison::Eq | Comparison::Ne => (Some(value), Some(value)),
        Comparison::Lt => (None, Some(value.ceil() - 1.0)),
        Comparison::Lte => (None, Some(value.floor())),
        Comparison::Gt => (Some(value.floor() + 1.0), None),
        Comparison::Gte => (Some(value.ceil()), None),
    };
    if most.is_some_and(|most| most < 0.0) {
        return Ok(Filter::Or(Vec::new()));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float keeps to the range")]
    let whole = |value: f64| value.max(0.0) as u64;
    Ok(Filter::Took(Between { from: least.map(whole), to: most.map(whole) }))
}
