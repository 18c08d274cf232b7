//! The console without a screen, for scripts.

use std::process::{Command, Output, Stdio};

use hotbay_tests::built::built;
use serde_json::{Value, json};

use super::{host, start_run};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(built("hotbay-tui").unwrap());
    command.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn every_screen_is_printed_as_the_api_has_it() {
    let host = host().await;
    let failed = start_run(&host, "failing-workflow", json!({"message": "a"})).await;
    start_run(&host, "linear-workflow", json!({"message": "a"})).await;
    let url = host.url("");
    let of = |screen: &str| -> Value {
        serde_json::from_str(&printed(&run(&["--url", &url, "--screen", screen, "--once", "--json"]))).unwrap()
    };
    let (_, plugins) = host.get_json("/api/plugins").await.unwrap();
    assert_eq!(of("plugins")["plugins"][0]["name"], plugins["plugins"][0]["name"]);
    let (_, runs) = host.get_json("/api/runs?page=0&perPage=100").await.unwrap();
    assert_eq!(of("runs"), runs);
    let (_, agents) = host.get_json("/api/agents").await.unwrap();
    assert_eq!(of("agents")["agents"], agents);
    let (_, traces) = host.get_json("/api/observability/traces/light?page=0&perPage=100").await.unwrap();
    assert_eq!(of("traces")["spans"], traces["spans"]);
    let (_, threads) = host.get_json("/api/memory/threads?page=0&perPage=100").await.unwrap();
    assert_eq!(of("threads"), threads);
    let overview = of("overview");
    assert_eq!(overview["needsAttention"][0]["what"], format!("failing-workflow {failed}"));
    assert!(of("logs")["logs"].as_array().is_some_and(|logs| !logs.is_empty()));
    assert_eq!(of("links")["mcpServers"].as_array().map(Vec::len), Some(3));
    let narrowed = run(&["--url", &url, "--screen", "runs", "--filter", "state:failed", "--once", "--json"]);
    let narrowed: Value = serde_json::from_str(&printed(&narrowed)).unwrap();
    assert_eq!((narrowed["total"].as_u64(), &narrowed["runs"][0]["runId"]), (Some(1), &json!(failed)));
}

#[tokio::test]
async fn a_screen_is_printed_as_text_of_any_size() {
    let host = host().await;
    let url = host.url("");
    let text = printed(&run(&["--url", &url, "--screen", "plugins", "--once", "--size", "80x24"]));
    assert_eq!(text.lines().count(), 24);
    assert!(text.contains("hotbay-test-reference") && text.contains("serving"), "{text}");
    assert!(!text.contains('\x1b'));
}

#[tokio::test]
async fn what_cannot_be_done_is_told_in_a_sentence() {
    let host = host().await;
    let url = host.url("");
    let cases: [(&[&str], &str); 6] = [
        (&["--url", &url], "the console needs a terminal; scripts use --once --json"),
        (&["--url", "nonsense"], "`nonsense` is not a URL"),
        (&["--url", "ftp://x"], "is not an http or https URL"),
        (&["--context", "nowhere"], "there is no context `nowhere`"),
        (&["--url", "http://127.0.0.1:9", "--once"], "Connection refused"),
        (&["--url", &url, "--screen", "runs", "--filter", "colour:red", "--once"], "there is no `colour:` here"),
    ];
    for (arguments, reason) in cases {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
