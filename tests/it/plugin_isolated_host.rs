//! A whole host with plugins in processes of their own: what clients and operators see, and what
//! is left when the host ends.

use std::{fs, path::Path, process::Command};

use hotbay_tests::{
    TestHost,
    plugin_host::{SOON, artifact, build_of, hostile, put},
    wait::eventually,
};
use serde_json::{Value, json};

/// A host that serves a plugin whose tools are faults, isolated by its directory.
async fn host() -> TestHost {
    let host = TestHost::builder().isolated().start().await.unwrap();
    put(&host.plugin_dir(), "bad.so", &hostile(&json!({"name": "bad", "prefix": "bad-", "faults": true})));
    until(&host, |plugin| plugin["state"] == "serving").await;
    host
}

async fn until(host: &TestHost, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let plugin = async || host.get_json("/api/plugins/bad").await.unwrap().1;
    eventually(SOON, || async { Some(plugin().await).filter(&is_wanted) }).await
}

async fn execute(host: &TestHost, tool: &str, data: Value) -> (u16, Value) {
    host.post_json(&format!("/api/tools/bad-{tool}/execute"), &json!({ "data": data })).await.unwrap()
}

async fn is_gone(process: u64) {
    let gone = || async { (!Path::new(&format!("/proc/{process}")).exists()).then_some(()) };
    eventually(SOON, gone).await;
}

#[tokio::test]
async fn a_crash_is_told_to_the_client_the_operator_the_log_and_the_metrics() {
    let host = host().await;
    let plugin = until(&host, |plugin| plugin["process"]["pid"].is_u64()).await;
    assert_eq!(plugin["isolation"], "process");
    assert_eq!(plugin["process"]["breaker"], "closed");
    assert_eq!(plugin["mapped"], json!({"count": 0, "bytes": 0}));
    let first = plugin["process"]["pid"].as_u64().unwrap();

    let (status, body) = execute(&host, "segv", json!({})).await;
    assert_eq!((status, &body["error"]), (502, &json!("plugin `bad` crashed (signal 11, invalid memory access)")));
    let (status, body) = execute(&host, "echo", json!({"x": 1})).await;
    assert_eq!((status, &body["output"]), (200, &json!({"x": 1})), "{body}");
    is_gone(first).await;

    let plugin = until(&host, |plugin| plugin["process"]["restarts"] == 1).await;
    assert_eq!(plugin["process"]["crashes"], 1);
    assert_eq!(plugin["process"]["lastCrash"], "signal 11, invalid memory access");
    let second = plugin["process"]["pid"].as_u64().unwrap();
    assert_ne!(first, second);
    let metrics = host.send(hotbay_tests::http::Outgoing::get("/metrics")).await.unwrap().text();
    for line in [r#"hotbay_plugin_crashes_total{plugin="bad"} 1"#, r#"hotbay_plugin_breaker_open{plugin="bad"} 0"#] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    let list = Command::new(artifact("hotbay")).args(["plugin", "list", "--url", &host.url("")]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains(&format!("process {second}, 1 crashes")), "{list}");
    let told = || async {
        let log = host.log();
        (log.contains("a plugin's process crashed") && log.contains("signal 11")).then_some(())
    };
    eventually(SOON, told).await;
}

#[tokio::test]
async fn too_many_crashes_are_a_503_that_says_what_to_do() {
    let host = host().await;
    for _ in 0..5 {
        execute(&host, "abort", json!({})).await;
    }
    until(&host, |plugin| plugin["process"]["breaker"] == "open").await;
    let (status, body) = execute(&host, "echo", json!({})).await;
    assert_eq!(status, 503);
    assert!(body["error"].as_str().unwrap().contains("hotbay plugin reload bad"), "{body}");
    host.post_json("/api/plugins/bad/reload", &json!({})).await.unwrap();
    assert_eq!(execute(&host, "echo", json!({})).await.0, 200);
}

#[tokio::test]
async fn what_a_process_logs_and_prints_is_in_the_log_under_its_name() {
    let host = host().await;
    execute(&host, "log", json!({})).await;
    execute(&host, "print", json!({"lines": 2})).await;
    // The last line ends with the process.
    execute(&host, "abort", json!({})).await;
    for line in ["hello from the plugin", "printed line 0", "printed line 1", "and an error without an end of line"] {
        let logged = || async {
            let log = host.log();
            let line = log.lines().find(|it| it.contains(line)).map(str::to_owned);
            line.filter(|line| line.contains("bad"))
        };
        eventually(SOON, logged).await;
    }
}

#[tokio::test]
async fn descriptors_and_threads_return_after_crashes() {
    let host = host().await;
    let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", host.process_id())).unwrap().count();
    // The first brings what is made once.
    execute(&host, "segv", json!({})).await;
    until(&host, |plugin| plugin["process"]["pid"].is_u64()).await;
    execute(&host, "echo", json!({})).await;
    let (descriptors, threads) = (count("fd"), count("task"));
    for fault in ["segv", "abort", "exit"] {
        execute(&host, fault, json!({})).await;
        execute(&host, "echo", json!({})).await;
    }
    let returned = || async { (count("fd") <= descriptors && count("task") <= threads + 1).then_some(()) };
    eventually(SOON, returned).await;
}

#[tokio::test]
async fn no_process_outlives_its_host_however_that_ends() {
    let mut host = host().await;
    let process =
        async |host: &TestHost| until(host, |it| it["process"]["pid"].is_u64()).await["process"]["pid"].clone();
    let first = process(&host).await.as_u64().unwrap();
    host.kill().unwrap();
    is_gone(first).await;
    host.restart().await.unwrap();
    let second = process(&host).await.as_u64().unwrap();
    host.stop(SOON).await.unwrap();
    assert!(!Path::new(&format!("/proc/{second}")).exists(), "it ends before its host does");
}

#[tokio::test]
async fn options_of_a_plugin_count_before_its_directory() {
    let config = "[plugins.bad]\nisolation = \"inline\"\n[plugins.other]\nisolation = \"process\"\nenv = { A = \"b\" }\n\
                  [plugins.other.limits]\nmemory = \"1GiB\"\n";
    let host = TestHost::builder().isolated().config_text(config).start().await.unwrap();
    put(&host.plugin_dir(), "bad.so", &build_of("bad", "1"));
    put(&host.plugin_dir(), "other.so", &build_of("other", "1"));
    let plugin = until(&host, |plugin| plugin["state"] == "serving").await;
    assert_eq!((&plugin["isolation"], plugin.get("process")), (&json!("inline"), None));
    let other = || async {
        host.get_json("/api/plugins/other").await.ok().map(|it| it.1).filter(|it| it["process"]["pid"].is_u64())
    };
    assert_eq!(eventually(SOON, other).await["isolation"], "process");
}
