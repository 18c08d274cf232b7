//! What runs leave behind in memory, and a start: nothing.

use std::time::Duration;

use futures::{StreamExt, stream};
use hotbay_tests::{TestHost, eventually, http::Outgoing, process};
use serde_json::json;

/// Callers at once.
const CALLERS: usize = 32;
/// What it may differ by, in kilobytes.
const NOISE: u64 = 10 << 10;

/// The host's memory that is no page of a file, in kilobytes.
fn memory(host: &TestHost) -> u64 {
    process::anonymous(host.process_id()).unwrap() >> 10
}

/// A host with one arena: how much freed memory each of many holds on to is chance. Nothing is
/// recorded: what waits for the index is bounded by bytes, and not by runs.
async fn start() -> TestHost {
    let builder = TestHost::builder().plugin("hotbay-test-reference").argument("--record").argument("off");
    builder.variable("MALLOC_ARENA_MAX", "1").start().await.unwrap()
}

async fn run(host: &TestHost, count: usize) {
    let body = json!({ "inputData": { "message": "a" } });
    stream::iter(0..count)
        .for_each_concurrent(CALLERS, |_| async {
            let (status, answer) = host.post_json("/api/workflows/linear-workflow/start-async", &body).await.unwrap();
            assert_eq!((status, &answer["status"]), (200, &json!("success")), "{answer}");
        })
        .await;
}

async fn stream_run(host: &TestHost) {
    let request = Outgoing::post("/api/workflows/sleep-workflow/stream", &json!({ "inputData": { "message": "a" } }));
    let answer = host.send(request).await.unwrap();
    assert_eq!(answer.status, Some(200));
    let whole = answer.data;
    assert!(whole.ends_with(b"\x1e") && whole.windows(15).any(|part| part == b"workflow-finish"), "{whole:?}");
}

#[tokio::test]
async fn twenty_thousand_runs_and_two_hundred_streams_leave_nothing_in_memory() {
    let host = start().await;
    run(&host, 1000).await;
    // How much 200 streams need at once differs by more than the noise from time to time, and
    // the heap keeps the most it ever needed: that is to be reached before it is measured.
    for _ in 0..10 {
        stream::iter(0..200).for_each_concurrent(200, |_| stream_run(&host)).await;
    }
    let before = memory(&host);
    run(&host, 19_000).await;
    stream::iter(0..200).for_each_concurrent(200, |_| stream_run(&host)).await;
    let after = memory(&host);
    println!("memory after 1,000 runs and 2,000 streams {before} kB, after 20,000 runs {after} kB");
    assert!(after < before + NOISE, "{before} kB have become {after} kB");
}

#[tokio::test]
async fn suspended_runs_cost_no_memory() {
    let host = start().await;
    let body = json!({ "inputData": { "message": "a" } });
    let suspend = |count: usize| {
        stream::iter(0..count).for_each_concurrent(CALLERS, |_| async {
            let path = "/api/workflows/suspend-workflow/start-async";
            let (_, answer) = host.post_json(path, &body).await.unwrap();
            assert_eq!(answer["status"], "suspended", "{answer}");
        })
    };
    suspend(1500).await;
    let before = memory(&host);
    suspend(3000).await;
    let after = memory(&host);
    println!("memory with 1,500 suspended runs {before} kB, with 4,500 {after} kB");
    assert!(after < before + NOISE, "{before} kB have become {after} kB");
}

#[tokio::test]
async fn code_that_only_the_start_needed_is_in_memory_no_more_and_runs_again() {
    let host = TestHost::builder().plugin("hotbay-test-reference").start().await.unwrap();
    let copies = host.data_dir().join("plugins");
    let code = || process::code(host.process_id(), &copies).unwrap();
    eventually(Duration::from_secs(60), async || (code() == 0).then_some(())).await;
    let body = json!({ "data": { "city": "Rome" } });
    let (status, answer) = host.post_json("/api/tools/weather/execute", &body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(code() > 0, "the tool's code has just run");
}
