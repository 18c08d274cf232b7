//! The code behind workflows in real libraries: nodes called by id, builds told apart.

use std::{fs, path::Path};

use hotbay::plugin::{
    call::{Call, CallError, Reply, ReplyKind, Target},
    settings::{Isolation, PluginOptions, PluginSettings},
};
use hotbay_plugin::RetryHint;
use hotbay_tests::plugin_host::{PluginHost, SOON, durable, isolate, library, put};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::modes::in_both_modes;

const DURABLE: &str = "hotbay-test-durable";

/// A debug build is large, so its probe gets time.
fn patient(settings: &mut PluginSettings) {
    settings.probe_deadline = SOON;
    settings.open_deadline = SOON;
}

async fn host_of(isolation: Isolation, build: &str, ledger: &Path) -> PluginHost {
    let config = json!({ "ledger": ledger });
    PluginHost::start_with(|directory, settings| {
        patient(settings);
        isolate(isolation, directory, settings);
        settings.plugins.insert(DURABLE.to_owned(), PluginOptions { config, ..PluginOptions::default() });
        put(directory, "durable.so", &durable(build));
    })
    .await
}

async fn node(host: &PluginHost, workflow: &str, node: &str, call: Call) -> Result<Reply, CallError> {
    let snapshot = host.plugins.registry().snapshot();
    let entry = snapshot.workflows.get(workflow).unwrap_or_else(|| panic!("{:#?}", host.plugins.list()));
    entry.generation.call(Target::Workflow { id: workflow.into(), node: node.into() }, call).await
}

fn call(input: &Value, meta: &Value) -> Call {
    Call { body: input.to_string().into_bytes(), meta: meta.to_string().into_bytes(), ..Call::default() }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Returns the kinds and ids of a workflow's nodes.
fn shape(host: &PluginHost, workflow: &str) -> Vec<String> {
    let snapshot = host.plugins.registry().snapshot();
    let graph = &snapshot.workflows.get(workflow).expect("offered").manifest.graph;
    graph["nodes"].as_array().unwrap().iter().map(|node| format!("{}:{}", node["type"], node["id"])).collect()
}

async fn ledger_has_a_line_for_each_beginning_and_end(isolation: Isolation) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let host = host_of(isolation, "one", &ledger).await;
    let meta = json!({ "runId": "run-1", "idempotencyKey": "run-1/two", "attempt": 2 });
    let reply = node(&host, "durable-linear", "two", call(&json!({ "value": 1 }), &meta)).await.unwrap();
    assert_eq!(json_of(&reply.body), json!({ "value": 2 }));
    let text = fs::read_to_string(&ledger).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut line = json!({
        "run": "run-1", "workflow": "durable-linear", "step": "two", "key": "run-1/two", "attempt": 2, "at": "start",
    });
    assert_eq!(lines[0], line);
    line["at"] = "end".into();
    line["ok"] = true.into();
    assert_eq!(lines[1..], [line]);
}

async fn suspension_carries_its_labels(isolation: Isolation) {
    let directory = tempfile::tempdir().unwrap();
    let host = host_of(isolation, "one", &directory.path().join("ledger")).await;
    let reply = node(&host, "durable-suspend", "ask", call(&json!({ "value": 1 }), &json!({}))).await.unwrap();
    assert_eq!(reply.kind, ReplyKind::Suspended);
    assert_eq!(json_of(&reply.body), json!({ "need": "a number" }));
    assert_eq!(json_of(&reply.meta), json!({ "resumeLabels": ["number"] }));
    let resumed = call(&json!({ "value": 1 }), &json!({ "resumeData": { "add": 5 } }));
    let reply = node(&host, "durable-suspend", "ask", resumed).await.unwrap();
    assert_eq!((reply.kind, json_of(&reply.body)), (ReplyKind::Value, json!({ "value": 6 })));
}

async fn builds_differ_in_text_or_in_graph(isolation: Isolation) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("ledger");
    let (one, two, changed) = (
        host_of(isolation, "one", &ledger).await,
        host_of(isolation, "two", &ledger).await,
        host_of(isolation, "changed", &ledger).await,
    );
    assert_eq!(shape(&one, "durable-swap"), shape(&two, "durable-swap"));
    assert_eq!(shape(&changed, "durable-swap").len(), shape(&one, "durable-swap").len() + 1);
    for (host, build) in [(&one, "one"), (&two, "two"), (&changed, "changed")] {
        let reply = node(host, "durable-swap", "before", call(&json!({ "text": "by" }), &json!({}))).await.unwrap();
        assert_eq!(json_of(&reply.body), json!({ "text": format!("by {build}") }));
    }
    let error = node(&one, "durable-swap", "inserted", call(&json!({ "text": "" }), &json!({}))).await.unwrap_err();
    assert_eq!(error.code(), "E_UNSUPPORTED");
}

async fn steps_of_the_reference_stream_and_fail_as_recorded(isolation: Isolation) {
    let host = PluginHost::start_with(|directory, settings| {
        patient(settings);
        isolate(isolation, directory, settings);
        put(directory, "reference.so", &fs::read(library("hotbay-test-reference")).unwrap());
    })
    .await;
    let message = json!({ "message": "a" });
    let (sink, mut chunks) = mpsc::channel(4);
    let writing = Call { sink: Some(sink), ..call(&message, &json!({})) };
    let reply = node(&host, "writer-workflow", "writing", writing).await.unwrap();
    assert_eq!(json_of(&reply.body), message);
    assert_eq!(json_of(&chunks.recv().await.unwrap()), json!({ "type": "progress", "value": 50 }));
    assert_eq!(json_of(&chunks.recv().await.unwrap()), json!({ "type": "data-progress", "data": { "value": 75 } }));

    let reply = node(&host, "bail-workflow", "bailer", call(&message, &json!({}))).await.unwrap();
    assert_eq!((reply.kind, json_of(&reply.body)), (ReplyKind::Bailed, json!({ "message": "bailed a" })));
    let CallError::Failed { message, detail, .. } =
        node(&host, "failing-workflow", "boom", call(&message, &json!({}))).await.unwrap_err()
    else {
        panic!("boom fails");
    };
    assert_eq!((message.as_str(), RetryHint::of(&detail)), ("step exploded", RetryHint::Policy));
}

in_both_modes! {
    ledger_has_a_line_for_each_beginning_and_end,
    suspension_carries_its_labels,
    builds_differ_in_text_or_in_graph,
    steps_of_the_reference_stream_and_fail_as_recorded,
}
