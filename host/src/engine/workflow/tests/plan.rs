//! Random workflows: what they are made of, and how a plugin would declare them.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

/// What a step's code does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// Gives a result.
    Give,
    /// Fails, always.
    Fail,
    /// Fails so many times, then gives a result.
    FailFirst(u32),
    /// Fails if its input is an odd number.
    FailIfOdd,
    /// Asks somebody, then gives a result.
    Ask,
    /// Leaves the workflow.
    Bail,
    /// Trips.
    Trip,
}

/// A place in a workflow.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) kind: Kind,
}

/// What a place does.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Step {
        does: Does,
        retries: u32,
    },
    Tool,
    Parallel(Vec<Node>),
    /// Whether each arm is taken; `None` if its condition fails.
    Branch(Vec<(Option<bool>, Node)>),
    Loop {
        until: bool,
        times: u32,
        body: Box<Node>,
    },
    Foreach {
        concurrency: u32,
        body: Box<Node>,
    },
    /// Makes an array of so many items, or fails.
    Spread(Option<u32>),
    Sleep,
    Nested(Vec<Node>),
}

/// The longest array; a concurrency above it begins all items at once.
const ITEMS: u32 = 3;

impl Node {
    fn new(kind: Kind) -> Self {
        Self { id: String::new(), kind }
    }

    /// Returns a node that may stand in a parallel or a branch: one that people can name.
    fn named(self) -> Self {
        match self.kind {
            Kind::Spread(_) | Kind::Sleep => Self::new(Kind::Nested(vec![self])),
            _ => self,
        }
    }

    /// Returns a node that may be repeated: one that is called.
    fn repeatable(self) -> Self {
        match self.kind {
            Kind::Step { .. } | Kind::Tool | Kind::Nested(_) => self,
            _ => Self::new(Kind::Nested(vec![self])),
        }
    }
}

/// The id of the code that says whether an arm of a branch is taken.
pub(super) fn taken(node: &Node) -> String {
    format!("{}-taken", node.id)
}

/// The id of the code that says whether a loop goes on.
pub(super) fn again(node: &Node) -> String {
    format!("{}-again", node.id)
}

fn step() -> impl Strategy<Value = Node> {
    let does = prop_oneof![
        8 => Just(Does::Give),
        1 => Just(Does::Fail),
        3 => (1u32..=3).prop_map(Does::FailFirst),
        1 => Just(Does::FailIfOdd),
        4 => Just(Does::Ask),
        1 => Just(Does::Bail),
        1 => Just(Does::Trip),
    ];
    (does, 0u32..=3).prop_map(|(does, retries)| Node::new(Kind::Step { does, retries }))
}

fn node() -> impl Strategy<Value = Node> {
    let spread = prop_oneof![9 => (0..=ITEMS).prop_map(Some), 1 => Just(None)];
    let leaf = prop_oneof![
        8 => step(),
        1 => Just(Node::new(Kind::Tool)),
        1 => spread.prop_map(|items| Node::new(Kind::Spread(items))),
        1 => Just(Node::new(Kind::Sleep)),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let named = inner.clone().prop_map(Node::named);
        let holds = prop_oneof![6 => Just(Some(true)), 3 => Just(Some(false)), 1 => Just(None)];
        let repeated = inner.clone().prop_map(Node::repeatable);
        prop_oneof![
            2 => vec(named.clone(), 1..=3).prop_map(|nodes| Node::new(Kind::Parallel(nodes))),
            2 => vec((holds, named), 1..=3).prop_map(|arms| Node::new(Kind::Branch(arms))),
            2 => (any::<bool>(), 1u32..=3, repeated.clone()).prop_map(|(until, times, body)| {
                Node::new(Kind::Loop { until, times, body: Box::new(body) })
            }),
            3 => foreach(repeated),
            2 => vec(inner, 1..=3).prop_map(|nodes| Node::new(Kind::Nested(nodes))),
        ]
    })
}

/// A foreach, most of them after what makes an array.
fn foreach(body: impl Strategy<Value = Node>) -> impl Strategy<Value = Node> {
    let fed = prop_oneof![9 => (0..=ITEMS).prop_map(Some), 1 => Just(None)];
    (fed, 1..=ITEMS, body).prop_map(|(items, concurrency, body)| {
        // Which items are begun must not depend on which of two ends first.
        let concurrency = match body.kind {
            Kind::Step { does: Does::FailIfOdd, .. } | Kind::Nested(_) => 1,
            Kind::Step { does: Does::Ask, .. } if concurrency > 1 => 2 * ITEMS,
            _ => concurrency,
        };
        let foreach = Node::new(Kind::Foreach { concurrency, body: Box::new(body) });
        match items {
            Some(items) => Node::new(Kind::Nested(vec![Node::new(Kind::Spread(Some(items))), foreach])),
            None => foreach,
        }
    })
}

/// A workflow, and what is chosen when several steps wait.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) choices: Vec<usize>,
}

/// Any workflow.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    (vec(node(), 1..=4), vec(0usize..8, 8)).prop_map(|(mut nodes, choices)| {
        number(&mut nodes, &mut 0);
        Plan { nodes, choices }
    })
}

/// The proptest report of a failure: the graph as a plugin declares it.
impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "answered in the order {:?}, what steps do: {:?}\n{}", self.choices, self.nodes, self.manifest())
    }
}

/// Gives every node an id of its own.
fn number(nodes: &mut [Node], count: &mut u32) {
    for node in nodes {
        *count += 1;
        node.id = format!("n{count}");
        match &mut node.kind {
            Kind::Parallel(nodes) | Kind::Nested(nodes) => number(nodes, count),
            Kind::Branch(arms) => arms.iter_mut().for_each(|(_, node)| number(std::slice::from_mut(node), count)),
            Kind::Loop { body, .. } | Kind::Foreach { body, .. } => {
                number(std::slice::from_mut(&mut **body), count);
            }
            Kind::Step { .. } | Kind::Tool | Kind::Spread(_) | Kind::Sleep => {}
        }
    }
}

impl Plan {
    /// The manifest of a plugin that offers it as `root`.
    pub(super) fn manifest(&self) -> Value {
        let mut workflows = Vec::new();
        let nodes = declare(&self.nodes, &mut workflows);
        workflows.push(json!({"id": "root", "graph": {"nodes": nodes}}));
        json!({"name": "random", "version": "1.0.0", "workflows": workflows, "tools": [{"id": "tool"}]})
    }

    /// Shows every node, also those of workflows inside.
    pub(super) fn visit(&self, see: &mut impl FnMut(&Node)) {
        visit(&self.nodes, see);
    }
}

fn visit(nodes: &[Node], see: &mut impl FnMut(&Node)) {
    for node in nodes {
        see(node);
        match &node.kind {
            Kind::Parallel(nodes) | Kind::Nested(nodes) => visit(nodes, see),
            Kind::Branch(arms) => arms.iter().for_each(|(_, node)| visit(std::slice::from_ref(node), see)),
            Kind::Loop { body, .. } | Kind::Foreach { body, .. } => visit(std::slice::from_ref(&**body), see),
            Kind::Step { .. } | Kind::Tool | Kind::Spread(_) | Kind::Sleep => {}
        }
    }
}

fn declare(nodes: &[Node], workflows: &mut Vec<Value>) -> Vec<Value> {
    nodes.iter().map(|node| declare_one(node, workflows)).collect()
}

fn declare_one(node: &Node, workflows: &mut Vec<Value>) -> Value {
    let id = &node.id;
    match &node.kind {
        Kind::Step { retries, .. } => json!({"type": "step", "id": id, "retries": {"attempts": retries}}),
        Kind::Tool => json!({"type": "tool", "id": id, "tool": "tool"}),
        Kind::Parallel(nodes) => json!({"type": "parallel", "id": id, "nodes": declare(nodes, workflows)}),
        Kind::Branch(arms) => {
            let mut declared = Vec::new();
            for (_, node) in arms {
                declared.push(json!({"condition": taken(node), "node": declare_one(node, workflows)}));
            }
            json!({"type": "branch", "id": id, "arms": declared})
        }
        Kind::Loop { until, body, .. } => {
            let kind = if *until { "dountil" } else { "dowhile" };
            json!({"type": kind, "id": id, "condition": again(node), "node": declare_one(body, workflows)})
        }
        Kind::Foreach { concurrency, body } => {
            json!({"type": "foreach", "id": id, "concurrency": concurrency, "node": declare_one(body, workflows)})
        }
        Kind::Spread(_) => json!({"type": "map", "id": id}),
        Kind::Sleep => json!({"type": "sleep", "id": id, "durationMs": 1}),
        Kind::Nested(nodes) => {
            let workflow = format!("w-{id}");
            let nodes = declare(nodes, workflows);
            workflows.push(json!({"id": workflow, "graph": {"nodes": nodes}}));
            json!({"type": "workflow", "id": id, "workflow": workflow})
        }
    }
}

/// What a step makes of its input: a number that depends on both.
pub(super) fn mixed(id: &str, input: &Value) -> u64 {
    let hash = blake3::hash(format!("{id}:{input}").as_bytes());
    hash.as_bytes().iter().take(2).fold(0, |number, byte| number * 256 + u64::from(*byte)) % 1000
}

/// What a map makes of its input.
pub(super) fn spread(id: &str, items: u32, input: &Value) -> Value {
    let first = mixed(id, input);
    (0..u64::from(items)).map(|item| first + item).collect()
}
