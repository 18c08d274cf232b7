//! Canaries directed and shown over HTTP and by the commands.

use std::{collections::BTreeSet, process::Command};

use hotbay_tests::{
    TestHost,
    http::Outgoing,
    plugin_host::{SOON, artifact, build_of, put},
    wait,
};
use serde_json::{Value, json};

use crate::cli::text;

async fn post(host: &TestHost, action: &str, body: &Value) -> (u16, Value) {
    host.post_json(&format!("/api/plugins/p/{action}"), body).await.expect("it answers")
}

/// The builds that answer runs over HTTP.
async fn answering(host: &TestHost) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for run in 0..40 {
        let path = format!("/api/tools/p:echo/execute?runId=run-{run}");
        let (_, answer) = host.post_json(&path, &json!({"data": {}})).await.expect("it answers");
        found.insert(answer["build"].as_str().expect("a build").to_owned());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_is_directed_and_shown_over_http_and_by_the_commands() {
    let host = TestHost::builder().start().await.expect("it starts");
    put(&host.plugin_dir(), "p.so", &build_of("p", "A"));
    let shown = |wanted: &'static str| {
        let host = &host;
        async move {
            let state = || async {
                let (status, canary) = host.get_json("/api/plugins/p/canary").await.expect("it answers");
                (status == 200 && canary["state"] == wanted).then_some(canary)
            };
            wait::eventually(SOON, state).await
        }
    };
    let serves = || async { (host.get_json("/api/plugins/p").await.expect("it answers").0 == 200).then_some(()) };
    wait::eventually(SOON, serves).await;
    let command = |arguments: &[&str]| {
        let output =
            Command::new(artifact("hotbay")).arg("plugin").args(arguments).args(["--url", &host.url("")]).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };

    assert_eq!(host.get_json("/api/plugins/p/canary").await.expect("it answers").0, 404);
    for (body, field) in [
        (json!({"percent": 0}), "percent"),
        (json!({"percent": 101}), "percent"),
        (json!({"for": "soon"}), "for"),
        (json!({"minCalls": 0}), "minCalls"),
    ] {
        let (status, answer) = post(&host, "canary", &body).await;
        assert_eq!((status, &answer["issues"][0]["field"]), (400, &json!(field)), "{answer}");
    }
    assert_eq!(post(&host, "promote", &json!({})).await.0, 409);
    assert_eq!(post(&host, "abort", &json!({})).await.0, 409);

    let (status, answer) = post(&host, "canary", &json!({})).await;
    assert_eq!((status, &answer["canary"]["state"]), (200, &json!("waiting")), "{answer}");
    let since = answer["canary"]["since"].clone();
    let expected = json!({
        "state": "waiting", "percent": 10.0, "forMs": 300_000, "minCalls": 20, "generation": null, "hash": null,
        "version": null, "since": since, "until": null, "reason": null, "new": null, "old": null,
    });
    assert_eq!(answer["canary"], expected);
    assert_eq!(command(&["abort", "p"]), "abort p: done\n");

    let said = command(&["canary", "p", "--percent", "50", "--for", "1h"]);
    assert_eq!(said, "p: the next build will be tried on 50.0 percent of its calls\n");
    put(&host.plugin_dir(), "p.so", &build_of("p", "B"));
    let canary = shown("trying").await;
    assert_eq!((&canary["generation"], &canary["version"]), (&json!(2), &json!("B")));
    assert_eq!(answering(&host).await, ["A".to_owned(), "B".to_owned()].into());
    let list = command(&["list"]);
    assert!(list.contains("p: generation 2 (B) is tried on 50.0 percent of its calls until 20"), "{list}");
    let row: Vec<_> = list.lines().nth(1).expect("a row").split_whitespace().take(5).collect();
    assert_eq!(row, ["p", "serving", "inline", "A", "1"]);
    let metrics = host.send(Outgoing::get("/metrics")).await.expect("it answers");
    let metrics = metrics.text();
    for line in ["hotbay_plugin_canary_share{plugin=\"p\"} 0.5", "hotbay_plugin_rolled_back_total{plugin=\"p\"} 0"] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(metrics.contains("hotbay_plugin_canary_calls{plugin=\"p\",build=\"new\"} "), "{metrics}");
    assert_eq!(command(&["promote", "p"]), "promote p: done\n");
    assert_eq!(answering(&host).await, ["B".to_owned()].into());
    assert_eq!(shown("promoted").await["reason"], "somebody asked");
}
