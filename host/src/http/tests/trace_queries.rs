//! `POST /observability/traces/query`: which predicate finds which trace.

use serde_json::{Value, json};

use super::{
    Host,
    traces::{each, host},
};

const RANGE: [&str; 2] = ["1970-01-01T00:00:00Z", "1970-01-01T00:00:10Z"];

fn body(rest: Value) -> Value {
    let mut body = json!({"timeRange": {"from": RANGE[0], "to": RANGE[1]}});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    body
}

async fn ask(host: &Host, rest: Value) -> (u16, Value) {
    let answer = host.post("/api/observability/traces/query", &body(rest).to_string()).await;
    (answer.status, answer.json())
}

async fn found(host: &Host, predicate: Value) -> String {
    let (status, answer) = ask(host, json!({"where": predicate})).await;
    assert_eq!(status, 200, "{predicate}: {answer}");
    each(&answer, "traces", "rootSpanId").join(" ")
}

fn compare(op: &str, path: &str, literal: impl Into<Value>) -> Value {
    json!({"op": op, "left": {"path": path}, "right": {"literal": literal.into()}})
}

#[tokio::test]
async fn a_trace_is_shown_by_its_first_span() {
    let host = host().await;
    let (_, answer) = ask(&host, json!({"orderBy": [{"field": "startedAt", "direction": "asc"}]})).await;
    let expected = json!({"traceId": "a".repeat(32), "rootSpanId": "a1", "name": "agent run: 'weather'",
        "entityId": "weather", "parentSpanId": null, "createdAt": "1970-01-01T00:00:01.000Z",
        "metadata": {"userId": "u-1", "n": 3, "deep": {"er": true}, "scope": {"pkg": "x"}},
        "inputPreview": "what is the weather in Oslo?", "threadId": "th-a", "resourceId": "ann",
        "startedAt": "1970-01-01T00:00:01.000Z", "endedAt": "1970-01-01T00:00:01.900Z", "entityName": "Weather Agent",
        "entityType": "agent", "environment": "prod", "status": "success"});
    assert_eq!(answer["traces"][0], expected);
    assert_eq!(each(&answer, "traces", "rootSpanId"), ["a1", "b1"], "what goes on is not found");
    assert_eq!(answer["page"], json!({"next": null}));
}

#[tokio::test]
async fn each_predicate_finds_what_it_says() {
    let host = host().await;
    let not = |predicate: Value| json!({"op": "not", "arg": predicate});
    let tool_failed =
        json!({"op": "and", "args": [compare("eq", "spanType", "tool_call"), {"op": "exists", "path": "error"}]});
    for (predicate, expected) in [
        (compare("eq", "threadId", "th-a"), "a1"),
        (compare("ne", "threadId", "th-a"), "b1"),
        (compare("ne", "environment", "prod"), ""),
        (not(compare("eq", "environment", "prod")), "b1"),
        (json!({"op": "eq", "left": {"literal": "th-b"}, "right": {"path": "threadId"}}), "b1"),
        (compare("gt", "durationMs", 50), "a1"),
        (compare("gte", "durationMs", 50), "b1 a1"),
        (compare("lt", "durationMs", 50.5), "b1"),
        (compare("lte", "durationMs", 50), "b1"),
        (compare("lt", "durationMs", 0), ""),
        (compare("eq", "durationMs", 900), "a1"),
        (compare("eq", "durationMs", 0.5), ""),
        (json!({"op": "lt", "left": {"literal": 50}, "right": {"path": "durationMs"}}), "a1"),
        (compare("gt", "startedAt", "1970-01-01T00:00:01Z"), "b1"),
        (compare("gte", "startedAt", "1970-01-01T00:00:01Z"), "b1 a1"),
        (compare("lt", "endedAt", "1970-01-01T00:00:02.050Z"), "a1"),
        (compare("ne", "endedAt", "1970-01-01T00:00:02.050Z"), "a1"),
        (compare("eq", "status", "error"), ""),
        (compare("eq", "metadata.n", 3), "a1"),
        (compare("eq", "metadata.deep.er", true), "a1"),
        (compare("ne", "metadata.userId", "u-2"), "a1"),
        (json!({"op": "in", "value": {"path": "entityName"}, "set": ["w", "x"]}), "b1"),
        (json!({"op": "notIn", "value": {"path": "entityName"}, "set": ["w", "x"]}), "a1"),
        (json!({"op": "in", "value": {"path": "durationMs"}, "set": [50, 900]}), "b1 a1"),
        (json!({"op": "exists", "path": "serviceName"}), "b1"),
        (json!({"op": "notExists", "path": "metadata.userId"}), "b1"),
        (json!({"op": "includes", "path": "tags", "value": "red"}), "a1"),
        (json!({"op": "notIncludes", "path": "tags", "value": "red"}), "b1"),
        (json!({"op": "or", "args": [compare("eq", "runId", "run-a"), compare("eq", "runId", "run-b")]}), "b1 a1"),
        (json!({"op": "and", "args": [compare("eq", "runId", "run-a"), compare("eq", "runId", "run-b")]}), ""),
        (json!({"spans": {"some": tool_failed}}), "a1"),
        (json!({"spans": {"none": tool_failed}}), "b1"),
        (json!({"spans": {"some": compare("gt", "durationMs", 800)}}), "a1"),
        (json!({"spans": {"some": compare("eq", "model", "m")}}), "a1"),
        (json!({"op": "or", "args": [{"spans": {"some": tool_failed}}, compare("eq", "runId", "run-b")]}), "b1 a1"),
        (not(json!({"spans": {"some": tool_failed}})), "b1"),
        (json!({"scores": {"some": compare("lt", "score", 0.5)}}), ""),
        (json!({"scores": {"none": compare("lt", "score", 0.5)}}), "b1 a1"),
        (json!({"feedback": {"some": compare("eq", "value", 1)}}), ""),
    ] {
        assert_eq!(found(&host, predicate.clone()).await, expected, "{predicate}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_by_cursor_and_by_number() {
    let host = host().await;
    for (direction, expected) in [("asc", ["a1", "b1"]), ("desc", ["b1", "a1"])] {
        for field in ["startedAt", "endedAt"] {
            let (mut after, mut met) = (Value::Null, Vec::new());
            for _ in 0..2 {
                let order = json!([{"field": field, "direction": direction}]);
                let (_, answer) = ask(&host, json!({"orderBy": order, "page": {"limit": 1, "after": after}})).await;
                met.extend(each(&answer, "traces", "rootSpanId").into_iter().map(str::to_owned));
                after = answer["page"]["next"].clone();
            }
            assert_eq!((met.as_slice(), &after), (expected.map(str::to_owned).as_slice(), &Value::Null), "{field}");
        }
    }
    let (_, answer) = ask(&host, json!({"pagination": {"page": 1, "perPage": 1}})).await;
    assert_eq!(each(&answer, "traces", "rootSpanId"), ["a1"]);
    assert_eq!(answer["pagination"], json!({"total": 2, "page": 1, "perPage": 1, "hasMore": false}));
    let (_, answer) = ask(&host, json!({"group": {"by": ["threadId"]}, "page": {"limit": 1}})).await;
    assert_eq!(answer, json!({"groups": [{"threadId": "th-a"}], "page": {"next": "th-a"}}));
    let (_, answer) = ask(&host, json!({"group": {"by": ["threadId"]}, "page": {"limit": 1, "after": "th-a"}})).await;
    assert_eq!(answer, json!({"groups": [{"threadId": "th-b"}], "page": {"next": null}}));
    let (_, answer) = ask(&host, json!({"mode": "delta", "after": "t1000"})).await;
    assert_eq!(each(&answer, "traces", "rootSpanId"), ["a1", "b1"]);
    assert_eq!(answer["delta"], json!({"limit": 10, "hasMore": false}));
}

#[tokio::test]
async fn a_predicate_that_makes_no_sense_is_refused() {
    let host = host().await;
    let mut deep = compare("eq", "runId", "x");
    for _ in 0..13 {
        deep = json!({"op": "not", "arg": deep});
    }
    let wide = json!({"op": "or", "args": vec![compare("eq", "runId", "x"); 101]});
    let related = json!({"op": "and", "args": vec![json!({"spans": {"some": compare("eq", "name", "x")}}); 9]});
    let nested = json!({"spans": {"some": {"spans": {"some": compare("eq", "name", "x")}}}});
    for (rest, field) in [
        (json!({"where": {}}), "where.op"),
        (json!({"where": {"op": "like"}}), "where.op"),
        (json!({"where": "status = error"}), "where"),
        (json!({"where": compare("eq", "nonsense", "x")}), "where.left"),
        (json!({"where": compare("eq", "threadId", 5)}), "where.right"),
        (json!({"where": compare("gt", "threadId", "x")}), "where.right"),
        (json!({"where": compare("gt", "startedAt", "soon")}), "where.right"),
        (json!({"where": compare("eq", "durationMs", "long")}), "where.right"),
        (json!({"where": compare("eq", "threadId", json!({"a": 1}))}), "where.right"),
        (json!({"where": compare("eq", "threadId", "x".repeat(5000))}), "where.right"),
        (json!({"where": {"op": "eq", "left": {"literal": 1}, "right": {"literal": 1}}}), "where"),
        (json!({"where": {"op": "and", "args": []}}), "where.args"),
        (json!({"where": {"op": "or", "args": [compare("eq", "runId", "x"), {"op": "exists"}]}}), "where.args.1.path"),
        (json!({"where": {"op": "not"}}), "where.arg"),
        (json!({"where": {"op": "in", "value": {"path": "runId"}, "set": []}}), "where.set"),
        (json!({"where": {"op": "includes", "path": "name", "value": "x"}}), "where.path"),
        (json!({"where": {"spans": {}}}), "where.spans"),
        (json!({"where": {"spans": {"some": compare("eq", "threadId", "x")}}}), "where.spans.some.left"),
        (json!({"where": deep}), &format!("where{}", ".arg".repeat(12))),
        (json!({"where": wide}), "where.args.99"),
        (json!({"where": related}), "where.args.8.spans"),
        (json!({"where": nested}), "where.spans.some.spans"),
        (json!({"timeRange": {"from": RANGE[1], "to": RANGE[0]}}), "timeRange"),
        (json!({"timeRange": {"from": "soon", "to": RANGE[0]}}), "timeRange.from"),
        (json!({"timeRange": null}), "timeRange"),
        (json!({"page": {"after": "nonsense"}}), "page.after"),
        (json!({"page": {"limit": 5000}}), "page.limit"),
        (json!({"page": {}, "pagination": {}}), "pagination"),
        (json!({"group": {"by": ["runId"]}}), "group.by.0"),
        (json!({"group": {"by": ["threadId"]}, "pagination": {}}), "pagination"),
        (json!({"orderBy": [{"field": "name", "direction": "asc"}]}), "orderBy.0.field"),
        (json!({"after": "t5"}), "after"),
        (json!({"mode": "delta", "page": {}}), "page"),
        (json!({"mode": "delta", "after": "nonsense"}), "after"),
    ] {
        let (status, answer) = ask(&host, rest.clone()).await;
        assert_eq!((status, &answer["issues"][0]["field"]), (400, &json!(field)), "{rest}: {answer}");
        assert_eq!(answer["error"], "Invalid request body");
    }
}

#[tokio::test]
async fn what_predicates_may_ask_about_is_listed() {
    let host = host().await;
    let ask = async |what: &str, rest: Value| {
        let answer = host.post(&format!("/api/observability/traces/query/{what}"), &body(rest).to_string()).await;
        (answer.status, answer.json())
    };
    let (_, all) = ask("fields", json!({"predicateScope": "trace"})).await;
    for field in all["canonicalFields"].as_array().unwrap() {
        assert_eq!(
            found(&host, json!({"op": "exists", "path": field["path"]})).await.is_empty(),
            field["path"] == "requestId" || field["path"] == "plugin",
            "{field}"
        );
    }
    let (_, answer) = ask("fields", json!({"predicateScope": "trace", "search": "DURATION"})).await;
    let operators = ["eq", "ne", "in", "notIn", "exists", "notExists", "lt", "lte", "gt", "gte"];
    let duration =
        json!({"path": "durationMs", "valueKind": "number", "operators": operators, "valueSuggestions": false});
    assert_eq!(answer, json!({"canonicalFields": [duration], "observedFields": [], "observedFieldsTruncated": false}));
    let (_, answer) = ask("fields", json!({"predicateScope": "trace", "search": "userid"})).await;
    let user = json!({"path": "metadata.userId", "valueKind": "string", "operators": operators[..6], "valueSuggestions": true,
        "occurrences": 1});
    assert_eq!(answer["observedFields"], json!([user]));
    for (rest, expected) in [
        (
            json!({"predicateScope": "trace", "path": "tags"}),
            json!([{"value": "blue", "count": 1}, {"value": "red", "count": 1}]),
        ),
        (json!({"predicateScope": "trace", "path": "metadata.userId"}), json!([{"value": "u-1", "count": 1}])),
        (
            json!({"predicateScope": "spans", "path": "entityName", "limit": 1}),
            json!([{"value": "Weather Agent", "count": 2}]),
        ),
        (
            json!({"predicateScope": "spans", "path": "name", "search": "TOOL"}),
            json!([{"value": "tool: 'weather'", "count": 1}]),
        ),
        (json!({"predicateScope": "scores", "path": "scorerId"}), json!([])),
    ] {
        let (status, answer) = ask("values", rest.clone()).await;
        assert_eq!((status, &answer["values"]), (200, &expected), "{rest}: {answer}");
    }
    let (status, answer) = ask("values", json!({"predicateScope": "trace", "path": "traceId"})).await;
    assert_eq!((status, &answer["issues"][0]["field"]), (400, &json!("path")));
}
