//! A span: one timed piece of work of a run, and what is known of it.
//!
//! The serialised form is what the index keeps, so fields are only ever added, with a
//! default. How a span is shown to a client is `http`'s.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::Millis;

/// What a span times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// A run of an agent.
    AgentRun,
    /// A run of a scorer.
    ScorerRun,
    /// A classifier's verdict.
    ClassifierEvaluation,
    /// A step of a scorer.
    ScorerStep,
    /// Anything else: what plugins time, and spans of other services.
    Generic,
    /// All a run asked its model.
    ModelGeneration,
    /// One turn of the agent loop.
    ModelStep,
    /// One request to a model.
    ModelInference,
    /// One kind of thing a model streamed.
    ModelChunk,
    /// A call of a tool of an MCP server.
    McpToolCall,
    /// A request of an MCP client.
    McpServerRequest,
    /// A memory processor.
    ProcessorRun,
    /// A call of a tool.
    ToolCall,
    /// A call of a tool the caller runs.
    ClientToolCall,
    /// A call of a tool the provider runs.
    ProviderToolCall,
    /// A run of a workflow.
    WorkflowRun,
    /// A step of it.
    WorkflowStep,
    /// A branch.
    WorkflowConditional,
    /// A condition of a branch.
    WorkflowConditionalEval,
    /// Arms that run side by side.
    WorkflowParallel,
    /// A loop.
    WorkflowLoop,
    /// A wait for a time.
    WorkflowSleep,
    /// A wait for an event.
    WorkflowWaitEvent,
    /// A read or write of memory.
    MemoryOperation,
    /// An act on a workspace.
    WorkspaceAction,
    /// Documents taken in.
    RagIngestion,
    /// Texts turned into vectors.
    RagEmbedding,
    /// A call of a vector store.
    RagVectorOperation,
    /// Another act of retrieval.
    RagAction,
    /// An act on a graph.
    GraphAction,
    /// A mapping between steps.
    Mapping,
    /// A skill looked up.
    SkillResolution,
    /// An act of a skill.
    SkillAction,
    /// A signal to an agent.
    AgentSignal,
}

impl SpanKind {
    /// All of them, in the order of the API's description.
    pub const ALL: [Self; 34] = [
        Self::AgentRun,
        Self::ScorerRun,
        Self::ClassifierEvaluation,
        Self::ScorerStep,
        Self::Generic,
        Self::ModelGeneration,
        Self::ModelStep,
        Self::ModelInference,
        Self::ModelChunk,
        Self::McpToolCall,
        Self::McpServerRequest,
        Self::ProcessorRun,
        Self::ToolCall,
        Self::ClientToolCall,
        Self::ProviderToolCall,
        Self::WorkflowRun,
        Self::WorkflowStep,
        Self::WorkflowConditional,
        Self::WorkflowConditionalEval,
        Self::WorkflowParallel,
        Self::WorkflowLoop,
        Self::WorkflowSleep,
        Self::WorkflowWaitEvent,
        Self::MemoryOperation,
        Self::WorkspaceAction,
        Self::RagIngestion,
        Self::RagEmbedding,
        Self::RagVectorOperation,
        Self::RagAction,
        Self::GraphAction,
        Self::Mapping,
        Self::SkillResolution,
        Self::SkillAction,
        Self::AgentSignal,
    ];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentRun => "agent_run",
            Self::ScorerRun => "scorer_run",
            Self::ClassifierEvaluation => "classifier_evaluation",
            Self::ScorerStep => "scorer_step",
            Self::Generic => "generic",
            Self::ModelGeneration => "model_generation",
            Self::ModelStep => "model_step",
            Self::ModelInference => "model_inference",
            Self::ModelChunk => "model_chunk",
            Self::McpToolCall => "mcp_tool_call",
            Self::McpServerRequest => "mcp_server_request",
            Self::ProcessorRun => "processor_run",
            Self::ToolCall => "tool_call",
            Self::ClientToolCall => "client_tool_call",
            Self::ProviderToolCall => "provider_tool_call",
            Self::WorkflowRun => "workflow_run",
            Self::WorkflowStep => "workflow_step",
            Self::WorkflowConditional => "workflow_conditional",
            Self::WorkflowConditionalEval => "workflow_conditional_eval",
            Self::WorkflowParallel => "workflow_parallel",
            Self::WorkflowLoop => "workflow_loop",
            Self::WorkflowSleep => "workflow_sleep",
            Self::WorkflowWaitEvent => "workflow_wait_event",
            Self::MemoryOperation => "memory_operation",
            Self::WorkspaceAction => "workspace_action",
            Self::RagIngestion => "rag_ingestion",
            Self::RagEmbedding => "rag_embedding",
            Self::RagVectorOperation => "rag_vector_operation",
            Self::RagAction => "rag_action",
            Self::GraphAction => "graph_action",
            Self::Mapping => "mapping",
            Self::SkillResolution => "skill_resolution",
            Self::SkillAction => "skill_action",
            Self::AgentSignal => "agent_signal",
        }
    }

    /// Returns the kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How a span stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanStatus {
    /// It has not ended.
    Running,
    /// It ended well.
    Success,
    /// It ended with an error.
    Error,
}

impl SpanStatus {
    /// All of them, in the order of the API's description.
    pub const ALL: [Self; 3] = [Self::Success, Self::Error, Self::Running];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Error => "error",
        }
    }
}

/// Whose work a span times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// What it is: `agent`, `tool`, `workflow_run`, `workflow_step`, ...
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Entity {
    /// Returns one by its kind, id and name.
    #[must_use]
    pub fn new(kind: &str, id: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), id: id.to_owned(), name: name.to_owned() }
    }
}

/// One timed piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// Its trace, 32 hex digits.
    pub trace_id: String,
    /// Itself, 16 hex digits.
    pub span_id: String,
    /// The span it is part of; a root has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// What people read.
    pub name: String,
    /// What it times.
    pub kind: SpanKind,
    /// It is a moment, without a length.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_event: bool,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// Whose work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Entity>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Whom the conversation or the run belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The service it comes from, if not this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Where that service is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The plugin it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// What callers and plugins say of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What its kind says of it; the names are those of [`crate::observe::attrs`].
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// Spans of other traces it has to do with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Value>,
    /// What it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// What the caller passed along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_context: Option<Value>,
    /// Its parent is a span of another service: it is the first of its trace here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_entry: bool,
    /// It is the first of its trace, and it or something below it failed. Known once it has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_child_error: bool,
}

impl Span {
    /// Returns one that begins now.
    #[must_use]
    pub fn begin(kind: SpanKind, name: impl Into<String>, trace_id: &str, span_id: String) -> Self {
        Self {
            trace_id: trace_id.to_owned(),
            span_id,
            parent_id: None,
            name: name.into(),
            kind,
            is_event: false,
            started_at: Millis::now(),
            ended_at: None,
            entity: None,
            run_id: None,
            thread_id: None,
            resource_id: None,
            request_id: None,
            service_name: None,
            environment: None,
            plugin: None,
            metadata: Map::new(),
            tags: Vec::new(),
            attributes: Map::new(),
            links: Vec::new(),
            input: None,
            output: None,
            error: None,
            request_context: None,
            is_entry: false,
            has_child_error: false,
        }
    }

    /// Returns how it stands.
    #[must_use]
    pub fn status(&self) -> SpanStatus {
        match (&self.error, self.ended_at) {
            (Some(_), _) => SpanStatus::Error,
            (None, Some(_)) => SpanStatus::Success,
            (None, None) => SpanStatus::Running,
        }
    }

    /// Whether it is the first of its trace here.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parent_id.is_none() || self.is_entry
    }

    /// Returns how long it took, in milliseconds; `None` while it runs.
    #[must_use]
    pub fn duration(&self) -> Option<u64> {
        self.ended_at.map(|end| u64::try_from(end.0.saturating_sub(self.started_at.0)).unwrap_or(0))
    }
}
