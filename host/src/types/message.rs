//! A conversation's entries, as the host keeps them.
//!
//! One [`Message`] is one entry of a thread: what a person said, or everything an
//! agent did in one turn. The wire shapes are made in `http`, the model's in `engine`.

use hotbay_plugin::chat::ToolOutput;
use serde_json::{Map, Value};

use super::id::{self, Millis};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator of the agent.
    System,
    /// A person.
    User,
    /// The agent.
    Assistant,
    /// A tool, in conversations a client brings along.
    Tool,
}

impl Role {
    /// Returns the role's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Unique in the store.
    pub id: String,
    /// Who speaks.
    pub role: Role,
    /// When it began.
    pub created_at: Millis,
    /// What was said and done, in order.
    pub parts: Vec<Part>,
    /// The text as one string; absent for messages that came as parts alone.
    pub text: Option<String>,
    /// Model, provider, trace and whatever else was noted.
    pub metadata: Map<String, Value>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// Whom the conversation belongs to.
    pub resource_id: Option<String>,
}

impl Message {
    /// Returns an empty message of now.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            id: id::fresh(),
            role,
            created_at: Millis::now(),
            parts: Vec::new(),
            text: None,
            metadata: Map::new(),
            thread_id: None,
            resource_id: None,
        }
    }

    /// Returns a message of one text.
    #[must_use]
    pub fn of_text(role: Role, text: impl Into<String>) -> Self {
        let text = text.into();
        let mut message = Self::new(role);
        message.parts.push(Part::Text { text: text.clone(), created_at: message.created_at });
        message.text = Some(text);
        message
    }
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// When it was complete.
        created_at: Millis,
    },
    /// The model's reasoning.
    Reasoning {
        /// The text.
        text: String,
        /// When it was complete.
        created_at: Millis,
    },
    /// A tool was called.
    Tool(ToolPart),
    /// A further model step begins.
    StepStart {
        /// `provider/model`.
        model: String,
        /// When.
        created_at: Millis,
    },
    /// A file.
    File {
        /// A URL or base64.
        data: String,
        /// Its media type.
        media_type: String,
        /// Its name.
        filename: Option<String>,
        /// When it was added.
        created_at: Millis,
    },
    /// The turn broke off.
    Error {
        /// Why.
        message: String,
        /// When.
        created_at: Millis,
    },
}

/// A tool call and how it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolPart {
    /// The model's id for the call.
    pub tool_call_id: String,
    /// The name the model used.
    pub tool_name: String,
    /// The arguments.
    pub args: Value,
    /// How it stands.
    pub state: ToolState,
    /// When it was called.
    pub created_at: Millis,
}

/// How a tool call stands.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolState {
    /// It has no answer yet.
    Called,
    /// It answered.
    Answered(Value),
    /// It failed.
    Failed(String),
    /// A person refused it.
    Denied(String),
}

impl ToolState {
    /// Returns the answer as a model sees it; `None` while there is none.
    #[must_use]
    pub fn output(&self) -> Option<ToolOutput> {
        match self {
            Self::Called => None,
            Self::Answered(Value::String(text)) | Self::Denied(text) => Some(ToolOutput::Text(text.clone())),
            Self::Answered(value) => Some(ToolOutput::Json(value.clone())),
            Self::Failed(message) => Some(ToolOutput::ErrorText(message.clone())),
        }
    }
}
