//! What callers ask of an agent, and how it becomes a run.

use std::sync::Arc;

use hotbay_plugin::chat::{Settings, ToolSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::input;
use crate::{
    engine::options::{Mismatch, RunOptions, RunRequest, Structured, tool_choice},
    http::{
        access::Asker,
        error::{ApiError, Invalid},
    },
    types::schema,
};

/// Why a thread needs somebody it belongs to.
const NO_RESOURCE: &str = "A resource ID is required when using memory. Provide memory.resource in the request body, or configure server auth with mapUserToResourceId to derive it from the authenticated user.";

/// A request for an answer of an agent. Unknown keys are ignored.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GenerateRequest {
    /// What the agent is told: a text, or a list of texts and messages.
    #[schemars(schema_with = "text_or_list")]
    messages: Value,
    /// Replaces the agent's instructions.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    instructions: Value,
    /// A system text beside the instructions.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    system: Value,
    /// Messages before the conversation's own.
    #[serde(default)]
    #[schemars(schema_with = "list")]
    context: Vec<Value>,
    /// The conversation: `{thread, resource}`, `{key}`, or whether there is one.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    memory: Value,
    /// The conversation's id, if `memory` does not say.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    thread_id: Option<String>,
    /// Whom the conversation belongs to, if `memory` does not say.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    resource_id: Option<String>,
    /// Names the run.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    run_id: Option<String>,
    /// Most model steps.
    #[serde(default)]
    #[schemars(schema_with = "number")]
    max_steps: Option<f64>,
    /// The tools the model may call, by key.
    #[serde(default)]
    #[schemars(schema_with = "texts")]
    active_tools: Option<Vec<String>>,
    /// How the model may use tools.
    #[serde(default)]
    #[schemars(schema_with = "choice")]
    tool_choice: Option<Value>,
    /// Tools the caller runs itself, by name.
    #[serde(default)]
    client_tools: Map<String, Value>,
    /// A person must approve every tool call.
    #[serde(default)]
    require_tool_approval: bool,
    /// The form of the answer.
    #[serde(default)]
    #[schemars(schema_with = "form")]
    structured_output: Option<FormRequest>,
    /// The form of the answer, as a JSON Schema alone.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    output: Value,
    /// Sampling and limits.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    model_settings: Value,
    /// Passed to the provider, by its name.
    #[serde(default)]
    provider_options: Map<String, Value>,
    /// Passed to tools.
    #[serde(default)]
    request_context: Map<String, Value>,
    /// How the run is traced.
    #[serde(default)]
    #[schemars(schema_with = "tracing")]
    pub(super) tracing_options: Map<String, Value>,
    /// Replaces the agent's model, `provider/model`.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    model: Option<String>,
}

/// The form of an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FormRequest {
    schema: Value,
    #[serde(default)]
    model: Value,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    json_prompt_injection: bool,
    #[serde(default)]
    error_strategy: Option<String>,
    #[serde(default)]
    fallback_value: Value,
}

/// A decision about a tool call that waits for approval.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ApprovalRequest {
    /// The suspended run.
    pub(super) run_id: String,
    /// The call that waits.
    pub(super) tool_call_id: String,
    /// Why it is declined, for the model.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    pub(super) reason: Option<String>,
}

/// What a suspended tool call waits for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ResumeRequest {
    /// The suspended run.
    pub(super) run_id: String,
    /// The data.
    #[serde(default)]
    #[schemars(schema_with = "anything")]
    pub(super) resume_data: Value,
    /// The call that waits; the run's only one if absent.
    #[serde(default)]
    #[schemars(schema_with = "text")]
    pub(super) tool_call_id: Option<String>,
}

impl GenerateRequest {
    /// Makes a run of the request.
    pub(super) fn into_run(self, agent_id: String, asker: &Asker) -> Result<RunRequest, ApiError> {
        let conversation = self.conversation(asker)?;
        let mut system = input::system(&self.system);
        let mut input = Vec::new();
        input::read(&self.messages, &mut system, &mut input)?;
        let mut context = Vec::new();
        input::read(&Value::Array(self.context), &mut system, &mut context)?;
        let instructions = input::system(&self.instructions);
        let structured = form_of(self.structured_output, self.output)?;
        let options = RunOptions {
            run_id: self.run_id,
            max_steps: self.max_steps.map(steps),
            active_tools: self.active_tools,
            tool_choice: self.tool_choice.as_ref().and_then(tool_choice),
            client_tools: self.client_tools.iter().map(client_tool).collect(),
            require_approval: self.require_tool_approval,
            structured: structured.map(Arc::new),
            settings: settings(self.model_settings),
            provider_options: self.provider_options,
            request_context: self.request_context,
            model: self.model,
            ..conversation
        };
        Ok(RunRequest {
            agent_id,
            input,
            context,
            system,
            instructions: (!instructions.is_empty()).then(|| instructions.join("\n\n")),
            options,
        })
    }

    /// Returns the conversation, in whichever way the caller names it.
    fn conversation(&self, asker: &Asker) -> Result<RunOptions, ApiError> {
        let invalid = |field: &str, message: String| Err(ApiError::invalid_field(Invalid::Body, field, message));
        let thread = match &self.memory {
            Value::Bool(false) => {
                return Ok(RunOptions { resource_id: asker.owner(None)?, ..RunOptions::default() });
            }
            Value::Null | Value::Bool(true) => self.thread_id.clone(),
            Value::Object(memory) => match (memory.get("thread"), memory.get("key")) {
                (Some(Value::String(id)), _) => Some(id.clone()),
                (Some(Value::Object(thread)), _) if thread.get("id").is_some_and(Value::is_string) => {
                    thread["id"].as_str().map(str::to_owned)
                }
                (None, Some(Value::String(key))) => Some(self.thread_id.clone().unwrap_or_else(|| key.clone())),
                (None, None) if self.thread_id.is_some() => self.thread_id.clone(),
                _ => return invalid("memory.thread", "Invalid input".to_owned()),
            },
            other => {
                let message = format!("Invalid input: expected object, received {}", schema::received(other));
                return invalid("memory", message);
            }
        };
        let resource = self.memory.get("resource").and_then(Value::as_str).map(str::to_owned);
        let resource = asker.owner(resource.or_else(|| self.resource_id.clone()))?;
        if thread.is_some() && resource.is_none() {
            return Err(ApiError::bad_request(NO_RESOURCE));
        }
        let mut conversation = RunOptions::default();
        if let Value::Object(memory) = &self.memory {
            conversation.converse(memory);
        }
        conversation.thread_id = thread;
        conversation.resource_id = resource;
        Ok(conversation)
    }
}

fn form_of(form: Option<FormRequest>, output: Value) -> Result<Option<Structured>, ApiError> {
    let form = match (form, output) {
        (Some(form), _) => form,
        (None, Value::Null) => return Ok(None),
        (None, schema) => FormRequest {
            schema,
            model: Value::Null,
            instructions: None,
            json_prompt_injection: false,
            error_strategy: None,
            fallback_value: Value::Null,
        },
    };
    let compiled = schema::Schema::compile(form.schema)
        .map_err(|message| ApiError::invalid_field(Invalid::Body, "structuredOutput.schema", message))?;
    let on_mismatch = match form.error_strategy.as_deref() {
        Some("warn") => Mismatch::Warn,
        Some("fallback") => Mismatch::Fallback(form.fallback_value),
        _ => Mismatch::Fail,
    };
    Ok(Some(Structured {
        schema: compiled,
        model: form.model.as_str().map(str::to_owned),
        instructions: form.instructions,
        in_prompt: form.json_prompt_injection,
        on_mismatch,
    }))
}

fn client_tool((name, tool): (&String, &Value)) -> ToolSpec {
    let mut schema = tool.get("inputSchema").or_else(|| tool.get("parameters")).cloned().unwrap_or(Value::Null);
    // Clients send the schema as an object or as the text of one, bare or wrapped.
    if let Value::String(text) = &schema {
        schema = serde_json::from_str(text).unwrap_or(Value::Null);
    }
    if let Some(inner) = schema.get("json") {
        schema = inner.clone();
    }
    ToolSpec {
        name: name.clone(),
        description: tool.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        input_schema: schema,
    }
}

/// Reads the settings one by one: a strange value is the provider's default, not an error.
fn settings(value: Value) -> Settings {
    let Value::Object(map) = value else { return Settings::default() };
    let mut settings = Map::new();
    for (key, value) in map {
        let one: Map<String, Value> = [(key.clone(), value.clone())].into_iter().collect();
        if serde_json::from_value::<Settings>(one.into()).is_ok() {
            settings.insert(key, value);
        }
    }
    serde_json::from_value(settings.into()).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn steps(steps: f64) -> u32 {
    steps.clamp(1.0, 1000.0) as u32
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({})
}

fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string"})
}

fn number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number"})
}

fn list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {}})
}

fn texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string"}})
}

fn text_or_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "array", "items": {}}, {"type": "string"}]})
}

fn choice(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [
        {"type": "string", "enum": ["auto", "none", "required"]},
        {"type": "object", "properties": {"type": {"type": "string", "const": "tool"}, "toolName": {"type": "string"}},
            "required": ["type", "toolName"]}
    ]})
}

fn tracing(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "properties": {
        "metadata": {"type": "object", "additionalProperties": {}},
        "requestContextKeys": {"type": "array", "items": {"type": "string"}},
        "traceId": {"type": "string"},
        "parentSpanId": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "hideInput": {"type": "boolean"},
        "hideOutput": {"type": "boolean"}
    }})
}

fn form(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "required": ["schema"], "properties": {
        "schema": {"type": "object", "properties": {}},
        "model": {},
        "instructions": {"type": "string"},
        "jsonPromptInjection": {"type": "boolean"},
        "errorStrategy": {"type": "string", "enum": ["strict", "warn", "fallback"]},
        "fallbackValue": {}
    }})
}
