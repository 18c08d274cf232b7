//! `GET /api/events` as those who watch see it: what is told, to whom, and what becomes of readers
//! who are slow, come back or are many.

use std::collections::BTreeMap;

use hotbay_tests::{
    TestHost, eventually,
    http::{self, Outgoing},
    plugin_host::{SOON, build_of, put},
    sse::{Frame, SseReader},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const REFERENCE: &str = "hotbay-test-reference";

async fn host() -> TestHost {
    TestHost::builder().plugin(REFERENCE).plugin("hotbay-test-memory").start().await.unwrap()
}

/// Begins to watch; the host has let the reader in when this returns.
async fn watch(host: &TestHost, query: &str) -> SseReader {
    let mut reader = open(host, Outgoing::get(&format!("/api/events?{query}"))).await;
    let first = reader.next().await.unwrap().unwrap();
    assert!(first.id.is_some() && first.data.is_none(), "{first:?}");
    reader
}

async fn open(host: &TestHost, request: Outgoing) -> SseReader {
    SseReader::new(http::send(host.address(), request).await.unwrap()).unwrap()
}

/// The next event.
async fn next(reader: &mut SseReader) -> (Frame, Value) {
    loop {
        let frame = reader.next().await.unwrap().expect("the stream goes on");
        if frame.data.is_some() {
            let data = frame.json().unwrap();
            assert_eq!(frame.event.as_deref(), data["kind"].as_str(), "{frame:?}");
            return (frame, data);
        }
    }
}

/// All events up to the first of this type.
async fn until(reader: &mut SseReader, kind: &str, what: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let (_, event) = next(reader).await;
        let is_last = event["kind"] == kind && event["type"] == what;
        all.push(event);
        if is_last {
            return all;
        }
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn number(frame: &Frame) -> u64 {
    frame.id.as_deref().unwrap().split_once('-').unwrap().1.parse().unwrap()
}

async fn post(host: &TestHost, path: &str, body: &Value) -> Value {
    let (status, answer) = host.post_json(path, body).await.unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Asks an agent whose model calls a tool and then says something.
async fn ask(host: &TestHost, run_id: &str) -> Value {
    let call = json!({"toolCallId": "c", "toolName": "weather", "input": {"city": "Oslo"}});
    let script = json!([{"toolCalls": [call]}, {"text": "a secret"}]);
    let body = json!({"messages": "tell nobody", "model": "mock/script", "runId": run_id,
        "providerOptions": {"mock": {"script": script}}});
    post(host, "/api/agents/weather-agent/generate", &body).await
}

#[tokio::test]
async fn a_run_of_an_agent_is_told_from_its_beginning_to_its_end() {
    let host = host().await;
    let mut reader = watch(&host, "kind=run,step").await;
    let answer = ask(&host, "r1").await;
    let events = until(&mut reader, "run", "ended").await;
    let expected =
        ["began", "model-began", "tool-called", "tool-ended", "model-ended", "model-began", "model-ended", "ended"];
    assert_eq!(types(&events), expected);
    for event in &events {
        assert_eq!((&event["runId"], &event["agentId"]), (&json!("r1"), &json!("weather-agent")), "{event}");
        assert!(event["plugin"].is_string() && event["time"].is_string() && event["level"] == "info", "{event}");
        assert!(!event.to_string().contains("secret") && !event.to_string().contains("nobody"), "{event}");
    }
    assert_eq!(events[0]["traceId"], answer["traceId"]);
    assert_eq!((&events[3]["tool"], &events[3]["status"]), (&json!("weather"), &json!("success")));
    assert_eq!(events[7]["status"], "success");
    let tokens: u64 = events.iter().filter_map(|event| event["outputTokens"].as_u64()).sum();
    assert_eq!(Some(tokens), answer["totalUsage"]["outputTokens"].as_u64(), "{answer}");
}

#[tokio::test]
async fn a_tool_that_is_called_by_itself_is_told_of() {
    let host = host().await;
    let mut reader = watch(&host, "kind=step&plugin=hotbay-test-reference").await;
    let path = |tool: &str| format!("/api/tools/{tool}/execute");
    post(&host, &path("weather"), &json!({"data": {"city": "Oslo"}})).await;
    host.post_json(&path("failing"), &json!({"data": {}})).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (_, event) = next(&mut reader).await;
        seen.push(format!("{} {} {}", event["tool"], event["type"], event["status"]).replace('"', ""));
    }
    let expected = [
        "weather tool-called null",
        "weather tool-ended success",
        "failing tool-called null",
        "failing tool-ended failed",
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_run_that_fails_matters_more() {
    let host = host().await;
    let mut reader = watch(&host, "kind=run&level=error").await;
    ask(&host, "well").await;
    let body = json!({"messages": "go", "model": "mock/script", "runId": "ill",
        "providerOptions": {"mock": {"script": [{"error": "no such luck"}]}}});
    host.post_json("/api/agents/weather-agent/generate", &body).await.unwrap();
    let (_, event) = next(&mut reader).await;
    assert_eq!((&event["runId"], &event["type"], &event["status"]), (&json!("ill"), &json!("ended"), &json!("failed")));
}

#[tokio::test]
async fn a_run_whose_caller_goes_away_is_canceled() {
    let host = host().await;
    let mut reader = watch(&host, "kind=run").await;
    let body = json!({"messages": "go", "model": "mock/script",
        "providerOptions": {"mock": {"script": [{"text": "late", "delayMs": 600_000}]}}});
    let stream = host.sse("/api/agents/weather-agent/stream", &body).await.unwrap();
    assert_eq!(next(&mut reader).await.1["type"], "began");
    drop(stream);
    let (_, event) = next(&mut reader).await;
    assert_eq!((&event["type"], &event["status"]), (&json!("ended"), &json!("canceled")));
}

#[tokio::test]
async fn a_run_of_a_workflow_is_told_step_by_step() {
    let host = host().await;
    let mut reader = watch(&host, "kind=run,step").await;
    let input = json!({"inputData": {"message": "a"}});
    let answer = post(&host, "/api/workflows/suspend-workflow/start-async", &input).await;
    assert_eq!(answer["status"], "suspended", "{answer}");
    let events = until(&mut reader, "run", "suspended").await;
    assert_eq!(types(&events).first(), Some(&"began"));
    let waiting = events.iter().find(|event| event["type"] == "step-suspended").expect("a step waits");
    let run = waiting["runId"].as_str().unwrap();
    assert!(events.iter().all(|event| event["runId"] == run && event["workflowId"] == "suspend-workflow"));

    post(&host, &format!("/api/workflows/suspend-workflow/runs/{run}/cancel"), &json!({})).await;
    let (_, event) = next(&mut reader).await;
    assert_eq!((&event["type"], &event["status"]), (&json!("ended"), &json!("canceled")));

    post(&host, "/api/workflows/linear-workflow/start-async", &input).await;
    let events = until(&mut reader, "run", "ended").await;
    let begun = types(&events).iter().filter(|what| **what == "step-began").count();
    let ended = types(&events).iter().filter(|what| **what == "step-ended").count();
    assert!(begun > 0 && begun == ended, "{events:#?}");
}

#[tokio::test]
async fn messages_spans_and_plugins_are_told_of() {
    let host = host().await;
    let mut messages = watch(&host, "kind=message&threadId=t1").await;
    let mut plugins = watch(&host, "kind=plugin&plugin=p").await;
    let message = |id: &str, thread: &str| json!({"id": id, "role": "user", "content": "between us", "threadId": thread, "resourceId": "u"});
    let body = json!({"messages": [message("m1", "t1"), message("m2", "t2"), message("m3", "t1")]});
    post(&host, "/api/memory/save-messages", &body).await;
    for id in ["m1", "m3"] {
        let (frame, event) = next(&mut messages).await;
        assert_eq!((&event["messageId"], &event["type"]), (&json!(id), &json!("stored")));
        assert!(!frame.data.unwrap().contains("between us"));
    }

    put(&host.plugin_dir(), "p.so", &build_of("p", "A"));
    assert_eq!(next(&mut plugins).await.1["type"], "loaded");
    put(&host.plugin_dir(), "p.so", &build_of("p", "B"));
    let events = until(&mut plugins, "plugin", "retired").await;
    assert_eq!(types(&events), ["swapped", "retired"]);
    assert_eq!((&events[0]["generation"], &events[1]["generation"]), (&json!(2), &json!(1)));
    put(&host.plugin_dir(), "p.so", b"no library");
    let (_, refused) = next(&mut plugins).await;
    assert_eq!((&refused["type"], &refused["level"]), (&json!("refused"), &json!("warn")));
    assert!(refused["code"].as_str().unwrap().starts_with("E_"), "{refused}");
}

#[tokio::test]
async fn filters_hold_together_and_a_bad_one_is_refused() {
    let host = host().await;
    let mut of_run = watch(&host, "kind=run&kind=step&runId=r2").await;
    let mut of_level = watch(&host, "kind=run&level=error").await;
    ask(&host, "r1").await;
    ask(&host, "r2").await;
    let events = until(&mut of_run, "run", "ended").await;
    assert!(events.len() > 4 && events.iter().all(|event| event["runId"] == "r2"), "{events:#?}");
    let body = json!({"messages": "x", "model": "mock/script", "runId": "r3",
        "providerOptions": {"mock": {"script": [{"error": "no"}]}}});
    host.post_json("/api/agents/weather-agent/generate", &body).await.unwrap();
    assert_eq!(next(&mut of_level).await.1["runId"], "r3", "those before went well");

    for query in ["kind=runs", "level=loud", "heartbeat=0", "heartbeat=61"] {
        let (status, answer) = host.get_json(&format!("/api/events?{query}")).await.unwrap();
        assert_eq!(status, 400, "{query}: {answer}");
        assert_eq!(answer["issues"][0]["field"], query.split_once('=').unwrap().0, "{answer}");
    }
}

#[tokio::test]
async fn one_that_comes_back_misses_nothing() {
    let mut host = host().await;
    let mut reader = watch(&host, "kind=run").await;
    ask(&host, "r1").await;
    let (began, event) = next(&mut reader).await;
    assert_eq!((&event["runId"], &event["type"]), (&json!("r1"), &json!("began")));
    drop(reader);
    ask(&host, "r2").await;

    let id = began.id.unwrap();
    let asked = [
        Outgoing::get("/api/events?kind=run").header("last-event-id", &id),
        Outgoing::get(&format!("/api/events?kind=run&lastEventId={id}")),
    ];
    for request in asked {
        let mut reader = open(&host, request).await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let (_, event) = next(&mut reader).await;
            seen.push(format!("{} {}", event["runId"].as_str().unwrap(), event["type"].as_str().unwrap()));
        }
        assert_eq!(seen, ["r1 ended", "r2 began", "r2 ended"]);
    }

    host.restart().await.unwrap();
    let mut reader = open(&host, Outgoing::get("/api/events?kind=run").header("last-event-id", &id)).await;
    let (_, gap) = next(&mut reader).await;
    assert_eq!((&gap["kind"], &gap["type"], &gap["missed"]), (&json!("gap"), &json!("restarted"), &json!(null)));
}

#[tokio::test]
async fn one_that_stalls_is_told_how_much_it_missed() {
    let host = host().await;
    // Long names, so that what the sockets hold for one who does not read is soon full.
    let (thread, owner) = ("t".repeat(500), "u".repeat(500));
    let mut stalled = watch(&host, "kind=message").await;
    let published = async || {
        let text = host.send(Outgoing::get("/metrics")).await.unwrap().text();
        text.lines().find_map(|line| line.strip_prefix("hotbay_events_total ")?.parse::<u64>().ok()).unwrap()
    };
    let mut told = 0;
    while told < 40_000 {
        let message = json!({"role": "user", "content": "x", "threadId": thread, "resourceId": owner});
        let body = json!({"messages": vec![message; 2000]});
        post(&host, "/api/memory/save-messages", &body).await;
        told = published().await;
    }
    let mut last = 0;
    let mut missed = 0;
    while last < 40_000 {
        let (frame, event) = next(&mut stalled).await;
        if event["kind"] == "gap" {
            missed += event["missed"].as_u64().unwrap();
            assert!(number(&frame) > last, "a gap's place is before what follows");
        } else {
            assert!(number(&frame) > last, "in order");
        }
        last = number(&frame);
    }
    assert!(missed > 1000, "{missed}");
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_is_there() {
    let host = host().await;
    let mut reader = watch(&host, "kind=plugin&heartbeat=1").await;
    for _ in 0..2 {
        let frame = reader.next().await.unwrap().unwrap();
        assert!(frame.id.is_some() && frame.data.is_none() && frame.event.is_none(), "{frame:?}");
    }
    // Its place moves on with what it is not shown.
    let place = number(&reader.next().await.unwrap().unwrap());
    ask(&host, "r").await;
    let mut moved = false;
    for _ in 0..5 {
        moved = moved || number(&reader.next().await.unwrap().unwrap()) > place;
    }
    assert!(moved, "it is still at {place}");
}

#[tokio::test]
async fn a_thousand_readers_some_of_which_never_read() {
    const RUNS: usize = 30;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // The host inherits it.
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let host = host().await;
    let stalled: Vec<_> = futures::future::join_all((0..100).map(|_| open(&host, Outgoing::get("/api/events")))).await;
    let mut readers = JoinSet::new();
    for _ in 0..900 {
        let mut reader = watch(&host, "kind=run").await;
        readers.spawn(async move {
            let mut seen = BTreeMap::<String, Vec<String>>::new();
            let mut ended = 0;
            let mut last = 0;
            while ended < RUNS {
                let (frame, event) = next(&mut reader).await;
                assert_ne!(event["kind"], "gap", "there is room for all");
                assert!(number(&frame) > last, "in order");
                last = number(&frame);
                let what = event["type"].as_str().unwrap().to_owned();
                ended += usize::from(what == "ended");
                seen.entry(event["runId"].as_str().unwrap().to_owned()).or_default().push(what);
            }
            seen
        });
    }
    let metrics = host.send(Outgoing::get("/metrics")).await.unwrap().text();
    assert!(metrics.contains("\nhotbay_event_readers 1000\n"), "{metrics}");
    let expected: BTreeMap<String, Vec<String>> =
        (0..RUNS).map(|n| (format!("r{n}"), vec!["began".to_owned(), "ended".to_owned()])).collect();
    futures::future::join_all(expected.keys().map(|run| ask(&host, run))).await;
    while let Some(seen) = readers.join_next().await {
        assert_eq!(seen.unwrap(), expected);
    }
    drop(stalled);
    eventually(SOON, async || {
        let metrics = host.send(Outgoing::get("/metrics")).await.unwrap().text();
        metrics.contains("\nhotbay_event_readers 0\n").then_some(())
    })
    .await;
}
