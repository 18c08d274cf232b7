//! What happens is seen as it happens, also after the server was away.

use std::net::SocketAddr;

use hotbay_tests::{
    plugin_host::{build_of, put},
    pty::Program,
    relay::Relay,
};
use serde_json::json;

use super::{REFERENCE, console, host, post, start_run, tail};

#[tokio::test]
async fn a_run_appears_as_it_begins_and_its_state_as_it_changes() {
    let host = host().await;
    let mut terminal = console(&host, "runs");
    terminal.see("no runs yet");
    let run = start_run(&host, "suspend-workflow", json!({"message": "hello"})).await;
    terminal.see(&run);
    terminal.see("suspended");
    terminal.keys("1");
    terminal.see("waits for somebody at ask-approval");
    let path = format!("/api/workflows/suspend-workflow/resume-async?runId={run}");
    post(&host, &path, json!({"step": "ask-approval", "resumeData": {"approved": true}})).await;
    terminal.see("nothing waits for anybody");
    terminal.keys("4 enter");
    terminal.see("3/3 steps");
    terminal.see(&tail(&run));
}

#[tokio::test]
async fn traces_threads_and_the_log_show_what_an_agent_does() {
    let host = host().await;
    let mut terminal = console(&host, "traces");
    terminal.see("no traces yet");
    let body = json!({"messages": "weather in Rome", "memory": {"thread": "t-1", "resource": "ana"}});
    post(&host, "/api/agents/weather-agent/generate", body).await;
    terminal.see("agent run: 'weather-agent'");
    terminal.keys("enter");
    terminal.see("tool weather");
    terminal.keys("g m");
    terminal.see("Threads > t-1");
    // A call as the messages show it: a part of the trace may still be on the screen.
    terminal.see(r#"tool weather {"city":"Rome"}"#);
    terminal.keys("g t");
    terminal.see("Traces > ");
    terminal.keys("g l");
    terminal.see("an agent's run ended");
    terminal.keys("7 v");
    terminal.see("FOLLOW");
}

#[tokio::test]
async fn a_swap_is_seen_when_it_happens() {
    let host = hotbay_tests::TestHost::builder().start().await.unwrap();
    put(&host.plugin_dir(), "swapped.so", &build_of("swapped", "one"));
    let terminal = console(&host, "plugins");
    let generation = |number: u32| {
        move |seen: &str| {
            let row = seen.lines().find(|line| line.contains("swapped") && line.contains("serving"));
            row.is_some_and(|row| row.split_whitespace().any(|word| word == number.to_string()))
        }
    };
    terminal.wait("the first build", generation(1));
    put(&host.plugin_dir(), "swapped.so", &build_of("swapped", "two"));
    terminal.wait("the second build", generation(2));
    terminal.see("Builds 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_and_comes_back_is_told_and_watched_on() {
    let relay = Relay::start().await.unwrap();
    let arguments = ["--url", &relay.url(), "--screen", "runs"];
    let mut terminal = Program::built("hotbay-tui").arguments(&arguments).start().unwrap();
    terminal.see("never seen");
    let mut host = hotbay_tests::TestHost::builder().plugin(REFERENCE).start().await.unwrap();
    let address = |host: &hotbay_tests::TestHost| -> SocketAddr { host.address().authority().parse().unwrap() };
    relay.lead_to(Some(address(&host)));
    terminal.see("live");
    let first = start_run(&host, "linear-workflow", json!({"message": "a"})).await;
    terminal.see(&first);
    relay.lead_to(None);
    host.kill().unwrap();
    let seen = terminal.see("reconnecting in");
    assert!(seen.contains("last seen ") && seen.contains(&first), "{seen}");
    // What is asked for meanwhile is refused, and nothing is frozen.
    terminal.keys("2");
    terminal.see("Plugins");
    terminal.keys("4");
    host.restart().await.unwrap();
    relay.lead_to(Some(address(&host)));
    terminal.see("live");
    let second = start_run(&host, "linear-workflow", json!({"message": "b"})).await;
    let seen = terminal.see(&second);
    assert!(seen.contains(&first), "{seen}");
    terminal.keys("q");
    assert_eq!(terminal.ended().unwrap(), 0);
}
