//! A span or a log record, as conditions and the index see it.

use serde_json::{Map, Value};

use super::attrs::{self, Key};
use crate::types::{
    id::Millis,
    json,
    log::{Level, LogRecord},
    span::{Entity, Span},
};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// Log records.
    Logs,
    /// Spans.
    Spans,
}

impl RecordKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Logs, Self::Spans];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
        }
    }
}

/// A span or a log record.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// A log record.
    Log(&'a LogRecord),
    /// A span.
    Span(&'a Span),
}

impl<'a> Record<'a> {
    /// Returns when it began or was written.
    #[must_use]
    pub fn time(self) -> Millis {
        match self {
            Self::Log(log) => log.time,
            Self::Span(span) => span.started_at,
        }
    }

    /// Returns when it ended.
    #[must_use]
    pub fn ended_at(self) -> Option<Millis> {
        match self {
            Self::Log(_) => None,
            Self::Span(span) => span.ended_at,
        }
    }

    /// Returns how long it took, in milliseconds.
    #[must_use]
    pub fn duration(self) -> Option<u64> {
        match self {
            Self::Log(_) => None,
            Self::Span(span) => span.duration(),
        }
    }

    /// Returns how much it matters.
    #[must_use]
    pub fn level(self) -> Option<Level> {
        match self {
            Self::Log(log) => Some(log.level),
            Self::Span(_) => None,
        }
    }

    /// Whether it is the first span of its trace here.
    #[must_use]
    pub fn is_root(self) -> bool {
        matches!(self, Self::Span(span) if span.is_root())
    }

    /// Whether something below it failed.
    #[must_use]
    pub fn has_child_error(self) -> bool {
        matches!(self, Self::Span(span) if span.has_child_error)
    }

    /// Returns its free fields.
    #[must_use]
    pub fn fields(self) -> &'a Map<String, Value> {
        match self {
            Self::Log(log) => &log.fields,
            Self::Span(span) => &span.metadata,
        }
    }

    /// Calls `each` with every value of every key it has.
    pub fn keys(self, mut each: impl FnMut(Key, &'a str)) {
        for key in Key::ALL {
            self.values(key, |value| each(key, value));
        }
    }

    /// Whether a value of a key meets a condition.
    pub(super) fn any(self, key: Key, mut is: impl FnMut(&'a str) -> bool) -> bool {
        let mut found = false;
        self.values(key, |value| found = found || is(value));
        found
    }

    /// Returns the first value of a key.
    #[must_use]
    pub fn get(self, key: Key) -> Option<&'a str> {
        let mut first = None;
        self.values(key, |value| {
            first.get_or_insert(value);
        });
        first
    }

    /// Calls `each` with every value of a key.
    fn values(self, key: Key, each: impl FnMut(&'a str)) {
        match self {
            Self::Log(log) => log_value(log, key).into_iter().for_each(each),
            Self::Span(span) if key == Key::Tag => span.tags.iter().map(String::as_str).for_each(each),
            Self::Span(span) => span_value(span, key).into_iter().for_each(each),
        }
    }

    /// Calls `each` with every text words are looked for in.
    pub(super) fn texts(self, mut each: impl FnMut(&str)) {
        match self {
            Self::Log(log) => each(&log.message),
            Self::Span(span) => {
                each(&span.name);
                for value in [&span.input, &span.output, &span.error].into_iter().flatten() {
                    match value {
                        Value::String(text) => each(text),
                        other => each(&json::text(other)),
                    }
                }
            }
        }
    }
}

/// Returns how many tokens of a kind a span's usage counts.
pub(super) fn tokens(span: &Span, kind: &str) -> Option<u64> {
    span.attributes.get(attrs::span::USAGE)?.get(kind)?.as_u64()
}

fn log_value(log: &LogRecord, key: Key) -> Option<&str> {
    match key {
        Key::LogId => Some(&log.id),
        Key::TraceId => log.trace_id.as_deref(),
        Key::SpanId => log.span_id.as_deref(),
        Key::RunId => log.run_id.as_deref(),
        Key::ThreadId => log.thread_id.as_deref(),
        Key::ResourceId => log.resource_id.as_deref(),
        Key::RequestId => log.request_id.as_deref(),
        Key::Transport => Some(&log.transport),
        Key::Component => Some(&*log.component).filter(|component| !component.is_empty()),
        Key::ServiceName => log.service_name.as_deref(),
        Key::Environment => log.environment.as_deref(),
        Key::Plugin => log.fields.get(attrs::field::PLUGIN_NAME).and_then(Value::as_str),
        Key::ParentSpanId
        | Key::SpanType
        | Key::Name
        | Key::Status
        | Key::EntityType
        | Key::EntityId
        | Key::EntityName
        | Key::Model
        | Key::Provider
        | Key::Tag => None,
    }
}

fn span_value(span: &Span, key: Key) -> Option<&str> {
    fn entity<'a>(span: &'a Span, get: fn(&'a Entity) -> &'a String) -> Option<&'a str> {
        span.entity.as_ref().map(|entity| get(entity).as_str())
    }
    let attribute = |name| span.attributes.get(name).and_then(Value::as_str);
    match key {
        Key::TraceId => Some(&span.trace_id),
        Key::SpanId => Some(&span.span_id),
        Key::ParentSpanId => span.parent_id.as_deref(),
        Key::RunId => span.run_id.as_deref(),
        Key::ThreadId => span.thread_id.as_deref(),
        Key::ResourceId => span.resource_id.as_deref(),
        Key::RequestId => span.request_id.as_deref(),
        Key::SpanType => Some(span.kind.as_str()),
        Key::Name => Some(&span.name),
        Key::Status => Some(span.status().as_str()),
        Key::EntityType => entity(span, |entity| &entity.kind),
        Key::EntityId => entity(span, |entity| &entity.id),
        Key::EntityName => entity(span, |entity| &entity.name),
        Key::Model => attribute(attrs::span::MODEL),
        Key::Provider => attribute(attrs::span::PROVIDER),
        Key::Plugin => span.plugin.as_deref(),
        Key::ServiceName => span.service_name.as_deref(),
        Key::Environment => span.environment.as_deref(),
        Key::LogId | Key::Transport | Key::Component | Key::Tag => None,
    }
}
