//! A span as clients see it: whole, in a list, or without what goes in and comes out.

use serde_json::{Map, Value, json};

use crate::types::span::{Entity, Span};

/// Characters of a preview at most.
const PREVIEW: usize = 500;

/// What a span says of where it belongs that only its metadata may know, in the API's order.
const NOTED_FIRST: [&str; 2] = ["userId", "organizationId"];
const NOTED_LAST: [&str; 5] =
    ["entityVersionId", "parentEntityVersionId", "rootEntityVersionId", "experimentId", "source"];

/// Returns a span of a trace.
pub(in crate::http) fn whole(span: &Span) -> Value {
    let mut shown = without_status(span);
    shown["status"] = span.status().as_str().into();
    shown
}

/// Returns a span on its own.
pub(super) fn without_status(span: &Span) -> Value {
    let mut shown = head(span);
    shown.insert("metadata".to_owned(), object(&span.metadata));
    let tags = if span.tags.is_empty() { Value::Null } else { json!(span.tags) };
    shown.insert("tags".to_owned(), tags);
    shown.insert("attributes".to_owned(), object(&span.attributes));
    let links = if span.links.is_empty() { Value::Null } else { json!(span.links) };
    shown.insert("links".to_owned(), links);
    shown.insert("input".to_owned(), json!(span.input));
    shown.insert("output".to_owned(), json!(span.output));
    tail(&mut shown, span);
    Value::Object(shown)
}

/// Returns a span of a trace without what goes in and comes out.
pub(super) fn light(span: &Span) -> Value {
    let mut shown = head(span);
    tail(&mut shown, span);
    Value::Object(shown)
}

/// Returns a span of a list.
pub(super) fn row(span: &Span) -> Value {
    let (kind, id, name) = entity(span);
    json!({
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "spanType": span.kind.as_str(),
        "isEvent": span.is_event,
        "startedAt": span.started_at.iso(),
        "endedAt": ended_at(span),
        "error": span.error,
        "status": span.status().as_str(),
        "entityType": kind,
        "entityId": id,
        "entityName": name,
        "metadata": object(&span.metadata),
        "inputPreview": preview(span),
        "createdAt": span.started_at.iso(),
        "updatedAt": updated_at(span),
    })
}

/// Returns a trace that was asked for by its first span.
pub(super) fn trace(root: &Span) -> Value {
    let (kind, id, name) = entity(root);
    json!({
        "traceId": root.trace_id,
        "rootSpanId": root.span_id,
        "name": root.name,
        "entityId": id,
        "parentSpanId": root.parent_id,
        "createdAt": root.started_at.iso(),
        "metadata": object(&root.metadata),
        "inputPreview": preview(root),
        "threadId": root.thread_id,
        "resourceId": root.resource_id,
        "startedAt": root.started_at.iso(),
        "endedAt": ended_at(root),
        "entityName": name,
        "entityType": kind,
        "environment": root.environment,
        "status": root.status().as_str(),
    })
}

/// Returns what a span was given, cut short.
fn preview(span: &Span) -> Option<String> {
    let text = match span.input.as_ref()? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(match text.char_indices().nth(PREVIEW) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    })
}

fn head(span: &Span) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    put("traceId", span.trace_id.as_str().into());
    put("spanId", span.span_id.as_str().into());
    put("name", span.name.as_str().into());
    put("spanType", span.kind.as_str().into());
    put("isEvent", span.is_event.into());
    put("startedAt", span.started_at.iso().into());
    put("parentSpanId", json!(span.parent_id));
    let (kind, id, name) = entity(span);
    put("entityType", json!(kind));
    put("entityId", json!(id));
    put("entityName", json!(name));
    // Who is around a span is told by the trace, not by the span.
    for around in ["parent", "root"] {
        for what in ["Type", "Id", "Name"] {
            put(&format!("{around}Entity{what}"), Value::Null);
        }
    }
    let noted = |name: &str| span.metadata.get(name).filter(|value| value.is_string()).cloned().unwrap_or_default();
    for name in NOTED_FIRST {
        put(name, noted(name));
    }
    put("resourceId", json!(span.resource_id));
    put("runId", json!(span.run_id));
    put("sessionId", noted("sessionId"));
    put("threadId", json!(span.thread_id));
    put("requestId", json!(span.request_id));
    put("environment", json!(span.environment));
    put("serviceName", json!(span.service_name));
    put("scope", span.metadata.get("scope").filter(|scope| scope.is_object()).cloned().unwrap_or_default());
    for name in NOTED_LAST {
        put(name, noted(name));
    }
    shown
}

fn tail(shown: &mut Map<String, Value>, span: &Span) {
    shown.insert("error".to_owned(), json!(span.error));
    shown.insert("endedAt".to_owned(), json!(ended_at(span)));
    shown.insert("requestContext".to_owned(), json!(span.request_context));
    shown.insert("createdAt".to_owned(), span.started_at.iso().into());
    shown.insert("updatedAt".to_owned(), updated_at(span).into());
}

fn entity(span: &Span) -> (Option<&str>, Option<&str>, Option<&str>) {
    fn part<'a>(entity: Option<&'a Entity>, get: fn(&'a Entity) -> &'a str) -> Option<&'a str> {
        entity.map(get).filter(|part| !part.is_empty())
    }
    let entity = span.entity.as_ref();
    (part(entity, |it| &it.kind), part(entity, |it| &it.id), part(entity, |it| &it.name))
}

fn ended_at(span: &Span) -> Option<String> {
    span.ended_at.map(|at| at.iso())
}

fn updated_at(span: &Span) -> String {
    span.ended_at.unwrap_or(span.started_at).iso()
}

fn object(map: &Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { Value::Object(map.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::span::SpanKind;

    #[test]
    fn previews_are_cut_between_characters() {
        let mut span = Span::begin(SpanKind::AgentRun, "run", "t", "s".to_owned());
        for (input, expected) in [
            (json!("hi"), Some("hi".to_owned())),
            (json!({"a": 1}), Some(r#"{"a":1}"#.to_owned())),
            (json!("ü".repeat(600)), Some("ü".repeat(500))),
            (Value::Null, None),
        ] {
            span.input = Some(input);
            assert_eq!(preview(&span), expected);
        }
    }
}
