//! The workflows and their ledger, in process.

use std::{collections::BTreeMap, fs};

use hotbay_plugin::{
    prelude::*,
    testing::{End, TestHost, TestPlugin, WorkflowOutcome},
};
use tempfile::TempDir;

struct Fixture {
    host: TestHost,
    plugin: TestPlugin,
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = TestHost::new()
            .workflow_state(Value::Null)
            .tool("durable-add-ten", |num| Ok(json!({ "value": num["value"].as_i64().unwrap() + 10 })))
            .agent("durable-agent", |messages| Ok(AgentAnswer::text(messages[0].text())));
        let config = json!({ "ledger": directory.path().join("ledger") });
        let plugin = host.open(crate::plugin(), &config).unwrap();
        Self { host, plugin, directory }
    }

    fn ledger(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.path().join("ledger")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Counts the ends of each step in the ledger and sees that every start has one.
#[track_caller]
fn ends(ledger: &[Value]) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for pair in ledger.chunks(2) {
        let [start, end] = pair else { panic!("an odd line: {ledger:?}") };
        assert_eq!((&start["at"], &end["at"]), (&json!("start"), &json!("end")));
        for key in ["run", "workflow", "step", "key", "attempt"] {
            assert_eq!(start[key], end[key], "{key}");
        }
        assert_eq!(start["run"], "test-run");
        assert!(start["key"].is_string());
        if end["ok"] == true {
            *ends.entry(start["step"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    ends
}

#[track_caller]
fn check(workflow: &str, value: i64, expected: i64, steps: &[(&str, usize)]) {
    let fixture = Fixture::new();
    let WorkflowOutcome { end, .. } = fixture.plugin.workflow(workflow).run(&json!({ "value": value })).unwrap();
    assert_eq!(end, End::Value(json!({ "value": expected })), "{workflow}");
    let steps: BTreeMap<_, _> = steps.iter().map(|(step, count)| ((*step).to_owned(), *count)).collect();
    assert_eq!(ends(&fixture.ledger()), steps, "{workflow}");
}

#[test]
fn every_body_stands_in_the_ledger() {
    check("durable-linear", 0, 5, &[("one", 1), ("two", 1), ("three", 1), ("four", 1), ("five", 1)]);
    check("durable-parallel", 3, 14, &[("left", 1), ("middle", 1), ("right", 1), ("sum", 1)]);
    check("durable-branch", 4, 13, &[("even", 1), ("always", 1), ("sum", 1)]);
    check("durable-branch", 3, 8, &[("odd", 1), ("always", 1), ("sum", 1)]);
    check("durable-dountil", 0, 10, &[("up", 5), ("double", 1)]);
    check("durable-dowhile", 7, 16, &[("up", 1), ("double", 1)]);
    check("durable-foreach", 1, 72, &[("each", 8), ("total", 1)]);
    check("durable-map", 1, 201, &[("before", 1), ("after", 1)]);
    check("durable-nested", 1, 7, &[("before", 1), ("first", 1), ("second", 1), ("after", 1)]);
    check("durable-tool", 1, 13, &[("before", 1), ("durable-add-ten", 1), ("after", 1)]);
    check("durable-agent", 1, 3, &[("before", 1), ("after", 1)]);
    check("durable-sleep", 1, 4, &[("before", 1), ("between", 1), ("after", 1)]);
    check("durable-sleep-until", 1, 4, &[("before", 1), ("between", 1), ("after", 1)]);
    check("durable-retry", 1, 3, &[("flaky", 1), ("after", 1)]);
    check("durable-state", 1, 3, &[("count-1", 1), ("count-2", 1), ("count-3", 1)]);
    check("durable-recover-fail", 1, 4, &[("before", 1), ("careful", 1), ("after", 1)]);
    check("durable-recover-suspend", 1, 4, &[("before", 1), ("careful", 1), ("after", 1)]);
    check("durable-calls", 1, 12, &[("call-tool", 1), ("after", 1)]);
    check("durable-limited", 1, 2, &[("add-one", 1)]);
    check("durable-yearly", 1, 2, &[("add-one", 1)]);
    // 2, then 6 + 12 + 4, up to 30, then (31 + .. + 38) * 2, then one more.
    let steps = [
        ("before", 1),
        ("first", 9),
        ("second", 9),
        ("durable-add-ten", 1),
        ("beside", 1),
        ("sum", 1),
        ("up", 8),
        ("total", 1),
        ("after", 1),
    ];
    check("durable-everything", 1, 553, &steps);
}

#[test]
fn attempts_are_counted_under_one_key() {
    let fixture = Fixture::new();
    fixture.plugin.workflow("durable-retry").run(&json!({ "value": 1 })).unwrap();
    let ledger = fixture.ledger();
    let flaky: Vec<_> = ledger.iter().filter(|line| line["step"] == "flaky" && line["at"] == "end").collect();
    assert_eq!(flaky.iter().map(|line| line["attempt"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(flaky.iter().map(|line| line["ok"].as_bool().unwrap()).collect::<Vec<_>>(), [false, false, true]);
    assert!(flaky.iter().all(|line| line["key"] == flaky[0]["key"]));
    assert_ne!(ledger.last().unwrap()["key"], flaky[0]["key"]);
}

#[test]
fn suspended_run_is_found_by_its_label() {
    let fixture = Fixture::new();
    let waiting = fixture.plugin.workflow("durable-suspend").run(&json!({ "value": 1 })).unwrap();
    assert_eq!(waiting.end, End::Suspended(json!({ "need": "a number" })));
    assert_eq!(waiting.resume_labels, ["number"]);
    let run = fixture.plugin.workflow("durable-suspend").resume("ask", json!({ "add": 10 }));
    assert_eq!(run.run(&json!({ "value": 1 })).unwrap().end, End::Value(json!({ "value": 13 })));
}

#[test]
fn what_the_input_asks_goes_through_the_graph() {
    let fixture = Fixture::new();
    let run = fixture.plugin.workflow("durable-linear").run(&json!({ "value": 1, "delayMs": 1 })).unwrap();
    assert_eq!(run.end, End::Value(json!({ "value": 6, "delayMs": 1 })));
    let at = "2030-01-01T00:00:00Z";
    let computed = fixture.plugin.manifest().workflows.iter().find(|workflow| workflow.id == "durable-sleep-until");
    let node = computed.unwrap().graph["nodes"][3]["id"].as_str().unwrap().to_owned();
    let call = fixture.plugin.workflow_node("durable-sleep-until", &node);
    assert_eq!(call.run(&json!({ "value": 1, "at": at })).unwrap(), json!(at));
}

#[test]
fn state_outlives_the_steps() {
    let fixture = Fixture::new();
    fixture.plugin.workflow("durable-state").run(&json!({ "value": 1 })).unwrap();
    assert_eq!(fixture.host.state(), Some(json!({ "count": 3 })));
}

#[test]
fn model_keeps_the_ledger_too() {
    let fixture = Fixture::new();
    let request = ChatRequest { messages: vec![Message::user("12")], ..ChatRequest::default() };
    assert_eq!(fixture.plugin.chat("durable/echo", &request).unwrap().text, "12");
    let steps: Vec<_> = fixture.ledger().iter().map(|line| (line["step"].clone(), line["at"].clone())).collect();
    assert_eq!(steps, [(json!("durable/echo"), json!("start")), (json!("durable/echo"), json!("end"))]);
}

#[test]
fn swap_says_which_build_ran() {
    let fixture = Fixture::new();
    let run = fixture.plugin.workflow("durable-swap").resume("wait", json!({ "text": "and" }));
    assert_eq!(run.run(&json!({ "text": "built" })).unwrap().end, End::Value(json!({ "text": "built one and one" })));
}

#[test]
fn plugin_without_a_ledger_does_not_open() {
    let error = TestHost::new().open(crate::plugin(), &json!({})).unwrap_err();
    assert!(error.message.contains("`ledger`"), "{error}");
}
