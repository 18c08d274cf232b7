//! Swapping, rolling back, turning off and on, and what the file system does to plugins.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hotbay::{
    plugin::call::{Call, CallError},
    types::plugin::{GenerationState, PluginState, PluginStatus},
};
use hotbay_tests::plugin_host::{PluginHost, build_of, put};
use serde_json::{Value, json};

async fn host() -> PluginHost {
    PluginHost::start_with(|directory, _| drop(put(directory, "p.so", &build_of("p", "A")))).await
}

async fn build(host: &PluginHost) -> String {
    let answer = host.tool("p:echo", json!(null)).await.expect("answers");
    answer["build"].as_str().expect("text").to_owned()
}

fn serves(version: &str) -> impl Fn(&PluginStatus) -> bool {
    move |status| status.version == version && status.state == PluginState::Serving
}

#[tokio::test]
async fn a_new_file_is_served_and_the_old_generation_retired() {
    let host = host().await;
    host.put("p.so", &build_of("p", "B"));
    host.until("p", "B serves", serves("B")).await;
    assert_eq!(build(&host).await, "B");
    let status = host.until("p", "A is retired", |s| s.generations[1].state == GenerationState::Retired).await;
    assert_eq!(status.generation, Some(2));
}

#[tokio::test]
async fn a_plugin_that_appears_later_is_loaded() {
    let host = PluginHost::start().await;
    host.put("p.so", &build_of("p", "A"));
    host.until_state("p", PluginState::Serving).await;
}

#[tokio::test]
async fn polling_alone_notices_changes() {
    let host = PluginHost::start_with(|_, settings| {
        settings.watch.events = false;
        settings.watch.poll = Duration::from_millis(50);
    })
    .await;
    host.put("p.so", &build_of("p", "A"));
    host.until_state("p", PluginState::Serving).await;
}

#[tokio::test]
async fn a_directory_that_appears_later_is_watched() {
    let host = PluginHost::start_with(|directory, settings| {
        settings.directories.push(directory.join("later"));
        settings.watch.poll = Duration::from_millis(50);
    })
    .await;
    let later = host.directory.join("later");
    fs::create_dir(&later).expect("writable");
    put(&later, "p.so", &build_of("p", "A"));
    host.until_state("p", PluginState::Serving).await;
}

#[tokio::test]
async fn a_file_written_slowly_is_loaded_when_it_is_complete() {
    use std::io::Write;
    let host = PluginHost::start().await;
    let bytes = build_of("p", "A");
    let mut file = fs::File::create(host.directory.join("p.so")).expect("writable");
    for piece in bytes.chunks(bytes.len() / 20) {
        file.write_all(piece).expect("written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(file);
    host.until_state("p", PluginState::Serving).await;
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let host = host().await;
    host.put("p.so", &build_of("p", "A"));
    // The file that follows shows that the look has been taken.
    host.put("q.so", &build_of("q", "1"));
    host.until_state("q", PluginState::Serving).await;
    assert_eq!(host.plugins.get("p").expect("listed").generation, Some(1));
}

#[tokio::test]
async fn a_broken_build_leaves_the_old_one_serving_and_says_why() {
    let host = host().await;
    host.put("p.so", b"a build that went wrong");
    let status = host.until("p", "the failure", |status| status.last_error.is_some()).await;
    assert_eq!(status.state, PluginState::Serving);
    assert_eq!(status.last_error.expect("waited for").code, "E_NOT_ELF");
    assert_eq!(build(&host).await, "A");
    host.put("p.so", &build_of("p", "B"));
    let status = host.until("p", "B serves", serves("B")).await;
    assert!(status.last_error.is_none());
}

#[tokio::test]
async fn overwriting_the_file_in_place_does_not_touch_what_is_loaded() {
    let host = host().await;
    let file = host.directory.join("p.so");
    fs::write(&file, vec![0; 100_000]).expect("overwritten");
    host.until("p", "the failure", |status| status.last_error.is_some()).await;
    assert_eq!(build(&host).await, "A");
    fs::File::options().write(true).open(&file).expect("there").set_len(0).expect("truncated");
    assert_eq!(build(&host).await, "A");
}

#[tokio::test]
async fn going_back_and_forth_maps_each_build_once() {
    let host = host().await;
    for round in 0..3 {
        for (version, number) in [("B", 2), ("A", 3)] {
            host.put("p.so", &build_of("p", version));
            let status = host.until("p", version, |s| s.generation == Some(2 * round + number)).await;
            assert_eq!(status.mapped.count, 2);
            assert_eq!(build(&host).await, version);
        }
    }
}

#[tokio::test]
async fn a_rollback_serves_the_earlier_build_until_the_file_changes_again() {
    let host = host().await;
    let error = host.plugins.rollback("p").await.expect_err("nothing to go back to");
    assert_eq!(error.code.as_str(), "E_STATE");
    host.put("p.so", &build_of("p", "B"));
    host.until("p", "B serves", serves("B")).await;
    host.plugins.rollback("p").await.expect("goes back");
    assert_eq!(build(&host).await, "A");
    // Touching the file does not bring the bytes back that were rolled back from.
    host.put("p.so", &build_of("p", "B"));
    host.put("q.so", &build_of("q", "1"));
    host.until_state("q", PluginState::Serving).await;
    assert_eq!(build(&host).await, "A");
    host.put("p.so", &build_of("p", "C"));
    host.until("p", "C serves", serves("C")).await;
}

#[tokio::test]
async fn a_disabled_plugin_stays_off_over_a_restart_until_it_is_enabled() {
    let host = host().await;
    host.plugins.disable("p").await.expect("turned off");
    assert_eq!(host.plugins.get("p").expect("listed").state, PluginState::Disabled);
    assert!(host.plugins.registry().snapshot().tools.is_empty());
    let error = host.plugins.reload("p").await.expect_err("disabled");
    assert!(error.message.contains("enable"), "{error}");
    let host = host.restart().await;
    assert_eq!(host.plugins.get("p").expect("listed").state, PluginState::Disabled);
    host.plugins.enable("p").await.expect("turned on");
    assert_eq!(build(&host).await, "A");
    let host = host.restart().await;
    assert_eq!(build(&host).await, "A");
}

#[tokio::test]
async fn an_unknown_plugin_is_named() {
    let host = PluginHost::start().await;
    let error = host.plugins.reload("nobody").await.expect_err("unknown");
    assert!(error.message.contains("`nobody`"), "{error}");
}

#[tokio::test]
async fn removing_the_file_retires_the_plugin() {
    let host = host().await;
    fs::remove_file(host.directory.join("p.so")).expect("there");
    host.until_state("p", PluginState::Retired).await;
    assert!(host.plugins.registry().snapshot().tools.is_empty());
    host.put("p.so", &build_of("p", "A"));
    host.until_state("p", PluginState::Serving).await;
    assert_eq!(build(&host).await, "A");
}

#[tokio::test]
async fn removing_a_refused_file_takes_it_off_the_list() {
    let host = PluginHost::start_with(|directory, _| drop(put(directory, "x.so", b"text"))).await;
    host.refusal("x").await;
    fs::remove_file(host.directory.join("x.so")).expect("there");
    hotbay_tests::plugin_host::eventually("gone", || host.plugins.get("x").is_none().then_some(())).await;
}

#[tokio::test]
async fn renaming_the_file_takes_the_plugin_along_without_a_gap() {
    let host = host().await;
    let stop = Arc::new(AtomicBool::new(false));
    let calls = async {
        while !stop.load(Ordering::SeqCst) {
            assert_eq!(build(&host).await, "A");
            tokio::task::yield_now().await;
        }
    };
    let rename = async {
        fs::rename(host.directory.join("p.so"), host.directory.join("renamed.so")).expect("there");
        host.until("p", "the new file", |status| status.file.ends_with("renamed.so")).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(calls, rename);
    host.put("renamed.so", &build_of("p", "B"));
    host.until("p", "B serves", serves("B")).await;
}

#[tokio::test]
async fn a_file_that_becomes_another_plugin_retires_the_first() {
    let host = host().await;
    host.put("p.so", &build_of("q", "1"));
    host.until_state("q", PluginState::Serving).await;
    host.until_state("p", PluginState::Retired).await;
}

#[tokio::test]
async fn a_thousand_events_are_one_look() {
    let host = host().await;
    for number in 0..1000 {
        fs::write(host.directory.join(format!("noise-{}.txt", number % 50)), "x").expect("writable");
        fs::write(host.directory.join(".p.so.swp"), number.to_string()).expect("writable");
    }
    host.put("p.so", &build_of("p", "B"));
    host.until("p", "B serves", serves("B")).await;
    let status = host.plugins.get("p").expect("listed");
    assert_eq!((status.generation, status.generations.len()), (Some(2), 2));
}

#[tokio::test]
async fn the_budget_of_mapped_builds_holds() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "p.so", &build_of("p", "A"));
        settings.max_generations = 2;
    })
    .await;
    host.put("p.so", &build_of("p", "B"));
    host.until("p", "B serves", serves("B")).await;
    host.put("p.so", &build_of("p", "C"));
    assert_eq!(host.refusal("p").await, "E_GENERATION_BUDGET");
    assert_eq!(build(&host).await, "B");
    host.put("p.so", &build_of("p", "A"));
    host.until("p", "A costs nothing more", serves("A")).await;
}

#[tokio::test]
async fn a_running_stream_ends_on_the_generation_it_began_on() {
    let host = host().await;
    let (sink, mut chunks) = tokio::sync::mpsc::channel(1);
    let call = host.raw("p:stream", Call { body: br#"{"count": 9}"#.to_vec(), sink: Some(sink), ..Call::default() });
    let swap = async {
        // The plugin waits for room while it is swapped, since nobody reads on.
        chunks.recv().await.expect("the stream has begun");
        host.put("p.so", &build_of("p", "B"));
        host.until("p", "B serves", serves("B")).await;
        assert_eq!(build(&host).await, "B");
        assert_eq!(host.plugins.get("p").expect("listed").generations[1].state, GenerationState::Draining);
        while chunks.recv().await.is_some() {}
    };
    let (reply, ()) = tokio::join!(call, swap);
    let reply: Value = serde_json::from_slice(&reply.expect("the old one finishes").body).expect("JSON");
    assert_eq!(reply, json!({"build": "A", "output": {"sent": 9}}));
    host.until("p", "A is retired", |s| s.generations[1].state == GenerationState::Retired).await;
}

#[tokio::test]
async fn a_call_that_outlives_the_drain_is_cancelled() {
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "p.so", &build_of("p", "A"));
        settings.drain_deadline = Duration::from_millis(100);
    })
    .await;
    let swap = async {
        host.put("p.so", &build_of("p", "B"));
        host.until("p", "A is retired", |s| {
            s.generations.len() == 2 && s.generations[1].state == GenerationState::Retired
        })
        .await
    };
    let (answer, _) = tokio::join!(host.tool("p:pending", json!({})), swap);
    assert!(matches!(answer, Err(CallError::Cancelled { .. })), "{answer:?}");
}

/// Callers and streams run while builds alternate: no call fails, each is answered by one build.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_under_load_lose_no_call() {
    const SWAPS: usize = 60;
    let host = Arc::new(host().await);
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Handle::current();
    let callers: Vec<_> = (0..8)
        .map(|index| {
            let (host, stop) = (Arc::clone(&host), Arc::clone(&stop));
            runtime.spawn(async move {
                let mut seen = BTreeSet::new();
                while !stop.load(Ordering::SeqCst) {
                    if index % 4 == 0 {
                        stream(&host).await;
                    } else {
                        let answer = host.tool("p:echo", json!(index)).await.expect("no call fails");
                        assert_eq!(answer["output"], index);
                        seen.insert(answer["build"].to_string());
                    }
                }
                seen
            })
        })
        .collect();
    let (a, b) = (host.scratch.join("a.so"), host.scratch.join("b.so"));
    fs::write(&a, build_of("p", "A")).expect("writable");
    fs::write(&b, build_of("p", "B")).expect("writable");
    for swap in 0..SWAPS {
        let bytes = fs::read(if swap % 2 == 0 { &b } else { &a }).expect("there");
        host.put("p.so", &bytes);
        let file = host.directory.join("p.so");
        host.plugins.load_file(&file).await.expect("each build loads");
    }
    stop.store(true, Ordering::SeqCst);
    let mut seen = BTreeSet::new();
    for caller in callers {
        seen.extend(caller.await.expect("no caller failed"));
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(host.plugins.get("p").expect("listed").mapped.count, 2);
}

async fn stream(host: &PluginHost) {
    let (sink, mut chunks) = tokio::sync::mpsc::channel(4);
    let call = Call { body: br#"{"count": 40}"#.to_vec(), sink: Some(sink), ..Call::default() };
    let count = async {
        let mut count = 0;
        while chunks.recv().await.is_some() {
            count += 1;
        }
        count
    };
    let (reply, count) = tokio::join!(host.raw("p:stream", call), count);
    let reply: Value = serde_json::from_slice(&reply.expect("no stream fails").body).expect("JSON");
    assert_eq!((count, &reply["output"]["sent"]), (40, &json!(40)));
}
