//! Workflows: a graph the host interprets, code the plugin runs.
//!
//! [`Workflow`] is built in a function marked `#[workflow]` out of [`Step`]s, tools,
//! agents and other workflows. It yields two things: the graph, which goes into the
//! manifest, and a table from node id to code. The host walks the graph, keeps all
//! state and calls the code of one node at a time.
//!
//! # The graph
//!
//! ```json
//! { "nodes": [ { "type": "step", "id": "upper", ... }, ... ] }
//! ```
//!
//! The nodes run one after another, each with the result of the one before. Keys in
//! brackets may be absent.
//!
//! | type | keys beside `type` and `id` | what the host does |
//! |---|---|---|
//! | `step` | `inputSchema` `outputSchema` [`description` `suspendSchema` `resumeSchema` `retries` `timeoutMs`] | calls the node's code |
//! | `tool` | `tool` [`retries` `timeoutMs`] | calls the tool with this id |
//! | `agent` | `agent` [`retries` `timeoutMs`] | asks the agent with this id; the input is `{"prompt"}`, the result `{"text"}` |
//! | `workflow` | `workflow` [`retries` `timeoutMs`] | runs the workflow with this id |
//! | `parallel` | `nodes` | runs all at once; the result is an object by node id |
//! | `branch` | `arms`: `[{"condition", "node"}]` | calls each condition's code and runs the nodes whose condition is `true` at once; the result is an object by node id |
//! | `dountil` `dowhile` | `condition` `node` | runs the node, then calls the condition's code with its result, until or while it is `true` |
//! | `foreach` | `node` `concurrency` | runs the node for each item, so many at once; the result is an array |
//! | `map` | | calls the node's code, which makes the next input |
//! | `sleep` | `durationMs` or `computed: true` | waits; if computed, the node's code gives the milliseconds |
//! | `sleepUntil` | `at` or `computed: true` | waits until an RFC 3339 time; if computed, the node's code gives it |
//!
//! `condition` is the id of a node that is only code: input the value tested, result a
//! boolean. `retries` is `{"attempts", "delayMs", "factor", "maxDelayMs", "jitter"}`:
//! `attempts` further tries, the first after `delayMs`, each later one after `factor`
//! times the wait before, never more than `maxDelayMs`; with `jitter` a random part of it.
//! Code gets the value itself as its input; what else it may see of the run (state,
//! results of other steps) it asks for through [`crate::Ctx`].

mod code;
mod graph;
mod step;

use std::sync::Arc;

use schemars::JsonSchema;
use serde_json::{Value, json};

pub use graph::{Branch, Node, NodeSource, Parallel, Retry};
pub use step::{Step, StepSchemas};

use code::CodeTable;

use crate::{abi::WorkflowBox, manifest::WorkflowManifest, opened::Opened, schema};

/// A workflow, built step by step in a function marked `#[workflow]`.
///
/// Building panics if two nodes with code of their own share an id; the host then
/// refuses the plugin with that sentence.
#[derive(Clone)]
#[must_use]
pub struct Workflow {
    manifest: WorkflowManifest,
    pub(super) nodes: Vec<Value>,
    pub(super) code: CodeTable,
    // How many maps, sleeps, branches there are, to name the next one.
    pub(super) unnamed: usize,
}

impl Workflow {
    /// Returns an empty workflow with this id.
    pub fn new(id: impl Into<String>) -> Self {
        let manifest = WorkflowManifest {
            id: id.into(),
            input_schema: schema::anything(),
            output_schema: schema::anything(),
            ..WorkflowManifest::default()
        };
        Self { manifest, nodes: Vec::new(), code: CodeTable::default(), unnamed: 0 }
    }

    /// Says what the workflow is for; the function's doc comment if not set.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.manifest.description = description.into();
        self
    }

    /// Sets the description unless there is one; `#[workflow]` calls this with the doc comment.
    #[doc(hidden)]
    pub fn or_description(mut self, description: &str) -> Self {
        if self.manifest.description.is_empty() {
            description.clone_into(&mut self.manifest.description);
        }
        self
    }

    /// Sets the type of the input.
    pub fn input<T: JsonSchema>(mut self) -> Self {
        self.manifest.input_schema = schema::input::<T>();
        self
    }

    /// Sets the type of the result.
    pub fn output<T: JsonSchema>(mut self) -> Self {
        self.manifest.output_schema = schema::output::<T>();
        self
    }

    /// Sets the type of the run's state.
    pub fn state<T: JsonSchema>(mut self) -> Self {
        self.manifest.state_schema = Some(schema::input::<T>());
        self
    }

    /// Returns the workflow's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// Returns what the host is told about the workflow.
    #[must_use]
    pub fn manifest(&self) -> WorkflowManifest {
        WorkflowManifest { graph: json!({ "nodes": self.nodes }), ..self.manifest.clone() }
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> WorkflowBox {
        self.code.instantiate(&self.manifest.id, plugin)
    }
}

impl std::fmt::Debug for Workflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workflow").field("manifest", &self.manifest()).finish_non_exhaustive()
    }
}
