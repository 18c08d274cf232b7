//! The language of chat models: what they are asked and what they answer.
//!
//! The shapes follow the AI SDK's `LanguageModelV2`: a request is a list of
//! messages of typed parts, an answer is a stream of [`StreamPart`]s. The host's
//! own adapters and plugins' models speak it alike.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One question to a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChatRequest {
    /// `provider/model`.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// How the model may use them.
    pub tool_choice: ToolChoice,
    /// Sampling and limits.
    pub settings: Settings,
    /// The form of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// Passed to the provider as they are, keyed by provider.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub provider_options: Map<String, Value>,
}

/// Sampling and limits; what is absent is the provider's default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Sampling among the best k.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Penalty for what was said before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Penalty for repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// The answer ends before any of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<String>,
    /// Makes sampling repeatable where the provider can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// How often a failed request is repeated; the host's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", content = "content", rename_all = "lowercase")]
pub enum Message {
    /// Instructions.
    System(String),
    /// What a person said: text and files.
    User(Vec<Part>),
    /// What the model said: text, reasoning, tool calls.
    Assistant(Vec<Part>),
    /// What tools answered.
    Tool(Vec<Part>),
}

impl Message {
    /// Returns what a person said, as text.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User(vec![Part::Text { text: text.into() }])
    }

    /// Returns what the model said, as text.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::Assistant(vec![Part::Text { text: text.into() }])
    }

    /// Returns the texts of the message, joined with a space.
    #[must_use]
    pub fn text(&self) -> String {
        let parts = match self {
            Self::System(text) => return text.clone(),
            Self::User(parts) | Self::Assistant(parts) | Self::Tool(parts) => parts,
        };
        let texts = parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// The model's reasoning.
    Reasoning {
        /// The text.
        text: String,
    },
    /// A file, an image among them.
    File {
        /// A URL (`http:`, `https:`, `data:`) or base64.
        data: String,
        /// Its media type.
        media_type: String,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
    },
    /// The model called a tool.
    ToolCall {
        /// The model's id for the call.
        tool_call_id: String,
        /// The tool's name.
        tool_name: String,
        /// The arguments.
        input: Value,
    },
    /// A tool answered.
    ToolResult {
        /// The id of the call.
        tool_call_id: String,
        /// The tool's name.
        tool_name: String,
        /// The answer.
        output: ToolOutput,
    },
}

/// What a tool answered, as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "kebab-case")]
pub enum ToolOutput {
    /// Text.
    Text(String),
    /// Any JSON.
    Json(Value),
    /// The tool failed, in words.
    ErrorText(String),
    /// The tool failed, with a document.
    ErrorJson(Value),
}

/// A tool as a model sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolSpec {
    /// The name it is called by.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input_schema: Value,
}

/// How a model may use tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// At least one call.
    Required,
    /// This one.
    Tool {
        /// The tool's name.
        tool_name: String,
    },
}

/// The form of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ResponseFormat {
    /// JSON, of this schema if there is one.
    Json {
        /// JSON Schema.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Value>,
    },
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It reached the token limit.
    Length,
    /// The provider cut it off.
    ContentFilter,
    /// It wants tools called.
    ToolCalls,
    /// It failed.
    Error,
    /// Something else.
    Other,
    /// It did not say.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Tokens used; absent where the provider does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_tokens: Option<u64>,
    /// Of the answer's reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Of the prompt, served from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
}

/// A piece of a model's answer. An answer ends with `finish` or with `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum StreamPart {
    /// The answer begins.
    StreamStart {
        /// What the provider could not honour, as JSON documents.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<Value>,
    },
    /// The provider's names for the answer.
    ResponseMetadata {
        /// Its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Its time, milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp_ms: Option<i64>,
        /// The model that answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model_id: Option<String>,
    },
    /// A text begins.
    TextStart {
        /// Names the text within the answer.
        id: String,
    },
    /// A piece of a text.
    TextDelta {
        /// The text's name.
        id: String,
        /// The piece.
        delta: String,
    },
    /// A text ends.
    TextEnd {
        /// The text's name.
        id: String,
    },
    /// A reasoning begins.
    ReasoningStart {
        /// Names the reasoning within the answer.
        id: String,
    },
    /// A piece of a reasoning.
    ReasoningDelta {
        /// The reasoning's name.
        id: String,
        /// The piece.
        delta: String,
    },
    /// A reasoning ends.
    ReasoningEnd {
        /// The reasoning's name.
        id: String,
    },
    /// The arguments of a tool call begin.
    ToolInputStart {
        /// The call's id.
        id: String,
        /// The tool's name.
        tool_name: String,
    },
    /// A piece of the arguments, JSON text.
    ToolInputDelta {
        /// The call's id.
        id: String,
        /// The piece.
        delta: String,
    },
    /// The arguments are complete.
    ToolInputEnd {
        /// The call's id.
        id: String,
    },
    /// A complete tool call.
    ToolCall {
        /// The call's id.
        tool_call_id: String,
        /// The tool's name.
        tool_name: String,
        /// The arguments, JSON text.
        input: String,
    },
    /// The answer is complete.
    Finish {
        /// Why.
        finish_reason: FinishReason,
        /// At what cost.
        usage: Usage,
    },
    /// The answer broke off.
    Error {
        /// One sentence.
        message: String,
    },
}
