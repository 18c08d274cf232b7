//! What may not be asked of a host: too much at once, too long, too slowly.

use std::time::Duration;

use hotbay_tests::{
    TestHost, eventually,
    raw::{Raw, exchange},
};

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
    let text = host.send(hotbay_tests::http::Outgoing::get("/metrics")).await.unwrap().text();
    let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {sample} in {text}")).parse().unwrap()
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
    let mut held = Vec::new();
    // Those it was started with are closed.
    until(async || metric(&host, "hotbay_connections").await == 1).await;
    for _ in 0..3 {
        let mut raw = Raw::connect(host.address()).await.unwrap();
        raw.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(raw.answer().await.unwrap().status, 200);
        held.push(raw);
    }
    let mut one_more = Raw::connect(host.address()).await.unwrap();
    let answer = one_more.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.error().contains("too many connections"), "{}", answer.error());
    assert_eq!(one_more.rest().await.unwrap(), "");
    drop(held);
    until(async || {
        exchange(host.address(), "GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok_and(|it| it.status == 200)
    })
    .await;
    assert_eq!(hits(&host, "connections").await, 1);
}
