//! Our spans and log records, made into OTLP's.
//!
//! The counterpart of [`incoming`](super::incoming): what OpenTelemetry's conventions for
//! generative AI have a name for is sent by it, what they have none for by a name of our own
//! ([`attrs::own`](crate::observe::attrs::own)), and metadata by the names its authors gave it.

use serde_json::{Map, Value};

use super::{
    SpanKind as Side, attribute, from_hex,
    messages::{self, AnyValue, Event, KeyValue, Link, Status},
};
use crate::{
    observe::attrs::{field, otel, own, span as attr},
    types::{
        id::Millis,
        log::{Level, LogRecord},
        span::{Span, SpanKind},
    },
};

/// Makes a span. One whose ids are not OpenTelemetry's cannot be sent.
#[must_use]
pub fn span(span: &Span) -> Option<messages::Span> {
    let trace_id = id_of(&span.trace_id, 16)?;
    let span_id = id_of(&span.span_id, 8)?;
    let parent_span_id = span.parent_id.as_deref().and_then(|id| id_of(id, 8)).unwrap_or_default();
    let ended_at = span.ended_at.unwrap_or(span.started_at);
    Some(messages::Span {
        trace_id,
        span_id,
        trace_state: String::new(),
        parent_span_id,
        name: name(span),
        kind: side(span) as i32,
        start_time_unix_nano: nanoseconds(span.started_at),
        end_time_unix_nano: nanoseconds(ended_at),
        attributes: attributes(span),
        events: span.attributes.get(attr::EVENTS).and_then(Value::as_array).map_or_else(Vec::new, |it| events(it)),
        links: span.links.iter().filter_map(link).collect(),
        status: span.error.as_ref().map(|error| Status { message: message_of(error), code: 2 }),
        flags: 0,
    })
}

/// Makes a log record.
#[must_use]
pub fn log(log: &LogRecord) -> messages::LogRecord {
    let severity_number = match log.level {
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
        Level::Fatal => 21,
    };
    let mut attributes: Vec<KeyValue> = log.fields.iter().map(|(name, value)| attribute(name, value)).collect();
    for (name, value) in [
        (field::RUN_ID, &log.run_id),
        (field::REQUEST_ID, &log.request_id),
        (field::THREAD_ID, &log.thread_id),
        (field::RESOURCE_ID, &log.resource_id),
    ] {
        if let Some(value) = value {
            attributes.push(attribute(name, &Value::from(value.as_str())));
        }
    }
    messages::LogRecord {
        time_unix_nano: nanoseconds(log.time),
        severity_number,
        severity_text: log.level.as_str().to_ascii_uppercase(),
        body: Some(AnyValue { value: Some(messages::Any::Text(log.message.clone())) }),
        attributes,
        flags: 0,
        trace_id: log.trace_id.as_deref().and_then(|id| id_of(id, 16)).unwrap_or_default(),
        span_id: log.span_id.as_deref().and_then(|id| id_of(id, 8)).unwrap_or_default(),
        observed_time_unix_nano: nanoseconds(log.time),
        event_name: String::new(),
    }
}

/// Returns what OpenTelemetry calls the work of a span.
fn operation(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::AgentRun => Some("invoke_agent"),
        SpanKind::ModelGeneration | SpanKind::ModelInference => Some("chat"),
        SpanKind::ToolCall | SpanKind::McpToolCall | SpanKind::ProviderToolCall | SpanKind::ClientToolCall => {
            Some("execute_tool")
        }
        SpanKind::RagEmbedding => Some("embeddings"),
        _ => None,
    }
}

/// The conventions name spans by what is done and with what; other names are ours.
fn name(span: &Span) -> String {
    let with = match span.kind {
        SpanKind::ModelGeneration | SpanKind::ModelInference | SpanKind::RagEmbedding => {
            span.attributes.get(attr::MODEL).and_then(Value::as_str)
        }
        _ => span.entity.as_ref().map(|entity| entity.name.as_str()),
    };
    match (operation(span.kind), with) {
        (Some(operation), Some(with)) => format!("{operation} {with}"),
        _ => span.name.clone(),
    }
}

fn side(span: &Span) -> Side {
    match span.kind {
        SpanKind::ModelGeneration | SpanKind::ModelInference | SpanKind::RagEmbedding => Side::Client,
        _ if span.parent_id.is_none() => Side::Server,
        _ => Side::Internal,
    }
}

/// Attributes under construction: the first value of a name counts.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, name: &str, value: &Value) {
        if !value.is_null() && !self.0.iter().any(|known| known.key == name) {
            self.0.push(attribute(name, value));
        }
    }

    fn put_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(name, &text.into());
        }
    }

    /// Content is one text: many collectors know no attributes with fields.
    fn put_content(&mut self, name: &str, content: Option<&Value>) {
        match content {
            Some(Value::String(_)) | None => self.put(name, content.unwrap_or(&Value::Null)),
            Some(content) => self.put(name, &content.to_string().into()),
        }
    }
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let mut to = Attributes::default();
    to.put_text(otel::OPERATION_NAME, operation(span.kind));
    to.put_text(own::SPAN_TYPE, Some(span.kind.as_str()));
    if let Some(entity) = &span.entity {
        match entity.kind.as_str() {
            "agent" => {
                to.put_text(otel::AGENT_ID, Some(&entity.id));
                to.put_text(otel::AGENT_NAME, Some(&entity.name));
            }
            "tool" => to.put_text(otel::TOOL_NAME, Some(&entity.name)),
            _ => {}
        }
        to.put_text(own::ENTITY_TYPE, Some(&entity.kind));
        to.put_text(own::ENTITY_ID, Some(&entity.id));
        to.put_text(own::ENTITY_NAME, Some(&entity.name));
    }
    to.put_text(otel::CONVERSATION_ID, span.thread_id.as_deref());
    to.put_text(field::RUN_ID, span.run_id.as_deref());
    to.put_text(field::RESOURCE_ID, span.resource_id.as_deref());
    to.put_text(field::REQUEST_ID, span.request_id.as_deref());
    to.put_text(field::PLUGIN_NAME, span.plugin.as_deref());
    if !span.tags.is_empty() {
        to.put(own::TAGS, &span.tags.clone().into());
    }
    put_known(&mut to, &span.attributes);
    let (input, output) = content_names(span.kind);
    to.put_content(input, span.input.as_ref());
    to.put_content(output, span.output.as_ref());
    if let Some(error) = &span.error {
        to.put_text(otel::ERROR_TYPE, Some(error.get("name").and_then(Value::as_str).unwrap_or("_OTHER")));
    }
    for (name, value) in &span.metadata {
        to.put(name, value);
    }
    to.0
}

/// What a kind of span calls what it was given and what it came to.
fn content_names(kind: SpanKind) -> (&'static str, &'static str) {
    match operation(kind) {
        Some("invoke_agent" | "chat") => (otel::INPUT_MESSAGES, otel::OUTPUT_MESSAGES),
        Some("execute_tool") => (otel::TOOL_CALL_ARGUMENTS, otel::TOOL_CALL_RESULT),
        _ => (own::INPUT, own::OUTPUT),
    }
}

fn put_known(to: &mut Attributes, attributes: &Map<String, Value>) {
    for (name, value) in attributes {
        match name.as_str() {
            // Sent in a place of their own.
            attr::EVENTS | attr::CONVERSATION_ID => {}
            attr::MODEL => to.put(otel::REQUEST_MODEL, value),
            attr::PROVIDER => to.put(otel::PROVIDER_NAME, value),
            attr::FINISH_REASON => to.put(otel::FINISH_REASONS, &vec![value.clone()].into()),
            attr::INSTRUCTIONS => to.put_content(otel::SYSTEM_INSTRUCTIONS, Some(value)),
            attr::USAGE => {
                to.put(otel::INPUT_TOKENS, value.get("inputTokens").unwrap_or(&Value::Null));
                to.put(otel::OUTPUT_TOKENS, value.get("outputTokens").unwrap_or(&Value::Null));
                let is_more = |name: &String| name != "inputTokens" && name != "outputTokens";
                let more: Map<String, Value> = value.as_object().map_or_else(Map::new, |usage| {
                    usage.iter().filter(|(name, _)| is_more(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
                });
                if !more.is_empty() {
                    to.put(&format!("{}{name}", own::ATTRIBUTE), &Value::Object(more));
                }
            }
            _ => to.put(&format!("{}{name}", own::ATTRIBUTE), value),
        }
    }
}

fn events(events: &[Value]) -> Vec<Event> {
    let event = |event: &Value| Event {
        time_unix_nano: event["time"].as_str().and_then(Millis::parse).map_or(0, nanoseconds),
        name: event["name"].as_str().unwrap_or_default().to_owned(),
        attributes: fields(&event["attributes"]),
    };
    events.iter().map(event).collect()
}

fn link(link: &Value) -> Option<Link> {
    let trace_id = id_of(link.get("traceId")?.as_str()?, 16)?;
    let span_id = id_of(link.get("spanId")?.as_str()?, 8)?;
    Some(Link { trace_id, span_id, attributes: link.get("attributes").map_or_else(Vec::new, fields) })
}

fn fields(value: &Value) -> Vec<KeyValue> {
    value.as_object().map_or_else(Vec::new, |it| it.iter().map(|(name, value)| attribute(name, value)).collect())
}

fn message_of(error: &Value) -> String {
    error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned)
}

fn id_of(text: &str, length: usize) -> Option<Vec<u8>> {
    from_hex(text).filter(|bytes| bytes.len() == length)
}

fn nanoseconds(time: Millis) -> u64 {
    u64::try_from(time.0).unwrap_or(0).saturating_mul(1_000_000)
}
