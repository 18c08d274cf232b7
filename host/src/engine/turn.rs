//! Everything one agent run has seen and done so far.
//!
//! A [`Turn`] is plain data: the loop writes it, observers and answers read it, a
//! suspended run is one that was put aside.

use std::collections::BTreeMap;

use hotbay_plugin::chat::{FinishReason, Usage};
use serde_json::{Map, Value};

use crate::types::{
    id::{self, Millis},
    message::{Message, Part, Role, ToolPart},
};

/// One agent run.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Names the run.
    pub run_id: String,
    /// Names its trace.
    pub trace_id: String,
    /// Names its root span.
    pub span_id: String,
    /// The agent.
    pub agent_id: String,
    /// `provider/model` of the agent's model.
    pub model: String,
    /// Entries of the conversation that were remembered, oldest first.
    pub remembered: Vec<Message>,
    /// Entries the caller brought.
    pub input: Vec<Message>,
    /// How many of these, from the first, are no part of the conversation.
    pub(super) context: usize,
    /// Entries the run produced: one, and one more for each resumption.
    pub response: Vec<Message>,
    /// The model steps taken.
    pub steps: Vec<Step>,
    /// Tokens of all steps.
    pub usage: Usage,
    /// The id of the entry that is being written.
    pub message_id: String,
    /// The structured answer.
    pub object: Option<Value>,
    /// The structured answer is the fallback.
    pub used_fallback: bool,
    /// Whether the run was resumed.
    pub resumed: bool,
    /// What the run waits for.
    pub suspension: Option<Suspension>,
    /// The conversation it belongs to.
    pub thread_id: Option<String>,
    /// Whom the conversation belongs to.
    pub resource_id: Option<String>,
    /// What of it is in the thread already.
    pub(super) kept: Kept,
}

/// What of a run is in its thread already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// The caller's entries are.
    pub(super) input: bool,
    /// How many of the run's own are.
    pub(super) response: usize,
}

/// One answer of the model and the tool calls it asked for.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The text, of all text parts together.
    pub text: String,
    /// The reasoning, of all reasoning parts together.
    pub reasoning: String,
    /// The model's name for the reasoning.
    pub reasoning_id: Option<String>,
    /// The tool calls, in the model's order.
    pub calls: Vec<ToolCall>,
    /// Why the model stopped.
    pub finish: FinishReason,
    /// Tokens; absent when the model failed before it said.
    pub usage: Option<Usage>,
    /// What the provider could not honour.
    pub warnings: Vec<Value>,
    /// The provider's names for the answer.
    pub response: ResponseInfo,
    /// Names of tools whose arguments are being written, by the call's id.
    pub(super) inputs: BTreeMap<String, String>,
    /// Where its parts begin in the response.
    pub start: Mark,
    /// Where its parts end, its tools' answers included.
    pub end: Mark,
}

/// A tool call of the model.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The model's id for it.
    pub id: String,
    /// The name the model used.
    pub name: String,
    /// The arguments.
    pub args: Value,
    /// The host has no such tool: the caller runs it, or nobody.
    pub foreign: bool,
}

/// The provider's names for an answer.
#[derive(Debug, Clone, Default)]
pub struct ResponseInfo {
    /// Its id.
    pub id: String,
    /// Its time.
    pub timestamp: Millis,
    /// Whether the provider answered at all.
    pub answered: bool,
}

/// A place in [`Turn::response`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Index of the message.
    pub message: usize,
    /// Index of the part in it.
    pub part: usize,
}

/// What a suspended run waits for.
#[derive(Debug, Clone)]
pub struct Suspension {
    /// The call that waits.
    pub call: ToolCall,
    /// For what.
    pub reason: Waiting,
    /// JSON Schema of what it resumes with.
    pub resume_schema: Value,
    /// Which of its tool's questions it is, where one call may ask several.
    pub(super) mark: Option<u64>,
}

/// What a call waits for.
#[derive(Debug, Clone)]
pub enum Waiting {
    /// A person's approval.
    Approval,
    /// Whatever the tool asked for, with its payload.
    Tool(Value),
}

impl Turn {
    /// Returns a run that has seen nothing yet.
    #[must_use]
    pub fn new(agent_id: String, model: String, run_id: Option<String>) -> Self {
        Self {
            run_id: run_id.unwrap_or_else(id::fresh),
            trace_id: id::trace(),
            span_id: id::span(),
            agent_id,
            model,
            remembered: Vec::new(),
            input: Vec::new(),
            context: 0,
            response: Vec::new(),
            steps: Vec::new(),
            usage: Usage::default(),
            message_id: id::fresh(),
            object: None,
            used_fallback: false,
            resumed: false,
            suspension: None,
            thread_id: None,
            resource_id: None,
            kept: Kept::default(),
        }
    }

    /// Returns the model's provider and its name there.
    #[must_use]
    pub fn provider_and_model(&self) -> (&str, &str) {
        self.model.split_once('/').unwrap_or(("", &self.model))
    }

    /// Returns the place after the last part.
    #[must_use]
    pub fn mark(&self) -> Mark {
        match self.response.last() {
            Some(message) => Mark { message: self.response.len() - 1, part: message.parts.len() },
            None => Mark::default(),
        }
    }

    /// Returns the parts between two places, in order.
    pub fn parts(&self, start: Mark, end: Mark) -> impl Iterator<Item = &Part> {
        self.response.iter().enumerate().flat_map(move |(index, message)| {
            message.parts.iter().enumerate().filter_map(move |(part, value)| {
                let here = Mark { message: index, part };
                (here >= start && here < end).then_some(value)
            })
        })
    }

    /// Returns the entry that is being written, begun if it was not.
    pub fn current(&mut self) -> &mut Message {
        let begin = self.response.last().is_none_or(|message| message.id != self.message_id);
        if begin {
            let mut message = Message::new(Role::Assistant);
            message.id.clone_from(&self.message_id);
            message.thread_id.clone_from(&self.thread_id);
            message.resource_id.clone_from(&self.resource_id);
            self.response.push(message);
        }
        let index = self.response.len() - 1;
        &mut self.response[index]
    }

    /// Notes on the entry that is being written which model wrote it.
    pub fn sign(&mut self) {
        let (provider, model) = self.provider_and_model();
        let mut signature = Map::new();
        signature.insert("modelId".to_owned(), model.into());
        signature.insert("provider".to_owned(), provider.into());
        signature.insert("traceId".to_owned(), self.trace_id.as_str().into());
        let message = self.current();
        for (key, value) in signature {
            message.metadata.entry(key).or_insert(value);
        }
    }

    /// Returns the tool call with this id, wherever in the response it is.
    pub fn tool_part(&mut self, id: &str) -> Option<&mut ToolPart> {
        self.response.iter_mut().rev().flat_map(|message| message.parts.iter_mut().rev()).find_map(|part| match part {
            Part::Tool(tool) if tool.tool_call_id == id => Some(tool),
            _ => None,
        })
    }

    /// Begins the entry that follows a resumption.
    pub fn resume(&mut self) {
        let is_kept = self.thread_id.is_some();
        if let Some(message) = self.response.last_mut() {
            // In a conversation the notes of what is waited for are taken back; a caller who
            // holds the messages alone is shown what was waited for.
            if is_kept {
                for key in ["pendingToolApprovals", "suspendedTools"] {
                    message.metadata.shift_remove(key);
                }
            }
            message.metadata.insert("mastra".to_owned(), serde_json::json!({"responseBoundary": true}));
        }
        if is_kept {
            // What was said is in the conversation by now, no longer news.
            self.remembered.append(&mut self.input);
            self.context = 0;
        }
        self.resumed = true;
        self.suspension = None;
        self.message_id = id::fresh();
    }

    /// Returns the text of all steps.
    #[must_use]
    pub fn text(&self) -> String {
        self.steps.iter().map(|step| step.text.as_str()).collect()
    }
}
