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
//! | `step` | `inputSchema` `outputSchema` [`description` `suspendSchema` `resumeSchema` `stateSchema`] | calls the node's code |
//! | `tool` | `tool` | calls the tool with this id |
//! | `agent` | `agent` | asks the agent with this id; the input is `{"prompt"}`, the result `{"text"}` |
//! | `workflow` | `workflow` | runs the workflow with this id |
//! | `parallel` | `nodes` | runs all at once; the result is an object by node id |
//! | `branch` | `arms`: `[{"condition", "node"}]` | calls each condition's code and runs the nodes whose condition is `true` at once; the result is an object by node id |
//! | `dountil` `dowhile` | `condition` `node` | runs the node, then calls the condition's code with its result, until or while it is `true` |
//! | `foreach` | `node` `concurrency` | runs the node for each item, so many at once; the result is an array |
//! | `map` | | calls the node's code, which makes the next input |
//! | `sleep` | `durationMs` or `computed: true` | waits; if computed, the node's code gives the milliseconds |
//! | `sleepUntil` | `at` or `computed: true` | waits until an RFC 3339 time; if computed, the node's code gives it |
//!
//! `condition` is the id of a node that is only code: input the value tested, result a
//! boolean. Code gets the value itself as its input; what else it may see of the run (state,
//! results of other steps) it asks for through [`crate::Ctx`]. `agent`, `step`, `tool` and
//! `workflow` nodes may also have these:
//!
//! | key | meaning |
//! |---|---|
//! | `retries` | `{"attempts", "delayMs", "factor", "maxDelayMs", "jitter"}`: `attempts` further tries, the first after `delayMs`, each later one after `factor` times the wait before, never more than `maxDelayMs`; with `jitter` a random part of it. Absent: the workflow's |
//! | `timeoutMs` | the longest one attempt may take; it fails then |
//! | `onRecover` | what becomes of the node if the host dies while it runs: `retry` (absent means that) runs it again with the same idempotency key and the next attempt number, `fail` fails it, `suspend` suspends the run there |
//!
//! # Beside the graph
//!
//! [`WorkflowManifest`] has keys that hold for all runs:
//!
//! | key | meaning |
//! |---|---|
//! | `retries` | as a node's, for nodes without |
//! | `schedule` | `{"cron", "timezone", "input"}`: the host starts runs by itself; the zone is UTC and the input `{}` if absent |
//! | `concurrency` | `{"max", "key", "maxPerKey", "queue"}`, each of which may be absent: runs at once, in all and among those with the same `key` (`resourceId` or a dotted path into the input); `queue` more may wait |
//! | `internal` | the workflow is only a node of others, so hosts neither list nor start it |
//!
//! # How a node ends
//!
//! | the code | on the boundary | what the host does |
//! |---|---|---|
//! | returns a value | reply of kind 0 | stores it and goes on |
//! | [`Ctx::suspend`](crate::Ctx::suspend) and its kin | kind 1, the payload; labels as `{"resumeLabels": [label]}` in the reply's meta | stores that the run waits, until somebody resumes it by step or label |
//! | [`Ctx::bail`](crate::Ctx::bail) | kind 2, the run's result | ends the run well |
//! | [`Ctx::tripwire`](crate::Ctx::tripwire) | kind 3, `{"reason", "retry"?, "metadata"?}` | ends the run with the status `tripwire`; not repeated |
//! | returns an error, panics, takes too long | an error | repeats the node as `retries` say, else ends the run with the status `failed` |
//! | [`Error::permanent`](crate::Error::permanent) | an error, `"permanent": true` in its detail | ends the run, never repeats |
//! | [`Error::retry_after`](crate::Error::retry_after) | an error, `"retryAfterMs"` in its detail | as any error, but waits at least so long |
//!
//! # What a node streams
//!
//! Each [`Ctx::emit`](crate::Ctx::emit) in a step or in the tool of a tool node is one JSON
//! chunk, which reaches whoever streams or observes the run. A chunk whose `type` begins with
//! `data-` is sent on as it is, with the run's id added: `{"type": "data-progress", "data": {"value": 75}}`. Any other
//! is wrapped in a `workflow-step-output` that names the step.
//!
//! Chunks are for those who watch: they are no part of the step's result, and a step that
//! is repeated sends its chunks again.

mod code;
mod graph;
mod policy;
mod step;

use std::sync::Arc;

use schemars::JsonSchema;
use serde_json::{Value, json};

pub use graph::{Branch, Node, NodeSource, Parallel};
pub use policy::{Concurrency, Recover, Retry, Schedule};
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

    /// Repeats nodes that fail and say nothing of their own; a node's own `retries` win.
    pub fn retries(mut self, retry: Retry) -> Self {
        self.manifest.retries = Some(retry.into_policy());
        self
    }

    /// Lets the host start the workflow by itself.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.manifest.schedule = Some(schedule.into_manifest());
        self
    }

    /// Limits how many runs go at once.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.manifest.concurrency = Some(concurrency.into_limits());
        self
    }

    /// Keeps it to other workflows, as their node: hosts neither list nor start it.
    pub fn internal(mut self) -> Self {
        self.manifest.internal = true;
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
