//! What may not be asked of a host: too much at once, too long, too slowly.

use std::time::Duration;

use hotbay_tests::{
    TestHost, eventually,
    http::Outgoing,
    raw::{Raw, exchange},
    replay::answer::Answer,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Starts a host whose `[limits]` are these lines.
async fn host(limits: &str) -> TestHost {
    TestHost::builder()
        .plugin("hotbay-test-reference")
        .config_text(format!("[limits]\n{limits}\n"))
        .start()
        .await
        .unwrap()
}

/// How often a limit was come up against.
async fn hits(host: &TestHost, limit: &str) -> u64 {
    metric(host, &format!("hotbay_limited_total{{limit=\"{limit}\"}}")).await
}

/// The value of a sample.
async fn metric(host: &TestHost, sample: &str) -> u64 {
    value_in(&host.send(Outgoing::get("/metrics")).await.unwrap().text(), sample)
}

fn value_in(metrics: &str, sample: &str) -> u64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {sample} in {metrics}")).parse().unwrap()
}

/// Waits for a condition.
async fn until(condition: impl AsyncFn() -> bool) {
    eventually(Duration::from_secs(20), || async { condition().await.then_some(()) }).await;
}

#[tokio::test]
async fn heads_are_bounded() {
    let host = host("header_bytes = 8192\nurl_bytes = 1000").await;
    let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    for (request, status) in [
        (get("/health", ""), 200),
        (get(&format!("/health?{}", "x".repeat(990)), ""), 200),
        (get(&format!("/health?{}", "x".repeat(1000)), ""), 414),
        (get(&format!("/{}", "x".repeat(70_000)), ""), 431),
        (get("/health", &format!("x: {}\r\n", "y".repeat(7000))), 200),
        (get("/health", &format!("x: {}\r\n", "y".repeat(9000))), 431),
        (get("/health", &"x: y\r\n".repeat(90)), 200),
        (get("/health", &"x: y\r\n".repeat(110)), 431),
    ] {
        let answer = exchange(host.address(), &request).await.unwrap();
        assert_eq!(
            answer.status,
            status,
            "{} ...",
            request.lines().next().unwrap_or_default().chars().take(60).collect::<String>()
        );
    }
    assert_eq!((hits(&host, "url_bytes").await, hits(&host, "headers").await), (1, 3));
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_there_is_room_again() {
    let host = host("connections = 3").await;
    let health = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    // All is asked over the first, so that no other is open for it.
    let first = Mutex::new(Raw::connect(host.address()).await.unwrap());
    let metric = async |sample: &str| {
        let mut first = first.lock().await;
        first.send("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        value_in(&first.answer().await.unwrap().body, sample)
    };
    // Those it was started with are closed.
    until(async || metric("hotbay_connections").await == 1).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::connect(host.address()).await.unwrap();
        raw.send(health).await.unwrap();
        assert_eq!(raw.answer().await.unwrap().status, 200);
        held.push(raw);
    }
    let mut one_more = Raw::connect(host.address()).await.unwrap();
    let answer = one_more.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.error().contains("too many connections"), "{}", answer.error());
    assert_eq!(one_more.rest().await.unwrap(), "");
    drop(held);
    until(async || metric("hotbay_connections").await == 1).await;
    assert_eq!(exchange(host.address(), health).await.unwrap().status, 200);
    assert_eq!(metric("hotbay_limited_total{limit=\"connections\"}").await, 1);
}

#[tokio::test]
async fn who_is_slow_is_told_so_or_hung_up_on() {
    let host = host("header_time = '300ms'\nidle_time = '300ms'\nbody_time = '300ms'").await;
    let mut head = Raw::connect(host.address()).await.unwrap();
    head.send("GET /health HTT").await.unwrap();
    assert_eq!(head.answer().await.unwrap().status, 408);
    let mut silent = Raw::connect(host.address()).await.unwrap();
    assert_eq!(silent.rest().await.unwrap(), "");
    let mut idle = Raw::connect(host.address()).await.unwrap();
    for _ in 0..2 {
        idle.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(idle.answer().await.unwrap().status, 200);
    }
    assert_eq!(idle.rest().await.unwrap(), "");
    for path in ["/api/tools/weather/execute", "/v1/logs", "/api/mcp/hotbay"] {
        let mut body = Raw::connect(host.address()).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
        );
        body.send(head).await.unwrap();
        let answer = body.answer().await.unwrap();
        assert_eq!((answer.status, answer.error().contains("body")), (408, true), "{path}: {answer:?}");
    }
    for (limit, least) in [("header_time", 2), ("idle_time", 1), ("body_time", 3)] {
        assert!(hits(&host, limit).await >= least, "{limit}");
    }
}

/// Both kinds of too long bodies, and a client that reads only after it has sent everything.
#[tokio::test]
async fn a_body_too_long_is_refused_in_words_the_sender_gets_to_read() {
    let host = TestHost::builder().argument("--body-limit=64KiB").start().await.unwrap();
    let length = 4 << 20;
    let head = "POST /api/memory/threads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut whole = Raw::connect(host.address()).await.unwrap();
    whole.send(format!("{head}content-length: {length}\r\n\r\n")).await.unwrap();
    whole.send(vec![b' '; length]).await.unwrap();
    let mut chunked = Raw::connect(host.address()).await.unwrap();
    chunked.send(format!("{head}transfer-encoding: chunked\r\n\r\n")).await.unwrap();
    for _ in 0..length >> 16 {
        chunked.send(format!("10000\r\n{}\r\n", " ".repeat(1 << 16))).await.unwrap();
    }
    let mut asks_first = Raw::connect(host.address()).await.unwrap();
    asks_first.send(format!("{head}content-length: {length}\r\nexpect: 100-continue\r\n\r\n")).await.unwrap();
    for mut raw in [whole, chunked, asks_first] {
        let answer = raw.answer().await.unwrap();
        assert_eq!((answer.status, &*answer.body), (413, r#"{"error":"Request body too large"}"#));
    }
    assert_eq!(hits(&host, "body_limit").await, 3);
}

#[tokio::test]
async fn bodies_of_many_requests_share_their_memory() {
    let host =
        TestHost::builder().config_text("body_limit = '1MiB'\n[limits]\nbody_bytes = '1MiB'\n").start().await.unwrap();
    let head = format!(
        "POST /api/memory/threads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        1_000_000
    );
    let part = "x".repeat(700_000);
    let mut first = Raw::connect(host.address()).await.unwrap();
    first.send(format!("{head}{part}")).await.unwrap();
    until(async || metric(&host, "hotbay_body_bytes").await >= 700_000).await;
    let second = exchange(host.address(), format!("{head}{part}")).await.unwrap();
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")), "{second:?}");
    drop(first);
    until(async || metric(&host, "hotbay_body_bytes").await == 0).await;
    assert_eq!(exchange(host.address(), format!("{head}{part}{}", "x".repeat(300_000))).await.unwrap().status, 400);
}

async fn start_slow(host: &TestHost, run: &str, client: &str) -> Answer {
    let path = format!("/api/workflows/slow-workflow/create-run?runId={run}");
    assert_eq!(host.post_json(&path, &json!({})).await.unwrap().0, 200);
    let body = json!({"inputData": {"message": "x"}});
    let path = format!("/api/workflows/slow-workflow/start?runId={run}");
    host.send(Outgoing::post(&path, &body).header("x-forwarded-for", client)).await.unwrap()
}

async fn status_of(host: &TestHost, run: &str) -> Value {
    host.get_json(&format!("/api/workflows/slow-workflow/runs/{run}")).await.unwrap().1["status"].take()
}

/// New work is shed; what goes on goes on, and the operator's requests are answered.
#[tokio::test]
async fn a_host_with_as_many_runs_as_it_may_have_sheds_new_ones_alone() {
    let host = host("runs = 2\nstreams = 1").await;
    for run in ["one", "two"] {
        assert_eq!(start_slow(&host, run, "").await.status, Some(200));
    }
    let stream = host.send_head(Outgoing::get("/api/events")).await.unwrap();
    let generate = json!({"messages": "hello", "model": "mock/echo"});
    for (path, body) in [
        ("/api/agents/echo-agent/generate", &generate),
        ("/api/agents/echo-agent/stream", &generate),
        ("/api/tools/weather/execute", &json!({"data": {"city": "Oslo"}})),
        ("/api/workflows/slow-workflow/start-async", &json!({"inputData": {"message": "x"}})),
        ("/api/mcp/hotbay", &json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})),
    ] {
        let answer = host.send(Outgoing::post(path, body)).await.unwrap();
        assert_eq!(answer.status, Some(503), "{path}: {}", answer.text());
        assert_eq!(answer.headers["retry-after"], "1", "{path}");
        assert!(answer.text().contains("too many runs"), "{path}: {}", answer.text());
    }
    let events = host.send(Outgoing::get("/api/events")).await.unwrap();
    assert_eq!((events.status, events.text().contains("too many streams")), (Some(503), true));
    for path in ["/health", "/ready", "/metrics", "/api/plugins", "/api/plugins/hotbay-test-reference", "/api/agents"] {
        assert_eq!(host.send(Outgoing::get(path)).await.unwrap().status, Some(200), "{path}");
    }
    let (status, _) = host.post_json("/api/workflows/slow-workflow/runs/two/cancel", &json!({})).await.unwrap();
    assert_eq!(status, 200);
    until(async || status_of(&host, "two").await == "canceled").await;
    // Its place is free at once, that of the other one once it is through.
    assert_eq!(start_slow(&host, "three", "").await.status, Some(200));
    for run in ["one", "three"] {
        until(async || status_of(&host, run).await == "success").await;
    }
    until(async || metric(&host, "hotbay_runs_in_flight").await == 0).await;
    drop(stream);
    until(async || metric(&host, "hotbay_streams_open").await == 0).await;
    assert_eq!((hits(&host, "runs").await, hits(&host, "streams").await), (5, 1));
}

#[tokio::test]
async fn a_client_that_has_enough_leaves_room_for_others() {
    let host = TestHost::builder()
        .plugin("hotbay-test-reference")
        .config_text("trusted_proxies = '127.0.0.1'\n[limits]\nclient_runs = 1\nclient_streams = 1\n")
        .start()
        .await
        .unwrap();
    let (one, other) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(start_slow(&host, "a", one).await.status, Some(200));
    let refused = start_slow(&host, "b", one).await;
    assert_eq!((refused.status, &*refused.headers["retry-after"]), (Some(429), "1"));
    assert_eq!(start_slow(&host, "c", other).await.status, Some(200));
    let events = |client| Outgoing::get("/api/events").header("x-forwarded-for", client);
    let stream = host.send_head(events(one)).await.unwrap();
    assert_eq!(host.send(events(one)).await.unwrap().status, Some(429));
    drop(host.send_head(events(other)).await.unwrap());
    drop(stream);
    until(async || metric(&host, "hotbay_streams_open").await == 0).await;
    assert_eq!((hits(&host, "client_runs").await, hits(&host, "client_streams").await), (1, 1));
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_to_come_back() {
    let host = TestHost::builder()
        .config_text("trusted_proxies = '127.0.0.1'\n[limits]\nclient_rate = 1\nclient_burst = 3\n")
        .start()
        .await
        .unwrap();
    let ask =
        async |client: &str| host.send(Outgoing::get("/api/agents").header("x-forwarded-for", client)).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(ask("192.0.2.1").await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == Some(429)).collect();
    assert!(answers[..3].iter().all(|answer| answer.status == Some(200)) && refused.len() >= 4, "{answers:?}");
    assert!(refused.iter().all(|answer| answer.headers["retry-after"] == "1"));
    assert_eq!(ask("192.0.2.2").await.status, Some(200));
    for _ in 0..8 {
        assert_eq!(host.get_json("/health").await.unwrap().0, 200);
    }
    assert_eq!(hits(&host, "client_rate").await, refused.len() as u64);
}
