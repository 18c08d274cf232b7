//! What finds which span.

use serde_json::{Value, json};

use super::Host;
use crate::types::{
    id::Millis,
    log::{Level, LogRecord},
    span::{Entity, Span, SpanKind},
};

/// A trace of an agent that called a tool, which failed; a run of a workflow; one that goes on.
pub(super) fn spans() -> Vec<Span> {
    let make = |kind, name: &str, trace: char, id: &str, times: (i64, Option<i64>)| {
        let mut span = Span::begin(kind, name, &trace.to_string().repeat(32), id.to_owned());
        (span.started_at, span.ended_at) = (Millis(times.0), times.1.map(Millis));
        span
    };
    let mut run = make(SpanKind::AgentRun, "agent run: 'weather'", 'a', "a1", (1000, Some(1900)));
    run.entity = Some(Entity::new("agent", "weather", "Weather Agent"));
    (run.run_id, run.thread_id, run.resource_id) = (Some("run-a".into()), Some("th-a".into()), Some("ann".into()));
    run.metadata =
        json!({"userId": "u-1", "n": 3, "deep": {"er": true}, "scope": {"pkg": "x"}}).as_object().unwrap().clone();
    run.tags = vec!["red".to_owned(), "blue".to_owned()];
    run.input = Some(json!("what is the weather in Oslo?"));
    run.has_child_error = true;
    run.environment = Some("prod".to_owned());
    let mut model = make(SpanKind::ModelGeneration, "llm: 'm'", 'a', "a2", (1100, Some(1500)));
    model.parent_id = Some("a1".to_owned());
    model.entity = run.entity.clone();
    model.attributes = json!({"model": "m", "provider": "p", "usage": {"inputTokens": 20, "outputTokens": 8}})
        .as_object()
        .unwrap()
        .clone();
    let mut step = make(SpanKind::ModelStep, "step: 0", 'a', "a3", (1101, Some(1400)));
    step.parent_id = Some("a2".to_owned());
    let mut tool = make(SpanKind::ToolCall, "tool: 'weather'", 'a', "a4", (1200, Some(1300)));
    tool.parent_id = Some("a3".to_owned());
    tool.entity = Some(Entity::new("tool", "weather-tool", "weather-tool"));
    tool.error = Some(json!({"message": "no network"}));
    tool.plugin = Some("weather-plugin".to_owned());
    let mut workflow = make(SpanKind::WorkflowRun, "workflow run: 'w'", 'b', "b1", (2000, Some(2050)));
    workflow.entity = Some(Entity::new("workflow_run", "w", "w"));
    (workflow.run_id, workflow.thread_id) = (Some("run-b".into()), Some("th-b".into()));
    workflow.service_name = Some("shop".to_owned());
    let mut open = make(SpanKind::AgentRun, "agent run: 'slow'", 'c', "c1", (3000, None));
    open.entity = Some(Entity::new("agent", "slow", "Slow Agent"));
    vec![run, model, step, tool, workflow, open]
}

fn log(id: &str, time: i64, level: Level, transport: &str, message: &str) -> LogRecord {
    LogRecord {
        id: format!("00000000-0000-7000-8000-{id:0>12}"),
        time: Millis(time),
        level,
        transport: transport.to_owned(),
        component: "AGENT".to_owned(),
        message: message.to_owned(),
        run_id: Some("run-a".to_owned()),
        trace_id: Some("a".repeat(32)),
        span_id: Some("a4".to_owned()),
        request_id: None,
        thread_id: None,
        resource_id: None,
        service_name: None,
        environment: None,
        fields: json!({"attempt": 2, "city": "Oslo"}).as_object().unwrap().clone(),
    }
}

pub(super) fn logs() -> Vec<LogRecord> {
    let mut sent = log("4", 4000, Level::Fatal, "shop", "gone");
    (sent.service_name, sent.run_id, sent.trace_id, sent.span_id) = (Some("shop".into()), None, None, None);
    (sent.fields, sent.component) = (serde_json::Map::new(), String::new());
    vec![
        log("1", 1000, Level::Info, "host", "a run began"),
        log("2", 1250, Level::Error, "weather-plugin", "no network"),
        log("3", 1250, Level::Debug, "host", "a try failed"),
        sent,
    ]
}

/// A host in which all this has happened.
pub(super) async fn host() -> Host {
    let host = Host::with(|config| config.body_limit = 64 << 10).await;
    host.app.observe.recorder().batch(logs(), spans()).await.unwrap();
    host
}

/// Returns the values of a key of a list's entries.
#[track_caller]
pub(super) fn each<'a>(answer: &'a Value, list: &str, key: &str) -> Vec<&'a str> {
    let list = answer[list].as_array().unwrap_or_else(|| panic!("{answer}"));
    list.iter().map(|entry| entry[key].as_str().unwrap()).collect()
}

#[track_caller]
fn check(answer: &super::Answer, list: &str, expected: &str, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    assert_eq!(each(&answer.json(), list, "spanId").join(" "), expected, "{what}");
}

#[tokio::test]
async fn each_parameter_finds_what_it_says() {
    let host = host().await;
    let range = |text: &str| text.replace('@', "1970-01-01T00:00:0");
    for (query, expected) in [
        ("", "c1 b1 a1"),
        ("direction=ASC", "a1 b1 c1"),
        ("field=endedAt", "c1 b1 a1"),
        ("field=endedAt&direction=ASC", "a1 b1 c1"),
        ("page=1&perPage=1", "b1"),
        ("page=9", ""),
        ("spanType=agent_run", "c1 a1"),
        ("spanType=tool_call", ""),
        ("status=running", "c1"),
        ("status=error", ""),
        ("status=success&spanType=workflow_run", "b1"),
        ("hasChildError=true", "a1"),
        ("hasChildError=false", "c1 b1"),
        ("entityType=agent&entityId=weather", "a1"),
        ("entityName=Slow%20Agent", "c1"),
        ("traceId=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "b1"),
        ("runId=run-a", "a1"),
        ("threadId=th-b", "b1"),
        ("resourceId=ann", "a1"),
        ("serviceName=shop", "b1"),
        ("environment=prod", "a1"),
        ("userId=u-1", "a1"),
        ("userId=u-2", ""),
        ("sessionId=none", ""),
        ("rootEntityName=weather", ""),
        ("rootEntityType=agent", "c1 a1"),
        ("rootEntityType=agent&rootEntityId=weather&rootEntityName=Weather%20Agent", "a1"),
        ("rootEntityType=tool", ""),
        ("parentEntityType=agent", ""),
        ("tags=red", "a1"),
        ("tags=red&tags=blue", "a1"),
        ("tags=red&tags=green", ""),
        (r#"tags=["blue"]"#, "a1"),
        (r#"metadata={"n":3}"#, "a1"),
        (r#"metadata={"n":3,"deep":{"er":true}}"#, "a1"),
        (r#"metadata={"n":"3"}"#, ""),
        (r#"scope={"pkg":"x"}"#, "a1"),
        ("name=agent%20run:%20'weather'", "a1"),
        ("name=weather", ""),
        ("text=oslo%20weather", "a1"),
        ("text=bergen", ""),
        (r#"duration={"min":51}"#, "a1"),
        (r#"duration={"max":50}"#, "b1"),
        ("duration[min]=50&duration[max]=900", "b1 a1"),
        (r#"startedAt={"start":"@2.000Z"}"#, "c1 b1"),
        (r#"startedAt={"start":"@2.000Z","startExclusive":true}"#, "c1"),
        ("startedAt[end]=@2.000Z", "b1 a1"),
        ("startedAt[end]=@2.000Z&startedAt[endExclusive]=true", "a1"),
        (r#"endedAt={"end":"@9.000Z"}"#, "b1 a1"),
        (r#"dateRange={"start":"@2.500Z"}"#, "c1"),
    ] {
        let query = range(query).replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        check(&host.get(&format!("/api/observability/traces?{query}")).await, "spans", expected, &query);
        check(&host.get(&format!("/api/observability/traces/light?{query}")).await, "spans", expected, &query);
    }
}

#[tokio::test]
async fn runs_and_calls_are_listed_wherever_they_are() {
    let host = host().await;
    for (query, expected) in [
        ("", "c1 b1 a4 a1"),
        ("spanType=tool_call", "a4"),
        ("spanType=model_step", ""),
        ("status=error", "a4"),
        ("plugin=weather-plugin", "a4"),
        ("entityType=tool", "a4"),
        ("rootEntityName=Weather%20Agent", "a4 a1"),
        ("rootEntityType=workflow_run", "b1"),
        ("parentEntityName=Weather%20Agent", ""),
    ] {
        check(&host.get(&format!("/api/observability/branches?{query}")).await, "branches", expected, query);
    }
}

#[tokio::test]
async fn a_branch_is_a_span_and_what_is_below_it() {
    let host = host().await;
    let trace = "a".repeat(32);
    for (span, depth, expected) in
        [("a2", "", "a2 a3 a4"), ("a2", "?depth=0", "a2"), ("a1", "?depth=2", "a1 a2 a3"), ("a4", "", "a4")]
    {
        let answer = host.get(&format!("/api/observability/traces/{trace}/branches/{span}{depth}")).await;
        check(&answer, "spans", expected, span);
    }
    let unknown = host.get(&format!("/api/observability/traces/{trace}/branches/b1")).await;
    assert_eq!((unknown.status, unknown.json()), (404, json!({"error": "Span not found"})));
    let bad = host.get(&format!("/api/observability/traces/{trace}/branches/a1?depth=-1")).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn what_is_documented_is_the_same_under_other_names() {
    let host = host().await;
    let answer = host.get("/api/telemetry/traces?perPage=2").await.json();
    assert_eq!(answer["traces"], answer["spans"]);
    assert_eq!(each(&answer, "traces", "spanId"), ["c1", "b1"]);
    for (name, value) in [("total", json!(3)), ("page", json!(0)), ("perPage", json!(2)), ("hasMore", json!(true))] {
        assert_eq!((&answer[name], &answer["pagination"][name]), (&value, &value), "{name}");
    }
    let trace = "a".repeat(32);
    let whole = host.get(&format!("/api/observability/traces/{trace}")).await.json();
    assert_eq!(each(&whole, "spans", "spanId"), ["a1", "a2", "a3", "a4"]);
    for path in [format!("/api/telemetry/traces/{trace}"), format!("/api/telemetry/traces/{trace}/spans")] {
        assert_eq!(host.get(&path).await.json(), whole, "{path}");
    }
    for path in ["/api/telemetry/traces/nope", "/api/telemetry/traces/nope/spans"] {
        let answer = host.get(path).await;
        assert_eq!((answer.status, answer.json()), (404, json!({"error": "Trace with ID 'nope' not found"})));
    }
}

#[tokio::test]
async fn whoever_asks_for_what_is_new_is_told_once() {
    let host = host().await;
    let path = "/api/observability/traces?mode=delta";
    let first = host.get(path).await.json();
    assert_eq!((&first["spans"], first["delta"]["hasMore"].clone()), (&json!([]), json!(false)));
    let mut cursor = first["deltaCursor"].as_str().unwrap().to_owned();
    let now = Millis::now().0 + 1000;
    let spans = (0..5).map(|index| {
        let mut span = Span::begin(SpanKind::AgentRun, "run", &format!("{index:032x}"), format!("{index:016x}"));
        // All but the last end in the same millisecond.
        span.ended_at = Some(Millis(now + i64::from(index == 4)));
        span
    });
    host.app.observe.recorder().batch(Vec::new(), spans.collect()).await.unwrap();
    let mut told = Vec::new();
    for (count, has_more) in [(2, true), (2, true), (1, false), (0, false)] {
        let answer = host.get(&format!("{path}&limit=2&after={cursor}")).await.json();
        let ids = each(&answer, "spans", "spanId");
        assert_eq!((ids.len(), &answer["delta"]), (count, &json!({"limit": 2, "hasMore": has_more})));
        told.extend(ids.into_iter().map(str::to_owned));
        cursor = answer["deltaCursor"].as_str().unwrap().to_owned();
    }
    told.sort();
    let expected: Vec<String> = (0..5).map(|index| format!("{index:016x}")).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let host = host().await;
    let long = "x".repeat(5000);
    let cases = [
        ("traces", "page=-1".to_owned(), "page"),
        ("traces", "page=1.5".to_owned(), "page"),
        ("traces", "page=99999999999999999999999".to_owned(), "page"),
        ("traces", "perPage=101".to_owned(), "perPage"),
        ("traces", "perPage=0".to_owned(), "perPage"),
        ("traces", "status=bogus".to_owned(), "status"),
        ("traces", "spanType=bogus".to_owned(), "spanType"),
        ("traces", "entityType=bogus".to_owned(), "entityType"),
        ("traces", "field=name".to_owned(), "field"),
        ("traces", "direction=up".to_owned(), "direction"),
        ("traces", "hasChildError=maybe".to_owned(), "hasChildError"),
        ("traces", "startedAt=%7B%22start%22%3A".to_owned(), "startedAt"),
        ("traces", "startedAt=%7B%22start%22%3A%22soon%22%7D".to_owned(), "startedAt.start"),
        ("traces", "startedAt=[1]".to_owned(), "startedAt"),
        ("traces", "endedAt[end]=never".to_owned(), "endedAt.end"),
        ("traces", "metadata=%7Bbroken".to_owned(), "metadata"),
        ("traces", "scope=1".to_owned(), "scope"),
        ("traces", "duration=long".to_owned(), "duration"),
        ("traces", "duration[min]=-5".to_owned(), "duration.min"),
        ("traces", "mode=stream".to_owned(), "mode"),
        ("traces", "mode=delta&after=nonsense".to_owned(), "after"),
        ("traces", "mode=delta&limit=1000".to_owned(), "limit"),
        ("traces", format!("q={long}"), "q"),
        ("traces", format!("text={long}"), "text"),
        ("branches", format!("q={long}"), "q"),
        ("logs", "level=loud".to_owned(), "level.0"),
        ("logs", "timestamp=%7B%22end%22%3A7%7D".to_owned(), "timestamp.end"),
        ("logs", "perPage=1000".to_owned(), "perPage"),
        ("metrics", "page=2000".to_owned(), "page"),
        ("metrics", "labels=1".to_owned(), "labels"),
        ("discovery/entity-names", "entityType=bogus".to_owned(), "entityType"),
        ("discovery/metric-names", "limit=0".to_owned(), "limit"),
        ("discovery/metric-label-keys", String::new(), "metricName"),
    ];
    for (what, query, field) in cases {
        let answer = host.get(&format!("/api/observability/{what}?{query}")).await;
        let shown = format!("{what} {}: {}", query.get(..60).unwrap_or(&query), answer.text());
        assert_eq!(answer.status, 400, "{shown}");
        let answer = answer.json();
        assert_eq!(
            (&answer["error"], &answer["issues"][0]["field"]),
            (&json!("Invalid query parameters"), &json!(field)),
            "{shown}"
        );
    }
    let huge = host.get("/api/observability/traces?page=9007199254740991&perPage=100").await;
    assert_eq!((huge.status, &huge.json()["spans"]), (200, &json!([])));
}

#[tokio::test]
async fn menus_have_the_values_there_are() {
    let host = host().await;
    for (path, expected) in [
        ("entity-types", json!({"entityTypes": ["agent", "tool", "workflow_run"]})),
        ("entity-names", json!({"names": ["Slow Agent", "Weather Agent", "w", "weather-tool"]})),
        ("entity-names?entityType=tool", json!({"names": ["weather-tool"]})),
        ("service-names", json!({"serviceNames": ["shop"]})),
        ("environments", json!({"environments": ["prod"]})),
        ("tags", json!({"tags": ["blue", "red"]})),
        ("tags?entityType=tool", json!({"tags": []})),
        (
            "metric-names",
            json!({"names": ["mastra_agent_duration_ms", "mastra_model_duration_ms", "mastra_model_total_input_tokens",
                "mastra_model_total_output_tokens", "mastra_tool_duration_ms", "mastra_workflow_duration_ms"]}),
        ),
        ("metric-names?prefix=mastra_model&limit=1", json!({"names": ["mastra_model_duration_ms"]})),
        ("metric-label-keys?metricName=mastra_tool_duration_ms", json!({"keys": ["status"]})),
        ("metric-label-keys?metricName=mastra_model_total_input_tokens", json!({"keys": []})),
        ("metric-label-values?metricName=mastra_tool_duration_ms&labelKey=status", json!({"values": ["error"]})),
        ("metric-label-values?metricName=mastra_agent_duration_ms&labelKey=status", json!({"values": ["ok"]})),
        ("metric-label-values?metricName=none&labelKey=status", json!({"values": []})),
    ] {
        let answer = host.get(&format!("/api/observability/discovery/{path}")).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{path}");
    }
}

#[tokio::test]
async fn what_comes_late_is_new_whatever_its_time() {
    let host = host().await;
    for (path, list, id) in [("traces", "spans", "spanId"), ("logs", "logs", "logId")] {
        let page = host.get(&format!("/api/observability/{path}")).await.json();
        let before = page["deltaCursor"].as_str().unwrap();
        for (name, time) in [("6", 500), ("5", 1)] {
            let mut span = Span::begin(SpanKind::AgentRun, "late", &format!("{path}{name}"), name.to_owned());
            (span.started_at, span.ended_at) = (Millis(time), Some(Millis(time)));
            let (logs, spans) = match path {
                "logs" => {
                    (vec![LogRecord { id: name.to_owned(), ..log("9", time, Level::Info, "host", "late") }], vec![])
                }
                _ => (vec![], vec![span]),
            };
            host.app.observe.recorder().batch(logs, spans).await.unwrap();
            // Some of it is in an index, some in memory.
            host.app.observe.commit().await;
        }
        let answer = host.get(&format!("/api/observability/{path}?mode=delta&after={before}")).await.json();
        assert_eq!(each(&answer, list, id), ["6", "5"], "{path}");
        let cursor = answer["deltaCursor"].as_str().unwrap();
        let answer = host.get(&format!("/api/observability/{path}?mode=delta&after={cursor}")).await.json();
        assert_eq!((&answer[list], &answer["deltaCursor"]), (&json!([]), &json!(cursor)));
        // Files that are gone leave cursors that are too far: they stand at the end.
        let answer = host.get(&format!("/api/observability/{path}?mode=delta&after=p99999")).await.json();
        assert_eq!((&answer[list], answer["deltaCursor"] == "p99999"), (&json!([]), false));
    }
}

#[tokio::test]
async fn deleted_traces_are_not_there() {
    let host = host().await;
    let answer =
        host.post("/api/observability/traces/delete", &json!({"traceIds": ["a".repeat(32), "x"]}).to_string()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"success": true})), "{}", answer.text());
    assert_eq!(host.get(&format!("/api/observability/traces/{}", "a".repeat(32))).await.status, 404);
    check(&host.get("/api/observability/traces").await, "spans", "c1 b1", "the others");
    // Log records are not traces.
    assert_eq!(
        host.get(&format!("/api/observability/logs?traceId={}", "a".repeat(32))).await.json()["pagination"]["total"],
        3
    );
    let none = host.post("/api/observability/traces/delete", r#"{"traceIds": []}"#).await;
    assert_eq!(none.status, 200, "{}", none.text());
}
