//! The builder's verbs: how nodes are put together.

use std::{future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    Workflow,
    code::Code,
    policy::{Recover, Retry, millis},
};
use crate::{Agent, Ctx, Result, Tool};

/// A node of a graph, with the code behind it.
#[derive(Clone)]
#[must_use]
pub struct Node {
    id: String,
    body: Map<String, Value>,
    code: Option<Code>,
}

/// What can be a node: a [`Step`](super::Step), a tool, an agent, a workflow, or a function that returns one.
pub trait NodeSource {
    /// Makes the node.
    fn into_node(self) -> Node;
}

impl Node {
    /// Returns a node that calls a tool of any plugin.
    pub fn tool(id: impl Into<String>) -> Self {
        Self::reference("tool", id.into())
    }

    /// Returns a node that asks an agent of any plugin.
    pub fn agent(id: impl Into<String>) -> Self {
        Self::reference("agent", id.into())
    }

    /// Returns a node that runs a workflow of any plugin.
    pub fn workflow(id: impl Into<String>) -> Self {
        Self::reference("workflow", id.into())
    }

    /// Gives the node another id.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.renamed(id.into())
    }

    /// Repeats the node when it fails.
    pub fn retries(mut self, retry: Retry) -> Self {
        self.set("retries", retry.to_json());
        self
    }

    /// Limits the duration of one attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.set("timeoutMs", millis(timeout));
        self
    }

    /// Says what becomes of the node if the host dies while it runs; [`Recover::Retry`] if not set.
    pub fn on_recover(mut self, recover: Recover) -> Self {
        self.set("onRecover", recover.name());
        self
    }

    pub(super) fn of_type(kind: &str, id: &str) -> Self {
        let mut node = Self { id: id.to_owned(), body: Map::new(), code: None };
        node.set("type", kind);
        node.set("id", id);
        node
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.body.insert(key.to_owned(), value.into());
    }

    pub(super) fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn renamed(mut self, id: String) -> Self {
        self.set("id", id.as_str());
        self.id = id;
        self
    }

    fn reference(kind: &str, id: String) -> Self {
        let mut node = Self::of_type(kind, &id);
        node.set(kind, id);
        node
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Node").field(&self.body).finish()
    }
}

impl NodeSource for Node {
    fn into_node(self) -> Node {
        self
    }
}

impl NodeSource for Tool {
    fn into_node(self) -> Node {
        Node::tool(self.id())
    }
}

impl NodeSource for Agent {
    fn into_node(self) -> Node {
        Node::agent(self.id())
    }
}

impl NodeSource for Workflow {
    fn into_node(self) -> Node {
        Node::workflow(self.id())
    }
}

impl<F, N> NodeSource for F
where
    F: Fn() -> N,
    N: NodeSource,
{
    fn into_node(self) -> Node {
        self().into_node()
    }
}

/// Nodes that run at once.
#[must_use]
#[derive(Debug, Default)]
pub struct Parallel(Vec<Node>);

impl Parallel {
    /// Returns no nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a node.
    pub fn and(mut self, node: impl NodeSource) -> Self {
        self.0.push(node.into_node());
        self
    }
}

/// The arms of a branch.
#[must_use]
#[derive(Default)]
pub struct Branch(Vec<(Code, Node)>);

impl Branch {
    /// Returns a branch without arms.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `node` if `condition` holds for the value that reaches the branch.
    pub fn when<I>(mut self, condition: impl Fn(I) -> bool + Send + Sync + 'static, node: impl NodeSource) -> Self
    where
        I: DeserializeOwned + Send + 'static,
    {
        self.0.push((condition_code(condition), node.into_node()));
        self
    }

    /// As [`Branch::when`], for a condition that asks the host.
    pub fn when_async<I, F>(
        mut self,
        condition: impl Fn(Ctx, I) -> F + Send + Sync + 'static,
        node: impl NodeSource,
    ) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        F: Future<Output = Result<bool>> + Send + 'static,
    {
        self.0.push((Code::closure("condition input", condition), node.into_node()));
        self
    }
}

impl std::fmt::Debug for Branch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, node)| node)).finish()
    }
}

impl Workflow {
    /// Adds a node after the last one.
    pub fn then(mut self, node: impl NodeSource) -> Self {
        let node = self.adopt(node.into_node());
        self.nodes.push(node);
        self
    }

    /// Adds nodes that run at once; each gets the same input.
    pub fn parallel(mut self, parallel: Parallel) -> Self {
        let id = self.next_id("parallel");
        let nodes: Vec<Value> = parallel.0.into_iter().map(|node| self.adopt(node)).collect();
        self.nodes.push(json!({ "type": "parallel", "id": id, "nodes": nodes }));
        self
    }

    /// Adds nodes of which those run whose condition holds.
    pub fn branch(mut self, branch: Branch) -> Self {
        let id = self.next_id("branch");
        let mut arms = Vec::new();
        for (index, (condition, node)) in branch.0.into_iter().enumerate() {
            let condition_id = format!("{id}/condition-{index}");
            self.add_code(&condition_id, condition);
            let node = self.adopt(node);
            arms.push(json!({ "condition": condition_id, "node": node }));
        }
        self.nodes.push(json!({ "type": "branch", "id": id, "arms": arms }));
        self
    }

    /// Adds a node that is repeated until `condition` holds for its result.
    pub fn dountil<I>(self, node: impl NodeSource, condition: impl Fn(I) -> bool + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned + Send + 'static,
    {
        self.repeat("dountil", node.into_node(), condition_code(condition))
    }

    /// Adds a node that is repeated while `condition` holds for its result.
    pub fn dowhile<I>(self, node: impl NodeSource, condition: impl Fn(I) -> bool + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned + Send + 'static,
    {
        self.repeat("dowhile", node.into_node(), condition_code(condition))
    }

    /// Adds a node that runs for each item of an array, `concurrency` at once.
    pub fn foreach(mut self, node: impl NodeSource, concurrency: usize) -> Self {
        let id = self.next_id("foreach");
        let node = self.adopt(node.into_node());
        self.nodes.push(json!({ "type": "foreach", "id": id, "node": node, "concurrency": concurrency.max(1) }));
        self
    }

    /// Adds a change of the value between two nodes.
    pub fn map<I, O>(self, mapping: impl Fn(I) -> Result<O> + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
    {
        self.map_async(move |_, input: I| std::future::ready(mapping(input)))
    }

    /// As [`Workflow::map`], for a mapping that asks the host, e.g. for the result of an earlier step.
    pub fn map_async<I, O, F>(mut self, mapping: impl Fn(Ctx, I) -> F + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Future<Output = Result<O>> + Send + 'static,
    {
        let id = self.next_id("map");
        self.add_code(&id, Code::closure("mapping input", mapping));
        self.nodes.push(json!({ "type": "map", "id": id }));
        self
    }

    /// Adds a wait.
    pub fn sleep(mut self, duration: Duration) -> Self {
        let id = self.next_id("sleep");
        self.nodes.push(json!({ "type": "sleep", "id": id, "durationMs": millis(duration) }));
        self
    }

    /// Adds a wait as long as the value says.
    pub fn sleep_for<I>(mut self, duration: impl Fn(I) -> Duration + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned + Send + 'static,
    {
        let id = self.next_id("sleep");
        let code = Code::closure("sleep input", move |_, input: I| std::future::ready(Ok(millis(duration(input)))));
        self.add_code(&id, code);
        self.nodes.push(json!({ "type": "sleep", "id": id, "computed": true }));
        self
    }

    /// Adds a wait until a time, RFC 3339.
    pub fn sleep_until(mut self, at: impl Into<String>) -> Self {
        let id = self.next_id("sleep-until");
        self.nodes.push(json!({ "type": "sleepUntil", "id": id, "at": at.into() }));
        self
    }

    /// Adds a wait until the time, RFC 3339, the value says.
    pub fn sleep_until_with<I>(mut self, at: impl Fn(I) -> String + Send + Sync + 'static) -> Self
    where
        I: DeserializeOwned + Send + 'static,
    {
        let id = self.next_id("sleep-until");
        let code = Code::closure("sleep input", move |_, input: I| std::future::ready(Ok(at(input))));
        self.add_code(&id, code);
        self.nodes.push(json!({ "type": "sleepUntil", "id": id, "computed": true }));
        self
    }

    fn repeat(mut self, kind: &str, node: Node, condition: Code) -> Self {
        let id = self.next_id(kind);
        let condition_id = format!("{id}/condition");
        self.add_code(&condition_id, condition);
        let node = self.adopt(node);
        self.nodes.push(json!({ "type": kind, "id": id, "condition": condition_id, "node": node }));
        self
    }

    /// Takes a node's code into the table and returns the node for the graph.
    fn adopt(&mut self, node: Node) -> Value {
        let Node { id, body, code } = node;
        if let Some(code) = code {
            self.add_code(&id, code);
        }
        Value::Object(body)
    }

    fn add_code(&mut self, node: &str, code: Code) {
        let workflow = self.id().to_owned();
        self.code.add(&workflow, node, code);
    }

    fn next_id(&mut self, kind: &str) -> String {
        self.unnamed += 1;
        format!("{kind}-{}", self.unnamed)
    }
}

fn condition_code<I>(condition: impl Fn(I) -> bool + Send + Sync + 'static) -> Code
where
    I: DeserializeOwned + Send + 'static,
{
    Code::closure("condition input", move |_, input: I| std::future::ready(Ok(condition(input))))
}
