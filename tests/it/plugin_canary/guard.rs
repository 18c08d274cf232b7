//! Builds that are taken back by themselves after a plain swap.

use hotbay_tests::plugin_host::PluginHost;
use serde_json::json;

use super::{builds, faulty, host, host_with, impatient, looked};

/// Swaps a build in after the one before had many calls.
async fn swap(host: &PluginHost, bytes: &[u8]) {
    assert_eq!(builds(host).await, ["A".to_owned()].into());
    host.put("p.so", bytes);
    host.until("p", "B serves", |status| status.version == "B").await;
}

#[tokio::test]
async fn a_build_that_fails_after_a_plain_swap_is_taken_back_once() {
    let host = host().await;
    let bad = faulty("B", "panic_call");
    swap(&host, &bad).await;
    let calls = async {
        for run in 0.. {
            drop(host.tool_in(&run.to_string(), "p:echo", json!(null)).await);
        }
    };
    let status = tokio::select! {
        () = calls => unreachable!("it calls for ever"),
        status = host.until("p", "A serves again", |status| status.version == "A" && status.last_error.is_some()) => status,
    };
    let error = status.last_error.expect("waited for");
    assert_eq!((error.code.as_str(), status.generation), ("E_ROLLED_BACK", Some(3)), "{}", error.message);
    assert!(error.message.contains("0 of 100 calls of the old build before"), "{}", error.message);
    host.put("p.so", &bad);
    looked(&host).await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    let host = host.restart().await;
    assert_eq!(builds(&host).await, ["A".to_owned()].into());
    // Somebody who asks gets it.
    host.plugins.reload("p").await.expect("it loads");
    assert_eq!(host.plugins.get("p").expect("listed").version, "B");
}

#[tokio::test]
async fn mistakes_of_callers_do_not_take_a_build_back_and_hanging_calls_do() {
    let host = host().await;
    swap(&host, &impatient("B", "fail")).await;
    for run in 0..50 {
        assert!(host.tool_in(&run.to_string(), "p:echo", json!(null)).await.is_err());
    }
    // The tool that hangs is what the build is taken back for, and only now.
    assert_eq!(host.plugins.get("p").expect("listed").version, "B");
    for _ in 0..200 {
        drop(host.tool_in("run", "p:pending", json!(null)).await);
        if host.plugins.get("p").expect("listed").version == "A" {
            break;
        }
    }
    let status = host.until("p", "A serves again", |status| status.version == "A").await;
    assert_eq!(status.generation, Some(3));
}

#[tokio::test]
async fn without_a_guard_a_build_stays() {
    let host = host_with(|settings| settings.swap_guard = None).await;
    swap(&host, &faulty("B", "panic_call")).await;
    for run in 0..50 {
        assert!(host.tool_in(&run.to_string(), "p:echo", json!(null)).await.is_err());
    }
    looked(&host).await;
    assert_eq!(host.plugins.get("p").expect("listed").version, "B");
}
