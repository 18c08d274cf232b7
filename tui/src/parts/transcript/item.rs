//! What a conversation is made of.

use serde_json::Value;

use crate::parts::markdown::Streaming;

/// One thing of a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Of the message, or of the call.
    pub(crate) id: String,
    pub(crate) body: Body,
}

/// What it is.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Whose words follow.
    Heading(Heading),
    /// What a person wrote, shown as it is.
    Said(String),
    /// What a model answered, in markdown.
    Answer(Streaming),
    /// Instructions.
    System(String),
    Thinking(String),
    Call(Call),
    Error(String),
    Notice(String),
}

/// Who speaks, when, and what it cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heading {
    /// `user`, `assistant`, `system`: a word of the API.
    pub(crate) role: String,
    pub(crate) time: String,
    pub(crate) tokens: Option<u64>,
    pub(crate) took_ms: Option<f64>,
    /// More is to come.
    pub(crate) is_streaming: bool,
}

/// A tool that is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The arguments, or their text while it is written.
    pub(crate) args: Value,
    pub(crate) result: Option<Value>,
    /// By its name in the API.
    pub(crate) state: String,
    /// What there is to say of the state.
    pub(crate) note: String,
    pub(crate) took_ms: Option<f64>,
}

/// What decides about blank lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Heading,
    Text,
    Aside,
}

impl Item {
    pub(crate) fn new(id: &str, body: Body) -> Self {
        Self { id: id.to_owned(), body }
    }

    /// Returns what one would copy of it.
    pub(crate) fn text(&self) -> String {
        match &self.body {
            Body::Heading(heading) => heading.role.clone(),
            Body::Answer(text) => text.text().to_owned(),
            Body::Said(text) | Body::System(text) | Body::Thinking(text) | Body::Error(text) | Body::Notice(text) => {
                text.clone()
            }
            Body::Call(call) => call.result.as_ref().unwrap_or(&call.args).to_string(),
        }
    }

    /// Whether it is one line until it is unfolded.
    pub(super) const fn is_foldable(&self) -> bool {
        matches!(self.body, Body::Call(_) | Body::Thinking(_))
    }

    pub(super) const fn class(&self) -> Class {
        match self.body {
            Body::Heading(_) => Class::Heading,
            Body::Said(_) | Body::Answer(_) | Body::System(_) => Class::Text,
            Body::Thinking(_) | Body::Call(_) | Body::Error(_) | Body::Notice(_) => Class::Aside,
        }
    }
}

impl Call {
    /// Notes what the tool returned; it may be that it failed.
    pub(super) fn end(&mut self, result: Value) {
        let has_failed = result.get("error").and_then(Value::as_bool) == Some(true);
        let message = result.get("message").and_then(Value::as_str).unwrap_or_default();
        self.note = if has_failed { message.to_owned() } else { String::new() };
        self.state = if has_failed { "failed" } else { "success" }.to_owned();
        self.result = Some(result);
    }
}
