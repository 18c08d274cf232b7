//! Metrics, counted from spans.

use serde_json::{Value, json};

use super::{
    Host,
    traces::{each, host},
};
use crate::types::{
    id::Millis,
    span::{Entity, Span, SpanKind},
};

/// Runs of two agents: what they took, how many tokens, when they ended.
async fn runs() -> Host {
    let host = Host::with(|config| config.body_limit = 64 << 10).await;
    let mut spans = Vec::new();
    for (index, (agent, took, tokens, minute, failed)) in
        [("a", 100, 10, 1, false), ("a", 300, 20, 1, false), ("a", 200, 30, 2, true), ("b", 50, 5, 61, false)]
            .into_iter()
            .enumerate()
    {
        let trace = format!("{index:032x}");
        let mut run = Span::begin(SpanKind::AgentRun, "run", &trace, format!("{index:015x}0"));
        let end = minute * 60_000;
        (run.started_at, run.ended_at) = (Millis(end - took), Some(Millis(end)));
        run.entity = Some(Entity::new("agent", agent, agent));
        run.thread_id = Some(format!("th-{}", index % 2));
        run.error = failed.then(|| json!({"message": "no"}));
        let mut model = run.clone();
        (model.kind, model.span_id, model.parent_id) =
            (SpanKind::ModelGeneration, format!("{index:015x}1"), Some(run.span_id.clone()));
        model.attributes = json!({"model": "m", "provider": "p", "usage": {"inputTokens": tokens, "outputTokens": 1}})
            .as_object()
            .unwrap()
            .clone();
        spans.extend([run, model]);
    }
    host.app.observe.recorder().batch(Vec::new(), spans).await.unwrap();
    host
}

async fn ask(host: &Host, what: &str, body: Value) -> Value {
    let answer = host.post(&format!("/api/observability/metrics/{what}"), &body.to_string()).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    answer.json()
}

const DURATION: &str = "mastra_agent_duration_ms";
const INPUT: &str = "mastra_model_total_input_tokens";
const OUTPUT: &str = "mastra_model_total_output_tokens";

#[tokio::test]
async fn a_metric_comes_to_one_number() {
    let host = runs().await;
    let minute = |minute: i64| Millis(minute * 60_000).iso();
    for (rest, expected) in [
        (json!({"aggregation": "sum"}), json!(650)),
        (json!({"aggregation": "avg"}), json!(162.5)),
        (json!({"aggregation": "min"}), json!(50)),
        (json!({"aggregation": "max"}), json!(300)),
        (json!({"aggregation": "count"}), json!(4)),
        (json!({"aggregation": "last"}), json!(50)),
        (json!({"aggregation": "count_distinct", "distinctColumn": "threadId"}), json!(2)),
        (json!({"aggregation": "count_distinct", "distinctColumn": "entityName"}), json!(2)),
        (json!({"name": [INPUT, OUTPUT], "aggregation": "sum"}), json!(69)),
        (json!({"name": ["nonsense"], "aggregation": "sum"}), json!(null)),
        (json!({"name": ["nonsense"], "aggregation": "count"}), json!(0)),
        (json!({"aggregation": "sum", "filters": {"entityName": "a"}}), json!(600)),
        (json!({"aggregation": "sum", "filters": {"labels": {"status": "error"}}}), json!(200)),
        (json!({"aggregation": "sum", "filters": {"labels": {"status": "ok"}}}), json!(450)),
        (json!({"aggregation": "count", "filters": {"labels": {"color": "ok"}}}), json!(0)),
        (json!({"aggregation": "sum", "filters": {"threadId": "th-1"}}), json!(350)),
        (json!({"aggregation": "sum", "filters": {"traceIds": [format!("{:032x}", 0), "x"]}}), json!(100)),
        (json!({"aggregation": "sum", "filters": {"timestamp": {"start": minute(2)}}}), json!(250)),
        (json!({"aggregation": "sum", "filters": {"timestamp": {"end": minute(2), "endExclusive": true}}}), json!(400)),
        (json!({"aggregation": "sum", "filters": {"name": [INPUT]}}), json!(null)),
        (json!({"name": [INPUT], "aggregation": "sum", "filters": {"model": "m", "provider": "p"}}), json!(65)),
        (json!({"name": [INPUT], "aggregation": "sum", "filters": {"model": "n"}}), json!(null)),
        (json!({"aggregation": "sum", "filters": {"costUnit": "usd"}}), json!(null)),
        (json!({"name": [INPUT], "aggregation": "sum", "filters": {"parentEntityName": "a"}}), json!(60)),
        (json!({"name": [INPUT], "aggregation": "sum", "filters": {"parentEntityName": "c"}}), json!(null)),
        (json!({"aggregation": "sum", "filters": {"parentEntityName": "a"}}), json!(null)),
        (json!({"aggregation": "sum", "filters": {"rootEntityType": "agent", "rootEntityId": "b"}}), json!(50)),
        (json!({"name": [INPUT], "aggregation": "sum", "filters": {"rootEntityName": "b"}}), json!(5)),
        (json!({"aggregation": "count", "filters": {"rootEntityType": "tool"}}), json!(0)),
    ] {
        let mut body = json!({"name": [DURATION]});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        assert_eq!(ask(&host, "aggregate", body).await, json!({"value": expected}), "{rest}");
    }
}

#[tokio::test]
async fn a_number_is_compared_with_that_of_the_time_before() {
    let host = runs().await;
    let minute = |minute: i64| Millis(minute * 60_000).iso();
    let filters = json!({"timestamp": {"start": minute(2), "end": minute(3)}});
    let body =
        json!({"name": [DURATION], "aggregation": "sum", "filters": filters, "comparePeriod": "previous_period"});
    let expected = json!({"value": 200, "previousValue": 400, "changePercent": -50});
    assert_eq!(ask(&host, "aggregate", body).await, expected);
    let body =
        json!({"name": [DURATION], "aggregation": "count", "filters": filters, "comparePeriod": "previous_week"});
    let expected = json!({"value": 1, "previousValue": 0, "changePercent": null});
    assert_eq!(ask(&host, "aggregate", body).await, expected);
}

#[tokio::test]
async fn a_metric_is_broken_down_by_what_spans_have_in_common() {
    let host = runs().await;
    let body = json!({"name": [DURATION], "groupBy": ["entityName"], "aggregation": "sum"});
    let expected = json!({"groups": [{"dimensions": {"entityName": "a"}, "value": 600},
        {"dimensions": {"entityName": "b"}, "value": 50}]});
    assert_eq!(ask(&host, "breakdown", body).await, expected);
    let body = json!({"name": [DURATION], "groupBy": ["entityName", "status", "nothing"], "aggregation": "count",
        "orderDirection": "ASC", "limit": 2});
    let expected = json!({"groups": [
        {"dimensions": {"entityName": "a", "status": "error", "nothing": null}, "value": 1},
        {"dimensions": {"entityName": "b", "status": "ok", "nothing": null}, "value": 1}]});
    assert_eq!(ask(&host, "breakdown", body).await, expected);
    let body = json!({"name": [INPUT, OUTPUT], "groupBy": ["model", "name"], "aggregation": "sum"});
    let expected = json!({"groups": [{"dimensions": {"model": "m", "name": INPUT}, "value": 65},
        {"dimensions": {"model": "m", "name": OUTPUT}, "value": 4}]});
    assert_eq!(ask(&host, "breakdown", body).await, expected);
    let body = json!({"name": [DURATION], "groupBy": ["entityName"], "aggregation": "count_distinct",
        "distinctColumn": "threadId"});
    let expected = json!({"groups": [{"dimensions": {"entityName": "a"}, "value": 2},
        {"dimensions": {"entityName": "b"}, "value": 1}]});
    assert_eq!(ask(&host, "breakdown", body).await, expected);
}

#[tokio::test]
async fn a_metric_is_told_over_time() {
    let host = runs().await;
    let at = |minute: i64, value: Value| json!({"timestamp": Millis(minute * 60_000).iso(), "value": value});
    let body = json!({"name": [INPUT], "interval": "1m", "aggregation": "sum"});
    let points = [at(1, json!(30)), at(2, json!(30)), at(61, json!(5))];
    assert_eq!(ask(&host, "timeseries", body).await, json!({"series": [{"name": INPUT, "points": points}]}));
    let body = json!({"name": [DURATION], "interval": "1h", "aggregation": "avg", "groupBy": ["entityName", "status"]});
    let expected = json!({"series": [
        {"name": "a|error", "points": [at(0, json!(200))]},
        {"name": "a|ok", "points": [at(0, json!(200))]},
        {"name": "b|ok", "points": [at(60, json!(50))]}]});
    assert_eq!(ask(&host, "timeseries", body).await, expected);
    let body = json!({"name": ["nonsense"], "interval": "1d", "aggregation": "sum"});
    assert_eq!(ask(&host, "timeseries", body).await, json!({"series": [{"name": "nonsense", "points": []}]}));
    let body = json!({"name": DURATION, "percentiles": [0.5, 1], "interval": "5m", "filters": {"entityName": "a"}});
    let expected = json!({"series": [{"percentile": 0.5, "points": [at(0, json!(200))]},
        {"percentile": 1.0, "points": [at(0, json!(300))]}]});
    assert_eq!(ask(&host, "percentiles", body).await, expected);
}

#[tokio::test]
async fn values_are_listed_one_by_one() {
    let host = runs().await;
    let list = async |query: &str| {
        let answer = host.get(&format!("/api/observability/metrics?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()
    };
    let answer = list(&format!("name={INPUT}&perPage=1")).await;
    let expected = json!({"metricId": format!("0000000000000031-{INPUT}"), "timestamp": "1970-01-01T01:01:00.000Z",
        "name": INPUT, "value": 5, "traceId": format!("{:032x}", 3), "spanId": "0000000000000031", "entityType": "agent",
        "entityId": "b", "entityName": "b", "resourceId": null, "runId": null, "threadId": "th-1", "requestId": null,
        "environment": null, "serviceName": null, "tags": null, "provider": "p", "model": "m", "labels": {}});
    assert_eq!(answer["metrics"], json!([expected]));
    assert_eq!(answer["pagination"], json!({"total": 4, "page": 0, "perPage": 1, "hasMore": true}));
    let all = list("perPage=100").await;
    assert_eq!(all["pagination"]["total"], 16);
    assert_eq!(each(&all, "metrics", "name").len(), 16);
    let answer = list(&format!("name={DURATION}&labels=%7B%22status%22:%22error%22%7D")).await;
    assert_eq!(
        (&answer["metrics"][0]["value"], &answer["metrics"][0]["labels"]),
        (&json!(200), &json!({"status": "error"}))
    );
    let answer = list(&format!("name={DURATION}&name={OUTPUT}&direction=ASC&perPage=3&page=1")).await;
    assert_eq!(answer["pagination"], json!({"total": 8, "page": 1, "perPage": 3, "hasMore": true}));
    assert_eq!(each(&answer, "metrics", "timestamp")[1], "1970-01-01T00:02:00.000Z");
    let answer = list(&format!("name={INPUT}&parentEntityName=b")).await;
    assert_eq!(each(&answer, "metrics", "spanId"), ["0000000000000031"]);
    let answer = list("mode=delta&after=t3000000").await;
    assert_eq!(each(&answer, "metrics", "traceId"), vec![format!("{:032x}", 3); 4]);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let host = host().await;
    let named = |rest: Value| {
        let mut body = json!({"name": [DURATION], "aggregation": "sum", "groupBy": ["model"], "interval": "1m"});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    for (what, body, field) in [
        ("aggregate", json!({}), "name"),
        ("aggregate", named(json!({"name": []})), "name"),
        ("aggregate", named(json!({"name": DURATION})), "name"),
        ("aggregate", named(json!({"aggregation": "median"})), "aggregation"),
        ("aggregate", named(json!({"comparePeriod": "yesterday"})), "comparePeriod"),
        ("aggregate", named(json!({"distinctColumn": "color"})), "distinctColumn"),
        ("aggregate", named(json!({"filters": 5})), "filters"),
        ("aggregate", named(json!({"filters": {"timestamp": {"start": "soon"}}})), "filters.timestamp.start"),
        ("aggregate", named(json!({"filters": {"entityType": "bogus"}})), "filters.entityType"),
        ("aggregate", named(json!({"filters": {"labels": {"status": 1}}})), "filters.labels.status"),
        ("aggregate", named(json!({"filters": {"q": "x".repeat(5000)}})), "q"),
        ("breakdown", named(json!({"groupBy": []})), "groupBy"),
        ("breakdown", named(json!({"limit": 0})), "limit"),
        ("timeseries", named(json!({"interval": "1s"})), "interval"),
        ("percentiles", json!({"name": DURATION, "percentiles": [2], "interval": "1m"}), "percentiles.0"),
        ("percentiles", json!({"name": DURATION, "percentiles": [], "interval": "1m"}), "percentiles"),
    ] {
        let answer = host.post(&format!("/api/observability/metrics/{what}"), &body.to_string()).await;
        assert_eq!(answer.status, 400, "{what} {body}: {}", answer.text());
        assert_eq!(answer.json()["issues"][0]["field"], field, "{what} {body}: {}", answer.text());
    }
}
