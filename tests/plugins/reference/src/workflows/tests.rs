//! The workflows against the recording, and run in process.

use hotbay_plugin::{
    manifest::{Manifest, WorkflowManifest},
    prelude::*,
    testing::{End, TestHost},
};

/// Returns what the recorded server listed: workflow by key.
fn recorded() -> Value {
    let session = include_str!("../../../../contract/workflows.jsonl");
    let requests = session.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut list = requests.filter(|request| request["name"] == "workflows/list");
    list.next().unwrap()["expect"]["body"].take()
}

/// Takes a schema out of the text it was recorded as, without the dialect: naming it is up to the host.
fn plain(recorded: &Value) -> Value {
    let mut schema = recorded["$json"]["json"].clone();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    schema
}

/// Takes the dialect out of a schema of the manifest.
fn own(schema: Option<&Value>) -> Value {
    let mut schema = schema.cloned().unwrap_or_default();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    schema
}

/// Collects the steps of a graph, wherever they stand.
fn steps<'a>(nodes: &'a Value, found: &mut Vec<&'a Value>) {
    for node in nodes.as_array().into_iter().flatten() {
        match node["type"].as_str() {
            Some("step") => found.push(node),
            Some("parallel") => steps(&node["nodes"], found),
            Some("branch") => node["arms"].as_array().unwrap().iter().for_each(|arm| found.push(&arm["node"])),
            Some("dountil" | "dowhile" | "foreach") => found.push(&node["node"]),
            _ => {}
        }
    }
}

fn manifest() -> Manifest {
    crate::plugin().manifest()
}

#[track_caller]
fn check(workflow: &WorkflowManifest, recorded: &Value) {
    let id = &workflow.id;
    assert_eq!(recorded["name"], id.as_str());
    assert_eq!(recorded["description"].as_str().unwrap_or_default(), workflow.description, "{id}");
    assert_eq!(own(Some(&workflow.input_schema)), plain(&recorded["inputSchema"]), "{id}: input");
    assert_eq!(own(Some(&workflow.output_schema)), plain(&recorded["outputSchema"]), "{id}: output");
    assert_eq!(own(workflow.state_schema.as_ref()), plain(&recorded["stateSchema"]), "{id}: state");
    let mut found = Vec::new();
    steps(&workflow.graph["nodes"], &mut found);
    let is_step = |step: &&Value| !["mapping_", "sleep_"].iter().any(|kind| step["id"].to_string().contains(kind));
    let expected: Vec<_> = recorded["steps"].as_object().unwrap().values().filter(is_step).collect();
    let expected: Vec<_> = expected.into_iter().filter(|step| step["component"] != "WORKFLOW").collect();
    assert_eq!(found.len(), expected.len(), "{id}: steps");
    for (found, expected) in found.into_iter().zip(expected) {
        let what = format!("{id}: step {}", expected["id"]);
        assert_eq!((&found["id"], found.get("description")), (&expected["id"], expected.get("description")), "{what}");
        for schema in ["inputSchema", "outputSchema", "suspendSchema", "resumeSchema", "stateSchema"] {
            assert_eq!(own(found.get(schema)), plain(&expected[schema]), "{what}: {schema}");
        }
    }
}

#[test]
fn workflows_are_described_as_recorded() {
    let (recorded, manifest) = (recorded(), manifest());
    let listed: Vec<_> = manifest.workflows.iter().filter(|workflow| !workflow.internal).collect();
    // The last of the recording is the first one again, under its key in an MCP server.
    let keys: Vec<_> = recorded.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(listed.iter().map(|workflow| workflow.id.as_str()).collect::<Vec<_>>(), keys[..20]);
    assert_eq!(keys[20..], ["linear"]);
    for workflow in listed {
        check(workflow, &recorded[&workflow.id]);
    }
}

#[test]
fn inner_workflows_are_described_as_the_nodes_they_are() {
    let (recorded, manifest) = (recorded(), manifest());
    for (outer, inner) in [("nested-workflow", "inner-workflow"), ("nested-suspend-workflow", "inner-suspend-workflow")]
    {
        let recorded = &recorded[outer]["steps"][inner];
        let own_schemas = manifest.workflows.iter().find(|workflow| workflow.id == inner).unwrap();
        assert!(own_schemas.internal);
        assert_eq!(own(Some(&own_schemas.input_schema)), plain(&recorded["inputSchema"]));
        assert_eq!(own(Some(&own_schemas.output_schema)), plain(&recorded["outputSchema"]));
    }
}

#[track_caller]
fn check_run(workflow: &str, input: Value, expected: End) {
    let host = TestHost::new().workflow_state(json!({ "count": 1 }));
    let outcome = host.open(crate::plugin(), &json!({})).unwrap().workflow(workflow).run(&input).unwrap();
    assert_eq!(outcome.end, expected, "{workflow}");
}

#[test]
fn runs_end_as_recorded() {
    let message = |text: &str| json!({ "message": text });
    let value = |value: i64| json!({ "value": value });
    check_run("linear-workflow", message("a"), End::Value(message("A!")));
    check_run("parallel-workflow", value(3), End::Value(value(10)));
    check_run("branch-workflow", value(3), End::Value(json!({ "small": { "label": "small" } })));
    check_run("branch-workflow", value(11), End::Value(json!({ "big": { "label": "big" } })));
    check_run("branch-none-workflow", value(1), End::Value(json!({})));
    check_run("dountil-workflow", value(0), End::Value(value(3)));
    check_run("dowhile-workflow", value(0), End::Value(value(3)));
    check_run("foreach-workflow", json!([value(1), value(2)]), End::Value(json!([value(2), value(4)])));
    check_run("sleep-workflow", message("a"), End::Value(message("A!")));
    check_run("nested-workflow", message("a"), End::Value(message("> A!")));
    check_run("map-workflow", message("ab\u{1f600}"), End::Value(json!({ "length": 4 })));
    check_run("flaky-workflow", message("a"), End::Value(message("a")));
    check_run("state-workflow", message("a"), End::Value(message("a")));
    check_run("writer-workflow", message("a"), End::Value(message("a")));
    check_run("bail-workflow", message("a"), End::Bailed(message("bailed a")));
    check_run("suspend-workflow", message("a"), End::Suspended(json!({ "prompt": "Approve \"A\"?" })));
    check_run("parallel-suspend-workflow", value(1), End::Suspended(json!({ "need": "ask-a" })));
    check_run("nested-suspend-workflow", value(1), End::Suspended(json!({ "need": "ask-a" })));
    check_run("foreach-suspend-workflow", json!([value(1)]), End::Suspended(json!({ "need": "ask-item" })));
}

#[test]
fn resumed_runs_end_as_recorded() {
    let plugin = TestHost::new().open(crate::plugin(), &json!({})).unwrap();
    let add = |add: i64| json!({ "add": add });
    let run = plugin.workflow("suspend-workflow").resume("ask-approval", json!({ "approved": true }));
    assert_eq!(run.run(&json!({ "message": "a" })).unwrap().end, End::Value(json!({ "result": "A:true" })));
    let run = plugin.workflow("parallel-suspend-workflow").resume("ask-a", add(10)).resume("ask-b", add(100));
    assert_eq!(run.run(&json!({ "value": 1 })).unwrap().end, End::Value(json!({ "value": 112 })));
    let run = plugin.workflow("nested-suspend-workflow").resume("ask-a", add(10));
    assert_eq!(run.run(&json!({ "value": 1 })).unwrap().end, End::Value(json!({ "value": 12 })));
    let run = plugin.workflow("foreach-suspend-workflow").resume("ask-item", add(1)).resume("ask-item", add(1));
    let ended = run.run(&json!([{ "value": 1 }, { "value": 2 }])).unwrap().end;
    assert_eq!(ended, End::Value(json!([{ "value": 2 }, { "value": 3 }])));
}

#[test]
fn failing_step_says_what_was_recorded() {
    let plugin = TestHost::new().open(crate::plugin(), &json!({})).unwrap();
    let error = plugin.workflow("failing-workflow").run(&json!({ "message": "a" })).unwrap_err();
    assert_eq!(error.message, "step exploded");
    let error = plugin.workflow_node("flaky-workflow", "flaky").run(&json!({ "message": "a" })).unwrap_err();
    assert_eq!(error.message, "flaky first attempt");
}

#[test]
fn writing_step_writes_and_state_is_counted() {
    let host = TestHost::new().workflow_state(json!({ "count": 1 }));
    let plugin = host.open(crate::plugin(), &json!({})).unwrap();
    let chunks = plugin.workflow("writer-workflow").run(&json!({ "message": "a" })).unwrap().chunks;
    let expected =
        [json!({ "type": "progress", "value": 50 }), json!({ "type": "data-progress", "data": { "value": 75 } })];
    assert_eq!(chunks, expected);
    assert_eq!(host.logs().last().unwrap().message, "writing step ran");
    plugin.workflow("state-workflow").run(&json!({ "message": "a" })).unwrap();
    assert_eq!(host.state().unwrap().to_string(), r#"{"count":2}"#);
}
