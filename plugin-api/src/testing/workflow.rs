//! Runs a whole workflow in process: the graph walked as a host does, nothing stored, no waiting.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{End, Outcome, TestCall, TestPlugin};
use crate::{
    Error, Result, RetryHint,
    error::code,
    manifest::{CallMeta, RetryPolicy},
    wire,
};

/// The most rounds of a loop; a condition that never changes fails the test instead of hanging it.
const MAX_ROUNDS: u32 = 10_000;

/// A run of a workflow that has not begun yet.
///
/// Nodes of the plugin's own run their code; tools, agents and workflows of other plugins are those of the
/// [`TestHost`](super::TestHost). What a host does at once happens one after another, and sleeps and waits
/// between attempts are skipped. Code sees the run id `test-run`, an idempotency key that stays the same over
/// attempts and differs between the rounds of a loop, and the attempt's number.
#[must_use = "the run is made by `run`"]
pub struct TestRun<'a> {
    plugin: &'a TestPlugin,
    workflow: String,
    answers: HashMap<String, Vec<Value>>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkflowOutcome {
    /// How it ended.
    pub end: End,
    /// What each node that ended gave, by id, in the order of their ends; a nested node's is `outer.inner`.
    pub results: Map<String, Value>,
    /// The chunks its nodes sent, in order.
    pub chunks: Vec<Value>,
    /// The labels it suspended under.
    pub resume_labels: Vec<String>,
}

/// What one node came to, if the run goes on.
enum Flow {
    Value(Value),
    Ended(End),
}

impl<'a> TestRun<'a> {
    pub(super) fn new(plugin: &'a TestPlugin, workflow: &str) -> Self {
        Self { plugin, workflow: workflow.to_owned(), answers: HashMap::new() }
    }

    /// Resumes `step` with `data` when it suspends; several answers are used one after another.
    ///
    /// A step without an answer leaves the run suspended.
    pub fn resume(mut self, step: &str, data: Value) -> Self {
        self.answers.entry(step.to_owned()).or_default().push(data);
        self
    }

    /// Makes the run.
    ///
    /// # Errors
    /// What its last attempt of a node failed with.
    pub fn run(self, input: &(impl Serialize + ?Sized)) -> Result<WorkflowOutcome> {
        let input = serde_json::to_value(input)?;
        let mut walk = Walk {
            plugin: self.plugin,
            answers: self.answers,
            outcome: WorkflowOutcome {
                end: End::Value(Value::Null),
                results: Map::new(),
                chunks: Vec::new(),
                resume_labels: Vec::new(),
            },
            path: String::new(),
            rounds: HashMap::new(),
        };
        walk.outcome.end = match walk.workflow(&self.workflow, input)? {
            Flow::Value(value) => End::Value(value),
            Flow::Ended(end) => end,
        };
        Ok(walk.outcome)
    }
}

impl std::fmt::Debug for TestRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestRun").field("workflow", &self.workflow).finish_non_exhaustive()
    }
}

struct Walk<'a> {
    plugin: &'a TestPlugin,
    answers: HashMap<String, Vec<Value>>,
    outcome: WorkflowOutcome,
    /// `outer.` within a nested workflow.
    path: String,
    /// How often each node ran, attempts apart, by its path.
    rounds: HashMap<String, u32>,
}

/// What stays the same over the attempts of a node.
struct Round {
    key: String,
    attempt: u32,
}

impl Walk<'_> {
    fn workflow(&mut self, id: &str, input: Value) -> Result<Flow> {
        let found = self.plugin.manifest.workflows.iter().find(|workflow| workflow.id == id);
        let found = found.ok_or_else(|| unknown("workflow", id))?;
        let (graph, retries) = (found.graph.clone(), found.retries.clone().unwrap_or_default());
        let outer = self.plugin.host.begin_run(input.clone());
        let flow = self.nodes(id, &graph["nodes"], &retries, input);
        self.plugin.host.end_run(outer);
        flow
    }

    fn nodes(&mut self, workflow: &str, nodes: &Value, retries: &RetryPolicy, input: Value) -> Result<Flow> {
        let mut value = input;
        for node in nodes.as_array().into_iter().flatten() {
            match self.node(workflow, node, retries, value)? {
                Flow::Value(next) => value = next,
                Flow::Ended(end) => return Ok(Flow::Ended(end)),
            }
        }
        Ok(Flow::Value(value))
    }

    fn node(&mut self, workflow: &str, node: &Value, retries: &RetryPolicy, input: Value) -> Result<Flow> {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let id = text("id");
        match text("type") {
            "parallel" => {
                let mut results = Map::new();
                for inner in node["nodes"].as_array().into_iter().flatten() {
                    match self.node(workflow, inner, retries, input.clone())? {
                        Flow::Value(value) => drop(results.insert(id_of(inner), value)),
                        Flow::Ended(end) => return Ok(Flow::Ended(end)),
                    }
                }
                Ok(Flow::Value(Value::Object(results)))
            }
            "branch" => {
                let mut results = Map::new();
                for arm in node["arms"].as_array().into_iter().flatten() {
                    if !self.condition(workflow, &arm["condition"], &input)? {
                        continue;
                    }
                    match self.node(workflow, &arm["node"], retries, input.clone())? {
                        Flow::Value(value) => drop(results.insert(id_of(&arm["node"]), value)),
                        Flow::Ended(end) => return Ok(Flow::Ended(end)),
                    }
                }
                Ok(Flow::Value(Value::Object(results)))
            }
            kind @ ("dountil" | "dowhile") => {
                let mut value = input;
                for _ in 0..MAX_ROUNDS {
                    match self.node(workflow, &node["node"], retries, value)? {
                        Flow::Value(next) => value = next,
                        Flow::Ended(end) => return Ok(Flow::Ended(end)),
                    }
                    if self.condition(workflow, &node["condition"], &value)? == (kind == "dountil") {
                        return Ok(Flow::Value(value));
                    }
                }
                Err(Error::new(format!("the loop `{id}` has not ended after {MAX_ROUNDS} rounds")))
            }
            "foreach" => {
                let Value::Array(items) = input else {
                    return Err(Error::input(format!("`{id}` goes over an array, not over {input}")));
                };
                let mut results = Vec::new();
                for item in items {
                    match self.node(workflow, &node["node"], retries, item)? {
                        Flow::Value(value) => results.push(value),
                        Flow::Ended(end) => return Ok(Flow::Ended(end)),
                    }
                }
                self.keep(&id_of(&node["node"]), &json!(results));
                Ok(Flow::Value(results.into()))
            }
            "sleep" | "sleepUntil" => {
                if node["computed"] == true {
                    self.plugin.workflow_node(workflow, id).run(&input)?;
                }
                Ok(Flow::Value(input))
            }
            _ => {
                let flow = self.attempts(workflow, node, retries, &input)?;
                if let Flow::Value(value) = &flow {
                    self.keep(id, value);
                }
                Ok(flow)
            }
        }
    }

    /// Runs a node that may fail, as often as it may be repeated.
    fn attempts(&mut self, workflow: &str, node: &Value, retries: &RetryPolicy, input: &Value) -> Result<Flow> {
        let retries: RetryPolicy = match &node["retries"] {
            Value::Null => retries.clone(),
            own => wire::from_value(own.clone(), "retries")?,
        };
        let path = format!("{}{}", self.path, id_of(node));
        let count = self.rounds.entry(path.clone()).or_default();
        *count += 1;
        let mut round = Round { key: format!("test-run/{path}/{count}"), attempt: 1 };
        loop {
            match self.leaf(workflow, node, input, &round) {
                Err(error) if error.retry_hint() == RetryHint::Never || round.attempt > retries.attempts => {
                    return Err(error);
                }
                Err(_) => round.attempt += 1,
                flow => return flow,
            }
        }
    }

    fn leaf(&mut self, workflow: &str, node: &Value, input: &Value, round: &Round) -> Result<Flow> {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let (id, plugin) = (text("id"), self.plugin);
        match text("type") {
            "step" | "map" => self.call(id, input, round, || plugin.workflow_node(workflow, id)),
            "tool" if plugin.manifest.tools.iter().any(|tool| tool.id == text("tool")) => {
                self.call(id, input, round, || plugin.tool(text("tool")))
            }
            "tool" => plugin.host.ask("tool.call", &json!({ "id": text("tool"), "input": input })).map(Flow::Value),
            "agent" => {
                let message = crate::chat::Message::user(input["prompt"].as_str().unwrap_or_default());
                let answer =
                    plugin.host.ask("agent.generate", &json!({ "id": text("agent"), "messages": [message] }))?;
                Ok(Flow::Value(json!({ "text": answer["text"] })))
            }
            "workflow" => {
                let outer = self.path.clone();
                self.path.push_str(id);
                self.path.push('.');
                let flow = self.workflow(text("workflow"), input.clone());
                self.path = outer;
                // A step that bails ends its own workflow, which is well for the one around it.
                match flow? {
                    Flow::Ended(End::Bailed(result)) => Ok(Flow::Value(result)),
                    flow => Ok(flow),
                }
            }
            other => Err(unknown("kind of node", other)),
        }
    }

    /// Calls code that may suspend, and resumes it while there are answers.
    fn call<'c>(&mut self, id: &str, input: &Value, round: &Round, begin: impl Fn() -> TestCall<'c>) -> Result<Flow> {
        let mut call = begin();
        loop {
            let meta = CallMeta {
                run_id: Some("test-run".to_owned()),
                idempotency_key: Some(round.key.clone()),
                attempt: Some(round.attempt),
                ..call.meta.clone()
            };
            let Outcome { end, chunks, resume_labels } = call.meta(meta).run(input)?;
            self.outcome.chunks.extend(chunks);
            let payload = match end {
                End::Value(value) => return Ok(Flow::Value(value)),
                End::Suspended(payload) => payload,
                end @ (End::Bailed(_) | End::Tripped(_)) => return Ok(Flow::Ended(end)),
            };
            match self.answers.get_mut(id) {
                Some(answers) if !answers.is_empty() => {
                    call = begin().resume(answers.remove(0)).suspend_payload(payload);
                }
                _ => {
                    self.outcome.resume_labels = resume_labels;
                    return Ok(Flow::Ended(End::Suspended(payload)));
                }
            }
        }
    }

    fn condition(&self, workflow: &str, condition: &Value, input: &Value) -> Result<bool> {
        self.plugin.workflow_node(workflow, condition.as_str().unwrap_or_default()).run(input)?.value()
    }

    fn keep(&mut self, id: &str, value: &Value) {
        self.plugin.host.keep_result(id, value);
        self.outcome.results.insert(format!("{}{id}", self.path), value.clone());
    }
}

fn id_of(node: &Value) -> String {
    node["id"].as_str().unwrap_or_default().to_owned()
}

fn unknown(what: &str, name: &str) -> Error {
    Error::with_code(code::NOT_FOUND, format!("the plugin has no {what} `{name}`"))
}
