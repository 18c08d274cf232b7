//! A workflow's graph, read from its plugin's manifest: plain data the engine walks.
//!
//! The manifest's shape is `hotbay_plugin::workflow`'s. Every node has a `key` beside its
//! id: unique in its workflow, so that what a node came to can be stored under it.

use std::{collections::HashMap, fmt::Write, sync::Arc, time::Duration};

use hotbay_plugin::manifest::{RetryPolicy, WorkflowManifest};
use serde::Deserialize;
use serde_json::Value;

use super::schema::Schema;

/// Deepest nesting of nodes in one graph.
const MAX_DEPTH: usize = 32;

/// A workflow's graph.
#[derive(Debug)]
pub struct Graph {
    /// The nodes that run one after another.
    pub nodes: Vec<Node>,
    /// The schema of the run's input, absent if it takes anything.
    pub input: Option<Schema>,
    /// The schema of the run's state.
    pub state: Option<Schema>,
    /// How steps that do not say are repeated.
    pub retries: Option<Retry>,
    /// Names the graph's structure: ids and what runs when, not texts, schemas or times.
    pub hash: String,
}

/// A place in a graph.
#[derive(Debug)]
pub struct Node {
    /// Unique in its workflow: the id, or the id and a number where an id stands twice.
    pub key: Arc<str>,
    /// The id authors gave it.
    pub id: Arc<str>,
    /// What people and clients know it by: the id, but for maps and waits, which authors do not name.
    pub name: Arc<str>,
    /// What it does.
    pub kind: Kind,
}

/// What a node does.
#[derive(Debug)]
pub enum Kind {
    /// Calls something once and takes its result.
    Task(Box<Task>),
    /// Runs nodes at once; the result is an object by id.
    Parallel(Vec<Node>),
    /// Runs the nodes whose condition holds at once; the result is an object by id.
    Branch(Vec<Arm>),
    /// Repeats a node until, or while, a condition holds for its result.
    Loop {
        /// Until the condition holds, or while it does.
        until: bool,
        /// The id of the condition's code.
        condition: Arc<str>,
        /// What is repeated.
        body: Box<Node>,
    },
    /// Runs a node for each item of an array.
    Foreach {
        /// What is run.
        body: Box<Node>,
        /// For how many items at once.
        concurrency: usize,
    },
    /// Changes the value by code.
    Map,
    /// Waits.
    Sleep(Wait),
}

/// An arm of a branch.
#[derive(Debug)]
pub struct Arm {
    /// The id of the condition's code.
    pub condition: Arc<str>,
    /// What runs if it holds.
    pub node: Node,
}

/// How long a node waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// So long.
    For(Duration),
    /// Until an RFC 3339 time.
    Until(Arc<str>),
    /// As many milliseconds as the node's code says.
    ComputedFor,
    /// Until the RFC 3339 time the node's code says.
    ComputedUntil,
}

/// Something that is called.
#[derive(Debug)]
pub struct Task {
    /// Who.
    pub callee: Callee,
    /// What it is, for people.
    pub description: Option<String>,
    /// The schema of what it takes.
    pub input: Option<Schema>,
    /// The schema of what it gives, for those who look.
    pub output: Option<Value>,
    /// The schema of what it suspends with.
    pub suspend: Option<Value>,
    /// The schema of what it resumes with.
    pub resume: Option<Schema>,
    /// How it is repeated when it fails; the workflow's if absent.
    pub retries: Option<Retry>,
    /// The longest one attempt may take.
    pub timeout: Option<Duration>,
    /// What becomes of it if the host dies while it runs.
    pub on_recover: OnRecover,
}

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callee {
    /// The workflow's own code, under the node's id.
    Step,
    /// A tool of any plugin.
    Tool(Arc<str>),
    /// An agent of any plugin.
    Agent(Arc<str>),
    /// Another workflow, in the same run.
    Workflow(Arc<str>),
}

/// How often and how soon a failed call is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Further tries.
    pub attempts: u32,
    /// The wait before the first of them.
    pub delay_ms: u64,
    /// Each later wait is so many times the one before.
    pub factor: f64,
    /// The longest wait.
    pub max_delay_ms: Option<u64>,
    /// A random part of the time is waited.
    pub jitter: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 0, delay_ms: 0, factor: 1.0, max_delay_ms: None, jitter: false }
    }
}

impl From<&RetryPolicy> for Retry {
    fn from(policy: &RetryPolicy) -> Self {
        let RetryPolicy { attempts, delay_ms, factor, max_delay_ms, jitter } = *policy;
        Self { attempts, delay_ms, factor, max_delay_ms, jitter }
    }
}

impl Retry {
    /// Returns the wait after `failures` failed attempts, at least 1.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let wanted = self.delay_ms as f64 * self.factor.max(1.0).powi(exponent);
        let longest = self.max_delay_ms.unwrap_or(86_400_000) as f64;
        let millis = wanted.min(longest).max(0.0);
        let millis = if self.jitter { millis * fastrand::f64() } else { millis };
        Duration::from_millis(millis as u64)
    }
}

/// What becomes of a step that was running when the host died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnRecover {
    /// It runs again, under the same idempotency key.
    #[default]
    Retry,
    /// It has failed.
    Fail,
    /// It waits for somebody to say how to go on.
    Suspend,
}

impl Graph {
    /// Reads a graph.
    ///
    /// # Errors
    /// One sentence about what is wrong with it.
    pub fn read(manifest: &WorkflowManifest) -> Result<Self, String> {
        let mut reader = Reader { workflow: &manifest.id, keys: HashMap::new(), maps: 0 };
        let nodes = match manifest.graph.get("nodes") {
            Some(Value::Array(nodes)) => reader.nodes(nodes, 0)?,
            _ => return Err("the graph has no `nodes`".to_owned()),
        };
        let schema = |source: &Value, what: &str| match source {
            Value::Null => Ok(None),
            source => {
                Schema::compile(source.clone()).map(Some).map_err(|error| format!("the {what} schema is {error}"))
            }
        };
        let mut structure = String::new();
        nodes.iter().for_each(|node| node.describe(&mut structure));
        Ok(Self {
            nodes,
            input: schema(&manifest.input_schema, "input")?,
            state: schema(manifest.state_schema.as_ref().unwrap_or(&Value::Null), "state")?,
            retries: manifest.retries.as_ref().map(Retry::from),
            hash: blake3::hash(structure.as_bytes()).to_hex().to_string(),
        })
    }

    /// Returns the ids of the workflows it runs, in order, each once.
    #[must_use]
    pub fn nested(&self) -> Vec<Arc<str>> {
        let mut found = Vec::new();
        self.visit(&mut |node| {
            if let Kind::Task(task) = &node.kind
                && let Callee::Workflow(id) = &task.callee
                && !found.contains(id)
            {
                found.push(Arc::clone(id));
            }
        });
        found
    }

    /// Shows every node, outer ones first.
    pub fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Node)) {
        self.nodes.iter().for_each(|node| node.visit(see));
    }
}

impl Node {
    /// Returns the nodes inside it.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Parallel(nodes) => nodes.iter().collect(),
            Kind::Branch(arms) => arms.iter().map(|arm| &arm.node).collect(),
            Kind::Loop { body, .. } | Kind::Foreach { body, .. } => vec![&**body],
            Kind::Task(_) | Kind::Map | Kind::Sleep(_) => Vec::new(),
        }
    }

    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    /// Writes what the hash is made of.
    fn describe(&self, text: &mut String) {
        let kind = match &self.kind {
            Kind::Task(task) => match &task.callee {
                Callee::Step => "step".to_owned(),
                Callee::Tool(id) => format!("tool={id}"),
                Callee::Agent(id) => format!("agent={id}"),
                Callee::Workflow(id) => format!("workflow={id}"),
            },
            Kind::Parallel(_) => "parallel".to_owned(),
            Kind::Branch(arms) => {
                let conditions: Vec<&str> = arms.iter().map(|arm| &*arm.condition).collect();
                format!("branch={}", conditions.join(","))
            }
            Kind::Loop { until, condition, .. } => format!("loop={until},{condition}"),
            Kind::Foreach { .. } => "foreach".to_owned(),
            Kind::Map => "map".to_owned(),
            Kind::Sleep(_) => "sleep".to_owned(),
        };
        // Lengths keep one id from looking like another's structure.
        let written = write!(text, "({}:{}:{kind}", self.id.len(), self.id);
        debug_assert!(written.is_ok(), "a string takes every text");
        self.children().into_iter().for_each(|child| child.describe(text));
        text.push(')');
    }
}

struct Reader<'a> {
    workflow: &'a str,
    /// How often each id has been met.
    keys: HashMap<Arc<str>, u32>,
    /// How many maps have been met.
    maps: u32,
}

impl Reader<'_> {
    fn nodes(&mut self, nodes: &[Value], depth: usize) -> Result<Vec<Node>, String> {
        nodes.iter().map(|node| self.node(node, depth)).collect()
    }

    fn node(&mut self, node: &Value, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("its nodes are nested more than {MAX_DEPTH} deep"));
        }
        let id: Arc<str> = text(node, "id")?;
        if id.contains(['.', '[', ']', '#']) {
            return Err(format!("node `{id}` has one of `.[]#` in its id, which name places in a run"));
        }
        let kind = match &*text(node, "type")? {
            "step" => Kind::Task(Box::new(task(node, Callee::Step)?)),
            "tool" => Kind::Task(Box::new(task(node, Callee::Tool(text(node, "tool")?))?)),
            "agent" => Kind::Task(Box::new(task(node, Callee::Agent(text(node, "agent")?))?)),
            "workflow" => Kind::Task(Box::new(task(node, Callee::Workflow(text(node, "workflow")?))?)),
            "parallel" => Kind::Parallel(self.nodes(list(node, "nodes")?, depth + 1)?),
            "branch" => Kind::Branch(
                list(node, "arms")?
                    .iter()
                    .map(|arm| {
                        let node = self.node(arm.get("node").unwrap_or(&Value::Null), depth + 1)?;
                        Ok(Arm { condition: text(arm, "condition")?, node })
                    })
                    .collect::<Result<_, String>>()?,
            ),
            kind @ ("dountil" | "dowhile") => Kind::Loop {
                until: kind == "dountil",
                condition: text(node, "condition")?,
                body: Box::new(self.body(node, depth)?),
            },
            "foreach" => Kind::Foreach {
                body: Box::new(self.body(node, depth)?),
                concurrency: node.get("concurrency").and_then(Value::as_u64).map_or(1, |n| n.clamp(1, 1024) as usize),
            },
            "map" => Kind::Map,
            "sleep" => Kind::Sleep(match node.get("durationMs").and_then(Value::as_u64) {
                Some(millis) => Wait::For(Duration::from_millis(millis)),
                None => Wait::ComputedFor,
            }),
            "sleepUntil" => Kind::Sleep(match node.get("at").and_then(Value::as_str) {
                Some(at) => Wait::Until(at.into()),
                None => Wait::ComputedUntil,
            }),
            other => return Err(format!("node `{id}` is of the type `{other}`, which this host does not know")),
        };
        let met = self.keys.entry(Arc::clone(&id)).or_insert(0);
        *met += 1;
        let key = if *met == 1 { Arc::clone(&id) } else { format!("{id}~{met}").into() };
        let name = self.name(&id, &key, &kind);
        Ok(Node { key, id, name, kind })
    }

    fn name(&mut self, id: &Arc<str>, key: &str, kind: &Kind) -> Arc<str> {
        match kind {
            Kind::Map => {
                self.maps += 1;
                format!("mapping_{}_{}", self.workflow, self.maps - 1).into()
            }
            Kind::Sleep(_) => {
                let hash = blake3::hash(format!("{}\n{key}", self.workflow).as_bytes());
                let mut bytes = [0; 16];
                bytes.iter_mut().zip(hash.as_bytes()).for_each(|(byte, hashed)| *byte = *hashed);
                format!("sleep_{}", uuid::Uuid::from_bytes(bytes)).into()
            }
            _ => Arc::clone(id),
        }
    }

    fn body(&mut self, node: &Value, depth: usize) -> Result<Node, String> {
        let body = self.node(node.get("node").unwrap_or(&Value::Null), depth + 1)?;
        // What the reference knows; it also keeps one name for each repetition.
        match body.kind {
            Kind::Task(_) => Ok(body),
            _ => Err(format!("what node `{}` repeats must be a step, a tool, an agent or a workflow", body.id)),
        }
    }
}

fn task(node: &Value, callee: Callee) -> Result<Task, String> {
    let compiled = |key: &str| match node.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(source) => Schema::compile(source.clone())
            .map(Some)
            .map_err(|error| format!("`{key}` of node `{}` is {error}", node["id"].as_str().unwrap_or_default())),
    };
    Ok(Task {
        callee,
        description: node.get("description").and_then(Value::as_str).map(str::to_owned),
        input: compiled("inputSchema")?,
        output: node.get("outputSchema").cloned(),
        suspend: node.get("suspendSchema").cloned(),
        resume: compiled("resumeSchema")?,
        retries: node.get("retries").map(retry).transpose()?,
        timeout: node.get("timeoutMs").and_then(Value::as_u64).map(Duration::from_millis),
        on_recover: match node.get("onRecover") {
            None => OnRecover::default(),
            Some(policy) => serde_json::from_value(policy.clone())
                .map_err(|_| "`onRecover` must be `retry`, `fail` or `suspend`".to_owned())?,
        },
    })
}

fn retry(value: &Value) -> Result<Retry, String> {
    let policy: Result<RetryPolicy, _> = serde_json::from_value(value.clone());
    policy.map(|policy| Retry::from(&policy)).map_err(|error| format!("`retries` cannot be read: {error}"))
}

fn text(node: &Value, key: &str) -> Result<Arc<str>, String> {
    match node.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.into()),
        _ => Err(format!("a node has no `{key}`: {}", brief(node))),
    }
}

fn list<'a>(node: &'a Value, key: &str) -> Result<&'a [Value], String> {
    node.get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .ok_or_else(|| format!("a node has no `{key}`: {}", brief(node)))
}

fn brief(node: &Value) -> String {
    node.to_string().chars().take(120).collect()
}

#[cfg(test)]
mod tests;
