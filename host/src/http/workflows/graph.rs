//! A workflow's graph as clients draw it.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::types::graph::{Callee, Graph, Kind, Node, Task, Wait};

/// The graphs of workflows inside another, by id.
pub(super) type Nested<'a> = HashMap<&'a str, &'a Graph>;

/// Returns a graph's nodes.
pub(super) fn step_graph(graph: &Graph, nested: &Nested<'_>) -> Vec<Value> {
    graph.nodes.iter().map(|node| entry(node, nested)).collect()
}

fn entry(node: &Node, nested: &Nested<'_>) -> Value {
    match &node.kind {
        Kind::Task(task) => called(node, task, nested),
        Kind::Parallel(nodes) => {
            let steps: Vec<Value> = nodes.iter().map(|node| entry(node, nested)).collect();
            json!({"type": "parallel", "steps": steps})
        }
        Kind::Branch(arms) => {
            let steps: Vec<Value> = arms.iter().map(|arm| entry(&arm.node, nested)).collect();
            let conditions: Vec<Value> = arms.iter().map(|arm| condition(&arm.node, &arm.condition)).collect();
            json!({"type": "conditional", "steps": steps, "serializedConditions": conditions})
        }
        Kind::Loop { until, condition: code, body } => {
            let kind = if *until { "dountil" } else { "dowhile" };
            json!({"type": "loop", "step": entry(body, nested), "serializedCondition": condition(body, code),
                "loopType": kind})
        }
        Kind::Foreach { body, concurrency } => {
            json!({"type": "foreach", "step": entry(body, nested), "opts": {"concurrency": concurrency}})
        }
        Kind::Map => json!({"type": "mapping", "id": node.name, "mapConfig": format!("[code {}]", node.id)}),
        Kind::Sleep(Wait::For(duration)) => {
            json!({"type": "sleep", "id": node.name, "duration": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)})
        }
        Kind::Sleep(Wait::ComputedFor) => {
            json!({"type": "sleep", "id": node.name, "fn": format!("[code {}]", node.id)})
        }
        Kind::Sleep(Wait::Until(at)) => json!({"type": "sleepUntil", "id": node.name, "date": at}),
        Kind::Sleep(Wait::ComputedUntil) => {
            json!({"type": "sleepUntil", "id": node.name, "fn": format!("[code {}]", node.id)})
        }
    }
}

fn called(node: &Node, task: &Task, nested: &Nested<'_>) -> Value {
    if let Callee::Workflow(id) = &task.callee {
        let steps = nested.get(&**id).map(|graph| step_graph(graph, nested)).unwrap_or_default();
        return json!({"type": "workflow", "id": node.name, "workflowId": id, "serializedStepFlow": steps});
    }
    let mut step = json!({"id": node.name, "canSuspend": task.suspend.is_some() || task.resume.is_some()});
    if let Some(description) = &task.description {
        step["description"] = description.as_str().into();
    }
    match &task.callee {
        Callee::Tool(id) => {
            step["component"] = "TOOL".into();
            step["toolId"] = (&**id).into();
        }
        Callee::Agent(id) => {
            step["component"] = "AGENT".into();
            step["agentId"] = (&**id).into();
        }
        Callee::Step | Callee::Workflow(_) => {}
    }
    json!({"type": "step", "step": step})
}

/// The code of a condition is compiled; clients are told where it is.
fn condition(node: &Node, code: &str) -> Value {
    json!({"id": format!("{}-condition", node.name), "fn": format!("[code {code}]")})
}
