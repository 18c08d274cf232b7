//! Plugins that panic, block and never return: the rest goes on.

use std::time::{Duration, Instant};

use hotbay::{
    plugin::call::{Call, CallError},
    types::plugin::{GenerationState, PluginState},
};
use hotbay_tests::plugin_host::{PluginHost, build_of, put};
use serde_json::json;

async fn host() -> PluginHost {
    PluginHost::start_with(|directory, _| {
        put(directory, "bad.so", &build_of("bad", "1"));
        put(directory, "good.so", &build_of("good", "1"));
    })
    .await
}

async fn others_answer(host: &PluginHost) {
    let began = Instant::now();
    for number in 0..20 {
        assert_eq!(host.tool("good:echo", json!(number)).await.expect("others answer")["output"], number);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "others wait: {:?}", began.elapsed());
}

#[tokio::test]
async fn panics_are_errors_of_their_call() {
    let host = host().await;
    for tool in ["bad:panic_call", "bad:panic_poll"] {
        let error = host.tool(tool, json!({})).await.expect_err("panics");
        assert!(matches!(error, CallError::Panicked { .. }), "{tool}: {error:?}");
        others_answer(&host).await;
    }
    assert_eq!(host.plugins.get("bad").expect("listed").state, PluginState::Serving);
    host.tool("bad:echo", json!(1)).await.expect("and it goes on itself");
}

#[tokio::test]
async fn a_panic_while_a_cancelled_call_is_dropped_is_contained() {
    let host = host().await;
    let call = Call { deadline: Some(Duration::from_millis(50)), ..Call::default() };
    host.raw("bad:panic_drop", call).await.expect_err("times out");
    host.until("bad", "gone", |status| status.generations[0].in_flight == 0).await;
    others_answer(&host).await;
}

#[tokio::test]
async fn calls_that_block_do_not_hold_up_others() {
    let host = host().await;
    let blocked = futures::future::join_all((0..16).map(|_| host.tool("bad:block", json!({"ms": 600}))));
    let (blocked, ()) = tokio::join!(blocked, others_answer(&host));
    for answer in blocked {
        answer.expect("they end in their own time");
    }
}

#[tokio::test]
async fn a_call_that_never_returns_costs_its_caller_the_deadline_and_marks_the_plugin() {
    let host = host().await;
    let call = Call { deadline: Some(Duration::from_millis(100)), ..Call::default() };
    let error = host.raw("bad:forever", call).await.expect_err("never returns");
    assert!(matches!(error, CallError::TimedOut { .. }), "{error:?}");
    host.until_state("bad", PluginState::Stuck).await;
    let error = host.tool("bad:echo", json!(1)).await.expect_err("takes no calls");
    assert!(matches!(&error, CallError::Unavailable { reason, .. } if reason.contains("reload")), "{error:?}");
    others_answer(&host).await;

    host.plugins.reload("bad").await.expect("a reload helps");
    host.tool("bad:echo", json!(1)).await.expect("the fresh generation answers");
    assert_eq!(host.plugins.get("bad").expect("listed").generation, Some(2));
}

#[tokio::test]
async fn hundreds_of_calls_that_never_return_leave_others_their_threads() {
    let host = host().await;
    let call = || Call { deadline: Some(Duration::from_millis(300)), ..Call::default() };
    let lost = futures::future::join_all((0..300).map(|_| host.raw("bad:forever", call())));
    let (lost, ()) = tokio::join!(lost, others_answer(&host));
    assert!(lost.iter().all(Result::is_err));
    others_answer(&host).await;
}

#[tokio::test]
async fn a_shutdown_that_misbehaves_does_not_keep_the_next_generation_from_serving() {
    for how in ["panic", "fail", "forever"] {
        let host = PluginHost::start_with(|directory, settings| {
            put(directory, "bad.so", &build_of("bad", "1"));
            put(directory, "good.so", &build_of("good", "1"));
            settings.plugins.entry("bad".into()).or_default().config = json!({"shutdown": how});
            settings.shutdown_deadline = Duration::from_millis(200);
        })
        .await;
        host.put("bad.so", &build_of("bad", "2"));
        let status = host.until("bad", "swapped", |status| status.generation == Some(2)).await;
        assert_eq!(status.version, "2");
        let retired = |status: &hotbay::types::plugin::PluginStatus| {
            matches!(status.generations[1].state, GenerationState::Retired)
        };
        host.until("bad", "the old one is retired", retired).await;
        others_answer(&host).await;
    }
}
