//! The clients and the server people use, as they are on npm: `tests/mcp` has the walks of the clients.
//!
//! `HOTBAY_TEST_MCP_NODE` is a Node.js they run on. Without the variable nothing of this is built.
#![cfg(hotbay_test_mcp_node)]

use std::{ffi::OsString, path::Path, process::Command, time::Duration};

use hotbay_tests::{
    TestHost,
    built::{built, built_plugin},
    eventually,
    plugin_host::SOON,
};
use serde_json::json;

use super::{
    ALL, CONFORMANCE, REFERENCE, STEADY, call, listen, newer,
    sources::{children, script, until},
    until_method,
};
use crate::client::walk;

/// The third-party server: it has tools of every kind.
const EVERYTHING: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";

#[expect(clippy::disallowed_methods, reason = "not the host: a test finds its programs in the environment")]
fn node() -> OsString {
    std::env::var_os("HOTBAY_TEST_MCP_NODE").expect("it was set when this was built")
}

/// Starts a host that starts a server of `tests/mcp`, and waits until it has its tools.
async fn host_with(name: &str, file: &str) -> TestHost {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp").join(file);
    let settings = format!(
        "[mcp_servers.{name}]\ncommand = '{}'\nargs = ['{}']\nagents = ['weather-agent']\n",
        node().display(),
        file.display()
    );
    let host = TestHost::builder().plugin(REFERENCE).plugin(CONFORMANCE).config_text(settings).start().await.unwrap();
    until(&host, name, |source| source["state"] == "connected").await;
    host
}

/// The tools the server of everything offers of one source.
async fn offered(host: &TestHost, source: &str) -> Vec<String> {
    let (_, listed) = host.get_json(&format!("/api/mcp/servers/{ALL}/tools")).await.unwrap();
    let names = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with(&format!("{source}_"))).collect()
}

#[tokio::test]
async fn clients_people_use_find_what_they_expect() {
    let host = host_with("many", "many.js").await;
    let variables = [
        ("HOTBAY_URL", host.url("").into()),
        ("HOTBAY_PROGRAM", built("hotbay").unwrap().into_os_string()),
        ("HOTBAY_PLUGIN_DIR", host.plugin_dir().into_os_string()),
        ("HOTBAY_STEADY", built_plugin(STEADY).unwrap().into_os_string()),
    ];
    walk(&node(), "mcp", &variables).await;
}

#[tokio::test]
async fn agents_and_clients_use_the_tools_of_a_server_people_use() {
    let host = host_with("everything", EVERYTHING).await;
    for tool in ["everything_echo", "everything_get-sum"] {
        assert!(offered(&host, "everything").await.iter().any(|name| name == tool), "{tool}");
    }
    let tools = [("everything_echo", json!({"message": "hi"})), ("everything_get-sum", json!({"a": 19, "b": 23}))];
    let said = script(&host, "weather-agent", &tools).await["toolResults"].to_string();
    assert!(said.contains("Echo: hi") && said.contains("42"), "{said}");
    // Clients get what the server said, not what a model would be told.
    let answer = call(&host, ALL, "everything_get-tiny-image", json!({})).await;
    let kinds = answer["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap());
    assert!(kinds.collect::<Vec<_>>().contains(&"image"), "{answer}");
    let answer = call(&host, ALL, "everything_get-structured-content", json!({"location": "Chicago"})).await;
    assert!(answer["structuredContent"]["temperature"].is_number(), "{answer}");
    let refused = call(&host, ALL, "everything_get-sum", json!({"a": "one"})).await;
    assert_eq!(refused["isError"], true, "{refused}");
}

#[tokio::test]
async fn clients_are_told_when_a_server_people_use_is_killed_and_comes_back() {
    let mut host = host_with("everything", EVERYTHING).await;
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let mut stream = listen(&host, newer(ALL, "subscriptions/listen", wanted)).await;
    until_method(&mut stream, "notifications/subscriptions/acknowledged").await;
    let first = children(&host);
    assert_eq!(first.len(), 1, "{first:?}");
    let killed = Command::new("kill").args(["-s", "KILL", &first[0].to_string()]).status().unwrap();
    assert!(killed.success());
    // It goes, and it comes.
    for _ in 0..2 {
        until_method(&mut stream, "notifications/tools/list_changed").await;
    }
    until(&host, "everything", |source| source["connected"] == 2 && source["state"] == "connected").await;
    let answer = call(&host, ALL, "everything_echo", json!({"message": "again"})).await;
    assert_eq!(answer["content"][0]["text"], "Echo: again", "{answer}");
    let second = children(&host);
    assert!(second.len() == 1 && second != first, "{second:?}");
    host.stop(Duration::from_secs(15)).await.unwrap();
    let process = format!("/proc/{}", second[0]);
    eventually(SOON, || async { (!Path::new(&process).exists()).then_some(()) }).await;
}
