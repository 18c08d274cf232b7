//! What a process of its own costs: the same tool of the same library, 1 KB of JSON in and out, called
//! as the host does it, with the plugin in this process (`inline`) and in one of its own (`process`).
//!
//! `alone` is a call that finds everybody asleep; `of 32` is a call's share of 32 at once. `back` is the
//! time from a crash that has been told to the answer of the next call. `bare` is what the machine takes
//! for as many bytes that go through a socket to a thread that sends them back, and nothing else.

use std::{
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use hotbay::plugin::{
    call::{Call, Target},
    settings::{Isolation, RestartSettings},
};
use hotbay_tests::plugin_host::{PluginHost, hostile, isolate, library, put};
use serde_json::json;
use tokio::runtime::Runtime;

/// How many calls are under way at once where there are several.
const AT_ONCE: usize = 32;

fn start(runtime: &Runtime, isolation: Isolation) -> PluginHost {
    runtime.block_on(PluginHost::start_with(|directory, settings| {
        let file = std::fs::read(library("hotbay-test-reference")).expect("the library is readable");
        put(directory, "reference.so", &file);
        put(directory, "faulty.so", &hostile(&json!({"name": "faulty", "prefix": "bad:", "faults": true})));
        isolate(isolation, directory, settings);
        settings.restart = RestartSettings {
            delay: Duration::ZERO,
            longest_delay: Duration::ZERO,
            crashes: usize::MAX,
            ..RestartSettings::default()
        };
    }))
}

/// On a worker of the runtime, as a handler is, and not on the thread that waits for it.
fn one_by_one(runtime: &Runtime, host: &PluginHost, input: &[u8], count: u64) -> Duration {
    let (snapshot, input) = (host.plugins.registry().snapshot(), input.to_vec());
    let work = async move {
        let tool = snapshot.tools.get("weather").expect("it is there");
        let began = Instant::now();
        for _ in 0..count {
            let call = Call { body: input.clone(), ..Call::default() };
            black_box(tool.generation.call(Target::Tool(tool.id.clone()), call).await.expect("it does not fail"));
        }
        began.elapsed()
    };
    runtime.block_on(runtime.spawn(work)).expect("it does not panic")
}

fn bare(input: &[u8], count: u64) -> Duration {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a socket");
    let length = input.len();
    let echo = thread::spawn(move || {
        let mut read = vec![0; length];
        while theirs.read_exact(&mut read).is_ok() {
            theirs.write_all(&read).expect("the other end is open");
        }
    });
    let mut read = vec![0; length];
    let began = Instant::now();
    for _ in 0..count {
        ours.write_all(input).expect("the other end is open");
        ours.read_exact(&mut read).expect("it sends them back");
    }
    let took = began.elapsed();
    drop(ours);
    echo.join().expect("it does not panic");
    took
}

fn isolation(criterion: &mut Criterion) {
    let input = json!({ "city": "x".repeat(990), "units": "C" }).to_string().into_bytes();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("isolated tool call, 1 KB");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare", |bencher| bencher.iter_custom(|count| bare(&input, count)));
    for (name, place) in [("inline", Isolation::Inline), ("process", Isolation::Process)] {
        let host = start(&runtime, place);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name}, alone"), |bencher| {
            bencher.iter_custom(|count| one_by_one(&runtime, &host, &input, count));
        });
        group.throughput(Throughput::Elements(AT_ONCE as u64));
        group.bench_function(format!("{name}, 32 at once"), |bencher| {
            bencher.iter(|| {
                let call = || host.raw("weather", Call { body: input.clone(), ..Call::default() });
                let answers = runtime.block_on(join_all((0..AT_ONCE).map(|_| call())));
                assert!(answers.iter().all(Result::is_ok));
            });
        });
        if place == Isolation::Process {
            group.throughput(Throughput::Elements(1));
            group.bench_function("process, back", |bencher| {
                bencher.iter_custom(|count| {
                    let crash_and_come_back = async || {
                        host.tool("bad:segv", json!({})).await.expect_err("it crashes");
                        let began = Instant::now();
                        host.tool("bad:echo", json!(1)).await.expect("it is back");
                        began.elapsed()
                    };
                    (0..count).map(|_| runtime.block_on(crash_and_come_back())).sum()
                });
            });
        }
        runtime.block_on(host.plugins.shutdown(Duration::from_secs(1)));
    }
    group.finish();
}

criterion_group!(benches, isolation);
criterion_main!(benches);
