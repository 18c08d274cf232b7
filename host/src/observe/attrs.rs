//! The names of everything that is known of spans and log records, each written once.
//!
//! Two vocabularies meet here. Clients of the API know the attributes of the first list. The
//! second is OpenTelemetry's: the semantic conventions for generative AI, version
//! [`GEN_AI_VERSION`], which are what spans carry when they leave for another collector, and
//! are read when they come from one. `https://opentelemetry.io/docs/specs/semconv/gen-ai/`

/// The version of OpenTelemetry's semantic conventions the `gen_ai.*` names are of.
pub const GEN_AI_VERSION: &str = "1.37.0";

/// Attributes of spans, as clients of the API know them.
pub mod span {
    /// What an agent is told to do.
    pub const INSTRUCTIONS: &str = "instructions";
    /// The tools an agent or a model may call.
    pub const AVAILABLE_TOOLS: &str = "availableTools";
    /// The conversation.
    pub const CONVERSATION_ID: &str = "conversationId";
    /// A model, without its provider.
    pub const MODEL: &str = "model";
    /// A model's provider.
    pub const PROVIDER: &str = "provider";
    /// Tokens: `{inputTokens, outputTokens, inputDetails, outputDetails}`.
    pub const USAGE: &str = "usage";
    /// Why a model stopped.
    pub const FINISH_REASON: &str = "finishReason";
    /// How a run of a workflow or a step stands.
    pub const STATUS: &str = "status";
    /// What happened in a span of another service: `[{name, time, attributes}]`.
    pub const EVENTS: &str = "events";
    /// Which side of a call a span of another service is: `client`, `server`, ...
    pub const OTEL_KIND: &str = "otelKind";
    /// The library that made a span of another service.
    pub const SCOPE: &str = "scope";
    /// What else is known of the service a span comes from.
    pub const RESOURCE: &str = "resource";
}

/// Names of OpenTelemetry.
pub mod otel {
    /// What is done: `chat`, `invoke_agent`, `execute_tool`, `embeddings`.
    pub const OPERATION_NAME: &str = "gen_ai.operation.name";
    /// A model's provider.
    pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
    /// The model that was asked.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// The model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// The answer's id.
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    /// Why the model stopped, a list.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Tokens of the prompt.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// An agent's id.
    pub const AGENT_ID: &str = "gen_ai.agent.id";
    /// An agent's name.
    pub const AGENT_NAME: &str = "gen_ai.agent.name";
    /// The conversation.
    pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
    /// A tool's name.
    pub const TOOL_NAME: &str = "gen_ai.tool.name";
    /// The call's id.
    pub const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
    /// What a tool was given.
    pub const TOOL_CALL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
    /// What a tool came to.
    pub const TOOL_CALL_RESULT: &str = "gen_ai.tool.call.result";
    /// What a model was given.
    pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
    /// What a model answered.
    pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
    /// What a model was told to do.
    pub const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
    /// A model's provider, as it was called before 1.37.
    pub const OLD_PROVIDER_NAME: &str = "gen_ai.system";
    /// Tokens of the prompt, as they were called before 1.27.
    pub const OLD_INPUT_TOKENS: &str = "gen_ai.usage.prompt_tokens";
    /// Tokens of the answer, as they were called before 1.27.
    pub const OLD_OUTPUT_TOKENS: &str = "gen_ai.usage.completion_tokens";
    /// The kind of an error.
    pub const ERROR_TYPE: &str = "error.type";
    /// A service's name, on its resource.
    pub const SERVICE_NAME: &str = "service.name";
    /// Its version, on its resource.
    pub const SERVICE_VERSION: &str = "service.version";
    /// Which of its processes it is, on its resource.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    /// Where it is deployed, on its resource.
    pub const DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment.name";
    /// The same, as it was called before.
    pub const OLD_DEPLOYMENT_ENVIRONMENT: &str = "deployment.environment";
    /// The kind of event a log record is.
    pub const EVENT_NAME: &str = "event.name";
}

/// Names of our own on spans that leave, for what OpenTelemetry has no name. A host that takes
/// them in knows them again.
pub mod own {
    /// A span's kind.
    pub const SPAN_TYPE: &str = "hotbay.span.type";
    /// What its entity is.
    pub const ENTITY_TYPE: &str = "hotbay.entity.type";
    /// Its entity's id.
    pub const ENTITY_ID: &str = "hotbay.entity.id";
    /// Its entity's name.
    pub const ENTITY_NAME: &str = "hotbay.entity.name";
    /// Words to find it by, a list.
    pub const TAGS: &str = "hotbay.tags";
    /// What it was given, unless OpenTelemetry has a name for that.
    pub const INPUT: &str = "hotbay.input";
    /// What it came to, unless OpenTelemetry has a name for that.
    pub const OUTPUT: &str = "hotbay.output";
    /// What attributes of [`super::span`] begin with that have no name of OpenTelemetry.
    pub const ATTRIBUTE: &str = "hotbay.attribute.";
}

/// Fields of our own log lines that say what a record belongs to, and are looked for in it.
pub mod field {
    /// The run.
    pub const RUN_ID: &str = "run.id";
    /// The trace.
    pub const TRACE_ID: &str = "trace.id";
    /// The span.
    pub const SPAN_ID: &str = "span.id";
    /// The request.
    pub const REQUEST_ID: &str = "request.id";
    /// The conversation.
    pub const THREAD_ID: &str = "thread.id";
    /// Whom it belongs to.
    pub const RESOURCE_ID: &str = "resource.id";
    /// The plugin.
    pub const PLUGIN_NAME: &str = "plugin.name";
    /// What a plugin adds to a record: a JSON object.
    pub const PLUGIN_FIELDS: &str = "plugin.fields";
    /// The part of a plugin that writes.
    pub const PLUGIN_TARGET: &str = "plugin.target";
    /// The part of the host that writes, if it is known by another name than its module's.
    pub const COMPONENT: &str = "component";
}

/// What spans and log records are found by, beside their times, texts and free fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The id of a log record.
    LogId,
    /// The trace.
    TraceId,
    /// The span.
    SpanId,
    /// The span it is part of.
    ParentSpanId,
    /// The run.
    RunId,
    /// The conversation.
    ThreadId,
    /// Whom it belongs to.
    ResourceId,
    /// The request.
    RequestId,
    /// A span's kind.
    SpanType,
    /// A span's exact name.
    Name,
    /// How a span stands.
    Status,
    /// What a span's entity is.
    EntityType,
    /// Its entity's id.
    EntityId,
    /// Its entity's name.
    EntityName,
    /// The model.
    Model,
    /// Its provider.
    Provider,
    /// The plugin.
    Plugin,
    /// Where a log record comes from.
    Transport,
    /// The part that wrote it.
    Component,
    /// The service.
    ServiceName,
    /// Where that is deployed.
    Environment,
    /// A tag; there may be several.
    Tag,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::LogId,
        Self::TraceId,
        Self::SpanId,
        Self::ParentSpanId,
        Self::RunId,
        Self::ThreadId,
        Self::ResourceId,
        Self::RequestId,
        Self::SpanType,
        Self::Name,
        Self::Status,
        Self::EntityType,
        Self::EntityId,
        Self::EntityName,
        Self::Model,
        Self::Provider,
        Self::Plugin,
        Self::Transport,
        Self::Component,
        Self::ServiceName,
        Self::Environment,
        Self::Tag,
    ];

    /// Returns its name, as queries write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogId => "logId",
            Self::TraceId => "traceId",
            Self::SpanId => "spanId",
            Self::ParentSpanId => "parentSpanId",
            Self::RunId => "runId",
            Self::ThreadId => "threadId",
            Self::ResourceId => "resourceId",
            Self::RequestId => "requestId",
            Self::SpanType => "spanType",
            Self::Name => "name",
            Self::Status => "status",
            Self::EntityType => "entityType",
            Self::EntityId => "entityId",
            Self::EntityName => "entityName",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Plugin => "plugin",
            Self::Transport => "transport",
            Self::Component => "component",
            Self::ServiceName => "serviceName",
            Self::Environment => "environment",
            Self::Tag => "tag",
        }
    }

    /// Returns the key of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == name)
    }
}
