//! Time, cancellation and back-pressure.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::StreamExt;
use hotbay::model::ModelError;
use hotbay_plugin::chat::{FinishReason, StreamPart};
use hotbay_tests::openai_fake::{OpenAiFake, Reply, delta, finish};
use serde_json::json;
use tokio::sync::Notify;

use super::{answer, ask, drain, failure, hello, model, text, within};

fn half() -> Reply {
    Reply::stream().chunk(delta(json!({ "content": "half" })))
}

#[tokio::test]
async fn silent_server_times_out() {
    for silent in [Reply::silence(), Reply::stream().stall()] {
        let fake = OpenAiFake::start([silent]).await;
        let error = failure(&*model(&fake, "first_byte_timeout_ms = 100"), hello()).await;
        assert!(matches!(&error, ModelError::TimedOut { model, .. } if model == "fake/model"), "{error:?}");
        within(fake.ended(1)).await;
    }
}

#[tokio::test]
async fn silence_within_an_answer_times_out() {
    let fake = OpenAiFake::start([half().stall()]).await;
    let (parts, error) = ask(&*model(&fake, "idle_timeout_ms = 100"), hello()).await;
    assert_eq!(text(&parts), "half");
    assert!(matches!(error, Some(ModelError::TimedOut { .. })), "{error:?}");
    within(fake.ended(1)).await;
}

#[tokio::test]
async fn silence_after_the_reason_completes_the_answer() {
    let fake = OpenAiFake::start([half().chunk(finish("length")).stall()]).await;
    let parts = answer(&*model(&fake, "idle_timeout_ms = 100"), hello()).await;
    assert!(matches!(parts.last(), Some(StreamPart::Finish { finish_reason: FinishReason::Length, .. })));
}

#[tokio::test]
async fn whole_request_times_out() {
    let fake = OpenAiFake::start([half().stall()]).await;
    let (_, error) = ask(&*model(&fake, "timeout_ms = 100"), hello()).await;
    assert!(matches!(error, Some(ModelError::TimedOut { .. })), "{error:?}");

    let fake = OpenAiFake::start([Reply::silence()]).await;
    let error = failure(&*model(&fake, "timeout_ms = 100"), hello()).await;
    assert!(matches!(error, ModelError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn refusal_that_never_ends_is_still_a_refusal() {
    let fake = OpenAiFake::start([Reply::raw(400, "text/plain", "because").stall()]).await;
    let error = failure(&*model(&fake, "idle_timeout_ms = 100"), hello()).await;
    assert!(error.to_string().contains("because"), "{error}");
}

#[tokio::test]
async fn pieces_arrive_while_the_server_still_speaks() {
    let gate = Arc::new(Notify::new());
    let reply = half().gate(&gate).chunk(delta(json!({ "content": " whole" }))).chunk(finish("stop"));
    let fake = OpenAiFake::start([reply]).await;
    let mut parts = within(model(&fake, "").chat(hello())).await.unwrap();
    let mut first = Vec::new();
    while !matches!(first.last(), Some(StreamPart::TextDelta { .. })) {
        first.push(within(parts.next()).await.unwrap().unwrap());
    }
    assert_eq!(text(&first), "half");
    gate.notify_one();
    assert_eq!(text(&drain(parts).await.0), " whole");
}

#[tokio::test]
async fn comments_keep_a_slow_server_alive() {
    // Each silence is shorter than the limit, all together are longer.
    let gates: Vec<_> = (0..10).map(|_| Arc::new(Notify::new())).collect();
    let reply = gates.iter().fold(Reply::stream(), |reply, gate| reply.text(": wait\n\n").gate(gate));
    let fake = OpenAiFake::start([reply.chunk(delta(json!({ "content": "ok" }))).chunk(finish("stop"))]).await;
    let model = model(&fake, "idle_timeout_ms = 1500");
    let asking = async { text(&answer(&*model, hello()).await) };
    let opening = async {
        let mut pace = tokio::time::interval(Duration::from_millis(200));
        for gate in &gates {
            pace.tick().await;
            gate.notify_one();
        }
    };
    assert_eq!(tokio::join!(asking, opening).0, "ok");
}

#[tokio::test]
async fn dropped_answer_closes_the_connection() {
    let fake = OpenAiFake::start([half().stall()]).await;
    let mut parts = within(model(&fake, "").chat(hello())).await.unwrap();
    within(parts.next()).await.unwrap().unwrap();
    drop(parts);
    within(fake.ended(1)).await;
}

#[tokio::test]
async fn dropped_question_closes_the_connection() {
    let fake = OpenAiFake::start([Reply::silence()]).await;
    let model = model(&fake, "");
    let mut question = model.chat(hello());
    tokio::select! {
        _ = &mut question => panic!("nobody answered"),
        () = within(fake.asked(1)) => {}
    }
    drop(question);
    within(fake.ended(1)).await;
}

#[tokio::test]
async fn slow_reader_holds_the_server_back() {
    const CHUNKS: usize = 2000;
    let chunk = bytes::Bytes::from(format!("data: {}\n\n", delta(json!({ "content": "x".repeat(64 << 10) }))));
    let reply = (0..CHUNKS).fold(Reply::stream(), |reply, _| reply.text(chunk.clone()));
    let fake = OpenAiFake::start([reply.chunk(finish("stop"))]).await;
    let mut sent = fake.sent();
    let mut parts = within(model(&fake, "").chat(hello())).await.unwrap();
    within(parts.next()).await.unwrap().unwrap();
    // The server goes on until what lies between is full.
    while tokio::time::timeout(Duration::from_millis(300), sent.changed()).await.is_ok() {}
    let held_at = *sent.borrow();
    assert!(held_at < CHUNKS / 2, "{held_at} chunks were sent to a reader that does not read");
    // It goes on as soon as there is room again.
    while *sent.borrow() == held_at {
        within(parts.next()).await.unwrap().unwrap();
    }
    drop(parts);
    within(fake.ended(1)).await;
}

#[tokio::test]
async fn connection_is_used_again() {
    let fake = OpenAiFake::start((0..20).map(|_| Reply::says("ok"))).await;
    let model = model(&fake, "");
    for _ in 0..20 {
        answer(&*model, hello()).await;
    }
    let peers: HashSet<_> = fake.requests().into_iter().map(|request| request.peer).collect();
    assert!(peers.len() < 10, "20 requests took {} connections", peers.len());
}
