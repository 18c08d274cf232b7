//! What a plugin says about itself, read before it is opened.
//!
//! The manifest crosses as JSON: unknown keys are ignored and every key added later
//! is optional, so both sides may be older or newer than the other.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A plugin's self-description.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Manifest {
    /// The crate's name; names the plugin in the host. One plugin, one name.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// One line for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How the dylib was built.
    pub build: Build,
    /// JSON Schema of the configuration, absent if the plugin takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// The tools it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolManifest>,
    /// The agents it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentManifest>,
    /// The workflows it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<WorkflowManifest>,
    /// The vector stores it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vector_stores: Vec<VectorStoreManifest>,
    /// The chat models it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelManifest>,
    /// The embedding models it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub embedders: Vec<EmbedderManifest>,
    /// Groups of capabilities offered to MCP clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<McpServerManifest>,
    /// Capabilities of other kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceManifest>,
    /// Why the plugin could not describe itself; the host refuses it with this sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a dylib was built; the host refuses `panic = "abort"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Build {
    /// Version of `hotbay-plugin`.
    pub sdk: String,
    /// Output of `rustc --version`.
    pub rustc: String,
    /// `debug` or `release`.
    pub profile: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// The target triple.
    pub target: String,
}

/// A tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolManifest {
    /// Names the tool in URLs and, unless an agent gives it another key, to models.
    pub id: String,
    /// What it does, for models and people.
    pub description: String,
    /// JSON Schema (2020-12) of the input.
    pub input_schema: Value,
    /// JSON Schema of the result, absent if it may be anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// JSON Schema of the payload it suspends with, absent if it never suspends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend_schema: Option<Value>,
    /// JSON Schema of what it resumes with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_schema: Option<Value>,
    /// A person must approve each call an agent makes.
    #[serde(skip_serializing_if = "is_false")]
    pub require_approval: bool,
    /// The call blocks its thread; the host keeps it off the async threads.
    #[serde(skip_serializing_if = "is_false")]
    pub blocking: bool,
    /// Repeating the call with the same input does no harm.
    #[serde(skip_serializing_if = "is_false")]
    pub idempotent: bool,
    /// Longest duration of one call, in milliseconds; the host's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// An agent: described by the plugin, run by the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentManifest {
    /// Names the agent in URLs.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its system prompt.
    pub instructions: String,
    /// `provider/model`.
    pub model: String,
    /// The tools it may use, of this or any other plugin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolRef>,
    /// Ids of workflows it may run as tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflows: Vec<String>,
    /// Ids of agents it may ask as tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// How it remembers, absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryOptions>,
    /// Default options of a run (`maxSteps`, `modelSettings`, ...), overridden by the request's.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub default_options: Map<String, Value>,
    /// The plugin runs the turn itself instead of the host's loop.
    #[serde(skip_serializing_if = "is_false")]
    pub custom_run: bool,
}

/// A tool as an agent knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRef {
    /// The name models see.
    pub key: String,
    /// The tool's id.
    pub id: String,
}

/// How an agent remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryOptions {
    /// How many earlier messages the model sees.
    pub last_messages: u32,
    /// Further options, passed through.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { last_messages: 10, more: Map::new() }
    }
}

/// A workflow: a graph the host interprets, code the plugin runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkflowManifest {
    /// Names the workflow in URLs.
    pub id: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// JSON Schema of the input.
    pub input_schema: Value,
    /// JSON Schema of the result.
    pub output_schema: Value,
    /// JSON Schema of the run's state, absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_schema: Option<Value>,
    /// The graph, see [`mod@crate::workflow`].
    pub graph: Value,
    /// How nodes that say nothing of their own are repeated, absent if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetryPolicy>,
    /// When the host starts it by itself, absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleManifest>,
    /// How many runs may go at once, absent if the host's settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyLimits>,
    /// It only runs as a node of other workflows: hosts neither list nor start it.
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
}

/// How often and how soon a failed node is repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    /// Further tries after the first.
    pub attempts: u32,
    /// The wait before the first of them, in milliseconds.
    pub delay_ms: u64,
    /// How many times as long each wait is as the one before.
    pub factor: f64,
    /// The longest wait, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// A random part of the wait is waited.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 0, delay_ms: 0, factor: 1.0, max_delay_ms: None, jitter: false }
    }
}

/// When the host starts a workflow by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleManifest {
    /// Minute, hour, day of month, month, day of week, as cron writes them.
    pub cron: String,
    /// IANA name of the time zone the fields are meant in, UTC if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The runs' input, `{}` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// How many runs of a workflow may go at once. Hints: the operator's settings win.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConcurrencyLimits {
    /// Runs in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// What divides runs into groups: `resourceId`, or a dotted path into the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Runs in one group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_key: Option<u32>,
    /// Runs that may wait for a place; more are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
}

/// A vector store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VectorStoreManifest {
    /// Names the store in URLs.
    pub name: String,
    /// What it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What kind of store it is; the plugin's name if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// A chat model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelManifest {
    /// `provider/model`, what agents name.
    pub id: String,
    /// What it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// An embedding model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbedderManifest {
    /// `provider/model`.
    pub id: String,
    /// Length of a vector.
    pub dimension: u32,
}

/// A group of capabilities offered to MCP clients under one id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct McpServerManifest {
    /// Names the server in URLs.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Tools, by the name MCP clients see.
    pub tools: Vec<ToolRef>,
    /// Agents, by key (`ask_<key>`).
    pub agents: Vec<ToolRef>,
    /// Workflows, by key (`run_<key>`).
    pub workflows: Vec<ToolRef>,
    /// Resources, as MCP's `resources/list` shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Value>,
    /// Templates of resources, as MCP's `resources/templates/list` shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_templates: Vec<Value>,
    /// Prompts, as MCP's `prompts/list` shows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<Value>,
    /// Arguments of prompts and templates can be completed.
    #[serde(skip_serializing_if = "is_false")]
    pub completions: bool,
}

/// A capability of a kind without a trait of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceManifest {
    /// The kind, e.g. `memory-processor`.
    pub kind: String,
    /// Its name among its kind.
    pub name: String,
}

/// What the host says about one call, beside the input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CallMeta {
    /// The run the call belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The agent that makes the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The conversation, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Whom the conversation belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The model's id for this tool call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Stable over attempts of the same step; use it to make outside effects happen once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// 1 for the first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What the call was resumed with, if it had suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_data: Option<Value>,
    /// What the call had suspended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend_payload: Option<Value>,
    /// Values the caller passed along the request.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub request_context: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}
