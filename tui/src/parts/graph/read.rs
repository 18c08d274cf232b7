//! A graph from what the API says of a workflow and of a run.

use serde_json::Value;

use super::{Block, Graph, Kind, Node};
use crate::parts::text::{clean, duration};

/// More nodes than anybody looks at.
const MOST: usize = 5000;

impl Graph {
    /// Reads a workflow's `stepGraph` and a run's `steps`; what is not understood is left out.
    pub(crate) fn of(step_graph: &Value, steps: &Value) -> Self {
        let mut reader = Reader { nodes: Vec::new(), steps };
        let flow = reader.sequence(step_graph, "");
        Self { nodes: reader.nodes, flow }
    }
}

struct Reader<'a> {
    nodes: Vec<Node>,
    steps: &'a Value,
}

impl Reader<'_> {
    fn sequence(&mut self, entries: &Value, outer: &str) -> Vec<Block> {
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(|entry| self.block(entry, outer)).collect()
    }

    fn block(&mut self, entry: &Value, outer: &str) -> Option<Block> {
        let kind = word(entry, "type");
        if !matches!(kind, "parallel" | "conditional") {
            return self.node(entry, outer).map(Block::Node);
        }
        let mut arms = Vec::new();
        let entries = entry.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (at, arm) in entries.iter().enumerate() {
            let Some(block) = self.block(arm, outer) else { continue };
            let said = entry.get("serializedConditions").and_then(|all| all.get(at));
            if let (Block::Node(node), Some(said)) = (&block, said)
                && let Some(node) = self.nodes.get_mut(*node)
            {
                node.condition = condition(said);
            }
            arms.push(block);
        }
        (!arms.is_empty()).then_some(Block::Fan { is_branch: kind == "conditional", arms })
    }

    /// Adds a node and returns its index.
    fn node(&mut self, entry: &Value, outer: &str) -> Option<usize> {
        if self.nodes.len() >= MOST {
            return None;
        }
        let named = |id: &str| format!("{outer}{id}");
        let (id, label, kind) = match word(entry, "type") {
            "loop" | "foreach" => return self.repeated(entry, outer),
            "sleep" | "sleepUntil" => (word(entry, "id"), wait(entry), Kind::Sleep),
            "mapping" => (word(entry, "id"), "map".to_owned(), Kind::Map),
            "workflow" => (word(entry, "id"), clean(word(entry, "id")).into_owned(), Kind::Workflow),
            _ => {
                let step = entry.get("step").unwrap_or(entry);
                let kind = match word(step, "component") {
                    "TOOL" => Kind::Tool,
                    "AGENT" => Kind::Agent,
                    _ => Kind::Step,
                };
                (word(step, "id"), clean(word(step, "id")).into_owned(), kind)
            }
        };
        if id.is_empty() {
            return None;
        }
        let id = named(id);
        let record = self.steps.get(&id).unwrap_or(&Value::Null);
        let (state, detail) = (state(record), took(record));
        let index = self.nodes.len();
        self.nodes.push(Node {
            id: id.clone(),
            label,
            kind,
            state,
            detail,
            repeats: None,
            condition: None,
            inner: Vec::new(),
        });
        if kind == Kind::Workflow {
            let inner = self.sequence(entry.get("serializedStepFlow").unwrap_or(&Value::Null), &format!("{id}."));
            self.tell_inner(index, inner);
        }
        Some(index)
    }

    /// What is inside a workflow says how far it is, and that it waits.
    fn tell_inner(&mut self, index: usize, inner: Vec<Block>) {
        let all = self.nodes.get(index + 1..).unwrap_or_default();
        let total = all.len();
        let done = all.iter().filter(|node| matches!(node.state.as_str(), "success" | "skipped")).count();
        let waits = all.iter().any(|node| node.state == "suspended");
        let Some(node) = self.nodes.get_mut(index) else { return };
        if waits && node.state == "running" {
            "suspended".clone_into(&mut node.state);
        }
        if total > 0 {
            join(&mut node.detail, &format!("{done}/{total} steps"));
        }
        node.inner = inner;
    }

    fn repeated(&mut self, entry: &Value, outer: &str) -> Option<usize> {
        let index = self.node(entry.get("step")?, outer)?;
        let node = self.nodes.get_mut(index)?;
        let record = self.steps.get(&node.id).unwrap_or(&Value::Null);
        if word(entry, "type") == "loop" {
            node.kind = Kind::Loop;
            let word = if word(entry, "loopType") == "dowhile" { "while" } else { "until" };
            let said = entry.get("serializedCondition").and_then(condition).unwrap_or_default();
            node.repeats = Some(format!("{word} {said}").trim_end().to_owned());
        } else {
            node.kind = Kind::Foreach;
            let many = entry.pointer("/opts/concurrency").and_then(Value::as_u64).unwrap_or(1);
            node.repeats = Some(if many > 1 { format!("each, {many} at once") } else { "each".to_owned() });
            if let Some(progress) = progress(record) {
                join(&mut node.detail, &progress);
            }
        }
        Some(index)
    }
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push_str("  ");
    }
    text.push_str(more);
}

fn wait(entry: &Value) -> String {
    if let Some(milliseconds) = entry.get("duration").and_then(Value::as_f64) {
        return format!("sleep {}", duration(milliseconds));
    }
    match word(entry, "date") {
        "" => "sleep".to_owned(),
        date => format!("sleep until {}", clean(date)),
    }
}

/// Returns a condition as people say it: what an arrow function returns, or which one it is where
/// its code is compiled.
fn condition(said: &Value) -> Option<String> {
    let code = said.get("fn").and_then(Value::as_str).or_else(|| said.as_str())?;
    if let Some(place) = code.strip_prefix("[code ").and_then(|code| code.strip_suffix(']')) {
        let name = place.rsplit('/').next().unwrap_or(place);
        let number = name.strip_prefix("condition-").and_then(|number| number.parse::<u32>().ok());
        let text = number.map_or_else(|| name.to_owned(), |number| format!("condition {}", number.saturating_add(1)));
        return Some(clean(&text).into_owned());
    }
    let code = code.split_once("=>").map_or(code, |(_, body)| body);
    let words: Vec<&str> = code.split_whitespace().collect();
    let text = words.join(" ").replace("inputData.", "");
    (!text.is_empty()).then(|| clean(&text).into_owned())
}

fn state(record: &Value) -> String {
    let state = word(record, "status");
    let is_suspended = record.get("suspendedAt").is_some_and(Value::is_number);
    let is_resumed = record.get("resumedAt").is_some_and(Value::is_number);
    match state {
        "" => "pending".to_owned(),
        // A workflow whose step waits is said to run.
        "running" if is_suspended && !is_resumed => "suspended".to_owned(),
        _ => clean(state).into_owned(),
    }
}

fn took(record: &Value) -> String {
    let at = |key: &str| record.get(key).and_then(Value::as_f64);
    let mut detail = String::new();
    if let (Some(start), Some(end)) = (at("startedAt"), at("endedAt")) {
        join(&mut detail, &duration(end - start));
    }
    if let Some(times) = record.pointer("/metadata/iterationCount").and_then(Value::as_u64) {
        join(&mut detail, &format!("{times} times"));
    }
    let attempts = ["attempts", "attempt", "retryCount"];
    if let Some(attempt) = attempts.iter().find_map(|key| record.get(*key).and_then(Value::as_u64))
        && attempt > 1
    {
        join(&mut detail, &format!("attempt {attempt}"));
    }
    let error = record.pointer("/error/message").and_then(Value::as_str);
    if let Some(error) = error.or_else(|| record.get("error").and_then(Value::as_str)) {
        join(&mut detail, &clean(error));
    }
    detail
}

/// Returns how many items of a `foreach` are done.
fn progress(record: &Value) -> Option<String> {
    let total = record.get("payload")?.as_array()?.len();
    let partial = record.pointer("/suspendPayload/__workflow_meta/foreachOutput");
    let done = record.get("output").or(partial).and_then(Value::as_array);
    let done = done.map_or(0, |items| items.iter().filter(|item| !item.is_null()).count());
    Some(format!("{done}/{total}"))
}
