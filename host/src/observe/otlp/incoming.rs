//! OTLP's spans and log records, made into ours.
//!
//! What has a place of its own in a record goes there: names of `gen_ai.*` that say what our
//! attributes say become those, ids become ids. Everything else a sender says of a span is its
//! metadata, where it is found by its own name. A span that cannot be kept is refused, and those
//! beside it are taken.

use serde_json::{Map, Value, json};

use super::{
    SpanKind as Side,
    messages::{self, LogsRequest, Resource, Scope, TracesRequest},
    parsed, to_hex, to_json, to_map,
};
use crate::{
    observe::attrs::{field, otel, own, span as attr},
    types::{
        id::{self, Millis},
        log::{Level, LogRecord},
        span::{Entity, Span, SpanKind},
    },
};

/// Clocks differ, but not by more than this; what is later would be kept longer than anybody
/// asked for.
const FUTURE: i64 = 24 * 3600 * 1000;

/// What a request comes to.
#[derive(Debug)]
pub struct Taken<T> {
    /// What can be kept.
    pub records: Vec<T>,
    refused: u64,
    /// Why the first of those that cannot be kept cannot.
    pub why: String,
}

impl<T> Taken<T> {
    fn new() -> Self {
        Self { records: Vec::new(), refused: 0, why: String::new() }
    }

    /// Returns how many cannot be kept, as the protocol counts them.
    #[must_use]
    pub fn refused(&self) -> i64 {
        i64::try_from(self.refused).unwrap_or(i64::MAX)
    }

    fn add(&mut self, record: Result<T, String>) {
        match record {
            Ok(record) => self.records.push(record),
            Err(why) => {
                self.refused += 1;
                if self.why.is_empty() {
                    self.why = why;
                }
            }
        }
    }
}

/// Reads spans. `with_content` says whether what went into models and tools is kept.
#[must_use]
pub fn spans(request: TracesRequest, now: Millis, with_content: bool) -> Taken<Span> {
    let mut taken = Taken::new();
    for of_resource in request.resource_spans {
        let service = Service::of(of_resource.resource);
        for of_scope in of_resource.scope_spans {
            let scope = scope_json(of_scope.scope.as_ref());
            for span in of_scope.spans {
                taken.add(read_span(span, &service, scope.as_ref(), now, with_content));
            }
        }
    }
    taken
}

/// Reads log records.
#[must_use]
pub fn logs(request: LogsRequest, now: Millis) -> Taken<LogRecord> {
    let mut taken = Taken::new();
    for of_resource in request.resource_logs {
        let service = Service::of(of_resource.resource);
        for of_scope in of_resource.scope_logs {
            let component = of_scope.scope.map(|scope| scope.name).unwrap_or_default();
            for record in of_scope.log_records {
                taken.add(read_log(record, &service, &component, now));
            }
        }
    }
    taken
}

/// Who sent it.
struct Service {
    name: Option<String>,
    environment: Option<String>,
    more: Map<String, Value>,
}

impl Service {
    fn of(resource: Option<Resource>) -> Self {
        let mut more = resource.map(|resource| to_map(resource.attributes)).unwrap_or_default();
        let name = take_text(&mut more, otel::SERVICE_NAME);
        let environment = take_text(&mut more, otel::DEPLOYMENT_ENVIRONMENT)
            .or_else(|| take_text(&mut more, otel::OLD_DEPLOYMENT_ENVIRONMENT));
        Self { name, environment, more }
    }
}

fn scope_json(scope: Option<&Scope>) -> Option<Value> {
    let scope = scope.filter(|scope| !scope.name.is_empty())?;
    Some(json!({"name": scope.name, "version": scope.version}))
}

fn read_span(
    span: messages::Span,
    service: &Service,
    scope: Option<&Value>,
    now: Millis,
    with_content: bool,
) -> Result<Span, String> {
    let trace_id = id_of(&span.trace_id, 16).ok_or_else(|| wrong_id("trace", 16, &span.trace_id))?;
    let span_id = id_of(&span.span_id, 8).ok_or_else(|| wrong_id("span", 8, &span.span_id))?;
    let parent_id = match span.parent_span_id.as_slice() {
        bytes if bytes.iter().all(|byte| *byte == 0) && (bytes.is_empty() || bytes.len() == 8) => None,
        bytes => Some(id_of(bytes, 8).ok_or_else(|| wrong_id("parent span", 8, bytes))?),
    };
    let (started_at, ended_at) = times(&span, now)?;
    let mut rest = to_map(span.attributes);
    if !with_content {
        rest.retain(|name, _| !is_content(name));
    }
    let kind = kind_of(&mut rest);
    let mut read = Span::begin(kind, span.name, &trace_id, span_id);
    read.parent_id = parent_id;
    (read.started_at, read.ended_at) = (started_at, Some(ended_at));
    read.service_name.clone_from(&service.name);
    read.environment.clone_from(&service.environment);
    read_attributes(&mut read, &mut rest);
    if let Some(side) = Side::of(span.kind).filter(|side| *side != Side::Unspecified) {
        read.attributes.insert(attr::OTEL_KIND.to_owned(), side.as_str().into());
    }
    if let Some(scope) = scope {
        read.attributes.insert(attr::SCOPE.to_owned(), scope.clone());
    }
    if !service.more.is_empty() {
        read.attributes.insert(attr::RESOURCE.to_owned(), Value::Object(service.more.clone()));
    }
    if let Some(status) = span.status.filter(|status| status.code == 2) {
        read.error = Some(error_of(status.message, &span.events, &rest));
    }
    if !span.events.is_empty() {
        let events = span.events.into_iter().map(|event| read_event(event, with_content)).collect();
        read.attributes.insert(attr::EVENTS.to_owned(), events);
    }
    read.links = span.links.into_iter().filter_map(read_link).collect();
    read.metadata = rest;
    Ok(read)
}

/// When it began and ended. A sender that does not know one of them sends 0.
fn times(span: &messages::Span, now: Millis) -> Result<(Millis, Millis), String> {
    let (started_at, ended_at) = (millis(span.start_time_unix_nano), millis(span.end_time_unix_nano));
    let (started_at, ended_at) = match (started_at, ended_at) {
        (Some(start), Some(end)) => (start, end.max(start)),
        (Some(time), None) | (None, Some(time)) => (time, time),
        (None, None) => (now, now),
    };
    if ended_at.0 > now.0.saturating_add(FUTURE) {
        return Err(format!("a span ends in the future, at {}", ended_at.iso()));
    }
    Ok((started_at, ended_at))
}

fn is_content(name: &str) -> bool {
    [
        otel::INPUT_MESSAGES,
        otel::OUTPUT_MESSAGES,
        otel::TOOL_CALL_ARGUMENTS,
        otel::TOOL_CALL_RESULT,
        otel::SYSTEM_INSTRUCTIONS,
        own::INPUT,
        own::OUTPUT,
    ]
    .contains(&name)
}

fn kind_of(rest: &mut Map<String, Value>) -> SpanKind {
    let operation = take_text(rest, otel::OPERATION_NAME);
    if let Some(kind) = take_text(rest, own::SPAN_TYPE).and_then(|name| SpanKind::parse(&name)) {
        return kind;
    }
    match operation.as_deref() {
        Some("invoke_agent") => SpanKind::AgentRun,
        Some("chat" | "generate_content" | "text_completion") => SpanKind::ModelGeneration,
        Some("execute_tool") => SpanKind::ToolCall,
        Some("embeddings") => SpanKind::RagEmbedding,
        Some(other) => {
            // Not ours to map, so it stays what the sender says of the span.
            rest.insert(otel::OPERATION_NAME.to_owned(), other.into());
            SpanKind::Generic
        }
        None => SpanKind::Generic,
    }
}

/// Moves what has a place of its own out of the attributes.
fn read_attributes(span: &mut Span, rest: &mut Map<String, Value>) {
    span.run_id = take_text(rest, field::RUN_ID);
    span.resource_id = take_text(rest, field::RESOURCE_ID);
    span.request_id = take_text(rest, field::REQUEST_ID);
    span.plugin = take_text(rest, field::PLUGIN_NAME);
    span.thread_id = take_text(rest, otel::CONVERSATION_ID).or_else(|| take_text(rest, field::THREAD_ID));
    if let Some(thread) = &span.thread_id {
        span.attributes.insert(attr::CONVERSATION_ID.to_owned(), thread.as_str().into());
    }
    if let Some(Value::Array(tags)) = rest.shift_remove(own::TAGS) {
        span.tags = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    span.entity = take_entity(span.kind, rest);

    let asked = take_text(rest, otel::REQUEST_MODEL);
    let model = take_text(rest, otel::RESPONSE_MODEL).or(asked);
    let provider = take_text(rest, otel::PROVIDER_NAME).or_else(|| take_text(rest, otel::OLD_PROVIDER_NAME));
    for (name, value) in [(attr::MODEL, model), (attr::PROVIDER, provider)] {
        if let Some(value) = value {
            span.attributes.insert(name.to_owned(), value.into());
        }
    }
    let mut usage = Map::new();
    for (name, new, old) in [
        ("inputTokens", otel::INPUT_TOKENS, otel::OLD_INPUT_TOKENS),
        ("outputTokens", otel::OUTPUT_TOKENS, otel::OLD_OUTPUT_TOKENS),
    ] {
        let (new, old) = (take_count(rest, new), take_count(rest, old));
        if let Some(count) = new.or(old) {
            usage.insert(name.to_owned(), count.into());
        }
    }
    if !usage.is_empty() {
        span.attributes.insert(attr::USAGE.to_owned(), usage.into());
    }
    if let Some(Value::Array(reasons)) = rest.shift_remove(otel::FINISH_REASONS)
        && let Some(reason) = reasons.into_iter().next()
    {
        span.attributes.insert(attr::FINISH_REASON.to_owned(), reason);
    }
    if let Some(told) = rest.shift_remove(otel::SYSTEM_INSTRUCTIONS) {
        span.attributes.insert(attr::INSTRUCTIONS.to_owned(), parsed(told));
    }
    let mut take = |names: [&str; 3]| names.into_iter().find_map(|name| rest.shift_remove(name)).map(parsed);
    span.input = take([otel::INPUT_MESSAGES, otel::TOOL_CALL_ARGUMENTS, own::INPUT]);
    span.output = take([otel::OUTPUT_MESSAGES, otel::TOOL_CALL_RESULT, own::OUTPUT]);

    let ours: Vec<String> = rest.keys().filter(|name| name.starts_with(own::ATTRIBUTE)).cloned().collect();
    for name in ours {
        if let (Some(value), Some(short)) = (rest.shift_remove(&name), name.strip_prefix(own::ATTRIBUTE)) {
            merge(&mut span.attributes, short, value);
        }
    }
}

/// Adds an attribute; what is known of it already from elsewhere is completed.
fn merge(attributes: &mut Map<String, Value>, name: &str, value: Value) {
    match (attributes.get_mut(name), value) {
        (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
        (_, value) => {
            attributes.insert(name.to_owned(), value);
        }
    }
}

fn take_entity(kind: SpanKind, rest: &mut Map<String, Value>) -> Option<Entity> {
    let agent = (take_text(rest, otel::AGENT_ID), take_text(rest, otel::AGENT_NAME));
    let tool = take_text(rest, otel::TOOL_NAME);
    let own = [own::ENTITY_TYPE, own::ENTITY_ID, own::ENTITY_NAME].map(|name| take_text(rest, name));
    if let [Some(kind), Some(id), name] = own {
        let name = name.unwrap_or_else(|| id.clone());
        return Some(Entity { kind, id, name });
    }
    match (kind, agent, tool) {
        (SpanKind::ToolCall, _, Some(tool)) => Some(Entity::new("tool", &tool, &tool)),
        (_, (Some(id), name), _) => Some(Entity::new("agent", &id, name.as_deref().unwrap_or(&id))),
        (_, (None, Some(name)), _) => Some(Entity::new("agent", &name, &name)),
        (_, _, Some(tool)) => Some(Entity::new("tool", &tool, &tool)),
        (_, (None, None), None) => None,
    }
}

/// Says why a span failed, in the words of its status, or of the exception in it.
fn error_of(message: String, events: &[messages::Event], rest: &Map<String, Value>) -> Value {
    let exception = events.iter().rfind(|event| event.name == "exception");
    let said = |name: &str| {
        let attribute = exception?.attributes.iter().find(|attribute| attribute.key == name)?;
        to_json(attribute.value.clone()).as_str().map(str::to_owned)
    };
    let message = Some(message).filter(|message| !message.is_empty());
    let message = message.or_else(|| said("exception.message")).unwrap_or_else(|| "failed".to_owned());
    let name = rest.get(otel::ERROR_TYPE).and_then(Value::as_str).map(str::to_owned);
    match name.or_else(|| said("exception.type")) {
        Some(name) => json!({"message": message, "name": name}),
        None => json!({"message": message}),
    }
}

fn read_event(event: messages::Event, with_content: bool) -> Value {
    let mut attributes = to_map(event.attributes);
    if !with_content {
        attributes.retain(|name, _| !is_content(name));
    }
    let time = millis(event.time_unix_nano).map(Millis::iso);
    json!({"name": event.name, "time": time, "attributes": attributes})
}

fn read_link(link: messages::Link) -> Option<Value> {
    let (trace_id, span_id) = (id_of(&link.trace_id, 16)?, id_of(&link.span_id, 8)?);
    let attributes = to_map(link.attributes);
    Some(json!({"traceId": trace_id, "spanId": span_id, "attributes": attributes}))
}

fn read_log(record: messages::LogRecord, service: &Service, component: &str, now: Millis) -> Result<LogRecord, String> {
    let time = millis(record.time_unix_nano).or_else(|| millis(record.observed_time_unix_nano)).unwrap_or(now);
    if time.0 > now.0.saturating_add(FUTURE) {
        return Err(format!("a log record is of the future, of {}", time.iso()));
    }
    let mut fields = to_map(record.attributes);
    let message = match to_json(record.body) {
        Value::Null => record.event_name.clone(),
        Value::String(text) => text,
        // People read it as text, programs find it by its fields.
        body => {
            let text = body.to_string();
            fields.insert("body".to_owned(), body);
            text
        }
    };
    if !record.event_name.is_empty() {
        fields.insert(otel::EVENT_NAME.to_owned(), record.event_name.into());
    }
    Ok(LogRecord {
        id: id::fresh(),
        time,
        level: level(record.severity_number, &record.severity_text),
        transport: service.name.clone().unwrap_or_else(|| "otlp".to_owned()),
        component: component.to_owned(),
        message,
        run_id: take_text(&mut fields, field::RUN_ID),
        // The specification: a record with an id that is none belongs to no trace.
        trace_id: id_of(&record.trace_id, 16),
        span_id: id_of(&record.span_id, 8),
        request_id: take_text(&mut fields, field::REQUEST_ID),
        thread_id: take_text(&mut fields, field::THREAD_ID).or_else(|| take_text(&mut fields, otel::CONVERSATION_ID)),
        resource_id: take_text(&mut fields, field::RESOURCE_ID),
        service_name: service.name.clone(),
        environment: service.environment.clone(),
        fields,
    })
}

fn level(number: i32, text: &str) -> Level {
    match number {
        1..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => match text.to_ascii_lowercase().as_str() {
            "trace" | "debug" => Level::Debug,
            "warn" | "warning" => Level::Warn,
            "error" => Level::Error,
            "fatal" | "critical" => Level::Fatal,
            _ => Level::Info,
        },
    }
}

/// Returns an id as text; nothing if it has another length or is all zeros.
fn id_of(bytes: &[u8], length: usize) -> Option<String> {
    (bytes.len() == length && bytes.iter().any(|byte| *byte != 0)).then(|| to_hex(bytes))
}

fn wrong_id(what: &str, length: usize, bytes: &[u8]) -> String {
    let found = bytes.len();
    format!("a {what} id must be {length} bytes that are not all 0, but one has {found} or is no hex")
}

/// Returns a time; nothing for 0, which says that it is not known.
fn millis(nanoseconds: u64) -> Option<Millis> {
    (nanoseconds > 0).then(|| Millis(i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX)))
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.shift_remove(name)? {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn take_count(fields: &mut Map<String, Value>, name: &str) -> Option<u64> {
    let value = fields.shift_remove(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
