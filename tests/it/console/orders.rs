//! What operators have done: forms, questions, conversations, and what their role forbids.

use base64::{Engine, prelude::BASE64_STANDARD};
use hotbay_tests::{
    TestHost, eventually,
    plugin_host::{SOON, build_of, put},
    pty::Program,
};
use serde_json::{Value, json};

use super::{console, host, start_run};

#[tokio::test]
async fn a_run_that_waits_is_resumed_by_the_form_of_its_schema() {
    let host = host().await;
    let run = start_run(&host, "suspend-workflow", json!({"message": "hello"})).await;
    let mut terminal = console(&host, "runs");
    terminal.see(&run);
    terminal.keys("enter");
    terminal.see("1/3 steps");
    terminal.keys("R");
    terminal.see("approved *");
    terminal.keys("C-s");
    terminal.see("! approved");
    terminal.keys("space C-s");
    terminal.see("3/3 steps");
    let (_, record) = host.get_json(&format!("/api/workflows/suspend-workflow/runs/{run}")).await.unwrap();
    assert_eq!((record["status"].as_str(), &record["result"]), (Some("success"), &json!({"result": "HELLO:true"})));
}

#[tokio::test]
async fn a_tool_is_executed_and_a_workflow_started_by_their_forms() {
    let host = host().await;
    let mut terminal = console(&host, "agents");
    terminal.see("calculator");
    terminal.keys("/");
    terminal.text("calculator");
    terminal.keys("enter");
    terminal.see("1  /calculator");
    terminal.keys("i");
    terminal.see("Execute calculator");
    terminal.keys("right tab");
    terminal.text("4");
    terminal.keys("tab");
    terminal.text("5");
    terminal.keys("C-s");
    terminal.see("calculator answered");
    terminal.see("result 9");
    terminal.keys("esc /");
    terminal.lose("calculator answered");
    terminal.keys("C-u");
    terminal.text("linear-workflow");
    terminal.keys("enter");
    terminal.see("linear-workflow");
    terminal.keys("i");
    terminal.see("Start linear-workflow");
    terminal.text("abc");
    terminal.keys("C-s");
    terminal.see("Runs > linear-workflow");
    terminal.see("success");
}

#[tokio::test]
async fn an_agent_is_talked_to_and_its_tool_approved() {
    let host = host().await;
    let mut terminal = console(&host, "agents");
    terminal.see("weather-agent");
    terminal.keys("/");
    terminal.text("weather-agent");
    terminal.keys("enter");
    terminal.see("/weather-agent");
    terminal.keys("i");
    terminal.see("Message to weather-agent");
    terminal.text("APPROVE it");
    terminal.keys("enter");
    terminal.see("approvalTool waits");
    terminal.see("{\"target\":\"file.txt\"}");
    terminal.keys("Y");
    terminal.see("deleted");
    terminal.lose("is answering");
    terminal.keys("i");
    terminal.text("weather in Paris");
    terminal.keys("enter");
    terminal.see("Tool said: {\"city\":\"Paris\"");
    let (_, threads) = host.get_json("/api/memory/threads").await.unwrap();
    assert_eq!(threads["threads"][0]["resourceId"], "console");
}

#[tokio::test]
async fn an_answer_that_takes_long_is_stopped() {
    let host = host().await;
    let mut terminal = console(&host, "agents");
    terminal.see("echo-agent");
    terminal.keys("/");
    terminal.text("echo-agent");
    terminal.keys("enter i");
    terminal.see("Message to echo-agent");
    // The stream takes its time between its words, and there are many.
    terminal.raw(format!("\x1b[200~SLOW {}\x1b[201~", "word ".repeat(400)).as_bytes());
    terminal.keys("enter");
    terminal.see("is answering");
    let run = async |is_wanted: fn(&Value) -> bool| {
        eventually(SOON, async || {
            let (_, traces) = host.get_json("/api/observability/traces/light").await.unwrap();
            traces["spans"].as_array().unwrap().iter().any(is_wanted).then_some(())
        })
        .await;
    };
    // The console says so before the host has begun, and what has not begun leaves nothing to be seen.
    run(|_| true).await;
    terminal.keys("C-c");
    terminal.see("stopped");
    terminal.lose("is answering");
    // The host hears that nobody listens any more, long before four hundred words are said.
    run(|span| !span["endedAt"].is_null()).await;
    terminal.keys("esc q");
    assert_eq!(terminal.ended().unwrap(), 0);
}

#[tokio::test]
async fn plugins_are_reloaded_rolled_back_disabled_and_enabled() {
    let host = TestHost::builder().start().await.unwrap();
    put(&host.plugin_dir(), "swapped.so", &build_of("swapped", "one"));
    let mut terminal = console(&host, "plugins");
    terminal.see("serving");
    put(&host.plugin_dir(), "swapped.so", &build_of("swapped", "two"));
    terminal.see("Builds 2");
    let hash = async || -> Value {
        let (_, plugin) = host.get_json("/api/plugins/swapped").await.unwrap();
        let serving = plugin["generation"].clone();
        let all = plugin["generations"].as_array().unwrap();
        all.iter().find(|build| build["number"] == serving).map_or(Value::Null, |build| build["hash"].clone())
    };
    let second = hash().await;
    terminal.keys("b");
    terminal.see("Shall I roll back plugin swapped?");
    terminal.keys("n b");
    terminal.see("from ");
    terminal.keys("y");
    terminal.see("roll back plugin swapped: done");
    assert_ne!(hash().await, second);
    terminal.keys("d");
    terminal.see("Shall I disable");
    terminal.keys("y");
    terminal.see("disabled");
    terminal.keys("d");
    terminal.see("Shall I enable");
    terminal.keys("y");
    terminal.see("enable plugin swapped: done");
    terminal.see("serving");
    terminal.keys("r");
    terminal.see("Shall I reload");
    terminal.keys("y");
    terminal.see("reload plugin swapped: done");
    assert_eq!(hash().await, second, "the file's own build serves after a reload");
}

#[tokio::test]
async fn threads_are_made_and_deleted() {
    let host = host().await;
    let mut terminal = console(&host, "threads");
    terminal.see("no conversations yet");
    terminal.keys("+");
    terminal.see("title of the new thread");
    terminal.text("Plans for Monday");
    terminal.keys("enter");
    terminal.see("nothing was said yet");
    terminal.see("Threads > Plans for Monday");
    terminal.keys("D");
    terminal.see("its messages for good?");
    terminal.keys("y esc");
    terminal.see("no conversations yet");
}

#[tokio::test]
async fn what_is_chosen_is_copied_and_what_is_shown_is_written_to_a_file() {
    let host = host().await;
    let run = start_run(&host, "linear-workflow", json!({"message": "a"})).await;
    let mut terminal = console(&host, "runs");
    terminal.see(&run);
    terminal.keys("y");
    terminal.see("copied 36 bytes");
    let clipboard = format!("\x1b]52;c;{}", BASE64_STANDARD.encode(&run));
    let bytes = terminal.bytes();
    assert!(bytes.windows(clipboard.len()).any(|window| window == clipboard.as_bytes()));
    terminal.keys("C-e");
    terminal.see("written to ");
    let file = std::fs::read_dir(terminal.home()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (_, listed) = host.get_json("/api/runs?page=0&perPage=100").await.unwrap();
    assert_eq!(written, listed);
}

const TOKENS: &str = "
[auth.tokens.root]
role = 'admin'
token = 'admin-0123456789abcdef'
[auth.tokens.eve]
role = 'viewer'
token = 'viewer-0123456789abcdef'
";

#[tokio::test]
async fn a_viewer_looks_and_is_told_why_that_is_all() {
    let builder = TestHost::builder().config_text(TOKENS).argument("--auth").plugin(super::REFERENCE);
    let host = builder.start().await.unwrap();
    let url = host.url("");
    let arguments = ["--url", &url, "--screen", "plugins"];
    let program =
        Program::built("hotbay-tui").arguments(&arguments).variable("HOTBAY_TOKEN", "viewer-0123456789abcdef");
    let mut terminal = program.start().unwrap();
    terminal.see("viewer");
    terminal.see("hotbay-test-reference");
    terminal.keys("d");
    terminal.see("that takes the role admin");
    assert!(!terminal.see("viewer").contains("Shall I"));
}

#[tokio::test]
async fn a_console_without_a_token_asks_for_one() {
    let builder = TestHost::builder().config_text(TOKENS).argument("--auth").plugin(super::REFERENCE);
    let host = builder.start().await.unwrap();
    let url = host.url("");
    let mut terminal = Program::built("hotbay-tui").arguments(&["--url", &url]).start().unwrap();
    terminal.see("the server wants a token");
    terminal.text("admin-0123456789abcdef");
    assert!(!terminal.see("****").contains("admin-0123"));
    terminal.keys("enter");
    terminal.see("live");
    terminal.see("role admin");
}

#[tokio::test]
async fn servers_have_names_and_one_turns_from_one_to_another() {
    let (one, other) = (host().await, TestHost::builder().start().await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("console.toml");
    let (first, second) = (one.url(""), other.url(""));
    let text = format!(
        "context = 'one'\n[contexts.one]\nurl = '{first}'\n[contexts.two]\nurl = '{second}'\nread-only = true\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_string_lossy();
    let arguments = ["--config", &*file, "--screen", "plugins"];
    let mut terminal = Program::built("hotbay-tui").arguments(&arguments).start().unwrap();
    terminal.see("@one");
    terminal.see("hotbay-test-reference");
    terminal.keys("@");
    terminal.see("read only");
    terminal.keys("down enter");
    terminal.see("@two read only");
    terminal.see("no plugins: put one into a plugin directory");
    terminal.keys("r");
    terminal.see("this server is watched only");
}
