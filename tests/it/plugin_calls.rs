//! Calls into plugins: values, errors, streams, deadlines, cancellation; wherever a plugin runs.

use std::{sync::Arc, time::Duration};

use hotbay::plugin::{
    call::{Call, CallError, ReplyKind},
    settings::Isolation,
};
use hotbay_tests::plugin_host::{Named, PluginHost, build_of, hostile, isolate, put};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::modes::in_both_modes;

async fn host(isolation: Isolation) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        put(directory, "p.so", &build_of("p", "1"));
        isolate(isolation, directory, settings);
    })
    .await
}

fn body(input: &Value) -> Vec<u8> {
    input.to_string().into_bytes()
}

async fn a_large_body_goes_both_ways(isolation: Isolation) {
    let host = host(isolation).await;
    let input = json!("x".repeat(1 << 20));
    assert_eq!(host.tool("p:echo", input.clone()).await.expect("answers")["output"], input);
}

async fn an_asynchronous_tool_does_not_hold_a_thread(isolation: Isolation) {
    let host = host(isolation).await;
    let calls = (0..200).map(|_| host.tool("p:sleep", json!({"ms": 100})));
    let began = std::time::Instant::now();
    for answer in futures::future::join_all(calls).await {
        answer.expect("answers");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "one after the other this takes 20 s");
}

async fn an_error_keeps_its_code_message_and_detail(isolation: Isolation) {
    let host = host(isolation).await;
    match host.tool("p:fail", json!({})).await {
        Err(CallError::Failed { plugin, code, message, retryable, detail }) => {
            assert_eq!((&*plugin, message.as_str(), retryable), ("p", "`city` is missing", true));
            assert_eq!(hotbay_plugin::error::code::name(code), "E_INPUT");
            assert_eq!(detail, json!({"field": "city"}));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(host.plugins.get("p").expect("listed").generations[0].errors, 1);
}

async fn a_suspension_is_told_from_a_value(isolation: Isolation) {
    let host = host(isolation).await;
    let call = Call { body: body(&json!({"why": "approval"})), ..Call::default() };
    let reply = host.raw("p:suspend", call).await.expect("suspends");
    assert_eq!(reply.kind, ReplyKind::Suspended);
}

async fn chunks_arrive_in_order_and_a_slow_reader_slows_the_plugin(isolation: Isolation) {
    let host = host(isolation).await;
    let (sink, mut chunks) = mpsc::channel(2);
    let call = Call { body: body(&json!({"count": 500})), sink: Some(sink), ..Call::default() };
    let reader = async {
        let mut next = 0;
        while let Some(chunk) = chunks.recv().await {
            assert_eq!(chunk, next.to_string());
            next += 1;
            if next % 50 == 0 {
                tokio::task::yield_now().await;
            }
        }
        next
    };
    let (reply, count) = tokio::join!(host.raw("p:stream", call), reader);
    assert_eq!(count, 500);
    let reply: Value = serde_json::from_slice(&reply.expect("ends well").body).expect("JSON");
    assert_eq!(reply["output"], json!({"sent": 500}));
}

async fn a_plugin_is_told_when_nobody_reads_any_more(isolation: Isolation) {
    let host = host(isolation).await;
    let (sink, mut chunks) = mpsc::channel(1);
    let call = Call { body: body(&json!({"count": 1_000_000})), sink: Some(sink), ..Call::default() };
    let reader = async {
        chunks.recv().await.expect("the first chunk");
        drop(chunks);
    };
    let (reply, ()) = tokio::join!(host.raw("p:stream", call), reader);
    let reply: Value = serde_json::from_slice(&reply.expect("ends well").body).expect("JSON");
    assert_eq!(reply["output"]["closed"], true);
}

async fn a_plugin_asks_the_host_and_the_host_knows_who_asks(isolation: Isolation) {
    let host = host(isolation).await;
    let answer = host.tool("p:ask", json!({"op": "echo", "body": [1, 2]})).await.expect("answers");
    assert_eq!(answer["output"], json!([1, 2]));
    let call = Call {
        body: body(&json!({"op": "caller"})),
        context: Some(Arc::new(Named(String::from("run 7")))),
        ..Call::default()
    };
    let reply: Value = serde_json::from_slice(&host.raw("p:ask", call).await.expect("answers").body).expect("JSON");
    assert_eq!(reply["output"], json!({"plugin": "p", "generation": 1, "context": "run 7"}));
}

async fn a_request_the_host_does_not_know_or_cannot_answer_is_an_error_of_the_call(isolation: Isolation) {
    let host = host(isolation).await;
    let error = host.tool("p:ask", json!({"op": "nope"})).await.expect_err("unknown");
    assert_eq!(error.code(), "E_UNSUPPORTED");
    let error = host.tool("p:ask", json!({"op": "panic"})).await.expect_err("the host failed");
    assert_eq!(error.code(), "E_FAILED");
    assert!(!error.to_string().contains("boom"), "{error}");
}

async fn logging_from_a_plugin_works_without_a_subscriber(isolation: Isolation) {
    host(isolation).await.tool("p:log", json!({})).await.expect("answers");
}

async fn a_call_without_an_end_times_out_and_is_gone(isolation: Isolation) {
    let host = host(isolation).await;
    let call = Call { deadline: Some(Duration::from_millis(50)), ..Call::default() };
    let error = host.raw("p:pending", call).await.expect_err("times out");
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    host.until("p", "nothing in flight", |status| status.generations[0].in_flight == 0).await;
}

async fn the_manifests_deadline_holds_and_the_plugin_knows_it(isolation: Isolation) {
    let bytes = hostile(&json!({"name": "p", "prefix": "p:", "timeoutMs": 1500}));
    let host = PluginHost::start_with(|directory, settings| {
        put(directory, "p.so", &bytes);
        isolate(isolation, directory, settings);
    })
    .await;
    let reply = host.raw("p:echo", Call::default()).await.expect("answers");
    assert_eq!(reply.meta, br#"{"deadlineMs":1500}"#);
    let error = host.tool("p:pending", json!({})).await.expect_err("times out");
    assert!(matches!(error, CallError::TimedOut { deadline, .. } if deadline.as_millis() == 1500), "{error}");
}

async fn dropping_the_call_cancels_it_in_the_plugin(isolation: Isolation) {
    let host = host(isolation).await;
    {
        let call = host.tool("p:pending", json!({}));
        let mut call = std::pin::pin!(call);
        assert!(futures::poll!(call.as_mut()).is_pending());
        assert_eq!(host.plugins.get("p").expect("listed").generations[0].in_flight, 1);
    }
    host.until("p", "nothing in flight", |status| status.generations[0].in_flight == 0).await;
}

in_both_modes! {
    a_large_body_goes_both_ways,
    an_asynchronous_tool_does_not_hold_a_thread,
    an_error_keeps_its_code_message_and_detail,
    a_suspension_is_told_from_a_value,
    chunks_arrive_in_order_and_a_slow_reader_slows_the_plugin,
    a_plugin_is_told_when_nobody_reads_any_more,
    a_plugin_asks_the_host_and_the_host_knows_who_asks,
    a_request_the_host_does_not_know_or_cannot_answer_is_an_error_of_the_call,
    logging_from_a_plugin_works_without_a_subscriber,
    a_call_without_an_end_times_out_and_is_gone,
    the_manifests_deadline_holds_and_the_plugin_knows_it,
    dropping_the_call_cancels_it_in_the_plugin,
}
