//! How processes of plugins begin, and that none is left: refused, swapped, drained, shut down.

use std::{fs, time::Duration};

use hotbay::{
    plugin::call::CallError,
    types::plugin::{GenerationState, PluginStatus},
};
use hotbay_tests::plugin_host::eventually;
use serde_json::json;

use super::{faulty, host, options, others_answer, process, processes, until_gone};

#[tokio::test]
async fn an_open_that_crashes_or_hangs_is_a_refusal() {
    for (how, code, word) in [
        ("abort", "E_OPEN_FAILED", "signal 6, abort"),
        ("forever", "E_OPEN_TIMEOUT", "did not return"),
        ("fail", "E_OPEN_FAILED", "open does not want to"),
        ("config", "E_CONFIG", "the key is not one of ours"),
    ] {
        let name = format!("opening-{how}");
        let host = host(&name, |_, settings| {
            settings.open_deadline = Duration::from_secs(2);
            options(&name, settings).config = json!({"open": how});
        })
        .await;
        let error = host.plugins.get(&name).expect("listed").last_error.expect("refused");
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.message.contains(word), "{error:?}");
        eventually("no process is left", || processes(&name).is_empty().then_some(())).await;
        others_answer(&host).await;
    }
}

#[tokio::test]
async fn a_retired_process_ends_and_none_of_it_was_ever_in_the_host() {
    let host = host("swapped", |_, settings| settings.max_generations = 1).await;
    let first = process(&host.plugins.get("swapped").unwrap());
    let long = host.tool("bad:sleep", json!({"ms": 700}));
    let swap = async {
        host.put("bad.so", &faulty("swapped", "2"));
        host.until("swapped", "2 serves", |status| status.generation == Some(2)).await
    };
    let (long, status) = tokio::join!(long, swap);
    assert_eq!(long.expect("it ends where it began")["build"], "1");
    let second = process(&status);
    assert_eq!(host.tool("bad:echo", json!(1)).await.unwrap()["build"], "2");
    until_gone(first).await;
    let retired = |status: &PluginStatus| status.generations[1].state == GenerationState::Retired;
    host.until("swapped", "1 is retired", retired).await;

    // The budget is of what stays in memory, and this does not.
    host.put("bad.so", &faulty("swapped", "3"));
    host.until("swapped", "3 serves", |status| status.generation == Some(3)).await;
    until_gone(second).await;
    host.plugins.rollback("swapped").await.expect("the copy is kept");
    let status = host.plugins.get("swapped").unwrap();
    assert_eq!((status.version.as_str(), status.mapped.count), ("2", 0));
    assert_eq!(host.tool("bad:echo", json!(1)).await.unwrap()["build"], "2");
    let mapped = fs::read_to_string("/proc/self/maps").unwrap();
    for generation in &status.generations {
        assert!(!mapped.contains(&generation.hash), "it is mapped here");
    }
    let good = &host.plugins.get("good").unwrap().generations[0].hash;
    assert!(mapped.contains(good.as_str()), "whereas this one is");

    let last = process(&status);
    host.plugins.disable("swapped").await.expect("turned off");
    until_gone(last).await;
    host.plugins.enable("swapped").await.expect("turned on");
    let last = process(&host.plugins.get("swapped").unwrap());
    fs::remove_file(host.directory.join("bad.so")).unwrap();
    until_gone(last).await;
    assert_eq!(processes("swapped"), [0; 0]);
}

#[tokio::test]
async fn what_drains_for_too_long_is_cancelled_and_its_process_ends() {
    let host = host("draining", |_, settings| settings.drain_deadline = Duration::from_millis(100)).await;
    let first = process(&host.plugins.get("draining").unwrap());
    let pending = host.tool("bad:pending", json!({}));
    let swap = async { host.plugins.reload("draining").await };
    let (pending, swapped) = tokio::join!(pending, swap);
    swapped.expect("loads");
    assert!(matches!(pending, Err(CallError::Cancelled { .. })), "{pending:?}");
    until_gone(first).await;
}

#[tokio::test]
async fn a_shutdown_that_hangs_is_killed() {
    let host = host("stubborn", |_, settings| {
        options("stubborn", settings).config = json!({"shutdown": "forever"});
        settings.shutdown_deadline = Duration::from_millis(200);
    })
    .await;
    let first = process(&host.plugins.get("stubborn").unwrap());
    host.plugins.reload("stubborn").await.expect("loads");
    until_gone(first).await;
}
