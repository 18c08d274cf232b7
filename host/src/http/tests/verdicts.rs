//! Scores and feedback.

use serde_json::{Value, json};

use super::{Answer, Host, HttpBody, Request, traces::each};

async fn host() -> Host {
    Host::with(|config| config.body_limit = 64 << 10).await
}

impl Host {
    async fn send_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(format!("/api/observability/{path}"));
        let request = request.header("content-type", "application/json");
        self.send(request.body(HttpBody::from(body.to_string())).unwrap()).await
    }
}

#[track_caller]
fn is_done(answer: &Answer) {
    assert_eq!((answer.status, answer.json()), (200, json!({"success": true})), "{}", answer.text());
}

async fn look(host: &Host, path: &str) -> Value {
    let answer = host.get(&format!("/api/observability/{}", path.replace('"', "%22"))).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn ask(host: &Host, path: &str, body: Value) -> Value {
    let answer = host.send_json("POST", path, &body).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
    answer.json()
}

/// A host with three scores by two scorers.
async fn scored() -> Host {
    let host = host().await;
    for score in [
        json!({"scoreId": "1", "scorerId": "tone", "score": 0.5, "traceId": "t1", "spanId": "s1", "source": "TEST",
            "entityType": "agent", "entityId": "weather", "entityName": "Weather", "reason": "polite", "tags": ["a", "b"],
            "metadata": {"run": 1, "deep": {"er": true}}, "userId": "ada", "resourceId": "r1", "threadId": null}),
        json!({"scoreId": "2", "scorerId": "tone", "score": 1, "traceId": "t2", "entityName": "Echo",
            "scoreSource": "live", "rootEntityName": "Root", "resourceId": "r2"}),
        json!({"scoreId": "3", "scorerId": "facts", "score": -2, "traceId": "t1", "entityName": "Echo", "unknown": 5}),
    ] {
        is_done(&host.send_json("POST", "scores", &json!({"score": score})).await);
    }
    host
}

#[tokio::test]
async fn a_score_is_shown_as_it_was_given() {
    let host = scored().await;
    let mut score = look(&host, "scores/1").await["score"].take();
    let fields = score.as_object_mut().unwrap();
    assert!(fields.remove("timestamp").unwrap().as_str().unwrap().ends_with('Z'));
    fields.retain(|_, value| !value.is_null());
    let expected = json!({"scoreId": "1", "scorerId": "tone", "score": 0.5, "traceId": "t1", "spanId": "s1",
        "source": "TEST", "entityType": "agent", "entityId": "weather", "entityName": "Weather", "reason": "polite",
        "tags": ["a", "b"], "metadata": {"run": 1, "deep": {"er": true}}, "userId": "ada", "resourceId": "r1"});
    assert_eq!(score, expected);
    let score = look(&host, "scores/3").await["score"].take();
    assert_eq!((score.get("unknown"), score.get("scorerName")), (None, Some(&Value::Null)));
    let answer = host.get("/api/observability/scores/9").await;
    assert_eq!((answer.status, answer.json()), (404, json!({"error": "Score with ID '9' not found"})));
    // Without an id it gets one, with one it replaces the one before.
    is_done(&host.send_json("POST", "scores", &json!({"score": {"scorerId": "new", "score": 4}})).await);
    let listed = look(&host, "scores?scorerId=new").await;
    assert_eq!(listed["scores"][0]["scoreId"].as_str().unwrap().len(), 36);
    is_done(
        &host.send_json("POST", "scores", &json!({"score": {"scoreId": "1", "scorerId": "new", "score": 4}})).await,
    );
    assert_eq!(look(&host, "scores").await["pagination"]["total"], 4);
    assert_eq!(look(&host, "scores/1").await["score"]["reason"], Value::Null);
}

#[tokio::test]
async fn each_parameter_finds_what_it_says() {
    let host = scored().await;
    for (query, expected) in [
        ("", "3 2 1"),
        ("direction=ASC", "1 2 3"),
        ("field=score", "2 1 3"),
        ("field=score&direction=ASC", "3 1 2"),
        ("field=score&direction=ASC&perPage=1&page=1", "1"),
        ("perPage=2", "3 2"),
        ("perPage=2&page=1", "1"),
        ("page=9007199254740991", ""),
        ("scorerId=tone", "2 1"),
        ("scorerId=tone&scorerId=facts", "3 2 1"),
        ("scorerId=nobody", ""),
        ("traceId=t1", "3 1"),
        ("spanId=s1", "1"),
        ("entityType=agent", "1"),
        ("entityName=Echo", "3 2"),
        ("rootEntityName=Root", "2"),
        ("parentEntityName=Root", ""),
        ("userId=ada", "1"),
        ("scoreSource=live", "2"),
        ("source=TEST", "1"),
        ("tags=a", "1"),
        ("tags=a&tags=c", ""),
        ("metadata={\"run\":1}", "1"),
        ("metadata={\"run\":2}", ""),
        ("metadata={\"deep\":{\"er\":true}}", "1"),
        ("timestamp={\"end\":\"2001-01-01\"}", ""),
        ("timestamp={\"start\":\"2001-01-01\"}&entityName=Echo&traceId=t2", "2"),
    ] {
        let query = query.replace('{', "%7B").replace('}', "%7D");
        let answer = look(&host, &format!("scores?{query}")).await;
        assert_eq!(each(&answer, "scores", "scoreId").join(" "), expected, "{query}");
    }
    let answer = look(&host, "scores?scorerId=tone&perPage=1").await;
    assert_eq!(answer["pagination"], json!({"total": 2, "page": 0, "perPage": 1, "hasMore": true}));
}

#[tokio::test]
async fn what_came_in_after_a_cursor_is_found_once() {
    let host = scored().await;
    let cursor = |answer: &Value| answer["deltaCursor"].as_str().unwrap().to_owned();
    let page = look(&host, "scores").await;
    let now = look(&host, "scores?mode=delta").await;
    assert_eq!((&now["scores"], &now["delta"]), (&json!([]), &json!({"limit": 10, "hasMore": false})));
    let mut after = cursor(&now);
    for id in ["4", "5", "6"] {
        is_done(
            &host.send_json("POST", "scores", &json!({"score": {"scoreId": id, "scorerId": "x", "score": 1}})).await,
        );
    }
    for (expected, has_more) in [("4 5", true), ("6", false), ("", false)] {
        let delta = look(&host, &format!("scores?mode=delta&limit=2&after={after}")).await;
        assert_eq!(each(&delta, "scores", "scoreId").join(" "), expected);
        assert_eq!(delta["delta"]["hasMore"], has_more);
        after = cursor(&delta);
    }
    let delta = look(&host, &format!("scores?mode=delta&after={}&scorerId=x", cursor(&page))).await;
    assert_eq!(each(&delta, "scores", "scoreId").join(" "), "4 5 6");
    assert_eq!(host.get("/api/observability/scores?mode=delta&after=no!").await.status, 400);
}

#[tokio::test]
async fn scores_are_deleted_by_whom_they_belong_to() {
    let host = scored().await;
    let body = json!({"scoreIds": ["1", "2", "9"], "resourceId": "r1"});
    is_done(&host.send_json("DELETE", "scores", &body).await);
    assert_eq!(each(&look(&host, "scores").await, "scores", "scoreId").join(" "), "3 2");
    is_done(&host.send_json("DELETE", "scores", &json!({"scoreIds": ["2", "3"]})).await);
    assert_eq!(look(&host, "scores").await["pagination"]["total"], 0);
}

#[tokio::test]
async fn scores_come_to_numbers() {
    let host = scored().await;
    is_done(&host.send_json("POST", "scores", &json!({"score": {"scorerId": "tone", "score": 3}})).await);
    for (more, expected) in [
        (json!({"aggregation": "sum"}), json!(4.5)),
        (json!({"aggregation": "avg"}), json!(1.5)),
        (json!({"aggregation": "min"}), json!(0.5)),
        (json!({"aggregation": "last"}), json!(3)),
        (json!({"aggregation": "count"}), json!(3)),
        (json!({"aggregation": "count", "scoreSource": "live"}), json!(1)),
        (json!({"aggregation": "max", "filters": {"traceId": "t1"}}), json!(0.5)),
        (json!({"aggregation": "count", "filters": {"scorerId": ["facts"]}}), json!(0)),
        (json!({"aggregation": "count", "filters": {"scorerId": "tone"}}), json!(3)),
        (json!({"aggregation": "sum", "filters": {"timestamp": {"end": "2001-01-01"}}}), json!(null)),
    ] {
        let mut body = json!({"scorerId": "tone"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(ask(&host, "scores/aggregate", body).await, json!({"value": expected}), "{more}");
    }
    let time = json!({"start": "2001-01-01", "end": "2099-01-01"});
    let body = json!({"scorerId": "tone", "aggregation": "count", "filters": {"timestamp": time},
        "comparePeriod": "previous_period"});
    let expected = json!({"value": 3, "previousValue": 0, "changePercent": null});
    assert_eq!(ask(&host, "scores/aggregate", body).await, expected);
    let body = json!({"scorerId": "tone", "aggregation": "sum", "groupBy": ["entityName", "scoreSource"]});
    let group = |name: Value, source: Value, value: f64| json!({"dimensions": {"entityName": name, "scoreSource": source}, "value": value});
    let answer = ask(&host, "scores/breakdown", body).await;
    assert_eq!(answer["groups"][0]["value"], 3);
    assert_eq!(answer["groups"][2], group(json!("Weather"), json!(null), 0.5));
    let body = json!({"scorerId": "tone", "aggregation": "sum", "interval": "1d"});
    let answer = ask(&host, "scores/timeseries", body).await;
    assert_eq!((&answer["series"][0]["name"], &answer["series"][1]), (&json!("tone"), &Value::Null));
    let points = answer["series"][0]["points"].as_array().unwrap();
    let sum: f64 = points.iter().map(|point| point["value"].as_f64().unwrap()).sum();
    assert!(
        (sum - 4.5).abs() < 1e-9 && points[0]["timestamp"].as_str().unwrap().ends_with("T00:00:00.000Z"),
        "{answer}"
    );
    let body = json!({"scorerId": "facts", "percentiles": [0.5], "interval": "1d"});
    assert_eq!(ask(&host, "scores/percentiles", body).await["series"][0]["points"][0]["value"], -2);
}

#[tokio::test]
async fn a_spans_scores_are_listed_in_the_older_shape() {
    let host = scored().await;
    let mut answer = look(&host, "traces/t1/s1/scores").await;
    assert_eq!(answer["pagination"], json!({"total": 1, "page": 0, "perPage": 10, "hasMore": false}));
    let mut score = answer["scores"][0].take();
    for name in ["createdAt", "updatedAt"] {
        assert!(score.as_object_mut().unwrap().remove(name).unwrap().is_string());
    }
    let expected = json!({"id": "1", "scorerId": "tone", "entityId": "weather", "runId": "", "output": null,
        "score": 0.5, "scorer": {"id": "tone", "name": "tone"}, "source": "TEST", "entityType": "AGENT",
        "entity": {"id": "weather", "name": "Weather"}, "traceId": "t1", "spanId": "s1", "resourceId": "r1",
        "reason": "polite", "metadata": {"run": 1, "deep": {"er": true}}});
    assert_eq!(score, expected);
    assert_eq!(look(&host, "traces/t2/s1/scores").await["scores"], json!([]));
}

#[tokio::test]
async fn feedback_is_kept_reviewed_and_counted() {
    let host = host().await;
    for feedback in [
        json!({"feedbackId": "1", "feedbackType": "thumbs", "value": "up", "traceId": "t1", "feedbackUserId": "ada"}),
        json!({"feedbackId": "2", "feedbackType": "thumbs", "value": "down", "comment": "wrong", "feedbackSource": "ui"}),
        json!({"feedbackId": "3", "feedbackType": "stars", "value": 4, "reviewStatus": "reviewed"}),
    ] {
        is_done(&host.send_json("POST", "feedback", &json!({"feedback": feedback})).await);
    }
    let listed = async |query: &str| {
        let answer = look(&host, &format!("feedback?{query}")).await;
        each(&answer, "feedback", "feedbackId").join(" ")
    };
    assert_eq!(listed("").await, "3 2 1");
    assert_eq!(listed("feedbackType=thumbs&direction=ASC").await, "1 2");
    assert_eq!(listed("feedbackUserId=ada").await, "1");
    assert_eq!(listed("feedbackSource=ui").await, "2");
    assert_eq!(listed("reviewStatus=needs-review").await, "2 1");
    let path = "feedback/2/review-status";
    let answer = host.send_json("PATCH", path, &json!({"reviewStatus": "reviewed"})).await;
    assert_eq!((answer.status, &answer.json()["comment"]), (200, &json!("wrong")), "{}", answer.text());
    assert_eq!(answer.json()["reviewStatus"], "reviewed");
    assert_eq!(listed("reviewStatus=reviewed").await, "3 2");
    assert_eq!(host.send_json("PATCH", path, &json!({"reviewStatus": "odd"})).await.status, 400);
    let answer = host.send_json("PATCH", "feedback/9/review-status", &json!({"reviewStatus": "reviewed"})).await;
    assert_eq!((answer.status, answer.json()), (404, json!({"error": "Feedback with ID '9' not found"})));
    let count = |sort: &str, how: &str| json!({"feedbackType": sort, "aggregation": how});
    assert_eq!(ask(&host, "feedback/aggregate", count("thumbs", "count")).await["value"], 2);
    assert_eq!(ask(&host, "feedback/aggregate", count("thumbs", "count_distinct")).await["value"], 2);
    assert_eq!(ask(&host, "feedback/aggregate", count("thumbs", "sum")).await["value"], Value::Null);
    assert_eq!(ask(&host, "feedback/aggregate", count("stars", "avg")).await["value"], 4);
    let body = json!({"feedbackType": "thumbs", "aggregation": "count", "groupBy": ["value"]});
    let groups = json!([{"dimensions": {"value": "down"}, "value": 1}, {"dimensions": {"value": "up"}, "value": 1}]);
    assert_eq!(ask(&host, "feedback/breakdown", body).await["groups"], groups);
    is_done(&host.send_json("DELETE", "feedback", &json!({"feedbackIds": ["1"]})).await);
    assert_eq!(listed("").await, "3 2");
}

#[tokio::test]
async fn traces_are_found_by_what_was_said_of_them() {
    let host = super::traces::host().await;
    for score in [
        json!({"scorerId": "tone", "score": 0.5, "traceId": "a".repeat(32), "tags": ["x"], "metadata": {"run": 1}}),
        json!({"scorerId": "tone", "score": 1, "traceId": "b".repeat(32)}),
        json!({"scorerId": "facts", "score": 0, "traceId": "b".repeat(32)}),
        json!({"scorerId": "facts", "score": 0}),
    ] {
        is_done(&host.send_json("POST", "scores", &json!({"score": score})).await);
    }
    let feedback = json!({"feedbackType": "thumbs", "value": "up", "traceId": "b".repeat(32)});
    is_done(&host.send_json("POST", "feedback", &json!({"feedback": feedback})).await);
    let compare =
        |op: &str, path: &str, literal: Value| json!({"op": op, "left": {"path": path}, "right": {"literal": literal}});
    let low = || compare("lt", "score", json!(0.6));
    let tone = || compare("eq", "scorerId", json!("tone"));
    let ask = async |predicate: &Value| {
        let range = json!({"from": "1970-01-01T00:00:00Z", "to": "1970-01-01T00:00:10Z"});
        host.send_json("POST", "traces/query", &json!({"timeRange": range, "where": predicate})).await
    };
    for (predicate, expected) in [
        (json!({"scores": {"some": low()}}), "b1 a1"),
        (json!({"scores": {"some": {"op": "and", "args": [low(), tone()]}}}), "a1"),
        (json!({"scores": {"none": {"op": "and", "args": [low(), tone()]}}}), "b1"),
        (json!({"scores": {"some": {"op": "not", "arg": tone()}}}), "b1"),
        (json!({"scores": {"some": {"op": "exists", "path": "metadata.run"}}}), "a1"),
        (json!({"scores": {"some": {"op": "includes", "path": "tags", "value": "x"}}}), "a1"),
        (json!({"scores": {"some": {"op": "in", "value": {"path": "score"}, "set": [1, "1"]}}}), "b1"),
        (json!({"scores": {"some": {"op": "gt", "left": {"literal": 1}, "right": {"path": "score"}}}}), "b1 a1"),
        (json!({"scores": {"some": compare("lt", "timestamp", json!("2001-01-01"))}}), ""),
        (json!({"feedback": {"some": compare("eq", "value", json!("up"))}}), "b1"),
        (json!({"feedback": {"none": compare("ne", "feedbackType", json!("stars"))}}), "a1"),
        (json!({"op": "or", "args": [{"feedback": {"some": tone_of("up")}}, {"scores": {"some": low()}}]}), "b1 a1"),
    ] {
        let answer = ask(&predicate).await;
        assert_eq!(answer.status, 200, "{predicate}: {}", answer.text());
        assert_eq!(each(&answer.json(), "traces", "rootSpanId").join(" "), expected, "{predicate}");
    }
    for (predicate, field) in [
        (json!({"scores": {"some": compare("eq", "color", json!(1))}}), "where.scores.some.left"),
        (json!({"scores": {"some": compare("lt", "timestamp", json!("soon"))}}), "where.scores.some.right"),
        (json!({"scores": {"some": {"scores": {"some": low()}}}}), "where.scores.some.op"),
        (json!({"feedback": {"some": compare("eq", "score", json!(1))}}), "where.feedback.some.left"),
        (json!({"feedback": {"some": {"op": "and", "args": []}}}), "where.feedback.some.args"),
    ] {
        let answer = ask(&predicate).await;
        assert_eq!(answer.status, 400, "{predicate}: {}", answer.text());
        assert_eq!(answer.json()["issues"][0]["field"], field, "{predicate}");
    }
}

fn tone_of(value: &str) -> Value {
    json!({"op": "eq", "left": {"path": "value"}, "right": {"literal": value}})
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let host = host().await;
    for (method, path, body, field) in [
        ("POST", "scores", json!({}), "score"),
        ("POST", "scores", json!({"score": {"score": 1}}), "score.scorerId"),
        ("POST", "scores", json!({"score": {"scorerId": "x", "score": "1"}}), "score.score"),
        ("POST", "scores", json!({"score": {"scorerId": "x", "score": 1, "entityType": "odd"}}), "score.entityType"),
        ("POST", "scores", json!({"score": {"scorerId": "x", "score": 1, "tags": [1]}}), "score.tags.0"),
        ("DELETE", "scores", json!({}), "scoreIds"),
        ("DELETE", "scores", json!({"scoreIds": vec!["x"; 1001]}), "scoreIds"),
        ("POST", "feedback", json!({"feedback": {"feedbackType": "x", "value": true}}), "feedback.value"),
        ("POST", "scores/aggregate", json!({"aggregation": "sum"}), "scorerId"),
        ("POST", "scores/breakdown", json!({"scorerId": "x", "aggregation": "sum", "groupBy": []}), "groupBy"),
        (
            "POST",
            "feedback/percentiles",
            json!({"feedbackType": "x", "interval": "1d", "percentiles": [2]}),
            "percentiles.0",
        ),
        ("POST", "traces/score", json!({"scorerName": "x", "targets": []}), "targets"),
        ("POST", "traces/delete", json!({}), "traceIds"),
    ] {
        let answer = host.send_json(method, path, &body).await;
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
        assert_eq!(answer.json()["issues"][0]["field"], field, "{path} {body}: {}", answer.text());
    }
    let body = json!({"scorerName": "tone", "targets": [{"traceId": "t"}]});
    let answer = host.send_json("POST", "traces/score", &body).await;
    assert_eq!((answer.status, answer.json()), (404, json!({"error": "Scorer 'tone' not found"})));
}
