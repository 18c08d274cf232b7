//! Directing plugins of a running host: over HTTP, byte for byte, and with the commands that use it.

use std::process::{Command, Output};

use hotbay_tests::{
    TestHost,
    http::Outgoing,
    plugin_host::{SOON, artifact, build_of, put},
    wait::eventually,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const TOOLS: [&str; 14] = [
    "p:echo",
    "p:sleep",
    "p:block",
    "p:forever",
    "p:panic_call",
    "p:panic_poll",
    "p:panic_drop",
    "p:fail",
    "p:stream",
    "p:ask",
    "p:log",
    "p:log_bytes",
    "p:pending",
    "p:suspend",
];

fn hash_of(build: &str) -> String {
    blake3::hash(&build_of("p", build)).to_hex().to_string()
}

/// A host that serves build A of plugin `p`.
async fn host() -> TestHost {
    let host = TestHost::builder().start().await.unwrap();
    put(&host.plugin_dir(), "p.so", &build_of("p", "A"));
    until(&host, |plugin| plugin["state"] == "serving").await;
    host
}

async fn plugin(host: &TestHost) -> Value {
    host.get_json("/api/plugins/p").await.unwrap().1
}

async fn until(host: &TestHost, is_wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(SOON, || async { Some(plugin(host).await).filter(&is_wanted) }).await
}

async fn act(host: &TestHost, name: &str, action: &str) -> (u16, Value) {
    host.post_json(&format!("/api/plugins/{name}/{action}"), &json!({})).await.unwrap()
}

/// Executes a tool of the plugin.
async fn execute(host: &TestHost, tool: &str) -> (u16, Value) {
    host.post_json(&format!("/api/tools/p:{tool}/execute"), &json!({"data": {"x": 1}})).await.unwrap()
}

/// Checks that an action is refused: the status, the code and what the sentence says.
async fn check_refused(host: &TestHost, name: &str, action: &str, status: u16, code: &str, words: &str) {
    let (answered, body) = act(host, name, action).await;
    assert_eq!(answered, status, "{action} {name}: {body}");
    assert_eq!(body["details"], json!({"code": code}), "{action} {name}");
    assert!(body["error"].as_str().unwrap().contains(words), "{action} {name}: {body}");
    let keys: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error", "details"]);
}

/// Which generations there are, newest first: number, build and state.
fn generations(plugin: &Value) -> Vec<(u64, &str, &str)> {
    let shown = |it: &'_ Value| it["number"].as_u64().unwrap();
    let all = plugin["generations"].as_array().unwrap();
    all.iter().map(|it| (shown(it), it["version"].as_str().unwrap(), it["state"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_plugin_is_shown_with_everything_an_operator_asks_for() {
    let host = host().await;
    for _ in 0..3 {
        assert_eq!(execute(&host, "echo").await, (200, json!({"build": "A", "output": {"x": 1}})));
    }
    assert_eq!(execute(&host, "fail").await.0, 400);
    let (status, shown) = host.get_json("/api/plugins").await.unwrap();
    assert_eq!(status, 200);
    let latency = shown["plugins"][0]["generations"][0]["latencyMs"].clone();
    let (p50, p99) = (latency["p50"].as_f64().unwrap(), latency["p99"].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= p99 && p99 < 30_000.0, "{latency}");
    let loaded_at = shown["plugins"][0]["generations"][0]["loadedAt"].as_str().unwrap().to_owned();
    let is_time = regex::Regex::new(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$").unwrap();
    assert!(is_time.is_match(&loaded_at), "{loaded_at}");
    let size = build_of("p", "A").len();
    let expected = json!({
        "name": "p",
        "version": "A",
        "state": "serving",
        "file": host.plugin_dir().join("p.so"),
        "isolation": "inline",
        "capabilities": {
            "tools": TOOLS, "agents": [], "workflows": [], "vectorStores": [], "models": [], "embedders": [],
            "mcpServers": [],
        },
        "generation": 1,
        "generations": [{
            "number": 1,
            "hash": hash_of("A"),
            "version": "A",
            "state": "serving",
            "loadedAt": loaded_at,
            "calls": 4,
            "errors": 1,
            "inFlight": 0,
            "latencyMs": latency,
            "build": {"sdk": "", "rustc": "", "profile": "debug", "panic": "unwind", "target": ""},
            "size": size,
            "trust": null,
        }],
        "lastError": null,
        "mapped": {"count": 1, "bytes": size},
        "canary": null,
    });
    assert_eq!(shown, json!({ "plugins": [expected] }));
    assert_eq!(host.get_json("/api/plugins/p").await.unwrap(), (200, expected));
}

#[tokio::test]
async fn a_call_under_way_is_counted_until_its_caller_hangs_up() {
    let host = host().await;
    let request = Outgoing::post("/api/tools/p:pending/execute", &json!({"data": {"x": 1}}));
    let call = hotbay_tests::http::send(host.address(), request);
    let seen = until(&host, |plugin| plugin["generations"][0]["inFlight"] == 1);
    tokio::select! {
        answer = call => panic!("it never answers: {answer:?}"),
        shown = seen => assert_eq!(shown["generations"][0]["calls"], 0),
    }
    until(&host, |plugin| plugin["generations"][0]["inFlight"] == 0).await;
}

#[tokio::test]
async fn reload_answers_with_the_generation_that_serves_from_then_on() {
    let host = host().await;
    execute(&host, "echo").await;
    let (status, shown) = act(&host, "p", "reload").await;
    assert_eq!((status, &shown["generation"], &shown["state"]), (200, &json!(2), &json!("serving")));
    assert_eq!(shown["generations"][0]["hash"], hash_of("A"));
    assert_eq!(
        (&shown["generations"][0]["calls"], &shown["generations"][1]["calls"]),
        (&json!(0), &json!(1)),
        "each generation counts its own calls"
    );
    assert_eq!(shown["mapped"]["count"], 1, "the same build is mapped once");
    let shown = until(&host, |plugin| plugin["generations"][1]["state"] == "retired").await;
    assert_eq!(generations(&shown), [(2, "A", "serving"), (1, "A", "retired")]);
    assert_eq!(execute(&host, "echo").await.1["build"], "A");
}

#[tokio::test]
async fn rollback_goes_to_the_earlier_build_and_says_when_there_is_none() {
    let host = host().await;
    check_refused(&host, "p", "rollback", 409, "E_STATE", "no earlier build").await;
    act(&host, "p", "reload").await;
    check_refused(&host, "p", "rollback", 409, "E_STATE", "no earlier build").await;
    assert_eq!(plugin(&host).await["generation"], 2, "a refused action changes nothing");

    put(&host.plugin_dir(), "p.so", &build_of("p", "B"));
    until(&host, |plugin| plugin["version"] == "B").await;
    let (status, shown) = act(&host, "p", "rollback").await;
    assert_eq!((status, &shown["version"], &shown["lastError"]), (200, &json!("A"), &Value::Null));
    assert_eq!(shown["generations"][0]["hash"], hash_of("A"));
    assert_eq!(execute(&host, "echo").await.1["build"], "A");
    let (_, shown) = act(&host, "p", "rollback").await;
    assert_eq!(shown["version"], "B", "and back again");
    assert_eq!(execute(&host, "echo").await.1["build"], "B");
}

#[tokio::test]
async fn disable_takes_it_out_and_enable_puts_it_back() {
    let host = host().await;
    check_refused(&host, "p", "enable", 409, "E_STATE", "not disabled").await;
    let (status, shown) = act(&host, "p", "disable").await;
    assert_eq!((status, &shown["state"], &shown["generation"]), (200, &json!("disabled"), &Value::Null));
    assert_eq!(execute(&host, "echo").await, (404, json!({"error": "Tool not found"})));
    assert_eq!(host.get_json("/api/tools").await.unwrap(), (200, json!({})));
    check_refused(&host, "p", "reload", 409, "E_STATE", "enable it first").await;
    check_refused(&host, "p", "rollback", 409, "E_STATE", "enable it first").await;
    let (status, shown) = act(&host, "p", "disable").await;
    assert_eq!((status, &shown["state"]), (200, &json!("disabled")), "disabling twice is no mistake");

    let (status, shown) = act(&host, "p", "enable").await;
    assert_eq!((status, &shown["state"], &shown["generation"]), (200, &json!("serving"), &json!(2)));
    assert_eq!(execute(&host, "echo").await.0, 200);
    check_refused(&host, "p", "enable", 409, "E_STATE", "not disabled").await;
}

#[tokio::test]
async fn a_file_that_does_not_load_is_told_and_the_old_build_serves_on() {
    let host = host().await;
    std::fs::write(host.plugin_dir().join("p.so"), "no library").unwrap();
    check_refused(&host, "p", "reload", 422, "E_NOT_ELF", "not a shared library").await;
    let shown = plugin(&host).await;
    assert_eq!((&shown["state"], &shown["generation"]), (&json!("serving"), &json!(1)));
    let failure = &shown["lastError"];
    assert_eq!((&failure["code"], &failure["file"]), (&json!("E_NOT_ELF"), &json!(host.plugin_dir().join("p.so"))));
    assert!(failure["message"].is_string() && failure["at"].is_string(), "{failure}");
    assert_eq!(execute(&host, "echo").await.1["build"], "A");
}

#[tokio::test]
async fn an_unknown_plugin_is_a_404_whatever_is_asked_of_it() {
    let host = TestHost::builder().start().await.unwrap();
    assert_eq!(host.get_json("/api/plugins").await.unwrap(), (200, json!({"plugins": []})));
    let (status, body) = host.get_json("/api/plugins/nobody").await.unwrap();
    assert_eq!((status, body), (404, json!({"error": "Plugin with name nobody not found"})));
    for action in ["reload", "rollback", "disable", "enable"] {
        check_refused(&host, "nobody", action, 404, "E_UNKNOWN_PLUGIN", "`nobody`").await;
    }
}

/// Runs `hotbay plugin` against the host, with nothing of the test's own environment.
fn hotbay(host: &TestHost, arguments: &[&str]) -> Output {
    let home = TempDir::new().unwrap();
    let url = host.url("");
    Command::new(artifact("hotbay"))
        .arg("plugin")
        .args(arguments)
        .args(["--url", &url])
        .current_dir(home.path())
        .env_clear()
        .output()
        .unwrap()
}

/// Runs a command that succeeds; returns what it prints.
fn done(host: &TestHost, arguments: &[&str]) -> String {
    let output = hotbay(host, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that fails; returns what it says.
fn failed(host: &TestHost, arguments: &[&str]) -> String {
    let output = hotbay(host, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_list_and_direct_the_plugins_of_a_running_host() {
    let host = host().await;
    execute(&host, "fail").await;
    let list = done(&host, &["list"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATE", "ISOLATION", "VERSION", "GENERATION", "CALLS", "ERRORS", "OFFERS"]);
    assert_eq!(rows[1][..9], ["p", "serving", "inline", "A", "1", "1", "1", "tools:", "p:echo,"], "{list}");
    assert_eq!(rows.len(), 2);

    assert_eq!(done(&host, &["reload", "p"]), "reload p: done\n");
    assert_eq!(plugin(&host).await["generation"], 2);
    put(&host.plugin_dir(), "p.so", &build_of("p", "B"));
    until(&host, |plugin| plugin["version"] == "B").await;
    assert_eq!(done(&host, &["rollback", "p"]), "rollback p: done\n");
    assert_eq!(execute(&host, "echo").await.1["build"], "A");
    assert_eq!(done(&host, &["disable", "p"]), "disable p: done\n");
    assert_eq!(execute(&host, "echo").await.0, 404);
    let shown: Value = serde_json::from_str(&done(&host, &["enable", "p", "--json"])).unwrap();
    assert_eq!((&shown["state"], &shown), (&json!("serving"), &plugin(&host).await));
    let listed: Value = serde_json::from_str(&done(&host, &["list", "--json"])).unwrap();
    assert_eq!(listed, host.get_json("/api/plugins").await.unwrap().1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_are_refused_say_why_and_fail() {
    let host = host().await;
    let said = failed(&host, &["rollback", "p"]);
    assert!(said.contains("409") && said.contains("plugin `p` has no earlier build"), "{said}");
    let said = failed(&host, &["enable", "p"]);
    assert!(said.contains("409") && said.contains("plugin `p` is not disabled"), "{said}");
    for action in ["reload", "rollback", "disable", "enable"] {
        let said = failed(&host, &[action, "nobody"]);
        assert!(said.contains("404") && said.contains("there is no plugin `nobody`"), "{action}: {said}");
    }
    put(&host.plugin_dir(), "broken.so", b"no library");
    let refused = || async {
        let (_, shown) = host.get_json("/api/plugins/broken").await.unwrap();
        (shown["state"] == "refused").then_some(())
    };
    eventually(SOON, refused).await;
    let list = done(&host, &["list"]);
    let last = list.lines().last().unwrap();
    assert!(last.starts_with("broken: E_NOT_ELF: ") && last.contains("not a shared library"), "{list}");
    let said = failed(&host, &["reload", "broken"]);
    assert!(said.contains("422") && said.contains("not a shared library"), "{said}");
}
