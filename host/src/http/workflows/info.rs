//! Workflows as lists and their own pages show them.

use serde_json::{Map, Value, json};

use super::graph::step_graph;
use crate::{
    plugin::registry::{Snapshot, WorkflowEntry},
    types::{
        graph::{Callee, Graph, Kind, Node, Task},
        schema::DRAFT_07,
    },
};

/// Returns a workflow.
pub(super) fn workflow(snapshot: &Snapshot, entry: &WorkflowEntry) -> Map<String, Value> {
    let mut info = common(snapshot, entry);
    let (mut steps, mut all) = (Map::new(), Map::new());
    let state = entry.manifest.state_schema.as_ref();
    collect(snapshot, &entry.graph, state, "", &mut all);
    for (path, step) in &all {
        if !path.contains('.') {
            let mut step = step.clone();
            if let Value::Object(step) = &mut step {
                step.shift_remove("isWorkflow");
            }
            steps.insert(path.clone(), step);
        }
    }
    info.insert("steps".to_owned(), steps.into());
    info.insert("allSteps".to_owned(), all.into());
    info.insert("inputSchema".to_owned(), wrapped(Some(&entry.manifest.input_schema)));
    info.insert("outputSchema".to_owned(), wrapped(Some(&entry.manifest.output_schema)));
    if let Some(schema) = state {
        info.insert("stateSchema".to_owned(), wrapped(Some(schema)));
    }
    info.insert("isProcessorWorkflow".to_owned(), false.into());
    info
}

/// Returns a workflow without what is large.
pub(super) fn brief(snapshot: &Snapshot, entry: &WorkflowEntry) -> Map<String, Value> {
    let mut info = common(snapshot, entry);
    info.insert("stepCount".to_owned(), named(&entry.graph).len().into());
    info.insert("steps".to_owned(), json!({}));
    info.insert("allSteps".to_owned(), json!({}));
    info
}

fn common(snapshot: &Snapshot, entry: &WorkflowEntry) -> Map<String, Value> {
    let mut info = Map::new();
    info.insert("name".to_owned(), (&*entry.id).into());
    if !entry.manifest.description.is_empty() {
        info.insert("description".to_owned(), entry.manifest.description.as_str().into());
    }
    info.insert("origin".to_owned(), "code".into());
    let nested = snapshot.workflows.iter().map(|entry| (&*entry.id, &entry.graph)).collect();
    info.insert("stepGraph".to_owned(), step_graph(&entry.graph, &nested).into());
    info.insert("options".to_owned(), json!({"validateInputs": true, "emitStepEvents": true}));
    info
}

/// Returns the nodes clients know by name, each once.
fn named(graph: &Graph) -> Vec<&Node> {
    let mut found: Vec<&Node> = Vec::new();
    graph.visit(&mut |node| {
        let has_name = matches!(node.kind, Kind::Task(_) | Kind::Map | Kind::Sleep(_));
        if has_name && !found.iter().any(|known| known.name == node.name) {
            found.push(node);
        }
    });
    found
}

fn collect(snapshot: &Snapshot, graph: &Graph, state: Option<&Value>, prefix: &str, steps: &mut Map<String, Value>) {
    for node in named(graph) {
        let path = format!("{prefix}{}", node.name);
        let Kind::Task(task) = &node.kind else {
            // What a map takes may be anything; of a wait clients are told nothing.
            let nothing = json!({"type": "object", "properties": {}, "additionalProperties": false});
            let schema = wrapped(matches!(node.kind, Kind::Sleep(_)).then_some(&nothing));
            let step = json!({"id": node.name, "inputSchema": schema, "outputSchema": schema, "isWorkflow": false});
            steps.insert(path, step);
            continue;
        };
        let inner = match &task.callee {
            Callee::Workflow(id) => snapshot.workflows.get(&**id),
            Callee::Step | Callee::Tool(_) | Callee::Agent(_) => None,
        };
        steps.insert(path.clone(), step(snapshot, node, task, inner.map(|entry| &**entry), state));
        if let Some(inner) = inner
            && prefix.matches('.').count() < 8
        {
            collect(snapshot, &inner.graph, inner.manifest.state_schema.as_ref(), &format!("{path}."), steps);
        }
    }
}

fn step(snapshot: &Snapshot, node: &Node, task: &Task, inner: Option<&WorkflowEntry>, state: Option<&Value>) -> Value {
    let mut step = json!({"id": node.name});
    if let Some(description) = &task.description {
        step["description"] = description.as_str().into();
    }
    let tool = match &task.callee {
        Callee::Tool(id) => snapshot.tools.get(&**id),
        Callee::Step | Callee::Agent(_) | Callee::Workflow(_) => None,
    };
    let own = |schema: Option<&Value>, of_tool: Option<&Value>, of_workflow: Option<&Value>| {
        wrapped(schema.or(of_tool).or(of_workflow))
    };
    step["inputSchema"] = own(
        task.input.as_ref().map(|schema| &schema.source),
        tool.map(|tool| &tool.manifest.input_schema),
        inner.map(|inner| &inner.manifest.input_schema),
    );
    step["outputSchema"] = own(
        task.output.as_ref(),
        tool.and_then(|tool| tool.manifest.output_schema.as_ref()),
        inner.map(|inner| &inner.manifest.output_schema),
    );
    let resume = task.resume.as_ref().map(|schema| &schema.source);
    if let Some(schema) = resume.or_else(|| tool.and_then(|tool| tool.manifest.resume_schema.as_ref())) {
        step["resumeSchema"] = wrapped(Some(schema));
    }
    if let Some(schema) = task.suspend.as_ref().or_else(|| tool.and_then(|tool| tool.manifest.suspend_schema.as_ref()))
    {
        step["suspendSchema"] = wrapped(Some(schema));
    }
    if let Some(schema) = state.filter(|_| task.callee == Callee::Step) {
        step["stateSchema"] = wrapped(Some(schema));
    }
    step["isWorkflow"] = inner.is_some().into();
    if inner.is_some() {
        step["component"] = "WORKFLOW".into();
    }
    step
}

/// Returns a schema as clients unwrap it: a text that holds `{"json": schema}`.
fn wrapped(schema: Option<&Value>) -> Value {
    let mut wrapped = json!({ "$schema": DRAFT_07 });
    if let (Value::Object(wrapped), Some(Value::Object(schema))) = (&mut wrapped, schema) {
        for (key, value) in schema.iter().filter(|(key, _)| *key != "$schema") {
            wrapped.insert(key.clone(), value.clone());
        }
    }
    Value::String(json!({ "json": wrapped }).to_string())
}
