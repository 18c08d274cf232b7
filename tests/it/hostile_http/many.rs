//! Many who want little: slow heads, slow bodies, idle connections.

use std::time::{Duration, Instant};

use hotbay_tests::{TestHost, eventually, raw::Raw};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{SOON, is_well, memory, metric};

/// Allows this process the files it may have, and returns how many that are.
fn files() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    usize::try_from(hard).unwrap_or(usize::MAX)
}

#[tokio::test]
async fn slow_heads_and_bodies_hold_nobody_up() {
    let host = TestHost::builder()
        .config_text("[limits]\nheader_time = '1s'\nbody_time = '1s'\nconnections = 1000\n")
        .start()
        .await
        .unwrap();
    let head = "POST /api/memory/threads HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut raw = Raw::connect(host.address()).await.unwrap();
        let is_body = number % 2 == 0;
        raw.send(if is_body { format!("{head}content-length: 100\r\n\r\n{{") } else { head.to_owned() }).await.unwrap();
        slow.push(raw);
        if number % 50 == 0 {
            is_well(&host).await;
        }
    }
    for mut raw in slow {
        // Another byte now and then changes nothing; who is hung up on already cannot send it.
        raw.send("x").await.ok();
        let told = raw.answer().await.unwrap();
        assert_eq!(told.status, 408, "{told:?}");
    }
    is_well(&host).await;
}

#[tokio::test]
async fn idle_connections_cost_little_and_leave_nothing_behind() {
    let count = 10_000.min(files().saturating_sub(1000));
    let host = TestHost::builder()
        .config_text("[limits]\nconnections = 12000\nheader_time = '10m'\nidle_time = '10m'\n")
        .start()
        .await
        .unwrap();
    let before = memory(&host);
    let mut with_all = Vec::new();
    for _ in 0..2 {
        let idle = connect(&host, count).await;
        with_all.push(memory(&host));
        let began = Instant::now();
        is_well(&host).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        drop(idle);
        // Its own is left to the one who asks.
        eventually(SOON, async || (metric(&host, "hotbay_connections").await == 1).then_some(())).await;
    }
    println!("{count} idle connections take {} KiB each", with_all[0].saturating_sub(before) / 1024 / count as u64);
    assert!(with_all[0] < before + count as u64 * (64 << 10), "{before} bytes before, {with_all:?} with {count}");
    // What the first ones had serves the second ones, but for what is between: the allocator gives
    // nothing back to the system that it may need again.
    let [first, second] = [0, 1].map(|round| with_all[round].saturating_sub(before));
    assert!(second < first + first / 2, "{before} bytes before, {with_all:?} with {count}");
}

/// Connects so often; every other connection has asked something before it says nothing more.
async fn connect(host: &TestHost, count: usize) -> Vec<Raw> {
    let mut idle = Vec::with_capacity(count);
    for number in 0..count {
        let mut raw = Raw::connect(host.address()).await.unwrap();
        if number % 2 == 0 {
            raw.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            assert_eq!(raw.answer().await.unwrap().status, 200);
        }
        idle.push(raw);
    }
    idle
}
