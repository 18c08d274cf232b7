//! What clients may not do, and what becomes of those that are gone.

use futures::future::join_all;
use hotbay_tests::{TestHost, eventually, http::Outgoing, plugin_host::SOON};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{ALL, REFERENCE, STEADY, Session, host, listen, newer, post, send, until, until_method};

async fn limited(settings: &str) -> TestHost {
    TestHost::builder().plugin(REFERENCE).config_text(settings).start().await.unwrap()
}

#[tokio::test]
async fn a_server_has_so_many_sessions_and_no_more() {
    let host = limited("mcp_max_sessions = 2").await;
    let first = Session::open(&host, ALL).await;
    let _second = Session::open(&host, ALL).await;
    assert_eq!(Session::try_open(&host, ALL).await.err(), Some(429));
    // Those without a session go on, and another server has its own.
    assert_eq!(send(&host, newer(ALL, "tools/list", json!({}))).await.0, 200);
    Session::open(&host, "ref-mcp").await;
    assert_eq!(send(&host, first.request("DELETE")).await.0, 200);
    eventually(SOON, || async { Session::try_open(&host, ALL).await.ok() }).await;
}

#[tokio::test]
async fn a_flood_of_hellos_makes_no_more_sessions_than_there_may_be() {
    let host = limited("mcp_max_sessions = 5").await;
    let opened = join_all((0..60).map(|_| Session::try_open(&host, ALL))).await;
    let refused = opened.iter().filter(|it| matches!(it, Err(429))).count();
    assert_eq!((opened.len() - refused, refused), (5, 55));
}

#[tokio::test]
async fn a_flood_of_streams_without_sessions_makes_no_more_than_there_may_be() {
    let host = limited("mcp_max_sessions = 2").await;
    let wanted = || newer(ALL, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    let mut streams = join_all((0..12).map(|_| listen(&host, wanted()))).await;
    for stream in &mut streams {
        until_method(stream, "notifications/subscriptions/acknowledged").await;
    }
    // Those that are kept are told of a change, the others that they are not kept.
    host.copy_plugin(STEADY).unwrap();
    let mut refused = 0;
    for stream in &mut streams {
        let said = until(stream, |message| message["method"].is_string() || message["error"].is_object()).await;
        refused += usize::from(said["error"].is_object());
    }
    assert_eq!(refused, 10);
}

#[tokio::test]
async fn a_session_nobody_uses_ends() {
    let host = limited("mcp_session_idle = '200ms'").await;
    let session = Session::open(&host, ALL).await;
    let mut listening = session.listen(&host).await;
    while listening.next().await.unwrap().is_some() {}
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    eventually(SOON, || async { (send(&host, session.post(&list)).await.0 == 404).then_some(()) }).await;
}

#[tokio::test]
async fn streams_of_clients_that_are_gone_make_room() {
    let host = limited("mcp_max_sessions = 1").await;
    let path = format!("/api/mcp/{ALL}/sse");
    let mut first = listen(&host, Outgoing::get(&path)).await;
    first.next().await.unwrap().unwrap();
    assert_eq!(send(&host, Outgoing::get(&path)).await.0, 429);
    drop(first);
    let opens = || async {
        let answer = hotbay_tests::http::send(host.address(), Outgoing::get(&path)).await.unwrap();
        (answer.response.status() == 200).then_some(())
    };
    eventually(SOON, opens).await;
}

#[tokio::test]
async fn pages_and_names_of_others_are_refused_by_every_transport() {
    let host = host().await;
    let list = || newer(ALL, "tools/list", json!({}));
    for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example")] {
        assert_eq!(send(&host, list().header(name, value)).await.0, 403, "{name}");
        let sse = Outgoing::get(&format!("/api/mcp/{ALL}/sse")).header(name, value);
        assert_eq!(send(&host, sse).await.0, 403, "{name}");
        let message = Outgoing::post(&format!("/api/mcp/{ALL}/messages?sessionId=x"), &json!({})).header(name, value);
        assert_eq!(send(&host, message).await.0, 403, "{name}");
    }
    assert_eq!(send(&host, list().header("origin", "http://localhost:3000")).await.0, 200);
}

#[tokio::test]
async fn giant_and_garbled_messages_are_told_so() {
    let host = limited("body_limit = '64KiB'").await;
    let path = format!("/api/mcp/{ALL}/mcp");
    let giant = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"x": "x".repeat(100_000)}});
    let (status, answer) = send(&host, post(&path, &giant)).await;
    assert!(status == 413 && answer.contains("-32000"), "{status} {answer}");
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes();
    let (status, answer) = send(&host, Outgoing { body: Some(deep), ..post(&path, &json!({})) }).await;
    assert!(status == 400 && answer.contains("-32700"), "{status} {answer}");
    assert_eq!(send(&host, newer(ALL, "tools/list", json!({}))).await.0, 200);
}

#[tokio::test]
async fn giant_messages_of_the_older_transport_are_told_so_and_its_session_goes_on() {
    let host = limited("body_limit = '64KiB'").await;
    let mut stream = listen(&host, Outgoing::get(&format!("/api/mcp/{ALL}/sse"))).await;
    let endpoint = stream.next().await.unwrap().unwrap().data.unwrap();
    let giant = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(100_000)}});
    assert_eq!(send(&host, Outgoing::post(&endpoint, &giant)).await.0, 413);
    let hello = json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {"protocolVersion": "2024-11-05",
        "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    assert_eq!(send(&host, Outgoing::post(&endpoint, &hello)).await.0, 202);
    until(&mut stream, |message| message["id"] == 2).await;
}

#[tokio::test]
async fn a_client_that_closes_its_half_of_a_stream_is_gone() {
    let host = limited("mcp_max_sessions = 1").await;
    let path = format!("/api/mcp/{ALL}/sse");
    let mut client = TcpStream::connect(host.url("").replace("http://", "")).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("event: endpoint") {
        assert_ne!(client.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(send(&host, Outgoing::get(&path)).await.0, 429);
    client.shutdown().await.unwrap();
    let opens = || async {
        let answer = hotbay_tests::http::send(host.address(), Outgoing::get(&path)).await.unwrap();
        (answer.response.status() == 200).then_some(())
    };
    eventually(SOON, opens).await;
    // It is told that nothing more comes.
    while client.read_buf(&mut said).await.unwrap() > 0 {}
}
