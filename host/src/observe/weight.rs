//! About how much memory records take: what waits is bounded by it, for a few records of a
//! megabyte take more than many of a line.

use serde_json::{Map, Value};

use crate::types::{log::LogRecord, span::Span};

/// What an entry of an object takes besides its name and what its value points to.
const ENTRY: usize = size_of::<(u64, String, Value)>() + 8;

/// Returns about how many bytes a log record takes.
pub(super) fn log(record: &LogRecord) -> usize {
    let texts = [&record.id, &record.transport, &record.component, &record.message];
    let ids = [
        &record.run_id,
        &record.trace_id,
        &record.span_id,
        &record.request_id,
        &record.thread_id,
        &record.resource_id,
        &record.service_name,
        &record.environment,
    ];
    size_of::<LogRecord>()
        + texts.into_iter().map(String::len).sum::<usize>()
        + ids.into_iter().flatten().map(String::len).sum::<usize>()
        + object(&record.fields)
}

/// Returns about how many bytes a span takes.
pub(super) fn span(span: &Span) -> usize {
    let ids = [
        &span.parent_id,
        &span.run_id,
        &span.thread_id,
        &span.resource_id,
        &span.request_id,
        &span.service_name,
        &span.environment,
        &span.plugin,
    ];
    let documents = [&span.input, &span.output, &span.error, &span.request_context];
    let entity = span.entity.as_ref().map_or(0, |entity| entity.kind.len() + entity.id.len() + entity.name.len());
    size_of::<Span>()
        + span.trace_id.len()
        + span.span_id.len()
        + span.name.len()
        + entity
        + ids.into_iter().flatten().map(String::len).sum::<usize>()
        + span.tags.iter().map(|tag| size_of::<String>() + tag.len()).sum::<usize>()
        + span.links.iter().map(|link| size_of::<Value>() + value(link)).sum::<usize>()
        + object(&span.metadata)
        + object(&span.attributes)
        + documents.into_iter().flatten().map(value).sum::<usize>()
}

/// Returns about how many bytes several spans take.
pub(super) fn spans<'a>(spans: impl IntoIterator<Item = &'a Span>) -> usize {
    spans.into_iter().map(span).sum()
}

/// Returns what a value points to.
fn value(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|it| size_of::<Value>() + self::value(it)).sum(),
        Value::Object(fields) => object(fields),
    }
}

fn object(fields: &Map<String, Value>) -> usize {
    fields.iter().map(|(name, it)| ENTRY + name.len() + value(it)).sum()
}
