//! The recorded session about traces, answered from spans that are put in by hand: those the
//! session itself shows, so what is shown of a span is compared with what was recorded.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value, json};

use super::Host;
use crate::types::{
    id::Millis,
    span::{Entity, Span, SpanKind},
};

/// Steps of the session by name: what is asked, what is answered.
fn session() -> BTreeMap<String, (String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/contract/telemetry.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let steps = text.lines().filter_map(|line| {
        let step: Value = serde_json::from_str(line).unwrap();
        let name = step["name"].as_str()?.strip_prefix("telemetry/")?.to_owned();
        (step["request"]["method"] == "GET")
            .then(|| (name, (step["request"]["path"].as_str().unwrap().to_owned(), step["expect"].clone())))
    });
    steps.collect()
}

/// Returns which of the kinds of placeholder this is, with its argument.
fn placeholder(value: &Map<String, Value>) -> Option<(&str, &Value)> {
    let kinds = ["$hex", "$uuid", "$iso", "$ms", "$number", "$string", "$pattern", "$json"];
    kinds.into_iter().find_map(|kind| Some((kind, value.get(kind)?)))
}

/// Returns a value with something in the place of each placeholder: the same for the same name.
fn filled(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(filled).collect(),
        Value::Object(map) => {
            let name = map.get("$as").and_then(Value::as_str).unwrap_or("nobody");
            let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
            let digits = format!("{digits:0>32}");
            match placeholder(map) {
                None => map.iter().map(|(key, value)| (key.clone(), filled(value))).collect::<Map<_, _>>().into(),
                Some(("$hex", length)) => {
                    let length = usize::try_from(length.as_u64().unwrap()).unwrap();
                    digits.split_at(32 - length).1.into()
                }
                Some(("$json", inner)) => filled(inner).to_string().into(),
                Some(("$ms" | "$number", _)) => 7.into(),
                Some(("$iso", _)) => "2026-01-01T00:00:00.000Z".into(),
                Some((kind, _)) => format!("{kind}-{name}").into(),
            }
        }
        scalar => scalar.clone(),
    }
}

/// Compares an answer with a recorded one; nothing may be missing, nothing added but what
/// `extra` says.
#[track_caller]
fn check(at: &str, expected: &Value, got: &Value) {
    let extra = ["deltaCursor", "details"];
    match (expected, got) {
        (Value::Object(wanted), _) if placeholder(wanted).is_some() => {
            assert!(!got.is_null(), "{at} is null");
            if wanted.contains_key("$as") {
                assert_eq!(&filled(expected), got, "{at}");
            }
        }
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let got = got.get(key).unwrap_or_else(|| panic!("{at}.{key} is missing"));
                check(&format!("{at}.{key}"), value, got);
            }
            for key in got.keys() {
                assert!(wanted.contains_key(key) || extra.contains(&key.as_str()), "{at}.{key} was not recorded");
            }
        }
        (Value::Array(wanted), Value::Array(got)) => {
            assert_eq!(wanted.len(), got.len(), "{at}");
            for (index, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                check(&format!("{at}[{index}]"), wanted, got);
            }
        }
        _ => assert_eq!(expected, got, "{at}"),
    }
}

/// Returns the span that was recorded as this; it begins then.
fn span(recorded: &Value, started_at: i64) -> Span {
    let recorded = filled(recorded);
    let text = |name: &str| recorded[name].as_str().map(str::to_owned);
    let some = |name: &str| Some(recorded[name].clone()).filter(|value| !value.is_null());
    let map = |name: &str| recorded[name].as_object().cloned().unwrap_or_default();
    let kind = SpanKind::parse(recorded["spanType"].as_str().unwrap()).unwrap();
    let mut span = Span::begin(kind, text("name").unwrap(), &text("traceId").unwrap(), text("spanId").unwrap());
    span.parent_id = text("parentSpanId");
    span.is_event = recorded["isEvent"] == true;
    span.started_at = Millis(started_at);
    span.ended_at = text("endedAt").map(|_| Millis(started_at + 500));
    span.entity = text("entityType")
        .map(|kind| Entity::new(&kind, &text("entityId").unwrap_or_default(), &text("entityName").unwrap_or_default()));
    (span.run_id, span.thread_id, span.resource_id) = (text("runId"), text("threadId"), text("resourceId"));
    (span.metadata, span.attributes) = (map("metadata"), map("attributes"));
    span.tags = serde_json::from_value(recorded["tags"].clone()).unwrap_or_default();
    (span.input, span.output, span.error) = (some("input"), some("output"), some("error"));
    span.request_context = some("requestContext");
    span
}

#[tokio::test]
async fn traces_are_answered_as_recorded() {
    let session = session();
    let host = Host::start().await;
    let mut spans = Vec::new();
    // The list has the newest first.
    let roots = session["traces-list-default"].1["body"]["spans"].as_array().unwrap();
    let whole = ["trace-get-workflow", "trace-get-agent", "trace-get-failed-workflow"];
    let whole: Vec<&Value> = whole.iter().map(|name| &session[*name].1["body"]).collect();
    for (index, root) in roots.iter().rev().enumerate() {
        let began = 1_790_000_000_000 + i64::try_from(index).unwrap() * 10_000;
        let trace = whole.iter().find(|trace| filled(&trace["traceId"]) == filled(&root["traceId"]));
        let recorded = trace.map_or(std::slice::from_ref(root), |trace| trace["spans"].as_array().unwrap());
        spans.extend(recorded.iter().zip(began..).map(|(recorded, began)| span(recorded, began)));
    }
    host.app.observe.recorder().batch(Vec::new(), spans).await.unwrap();
    let mut played = 0;
    for (name, (path, expected)) in &session {
        if !path.starts_with("/api/observability/traces") {
            continue;
        }
        let mut path = path.clone();
        for (variable, kind, length) in [
            ("nestedTrace", "traceId_3", 32),
            ("failedTrace", "traceId_2", 32),
            ("agentTrace", "traceId_4", 32),
            ("failedSpan", "spanId_2", 16),
        ] {
            let id = filled(&json!({"$hex": length, "$as": kind}));
            path = path.replace(&format!("${{{variable}}}"), id.as_str().unwrap());
        }
        let answer = host.get(&path).await;
        assert_eq!(json!(answer.status), expected["status"], "{name}: {}", answer.text());
        check(name, &expected["body"], &answer.json());
        played += 1;
    }
    assert_eq!(played, 24, "the session has other steps than it had");
}
