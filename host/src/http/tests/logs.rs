//! Log records: what finds which, and how they are shown.

use serde_json::json;

use super::{
    Host,
    traces::{each, host, logs},
};

/// Asks for log records as the logger wrote them and returns the last digits of their ids.
async fn found(host: &Host, path: &str) -> String {
    let answer = host.get(&format!("/api/logs{}", path.replace('"', "%22"))).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    ids(&each(&answer.json(), "logs", "logId"))
}

fn ids(ids: &[&str]) -> String {
    ids.iter().map(|id| id.split_at(id.len() - 1).1).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_record_is_shown_as_the_logger_wrote_it() {
    let host = host().await;
    let answer = host.get("/api/logs?transportId=weather-plugin").await.json();
    let mut log = answer["logs"][0].clone();
    assert_eq!((log["pid"].clone(), log["hostname"].is_string()), (json!(std::process::id()), true));
    log.as_object_mut().unwrap().retain(|name, _| name != "pid" && name != "hostname");
    let expected = json!({"level": 50, "time": 1250, "name": "Hotbay", "component": "AGENT", "trace_id": "a".repeat(32),
        "span_id": "a4", "runId": "run-a", "transport": "weather-plugin", "attempt": 2, "city": "Oslo",
        "logId": "00000000-0000-7000-8000-000000000002", "msg": "no network"});
    assert_eq!(log, expected);
    assert_eq!(answer["total"], 1);
    assert_eq!((&answer["page"], &answer["perPage"], &answer["hasMore"]), (&json!(0), &json!(100), &json!(false)));
}

#[tokio::test]
async fn each_parameter_finds_what_it_says() {
    let host = host().await;
    for (path, expected) in [
        ("", "1 2 3 4"),
        ("?page=0&perPage=2", "1 2"),
        ("?page=1&perPage=3", "4"),
        ("?perPage=0", ""),
        ("?direction=DESC&perPage=1", "4"),
        ("?transportId=host", "1 3"),
        ("?transportId=shop", "4"),
        ("?transportId=file", ""),
        ("?transportId=nope", ""),
        ("?logLevel=info", "1"),
        ("?logLevel=debug", "3"),
        ("?logLevel=error", "2 4"),
        ("?logLevel=silent", ""),
        ("?fromDate=1970-01-01T00:00:01.250Z", "2 3 4"),
        ("?toDate=1970-01-01T00:00:01.250Z", "1 2 3"),
        ("?fromDate=2099-01-01", ""),
        ("?filters=component:AGENT", "1 2 3"),
        ("?filters=component:AGENT&filters=level:20", "3"),
        ("?filters=level:fatal", "4"),
        ("?filters=name:Hotbay", "1 2 3 4"),
        ("?filters=name:Other", ""),
        ("?filters=attempt:2&transportId=host", "1 3"),
        ("?filters=city:Oslo", "1 2 3"),
        ("?filters=city:Rome", ""),
        ("?filters=trace_id:nope", ""),
        ("?filters=serviceName:shop", "4"),
        (r#"?filters=["city:Oslo","runId:run-a"]"#, "1 2 3"),
        ("/run-a", "1 2 3"),
        ("/run-a?transportId=weather-plugin", "2"),
        ("/run-a?runId=run-a&logLevel=info", "1"),
        ("/nope", ""),
    ] {
        assert_eq!(found(&host, path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_log_file_is_a_transport_of_what_the_host_writes() {
    let host = Host::with(|config| config.log.file = Some("hotbay.log".into())).await;
    host.app.observe.recorder().batch(logs(), Vec::new()).await.unwrap();
    assert_eq!(found(&host, "?transportId=file").await, "1 2 3");
    let transports = host.get("/api/logs/transports").await.json();
    assert_eq!(transports, json!({"transports": ["file", "host", "shop", "weather-plugin"]}));
}

#[tokio::test]
async fn transports_are_those_that_can_be_asked_for() {
    assert_eq!(Host::start().await.get("/api/logs/transports").await.json(), json!({"transports": ["host"]}));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused() {
    let host = Host::start().await;
    let long = "x".repeat(5000);
    for (query, field) in [
        ("page=x".to_owned(), "page"),
        ("page=-1".to_owned(), "page"),
        ("page=1e300".to_owned(), "page"),
        ("perPage=100000".to_owned(), "perPage"),
        ("logLevel=bogus".to_owned(), "logLevel"),
        ("fromDate=garbage".to_owned(), "fromDate"),
        ("toDate=2026-13-01".to_owned(), "toDate"),
        ("filters=nonsense".to_owned(), "filters.0"),
        (format!("filters=a:{long}"), "filters.0"),
        (format!("q={long}"), "q"),
    ] {
        for path in ["/api/logs", "/api/logs/run-a"] {
            let answer = host.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 400, "{}", answer.text());
            assert_eq!(answer.json()["issues"][0]["field"], field, "{}", answer.text());
        }
    }
    let huge = host.get("/api/logs?page=9007199254740991&perPage=10000").await;
    assert_eq!((huge.status, &huge.json()["logs"]), (200, &json!([])));
}

#[tokio::test]
async fn studio_finds_the_same_records() {
    let host = host().await;
    for (query, expected) in [
        ("", "4 3 2 1"),
        ("direction=ASC&perPage=2", "1 2"),
        ("level=error", "2"),
        ("level=error&level=fatal", "4 2"),
        ("traceId=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&level=info", "1"),
        ("spanId=a4", "3 2 1"),
        ("spanId=a1", ""),
        ("runId=run-a", "3 2 1"),
        ("serviceName=shop", "4"),
        ("transport=weather-plugin", "2"),
        ("component=AGENT&level=debug", "3"),
        ("text=network", "2"),
        ("entityType=tool", "3 2 1"),
        ("rootEntityName=Weather%20Agent", "3 2 1"),
        ("rootEntityName=Slow%20Agent", ""),
        ("parentEntityType=workflow_run", ""),
        ("entityName=Slow%20Agent", ""),
        ("timestamp[start]=1970-01-01T00:00:01.250Z&timestamp[startExclusive]=true", "4"),
    ] {
        let answer = host.get(&format!("/api/observability/logs?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(ids(&each(&answer.json(), "logs", "logId")), expected, "{query}");
    }
    let answer = host.get("/api/observability/logs?level=error").await.json();
    let expected = json!({"logId": "00000000-0000-7000-8000-000000000002", "timestamp": "1970-01-01T00:00:01.250Z",
        "level": "error", "message": "no network", "traceId": "a".repeat(32), "spanId": "a4", "runId": "run-a",
        "data": {"transport": "weather-plugin", "component": "AGENT", "attempt": 2, "city": "Oslo"},
        "threadId": null, "resourceId": null, "requestId": null, "environment": null, "serviceName": null});
    assert_eq!(answer["logs"][0], expected);
    assert_eq!(answer["pagination"], json!({"total": 1, "page": 0, "perPage": 10, "hasMore": false}));
}

#[tokio::test]
async fn whoever_asks_for_new_records_is_told_once() {
    let host = host().await;
    let path = "/api/observability/logs?mode=delta&limit=2";
    let mut cursor = "t0".to_owned();
    let mut told = Vec::new();
    for expected in [2, 2, 0] {
        let answer = host.get(&format!("{path}&after={cursor}")).await.json();
        let new = each(&answer, "logs", "logId");
        assert_eq!(new.len(), expected);
        told.extend(new.iter().map(|id| ids(&[id])));
        cursor = answer["deltaCursor"].as_str().unwrap().to_owned();
    }
    told.sort();
    assert_eq!(told.join(" "), "1 2 3 4");
}
