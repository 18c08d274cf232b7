//! What live events say of spans and log records.

use serde_json::Value;

use super::attrs;
use crate::types::{
    event::{Event, EventKind},
    id::Millis,
    log::{Level, LogRecord},
    span::{Span, SpanStatus},
};

/// Returns the event that a span has ended.
pub(super) fn span(span: &Span) -> Event {
    let status = span.status();
    let event = Event::now(EventKind::Span, "ended")
        .at(span.ended_at.unwrap_or_else(Millis::now))
        .level(if status == SpanStatus::Error { Level::Error } else { Level::Info })
        .run(span.run_id.as_deref())
        .thread(span.thread_id.as_deref())
        .plugin(span.plugin.as_deref())
        .text("traceId", &span.trace_id)
        .text("spanId", &span.span_id)
        .maybe("parentSpanId", span.parent_id.as_deref())
        .word("spanType", span.kind.as_str())
        .text("name", &span.name)
        .word("status", status.as_str())
        .number("durationMs", span.duration());
    match &span.entity {
        Some(entity) => event.text("entityType", &entity.kind).text("entityId", &entity.id),
        None => event,
    }
}

/// Returns the event that a log record was written.
pub(super) fn log(record: &LogRecord) -> Event {
    Event::now(EventKind::Log, "written")
        .at(record.time)
        .level(record.level)
        .run(record.run_id.as_deref())
        .thread(record.thread_id.as_deref())
        .plugin(record.fields.get(attrs::field::PLUGIN_NAME).and_then(Value::as_str))
        .text("id", &record.id)
        .text("transport", &record.transport)
        .text("component", &record.component)
        .text("message", &record.message)
        .maybe("traceId", record.trace_id.as_deref())
        .maybe("requestId", record.request_id.as_deref())
}
