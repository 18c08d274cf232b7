//! Third-party MCP servers as sources of tools. The third party is another host, reached by every
//! transport: as a program that is started, over Streamable HTTP, over the transport before it.

use std::{fs, path::Path, process::Command, time::Duration};

use hotbay_tests::{TestHost, built::built, eventually, plugin_host::SOON};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{ALL, REFERENCE, STEADY, Session, call, until_method};

pub(super) async fn third() -> TestHost {
    TestHost::builder().plugin(REFERENCE).start().await.unwrap()
}

/// Starts a host whose agents use a server of another one, over all transports.
pub(super) async fn host_with(third: &TestHost, server: &str) -> TestHost {
    let (program, url) = (built("hotbay").unwrap(), third.url(""));
    let settings = format!(
        "[mcp_servers.http]\nurl = '{url}/api/mcp/{server}/mcp'\nagents = ['*']\n\
         [mcp_servers.sse]\nurl = '{url}/api/mcp/{server}/sse'\ntransport = 'sse'\nagents = ['*']\n\
         [mcp_servers.child]\ncommand = '{}'\n\
         args = ['mcp-stdio', '--url', '{url}', '--server', '{server}']\nagents = ['weather-agent']\n",
        program.display()
    );
    let host = TestHost::builder().plugin(REFERENCE).config_text(settings).start().await.unwrap();
    for name in ["child", "http", "sse"] {
        until(&host, name, |source| source["state"] == "connected").await;
    }
    host
}

async fn source(host: &TestHost, name: &str) -> Value {
    let (status, answer) = host.get_json("/api/mcp/sources").await.unwrap();
    assert_eq!(status, 200);
    let sources = answer["sources"].as_array().unwrap();
    sources.iter().find(|source| source["name"] == name).cloned().unwrap()
}

/// Waits until a server is as it should be, and returns how it is.
pub(super) async fn until(host: &TestHost, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually(SOON, || async {
        let source = source(host, name).await;
        is_it(&source).then_some(source)
    })
    .await
}

fn has(source: &Value, tool: &str) -> bool {
    source["tools"].as_array().unwrap().iter().any(|name| name == tool)
}

/// Lets an agent call a tool and returns what came of it.
async fn called(host: &TestHost, agent: &str, tool: &str) -> Value {
    script(host, agent, &[(tool, json!({"city": "Oslo"}))]).await
}

/// Lets an agent call tools at once and returns its answer.
pub(super) async fn script(host: &TestHost, agent: &str, tools: &[(&str, Value)]) -> Value {
    let calls = tools.iter().map(|(tool, input)| json!({"toolCallId": tool, "toolName": tool, "input": input}));
    let calls: Vec<_> = calls.collect();
    let body = json!({"messages": "go", "model": "mock/script",
        "providerOptions": {"mock": {"script": [{"toolCalls": calls}, {"text": "done"}]}}});
    let (status, answer) = host.post_json(&format!("/api/agents/{agent}/generate"), &body).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The processes a host has started that still run.
pub(super) fn children(host: &TestHost) -> Vec<i32> {
    let pid = host.process_id();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn agents_use_tools_of_other_servers_by_every_transport() {
    let third = third().await;
    let host = host_with(&third, "ref-mcp").await;
    for tool in ["http_weather", "sse_weather", "child_weather"] {
        let answer = called(&host, "weather-agent", tool).await;
        assert_eq!(answer["toolResults"][0]["payload"]["result"]["city"], "Oslo", "{tool}: {answer}");
    }
    // The program's tools are for the agent that is named alone.
    let refused = called(&host, "echo-agent", "child_weather").await;
    assert!(!refused.to_string().contains("sunny"), "{refused}");
    // What a tool there fails with is told to the model.
    let failed = called(&host, "weather-agent", "http_failing").await;
    assert!(failed.to_string().contains("tool exploded"), "{failed}");
}

#[tokio::test]
async fn a_server_that_has_other_tools_is_asked_for_them() {
    let third = third().await;
    let host = host_with(&third, ALL).await;
    let tool = |name: &str| format!("{name}_{STEADY}_sign");
    let file = third.copy_plugin(STEADY).unwrap();
    for name in ["child", "http", "sse"] {
        until(&host, name, |source| has(source, &tool(name))).await;
    }
    fs::remove_file(file).unwrap();
    for name in ["child", "http", "sse"] {
        until(&host, name, |source| !has(source, &tool(name))).await;
    }
}

#[tokio::test]
async fn a_program_that_dies_is_started_again_and_ends_with_the_host() {
    let third = third().await;
    let mut host = host_with(&third, "ref-mcp").await;
    let first = children(&host);
    assert_eq!(first.len(), 1, "{first:?}");
    let killed = Command::new("kill").args(["-s", "KILL", &first[0].to_string()]).status().unwrap();
    assert!(killed.success());
    let source = until(&host, "child", |source| source["connected"] == 2 && source["state"] == "connected").await;
    assert!(has(&source, "child_weather"), "{source}");
    let second = children(&host);
    assert!(second.len() == 1 && second != first, "{second:?}");
    host.stop(Duration::from_secs(15)).await.unwrap();
    let process = format!("/proc/{}", second[0]);
    eventually(SOON, || async { (!Path::new(&process).exists()).then_some(()) }).await;
}

#[tokio::test]
async fn tools_of_a_server_that_is_gone_are_gone() {
    let mut third = third().await;
    let host = host_with(&third, "ref-mcp").await;
    third.kill().unwrap();
    for name in ["http", "sse"] {
        let source = until(&host, name, |source| source["state"] == "waiting").await;
        assert!(source["tools"].as_array().unwrap().is_empty() && source["error"].is_string(), "{source}");
    }
}

#[tokio::test]
async fn clients_are_offered_tools_of_other_servers_as_long_as_these_are_there() {
    let mut third = third().await;
    let host = host_with(&third, "ref-mcp").await;
    for name in ["http_weather", "sse_weather", "child_weather"] {
        let answer = call(&host, ALL, name, json!({"city": "Oslo"})).await;
        assert_eq!(answer["structuredContent"]["city"], "Oslo", "{name}: {answer}");
    }
    let failed = call(&host, ALL, "http_failing", json!({})).await;
    assert!(failed["isError"] == true && failed.to_string().contains("tool exploded"), "{failed}");
    let rest = json!({"data": {"city": "Oslo"}});
    let (status, answer) = host.post_json(&format!("/api/mcp/{ALL}/tools/http_weather/execute"), &rest).await.unwrap();
    let said = &answer["result"]["output"]["structuredContent"]["city"];
    assert_eq!((status, said), (200, &json!("Oslo")), "{answer}");

    let session = Session::open(&host, ALL).await;
    let mut listening = session.listen(&host).await;
    third.kill().unwrap();
    until_method(&mut listening, "notifications/tools/list_changed").await;
    until(&host, "http", |source| source["state"] == "waiting").await;
    let gone = call(&host, ALL, "http_weather", json!({"city": "Oslo"})).await;
    assert!(gone["isError"] == true && gone.to_string().contains("Unknown tool"), "{gone}");
}

/// Passes connections on to a host whose address was not known yet.
async fn relay(listener: TcpListener, to: String) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let to = to.clone();
        connections.spawn(async move {
            let mut far = TcpStream::connect(to).await?;
            copy_bidirectional(&mut near, &mut far).await
        });
    }
}

#[tokio::test]
async fn a_host_that_is_its_own_source_has_no_tool_twice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/mcp/{ALL}/mcp", listener.local_addr().unwrap());
    let settings = format!("[mcp_servers.own]\nurl = '{url}'\n");
    let host = TestHost::builder().plugin(REFERENCE).config_text(settings).start().await.unwrap();
    let mut relayed = JoinSet::new();
    relayed.spawn(relay(listener, host.url("").replace("http://", "")));
    until(&host, "own", |source| has(source, &format!("own_{REFERENCE}_weather"))).await;
    // It asks itself again, now that it offers what it has from itself.
    host.copy_plugin(STEADY).unwrap();
    let source = until(&host, "own", |source| has(source, &format!("own_{STEADY}_sign"))).await;
    let names = source["tools"].as_array().unwrap();
    assert!(names.iter().all(|name| !name.as_str().unwrap().starts_with("own_own_")), "{source}");
}
