//! Providers that refuse, break off or talk nonsense.

use std::time::{Duration, Instant};

use hotbay::model::ModelError;
use hotbay_plugin::chat::StreamPart;
use hotbay_tests::openai_fake::{OpenAiFake, Reply, delta, finish};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::{answer, ask, failure, hello, model, provider, text};

fn busy(status: u16) -> Reply {
    Reply::json(status, &json!({ "error": { "message": "too much to do" } })).header("retry-after-ms", "1")
}

#[tokio::test]
async fn passing_failures_are_repeated() {
    for status in [408, 429, 500, 502, 503, 529] {
        let fake = OpenAiFake::start([busy(status), busy(status), Reply::says("at last")]).await;
        assert_eq!(text(&answer(&*model(&fake, ""), hello()).await), "at last");
        assert_eq!(fake.requests().len(), 3);
    }
}

#[tokio::test]
async fn wait_is_as_long_as_the_provider_asks() {
    let begun = Instant::now();
    let busy = Reply::json(429, &json!({})).header("retry-after", "1");
    let fake = OpenAiFake::start([busy, Reply::says("ok")]).await;
    answer(&*model(&fake, ""), hello()).await;
    let waited = begun.elapsed();
    assert_eq!(fake.requests().len(), 2);
    // Unasked it would have waited half a second at most.
    assert!(waited >= Duration::from_millis(900), "it waited {waited:?}");
}

#[tokio::test]
async fn retries_end_and_the_last_error_is_told() {
    let fake = OpenAiFake::start([busy(500), busy(500), busy(503)]).await;
    let error = failure(&*model(&fake, ""), hello()).await;
    assert!(
        matches!(&error, ModelError::Unavailable { status: Some(503), message } if message.contains("too much to do"))
    );
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn number_of_retries_can_be_set() {
    let fake = OpenAiFake::start([busy(500), Reply::says("ok")]).await;
    failure(&*model(&fake, "max_retries = 0"), hello()).await;
    assert_eq!(fake.requests().len(), 1);

    let fake = OpenAiFake::start([busy(500), Reply::says("ok")]).await;
    let mut request = hello();
    request.settings.max_retries = Some(1);
    answer(&*model(&fake, "max_retries = 0"), request).await;
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    let cases: [(u16, Value, &str); 6] = [
        (400, json!({ "error": { "message": "no such parameter" } }), "no such parameter"),
        (403, json!({ "error": "not for you" }), "not for you"),
        (404, json!({ "message": "no such model" }), "no such model"),
        (422, json!({ "detail": "odd" }), "odd"),
        (418, json!({ "strange": 1 }), "strange"),
        (429, json!({ "error": { "message": "pay first", "code": "insufficient_quota" } }), "pay first"),
    ];
    for (status, body, expected) in cases {
        let fake = OpenAiFake::start([Reply::json(status, &body)]).await;
        let error = failure(&*model(&fake, ""), hello()).await;
        assert!(
            matches!(&error, ModelError::Refused { status: Some(code), message }
            if *code == status && message.contains(expected)),
            "{error:?}"
        );
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn bad_key_names_its_variable() {
    for (settings, variable) in [("", "FAKE_API_KEY"), ("api_key_env = 'FAKE_KEY'", "FAKE_KEY")] {
        let reply = Reply::json(401, &json!({ "error": { "message": "bad key" } }));
        let fake = OpenAiFake::start([reply]).await;
        let error = failure(&*model(&fake, settings), hello()).await.to_string();
        assert!(error.contains(variable) && error.contains("bad key"), "{error}");
    }
}

#[tokio::test]
async fn server_that_is_not_there_is_named() {
    // Bound without listening: refuses, and nobody else can take the port meanwhile.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = socket.local_addr().unwrap();
    let model = provider("fake", &format!("http://user:sk-secret@{gone}/v1"), "max_retries = 1");
    let error = failure(&*model, hello()).await;
    assert!(matches!(&error, ModelError::Unavailable { status: None, .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("fake/model") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn connection_lost_before_the_first_event_is_repeated() {
    let lost = [
        Reply::stream().cut(),
        Reply::stream().text(": wait\n\n").cut(),
        Reply::stream().text("data: {\"id\":").cut(),
        Reply::stream(),
    ];
    for lost in lost {
        let fake = OpenAiFake::start([lost, Reply::says("again")]).await;
        assert_eq!(text(&answer(&*model(&fake, ""), hello()).await), "again");
    }
}

#[tokio::test]
async fn connection_lost_after_the_first_event_is_an_error() {
    let begun = Reply::stream().chunk(delta(json!({ "content": "half" })));
    for reply in [begun.clone().cut(), begun] {
        let fake = OpenAiFake::start([reply, Reply::says("never asked")]).await;
        let (parts, error) = ask(&*model(&fake, ""), hello()).await;
        assert_eq!(text(&parts), "half");
        assert!(matches!(&error, Some(ModelError::Unavailable { .. })), "{error:?}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn connection_lost_after_the_reason_completes_the_answer() {
    let reply = Reply::stream().chunk(delta(json!({ "content": "all" }))).chunk(finish("stop")).cut();
    let fake = OpenAiFake::start([reply]).await;
    let parts = answer(&*model(&fake, ""), hello()).await;
    assert!(matches!(parts.last(), Some(StreamPart::Finish { .. })));
}

#[tokio::test]
async fn error_inside_the_stream_is_told() {
    let error = json!({ "error": { "message": "out of memory", "code": 400 } });
    let begun = Reply::stream().chunk(delta(json!({ "content": "half" })));
    let fake = OpenAiFake::start([begun.chunk(error.clone()).stall()]).await;
    let (parts, told) = ask(&*model(&fake, ""), hello()).await;
    assert_eq!(text(&parts), "half");
    assert!(
        matches!(&told, Some(ModelError::Refused { status: Some(400), message }) if message.contains("out of memory"))
    );

    let fake = OpenAiFake::start([Reply::stream().chunk(error)]).await;
    assert!(failure(&*model(&fake, ""), hello()).await.to_string().contains("out of memory"));
}

#[tokio::test]
async fn passing_error_at_the_start_of_the_stream_is_repeated() {
    for error in [
        json!({ "error": { "message": "overloaded", "code": 503 } }),
        json!({ "error": { "message": "wait", "type": "rate_limit_error" } }),
    ] {
        let fake = OpenAiFake::start([Reply::stream().chunk(error), Reply::says("ok")]).await;
        answer(&*model(&fake, ""), hello()).await;
    }
}

#[tokio::test]
async fn nonsense_is_garbled_and_not_repeated() {
    let nonsense: [Reply; 9] = [
        Reply::stream().text("data: {\"id\": \n\n"),
        Reply::stream().text("data: 7\n\n"),
        Reply::stream().text("data: {}\n\n"),
        Reply::stream().text("data: {\"choices\": 7}\n\n"),
        Reply::stream().text(&b"data: \xff\xfe\n\n"[..]),
        Reply::stream().text(&b"\x00\x01\x02\xff\n\n"[..]),
        Reply::raw(200, "text/html", "<!doctype html>\n<title>Log in</title>"),
        Reply::raw(200, "application/json", "{\"choices\": ["),
        Reply::raw(200, "application/json", &b"{\"id\": \"\xff\"}"[..]),
    ];
    for reply in nonsense {
        let shown = format!("{reply:?}");
        let fake = OpenAiFake::start([reply]).await;
        let error = failure(&*model(&fake, ""), hello()).await;
        assert!(matches!(error, ModelError::Garbled(_)), "{error:?} for {shown}");
        assert!(error.to_string().contains("fake/model"), "{error}");
        assert_eq!(fake.requests().len(), 1);
    }
}

#[tokio::test]
async fn nonsense_in_the_middle_ends_the_answer() {
    let reply = Reply::stream().chunk(delta(json!({ "content": "half" }))).text("data: {]\n\n").stall();
    let fake = OpenAiFake::start([reply]).await;
    let (parts, error) = ask(&*model(&fake, ""), hello()).await;
    assert_eq!(text(&parts), "half");
    assert!(matches!(error, Some(ModelError::Garbled(_))), "{error:?}");
}

#[tokio::test]
async fn line_without_end_is_cut_off() {
    let mut reply = Reply::stream();
    for _ in 0..40 {
        reply = reply.text(vec![b'x'; 1 << 20]);
    }
    let fake = OpenAiFake::start([reply.stall()]).await;
    let error = failure(&*model(&fake, ""), hello()).await;
    assert!(matches!(error, ModelError::Garbled(_)), "{error:?}");
}
