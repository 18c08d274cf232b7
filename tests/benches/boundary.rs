//! What the boundary between host and plugin costs: one tool, called in three ways with
//! 1 KB of JSON in and out.
//!
//! - `direct`: the tool's function as a Rust function of this program. The input is parsed
//!   into the tool's type and the result written as JSON, as a plugin does; there is no
//!   plugin, no trait object, no guard, no host.
//! - `guarded`: the same function behind the SDK, called through the ABI's trait object:
//!   context made, future boxed, runtime entered, panics caught, bytes handed over.
//!   Less `direct`, this is the boundary.
//! - `pool`: the same tool in a loaded library, called as the host does it. The call also
//!   goes to a thread of the plugin pool and back, is counted, and has a deadline. `alone` is
//!   a call that finds all threads asleep; `of 32` is a call's share of 32 at once.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::{FutureExt, future::join_all};
use hotbay::{
    plugin::{call::Call, registry::Route, settings::CanaryPlan},
    types::plugin::{CanaryState, CanaryStatus},
};
use hotbay_plugin::{
    Plugin,
    abi::{
        CallCtx,
        abi_stable::std_types::{ROption, RVec},
    },
    prelude::*,
    testing::TestHost,
};
use hotbay_tests::plugin_host::{PluginHost, build_of, library, put};

/// How many calls are under way at once where there are several.
const AT_ONCE: usize = 32;

// As in the reference plugin, so that all ways run the same code.
#[derive(Deserialize, JsonSchema)]
struct Place {
    /// City name
    city: String,
    #[expect(dead_code, reason = "part of the input")]
    units: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Weather {
    city: String,
    temperature: i64,
    conditions: &'static str,
}

/// Get the weather for a city
#[tool]
async fn weather(place: Place) -> Result<Weather> {
    Ok(Weather { city: place.city, temperature: 21, conditions: "sunny" })
}

fn input() -> Vec<u8> {
    json!({ "city": "x".repeat(990), "units": "C" }).to_string().into_bytes()
}

fn direct(bytes: &[u8]) -> Vec<u8> {
    let place: Place = serde_json::from_slice(bytes).expect("the input fits");
    let answer = weather::run(place).now_or_never().expect("it waits for nothing");
    serde_json::to_vec(&answer.expect("it does not fail")).expect("it is JSON")
}

fn boundary(criterion: &mut Criterion) {
    let input = input();
    let mut group = criterion.benchmark_group("tool call, 1 KB");
    group.throughput(Throughput::Elements(1));

    group.bench_function("direct", |bencher| bencher.iter(|| direct(black_box(&input))));

    let plugin = Plugin::new("bench", "1.0.0").tool(weather).open_in_process(&TestHost::new()).expect("it opens");
    let tool = plugin.tool("weather".into()).into_result().expect("it is there");
    group.bench_function("guarded", |bencher| {
        bencher.iter(|| {
            let ctx = CallCtx { call_id: 1, deadline_ms: 0, sink: ROption::RNone, meta_json: RVec::new() };
            let call = tool.call(ctx, RVec::from(black_box(&input).clone()));
            let reply = call.now_or_never().expect("it waits for nothing").into_result().expect("it does not fail");
            // The host copies what comes back; it keeps no memory of a plugin.
            reply.body.as_slice().to_vec()
        });
    });

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let host = runtime.block_on(PluginHost::start_with(|directory, _| {
        let file = std::fs::read(library("hotbay-test-reference")).expect("the library is readable");
        put(directory, "reference.so", &file);
    }));
    let call = || host.raw("weather", Call { body: input.clone(), ..Call::default() });
    // On a worker of the runtime, as a handler is, and not on the thread that waits for it.
    group.bench_function("pool, alone", |bencher| {
        bencher.iter_custom(|count| {
            let (host, input) = (host.plugins.registry().snapshot(), input.clone());
            let work = async move {
                let tool = host.tools.get("weather").expect("it is there");
                let began = std::time::Instant::now();
                for _ in 0..count {
                    let target = hotbay::plugin::call::Target::Tool(tool.id.clone());
                    let call = Call { body: input.clone(), ..Call::default() };
                    black_box(tool.generation.call(target, call).await.expect("it does not fail"));
                }
                began.elapsed()
            };
            runtime.block_on(runtime.spawn(work)).expect("it does not panic")
        });
    });
    group.throughput(Throughput::Elements(AT_ONCE as u64));
    group.bench_function("pool, 32 at once", |bencher| {
        bencher.iter(|| {
            let answers = runtime.block_on(join_all((0..AT_ONCE).map(|_| call())));
            assert!(answers.iter().all(std::result::Result::is_ok));
        });
    });
    group.finish();
    runtime.block_on(host.plugins.shutdown(Duration::from_secs(1)));
}

/// What it costs to find the build that answers a run: `apart` does not ask, the others do while
/// no build is tried and while one is.
fn routing(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let host =
        runtime.block_on(PluginHost::start_with(|directory, _| drop(put(directory, "p.so", &build_of("p", "A")))));
    let registry = std::sync::Arc::clone(host.plugins.registry());
    let route = Route { thread: Some("0198c0de-7000-7000-8000-00000000feed"), ..Route::default() };
    let mut group = criterion.benchmark_group("routing");
    group.bench_function("apart", |bencher| bencher.iter(|| registry.snapshot()));
    group.bench_function("no canary", |bencher| bencher.iter(|| registry.snapshot_for(black_box(&route))));
    let plan = CanaryPlan { percent: 10.0, time: Duration::from_secs(3600), min_calls: 1 };
    runtime.block_on(async {
        host.plugins.canary("p", plan, None).await.expect("it may be tried");
        host.put("p.so", &build_of("p", "B"));
        let is_tried = |canary: &CanaryStatus| canary.state == CanaryState::Trying;
        host.until("p", "B is tried", |status| status.canary.as_ref().is_some_and(is_tried)).await;
    });
    group.bench_function("canary", |bencher| bencher.iter(|| registry.snapshot_for(black_box(&route))));
    group.finish();
    runtime.block_on(host.plugins.shutdown(Duration::from_secs(1)));
}

criterion_group!(benches, boundary, routing);
criterion_main!(benches);
