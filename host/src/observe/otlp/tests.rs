use serde_json::json;

use super::{
    messages::{LogsRequest, TracesRequest},
    *,
};
use crate::{
    observe::otlp::incoming::Taken,
    types::{
        id::Millis,
        log::{Level, LogRecord},
        span::{Entity, Span, SpanKind as Kind, SpanStatus},
    },
};

const NOW: Millis = Millis(1_800_000_000_000);
const TRACE: &str = "5b8efff798038103d269b633813fc60c";

/// The example of the specification, `examples/trace.json` of opentelemetry-proto.
fn example() -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
        "scopeSpans": [{
            "scope": {"name": "my.library", "version": "1.0.0",
                "attributes": [{"key": "my.scope.attribute", "value": {"stringValue": "some scope attribute"}}]},
            "spans": [{
                "traceId": "5B8EFFF798038103D269B633813FC60C",
                "spanId": "EEE19B7EC3C1B174",
                "parentSpanId": "EEE19B7EC3C1B173",
                "name": "I'm a server span",
                "startTimeUnixNano": "1544712660000000000",
                "endTimeUnixNano": "1544712661000000000",
                "kind": 2,
                "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}]
            }]
        }]
    }]})
}

/// The example with another span.
fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut request = example();
    change(&mut request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]);
    request
}

fn traces(request: &Value) -> TracesRequest {
    decode(OtlpProtocol::Json, request.to_string().as_bytes()).unwrap()
}

fn take(request: &Value) -> Taken<Span> {
    incoming::spans(traces(request), NOW, true)
}

#[track_caller]
fn one(request: &Value) -> Span {
    let mut taken = take(request);
    assert_eq!((taken.records.len(), taken.refused()), (1, 0), "{}", taken.why);
    taken.records.remove(0)
}

/// The span with these attributes.
fn attributed(attributes: Value) -> Span {
    let fields = attributes.as_object().unwrap();
    let list: Vec<_> = fields.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    one(&with(|span| span["attributes"] = list.into()))
}

fn text(text: &str) -> Value {
    json!({"stringValue": text})
}

#[test]
fn the_specifications_example_is_read_from_json_and_from_protobuf() {
    let from_json = traces(&example());
    let bytes = encode(OtlpProtocol::Protobuf, &from_json);
    let from_protobuf: TracesRequest = decode(OtlpProtocol::Protobuf, &bytes).unwrap();
    assert_eq!(from_json, from_protobuf);
    let span = one(&example());
    assert_eq!(
        (span.trace_id.as_str(), span.span_id.as_str(), span.parent_id.as_deref()),
        (TRACE, "eee19b7ec3c1b174", Some("eee19b7ec3c1b173"))
    );
    assert_eq!(
        (span.name.as_str(), span.kind, span.status()),
        ("I'm a server span", Kind::Generic, SpanStatus::Success)
    );
    assert_eq!((span.started_at.0, span.duration()), (1_544_712_660_000, Some(1000)));
    assert_eq!(span.service_name.as_deref(), Some("my.service"));
    assert_eq!(span.attributes["otelKind"], "server");
    assert_eq!(span.attributes["scope"], json!({"name": "my.library", "version": "1.0.0"}));
    assert_eq!(Value::Object(span.metadata), json!({"my.span.attr": "some value"}));
}

#[test]
fn protobuf_has_the_numbers_of_the_specification() {
    // Made by the official library for Python: one span `s` of a resource without attributes.
    let bytes = from_hex(concat!(
        "0a3e123c0a050a036c696212330a105b8efff798038103d269b633813fc60c1208eee19b7ec3c1b1742a017330",
        "03390100000000000000410200000000000000",
    ))
    .unwrap();
    let request: TracesRequest = decode(OtlpProtocol::Protobuf, &bytes).unwrap();
    let scope = &request.resource_spans[0].scope_spans[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "lib");
    let span = &scope.spans[0];
    assert_eq!((to_hex(&span.trace_id).as_str(), span.name.as_str(), span.kind), (TRACE, "s", 3));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1, 2));
    assert_eq!(encode(OtlpProtocol::Protobuf, &request), bytes);
}

#[test]
fn json_is_read_as_senders_write_it() {
    let span = one(&with(|span| {
        span["startTimeUnixNano"] = json!(1_544_712_660_000_000_000_u64);
        span["parentSpanId"] = Value::Null;
        span["attributes"] = json!([
            {"key": "text", "value": {"intValue": "9007199254740993"}},
            {"key": "number", "value": {"intValue": 7}},
            {"key": "double", "value": {"doubleValue": 1.5}},
            {"key": "nan", "value": {"doubleValue": "NaN"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {}]}}},
            {"key": "fields", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}},
            {"key": "bytes", "value": {"bytesValue": "aGk="}},
            {"key": "later", "value": {"someNewValue": {"deep": [1]}}},
            {"key": "none"},
        ]);
        span["unknownField"] = json!({"any": ["thing"]});
    }));
    assert_eq!(span.parent_id, None);
    let expected = json!({
        "text": 9_007_199_254_740_993_i64, "number": 7, "double": 1.5, "nan": "NaN", "list": [true, null],
        "fields": {"a": "b"}, "bytes": "aGk=", "later": null, "none": null,
    });
    assert_eq!(Value::Object(span.metadata), expected);
}

#[test]
fn operations_of_generative_ai_are_kinds() {
    for (operation, kind) in [
        ("invoke_agent", Kind::AgentRun),
        ("chat", Kind::ModelGeneration),
        ("generate_content", Kind::ModelGeneration),
        ("text_completion", Kind::ModelGeneration),
        ("execute_tool", Kind::ToolCall),
        ("embeddings", Kind::RagEmbedding),
        ("create_agent", Kind::Generic),
    ] {
        assert_eq!(attributed(json!({"gen_ai.operation.name": text(operation)})).kind, kind, "{operation}");
    }
}

#[test]
fn what_is_known_of_a_models_call_has_its_own_place() {
    let span = attributed(json!({
        "gen_ai.operation.name": text("chat"),
        "gen_ai.provider.name": text("openai"),
        "gen_ai.request.model": text("gpt-4o"),
        "gen_ai.response.model": text("gpt-4o-2024-08-06"),
        "gen_ai.response.finish_reasons": {"arrayValue": {"values": [text("stop")]}},
        "gen_ai.usage.input_tokens": {"intValue": "12"},
        "gen_ai.usage.output_tokens": {"intValue": 3},
        "gen_ai.conversation.id": text("thread-1"),
        "gen_ai.input.messages": text(r#"[{"role":"user"}]"#),
        "gen_ai.output.messages": text("plain"),
        "run.id": text("run-1"),
        "server.port": {"intValue": "443"},
    }));
    assert_eq!(span.attributes["model"], "gpt-4o-2024-08-06");
    assert_eq!(span.attributes["provider"], "openai");
    assert_eq!(span.attributes["usage"], json!({"inputTokens": 12, "outputTokens": 3}));
    assert_eq!(span.attributes["finishReason"], "stop");
    assert_eq!((span.thread_id.as_deref(), span.run_id.as_deref()), (Some("thread-1"), Some("run-1")));
    assert_eq!((span.input, span.output), (Some(json!([{"role": "user"}])), Some(json!("plain"))));
    assert_eq!(Value::Object(span.metadata), json!({"server.port": 443}));
}

#[test]
fn names_of_older_conventions_are_known() {
    let span = attributed(json!({
        "gen_ai.operation.name": text("chat"),
        "gen_ai.system": text("anthropic"),
        "gen_ai.usage.prompt_tokens": {"intValue": 5},
        "gen_ai.usage.completion_tokens": {"intValue": 6},
    }));
    assert_eq!(span.attributes["provider"], "anthropic");
    assert_eq!(span.attributes["usage"], json!({"inputTokens": 5, "outputTokens": 6}));
}

#[test]
fn agents_and_tools_are_entities() {
    let agent = attributed(json!({"gen_ai.operation.name": text("invoke_agent"), "gen_ai.agent.id": text("a1"),
        "gen_ai.agent.name": text("Weather")}));
    assert_eq!(agent.entity, Some(Entity::new("agent", "a1", "Weather")));
    let tool = attributed(json!({"gen_ai.operation.name": text("execute_tool"), "gen_ai.agent.name": text("Weather"),
        "gen_ai.tool.name": text("forecast"), "gen_ai.tool.call.arguments": text(r#"{"city":"Oslo"}"#)}));
    assert_eq!(tool.entity, Some(Entity::new("tool", "forecast", "forecast")));
    assert_eq!(tool.input, Some(json!({"city": "Oslo"})));
}

#[test]
fn content_is_left_out_where_it_is_not_kept() {
    let request = with(|span| {
        span["attributes"] = json!([
            {"key": "gen_ai.input.messages", "value": text("secret")},
            {"key": "gen_ai.system_instructions", "value": text("secret")},
            {"key": "plain", "value": text("kept")},
        ]);
        span["events"] =
            json!([{"name": "e", "attributes": [{"key": "gen_ai.output.messages", "value": text("secret")}]}]);
    });
    let span = incoming::spans(traces(&request), NOW, false).records.remove(0);
    let kept = serde_json::to_string(&span).unwrap();
    assert!(!kept.contains("secret") && kept.contains("kept"), "{kept}");
}

#[test]
fn a_failure_has_the_words_of_its_status_or_of_its_exception() {
    let failed = |status: Value| {
        one(&with(|span| {
            span["status"] = status;
            span["events"] = json!([{"name": "exception", "timeUnixNano": "1544712660500000000", "attributes": [
                {"key": "exception.type", "value": text("Timeout")},
                {"key": "exception.message", "value": text("too slow")},
            ]}]);
        }))
    };
    let span = failed(json!({"code": 2, "message": "broken"}));
    assert_eq!(span.error, Some(json!({"message": "broken", "name": "Timeout"})));
    assert_eq!(span.attributes["events"][0]["time"], "2018-12-13T14:51:00.500Z");
    assert_eq!(failed(json!({"code": 2})).error, Some(json!({"message": "too slow", "name": "Timeout"})));
    assert_eq!(failed(json!({"code": 1})).error, None);
}

#[test]
fn spans_with_wrong_ids_are_refused_and_the_others_taken() {
    for (name, wrong) in [
        ("traceId", json!("abcd")),
        ("traceId", json!("00000000000000000000000000000000")),
        ("traceId", json!("no hex at all, but of this length")),
        ("traceId", Value::Null),
        ("spanId", json!("")),
        ("spanId", json!("eee19b7ec3c1b17")),
        ("spanId", json!("eee19b7ec3c1b174ee")),
        ("spanId", json!("äeee19b7ec3c1b1")),
        ("parentSpanId", json!("12")),
    ] {
        let mut request = with(|span| span[name] = wrong.clone());
        let good = example()["resourceSpans"][0].clone();
        request["resourceSpans"].as_array_mut().unwrap().push(good);
        let taken = take(&request);
        assert_eq!((taken.records.len(), taken.refused()), (1, 1), "{name} {wrong}");
        assert!(taken.why.contains("id must be"), "{}", taken.why);
    }
}

#[test]
fn a_parent_of_zeros_is_none() {
    assert_eq!(one(&with(|span| span["parentSpanId"] = "0000000000000000".into())).parent_id, None);
}

#[test]
fn times_that_are_not_known_or_cannot_be_are_put_right_or_refused() {
    let timed = |start: u64, end: u64| {
        with(|span| {
            span["startTimeUnixNano"] = start.to_string().into();
            span["endTimeUnixNano"] = end.to_string().into();
        })
    };
    let times = |start, end| {
        let span = one(&timed(start, end));
        (span.started_at.0, span.ended_at.unwrap().0)
    };
    assert_eq!(times(0, 0), (NOW.0, NOW.0));
    assert_eq!(times(0, 5_000_000), (5, 5));
    assert_eq!(times(5_000_000, 0), (5, 5));
    assert_eq!(times(9_000_000, 5_000_000), (9, 9));
    for end in [u64::MAX, u64::try_from(NOW.0).unwrap() * 1_000_000 + 25 * 3_600_000_000_000] {
        let taken = take(&timed(5_000_000, end));
        assert_eq!((taken.records.len(), taken.refused()), (0, 1));
        assert!(taken.why.contains("future"), "{}", taken.why);
    }
}

#[track_caller]
fn unreadable(protocol: OtlpProtocol, body: &[u8]) {
    assert!(decode::<TracesRequest>(protocol, body).is_err());
}

#[test]
fn what_is_cut_off_garbled_or_too_deep_is_an_error() {
    let whole = encode(OtlpProtocol::Protobuf, &traces(&example()));
    // Cut anywhere, a message that is one field is not whole.
    for end in 1..whole.len() {
        unreadable(OtlpProtocol::Protobuf, &whole[..end]);
    }
    let text = example().to_string();
    for end in 0..text.len() {
        unreadable(OtlpProtocol::Json, &text.as_bytes()[..end]);
    }
    let place = whole.windows(3).position(|bytes| bytes == b"I'm").unwrap();
    let mut garbled = whole;
    garbled[place] = 0xff;
    unreadable(OtlpProtocol::Protobuf, &garbled);
    // A list in a list in a list: within itself a thousand times.
    let mut value = AnyValue::default();
    for _ in 0..1000 {
        value = AnyValue { value: Some(Any::List(ArrayValue { values: vec![value] })) };
    }
    let mut deep = traces(&example());
    deep.resource_spans[0].scope_spans[0].spans[0].attributes[0].value = Some(value);
    unreadable(OtlpProtocol::Protobuf, &encode(OtlpProtocol::Protobuf, &deep));
    let nested = format!(r#"{{"resourceSpans":[{}"#, r#"{"a":["#.repeat(1000));
    unreadable(OtlpProtocol::Json, nested.as_bytes());
}

#[test]
fn what_is_taken_can_be_stored_and_read_again_however_deep_it_is() {
    // As deep as protobuf lets through.
    let mut value = AnyValue { value: Some(Any::Text("end".to_owned())) };
    let mut last = None;
    for _ in 0..200 {
        value = AnyValue { value: Some(Any::List(ArrayValue { values: vec![value] })) };
        let mut request = traces(&example());
        request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value = Some(value.clone());
        let Ok(request) = decode(OtlpProtocol::Protobuf, &encode(OtlpProtocol::Protobuf, &request)) else { break };
        last = Some(request);
    }
    let span = incoming::spans(last.unwrap(), NOW, true).records.remove(0);
    let stored = serde_json::to_string(&span).unwrap();
    assert_eq!(serde_json::from_str::<Span>(&stored).unwrap(), span);

    // As deep as JSON within a text lets through.
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    let span = attributed(json!({"gen_ai.input.messages": text(&deep)}));
    assert_eq!(span.input, Some(Value::from(deep)));
    let stored = serde_json::to_string(&span).unwrap();
    assert_eq!(serde_json::from_str::<Span>(&stored).unwrap(), span);
}

#[test]
fn a_span_that_goes_out_and_comes_in_again_is_the_same() {
    for kind in Kind::ALL {
        let mut span = Span::begin(kind, "work", TRACE, "eee19b7ec3c1b174".to_owned());
        span.parent_id = Some("eee19b7ec3c1b173".to_owned());
        (span.started_at, span.ended_at) = (Millis(1_700_000_000_000), Some(Millis(1_700_000_001_000)));
        span.entity = Some(Entity::new("workflow_step", "s1", "Step"));
        span.run_id = Some("run".to_owned());
        span.thread_id = Some("thread".to_owned());
        span.resource_id = Some("owner".to_owned());
        span.request_id = Some("request".to_owned());
        span.plugin = Some("plugin".to_owned());
        span.tags = vec!["one".to_owned(), "two".to_owned()];
        span.metadata = json!({"customer": "c1", "nested": {"list": [1, 2.5, "x", null]}}).as_object().unwrap().clone();
        span.attributes = json!({
            "conversationId": "thread", "model": "m", "provider": "p", "finishReason": "stop",
            "instructions": "be kind", "availableTools": ["a", "b"],
            "usage": {"inputTokens": 1, "outputTokens": 2, "inputDetails": {"text": 1}},
            "events": [{"name": "e", "time": "2023-11-14T22:13:20.500Z", "attributes": {"a": 1}}],
        })
        .as_object()
        .unwrap()
        .clone();
        span.links = vec![json!({"traceId": TRACE, "spanId": "eee19b7ec3c1b172", "attributes": {"l": true}})];
        span.input = Some(json!({"q": [1]}));
        span.output = Some(json!("text"));
        span.error = Some(json!({"message": "broken", "name": "Broken"}));

        let sent = outgoing::span(&span).unwrap();
        let request = TracesRequest {
            resource_spans: vec![messages::ResourceSpans {
                resource: None,
                scope_spans: vec![messages::ScopeSpans { scope: None, spans: vec![sent] }],
            }],
        };
        for protocol in [OtlpProtocol::Json, OtlpProtocol::Protobuf] {
            let request = decode(protocol, &encode(protocol, &request)).unwrap();
            let mut read = incoming::spans(request, NOW, true).records.remove(0);
            // Named by what is done and with what; which side it is, is only known outside.
            read.name = span.name.clone();
            assert!(read.attributes.shift_remove("otelKind").is_some());
            assert_eq!(read.metadata.shift_remove("error.type"), Some(json!("Broken")));
            assert_eq!(read, span, "{protocol:?} {}", kind.as_str());
        }
    }
}

#[test]
fn spans_that_go_out_have_the_names_of_the_conventions() {
    let sent = |kind, parent: Option<&str>| {
        let mut span = Span::begin(kind, "ours", TRACE, "eee19b7ec3c1b174".to_owned());
        span.parent_id = parent.map(str::to_owned);
        span.entity = Some(Entity::new("agent", "a1", "Weather"));
        span.attributes.insert("model".to_owned(), "gpt".into());
        let sent = serde_json::to_value(outgoing::span(&span).unwrap()).unwrap();
        (sent["name"].as_str().unwrap().to_owned(), sent["kind"].as_i64().unwrap(), sent["attributes"][0].clone())
    };
    let operation = |name: &str| json!({"key": "gen_ai.operation.name", "value": {"stringValue": name}});
    assert_eq!(sent(Kind::AgentRun, None), ("invoke_agent Weather".to_owned(), 2, operation("invoke_agent")));
    let parent = Some("eee19b7ec3c1b173");
    assert_eq!(sent(Kind::ModelGeneration, parent), ("chat gpt".to_owned(), 3, operation("chat")));
    assert_eq!(sent(Kind::ToolCall, parent).1, 1);
    assert_eq!(sent(Kind::WorkflowStep, parent).0, "ours");
}

#[test]
fn a_span_whose_ids_are_no_ids_is_not_sent() {
    assert_eq!(outgoing::span(&Span::begin(Kind::Generic, "n", "short", "eee19b7ec3c1b174".to_owned())), None);
}

fn log_example() -> Value {
    json!({"resourceLogs": [{
        "resource": {"attributes": [
            {"key": "service.name", "value": text("my.service")},
            {"key": "deployment.environment.name", "value": text("staging")},
        ]},
        "scopeLogs": [{"scope": {"name": "my.library"}, "logRecords": [{
            "timeUnixNano": "1544712660300000000",
            "observedTimeUnixNano": "1544712660300000000",
            "severityNumber": 10,
            "severityText": "Information",
            "traceId": "5B8EFFF798038103D269B633813FC60C",
            "spanId": "EEE19B7EC3C1B174",
            "body": {"stringValue": "Example log record"},
            "attributes": [{"key": "boolean.attribute", "value": {"boolValue": true}}],
        }]}],
    }]})
}

fn log(change: impl FnOnce(&mut Value)) -> LogRecord {
    let mut request = log_example();
    change(&mut request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]);
    let request: LogsRequest = decode(OtlpProtocol::Json, request.to_string().as_bytes()).unwrap();
    let bytes = encode(OtlpProtocol::Protobuf, &request);
    assert_eq!(decode::<LogsRequest>(OtlpProtocol::Protobuf, &bytes).unwrap(), request);
    incoming::logs(request, NOW).records.remove(0)
}

#[test]
fn a_log_record_is_read_whole() {
    let log = log(|_| {});
    assert_eq!((log.message.as_str(), log.level, log.time.0), ("Example log record", Level::Info, 1_544_712_660_300));
    assert_eq!((log.transport.as_str(), log.component.as_str()), ("my.service", "my.library"));
    assert_eq!((log.trace_id.as_deref(), log.span_id.as_deref()), (Some(TRACE), Some("eee19b7ec3c1b174")));
    assert_eq!((log.service_name.as_deref(), log.environment.as_deref()), (Some("my.service"), Some("staging")));
    assert_eq!(Value::Object(log.fields), json!({"boolean.attribute": true}));
}

#[test]
fn severities_are_levels() {
    for (number, name, level) in [
        (1, "", Level::Debug),
        (8, "", Level::Debug),
        (12, "", Level::Info),
        (13, "", Level::Warn),
        (20, "", Level::Error),
        (24, "", Level::Fatal),
        (0, "WARNING", Level::Warn),
        (0, "", Level::Info),
        (99, "error", Level::Error),
    ] {
        let read = log(|log| {
            log["severityNumber"] = number.into();
            log["severityText"] = name.into();
        });
        assert_eq!(read.level, level, "{number} {name}");
    }
}

#[test]
fn a_log_record_may_say_anything_and_belong_to_nothing() {
    let read = log(|log| {
        log["body"] = json!({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": 1}}]}});
        log["traceId"] = "00".into();
        log["timeUnixNano"] = 0.into();
        log["observedTimeUnixNano"] = 0.into();
        log["eventName"] = "order.placed".into();
    });
    assert_eq!((read.message.as_str(), &read.fields["body"]), (r#"{"a":1}"#, &json!({"a": 1})));
    assert_eq!((read.trace_id, read.time), (None, NOW));
    assert_eq!(read.fields["event.name"], "order.placed");
}

#[test]
fn a_log_record_that_goes_out_comes_in_the_same() {
    let mut ours = log(|_| {});
    ours.run_id = Some("run".to_owned());
    ours.thread_id = Some("thread".to_owned());
    let scope_logs = vec![messages::ScopeLogs { scope: None, log_records: vec![outgoing::log(&ours)] }];
    let request = LogsRequest { resource_logs: vec![messages::ResourceLogs { resource: None, scope_logs }] };
    let read = incoming::logs(request, NOW).records.remove(0);
    // Who wrote it is its resource's and its scope's.
    ours.id.clone_from(&read.id);
    ours.transport = "otlp".to_owned();
    ours.component = String::new();
    (ours.service_name, ours.environment) = (None, None);
    assert_eq!(read, ours);
}
