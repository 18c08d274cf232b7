//! The client against servers that are scripted, gone or something else.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::*;
use crate::action::Order;

/// Answers each request by its path and returns the server's URL and the heads it saw.
async fn server(answer: fn(&str) -> (u16, &'static str)) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, seen) = mpsc::unbounded_channel();
    tokio::runtime::Handle::current().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let (status, body) = answer(head.split(' ').nth(1).unwrap_or(""));
            let length = body.len();
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await.unwrap();
            if heads.send(head).is_err() {
                return;
            }
        }
    });
    (url, seen)
}

fn hotbay(path: &str) -> (u16, &'static str) {
    match path {
        "/api/plugins" => (200, r#"{"plugins":[{"name":"weather","state":"serving"}]}"#),
        "/api/agents" => (200, r#"{"weather":{},"other":{}}"#),
        "/api/tools" => (200, r#"{"weather":{}}"#),
        "/api/plugins/a%2Fb/rollback" => (409, r#"{"error":"there is no older generation"}"#),
        _ => (200, "{}"),
    }
}

fn request(order: Order, plugin: &str) -> Request {
    Request { order, plugin: plugin.into() }
}

#[tokio::test]
async fn a_look_counts_what_is_there_and_sends_the_token() {
    let (url, mut heads) = server(hotbay).await;
    let overview = Client::new(&url, Some("secret".into())).unwrap().look().await.unwrap();
    assert_eq!((overview.agents, overview.tools), (2, 1));
    assert_eq!(overview.plugins[0].name, "weather");
    assert!(heads.recv().await.unwrap().to_lowercase().contains("authorization: bearer secret"));
}

#[tokio::test]
async fn an_order_names_the_plugin_and_an_error_is_passed_on() {
    let (url, mut heads) = server(hotbay).await;
    let client = Client::new(&url, None).unwrap();
    let action = carried_out(&client, &request(Order::Reload, "weather")).await;
    assert_eq!(action, Action::Done("reload of `weather` is done".into()));
    assert!(heads.recv().await.unwrap().starts_with("POST /api/plugins/weather/reload "));
    let Action::Refused(text) = carried_out(&client, &request(Order::Rollback, "a/b")).await else { panic!() };
    assert!(text.contains("409") && text.contains("there is no older generation"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_away_or_is_no_hotbay_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let Action::Lost(reason) = looked(&Client::new(&url, None).unwrap()).await else { panic!() };
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
    let (url, _heads) = server(|_| (200, "<html>")).await;
    let Action::Lost(reason) = looked(&Client::new(&url, None).unwrap()).await else { panic!() };
    assert!(reason.contains("no Hotbay"), "{reason}");
}

#[tokio::test]
async fn watching_reports_looks_and_orders_until_the_console_hangs_up() {
    let (url, _heads) = server(hotbay).await;
    let (actions, mut seen) = mpsc::channel(1);
    let (ask, requests) = mpsc::channel(1);
    let watching = tokio::runtime::Handle::current().spawn(watch(Client::new(&url, None).unwrap(), actions, requests));
    assert!(matches!(seen.recv().await, Some(Action::Loaded { .. })));
    ask.send(request(Order::Reload, "weather")).await.unwrap();
    while !matches!(seen.recv().await, Some(Action::Done(_))) {}
    drop((ask, seen));
    watching.await.unwrap();
}

#[test]
fn a_url_without_a_path_gets_the_default_prefix() {
    let base = |url: &str| Client::new(url, None).map(|client| client.endpoint(&["tools"]).unwrap().to_string());
    assert_eq!(base("http://host:1").unwrap(), "http://host:1/api/tools");
    assert_eq!(base("http://host:1/v2/").unwrap(), "http://host:1/v2/tools");
    assert!(base("host:1").is_err());
    assert!(base("nothing").unwrap_err().to_string().contains("nothing"));
}

#[test]
fn the_time_of_day_is_utc() {
    assert_eq!(time_of_day(UNIX_EPOCH + Duration::from_secs(86_400 + 3_661)), "01:01:01 UTC");
}
