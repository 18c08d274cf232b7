//! Tools that come and go while clients are connected: all of them are told, whatever they speak.

use std::fs;

use hotbay_tests::http::Outgoing;
use serde_json::json;

use super::{ALL, STEADY, Session, ask, host, listen, newer, send, until, until_method};

const CHANGED: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn clients_of_every_generation_are_told_of_a_swap() {
    let host = host().await;
    let session = Session::open(&host, ALL).await;
    let mut older = session.listen(&host).await;
    let mut stream =
        listen(&host, newer(ALL, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))).await;
    until_method(&mut stream, "notifications/subscriptions/acknowledged").await;
    let mut legacy = listen(&host, Outgoing::get(&format!("/api/mcp/{ALL}/sse"))).await;
    let endpoint = legacy.next().await.unwrap().unwrap().data.unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2024-11-05",
        "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    assert_eq!(send(&host, Outgoing::post(&endpoint, &hello)).await.0, 202);
    until(&mut legacy, |message| message["id"] == 1).await;
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(send(&host, Outgoing::post(&endpoint, &ready)).await.0, 202);
    // An answer after it says that it was read.
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    assert_eq!(send(&host, Outgoing::post(&endpoint, &ping)).await.0, 202);
    until(&mut legacy, |message| message["id"] == 2).await;

    let file = host.copy_plugin(STEADY).unwrap();
    for reader in [&mut older, &mut stream, &mut legacy] {
        until_method(reader, CHANGED).await;
    }
    let listed = ask(&host, ALL, "tools/list", json!({})).await.to_string();
    assert!(listed.contains(&format!("{STEADY}_sign")), "{listed}");

    fs::remove_file(file).unwrap();
    for reader in [&mut older, &mut stream, &mut legacy] {
        until_method(reader, CHANGED).await;
    }
    let listed = ask(&host, ALL, "tools/list", json!({})).await.to_string();
    assert!(!listed.contains(&format!("{STEADY}_sign")), "{listed}");
}

#[tokio::test]
async fn a_server_goes_with_its_plugin_and_so_do_its_sessions() {
    let host = host().await;
    let session = Session::open(&host, "conformance").await;
    let mut listening = session.listen(&host).await;
    let file = host.plugin_dir().join("libhotbay_test_conformance.so");
    fs::remove_file(file).unwrap();
    while listening.next().await.unwrap().is_some() {}
    let (status, answer) = send(&host, newer("conformance", "tools/list", json!({}))).await;
    assert_eq!(status, 404, "{answer}");
    let (_, listed) = host.get_json("/api/mcp/v0/servers").await.unwrap();
    assert!(!listed.to_string().contains("conformance"), "{listed}");
}
