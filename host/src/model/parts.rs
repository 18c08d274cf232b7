//! The order of an answer's parts.
//!
//! Owns the rules every model here keeps: one text or reasoning is open at a time, tool
//! calls end after all of them, `finish` comes last. Knows no provider.

use std::collections::VecDeque;

use hotbay_plugin::chat::{FinishReason, StreamPart, Usage};
use serde_json::Value;

/// The parts of an answer that nobody took yet.
pub(super) struct PartQueue {
    ready: VecDeque<StreamPart>,
    open: Option<Block>,
    /// How many texts and reasonings there were.
    blocks: usize,
    has_calls: bool,
}

/// A text or a reasoning, by its name within the answer.
enum Block {
    Text(String),
    Reasoning(String),
}

impl PartQueue {
    /// Begins an answer.
    pub(super) fn new(warnings: Vec<Value>) -> Self {
        let ready = VecDeque::from([StreamPart::StreamStart { warnings }]);
        Self { ready, open: None, blocks: 0, has_calls: false }
    }

    /// Takes the oldest part.
    pub(super) fn take(&mut self) -> Option<StreamPart> {
        self.ready.pop_front()
    }

    /// Takes all parts.
    pub(super) fn into_parts(self) -> VecDeque<StreamPart> {
        self.ready
    }

    /// Names the answer.
    pub(super) fn introduce(&mut self, id: Option<String>, timestamp_ms: Option<i64>, model_id: Option<String>) {
        self.ready.push_back(StreamPart::ResponseMetadata { id, timestamp_ms, model_id });
    }

    /// Adds to the text that is open, or opens one.
    pub(super) fn add_text(&mut self, delta: String) {
        if delta.is_empty() {
            return;
        }
        if !matches!(self.open, Some(Block::Text(_))) {
            let id = self.next_block();
            self.ready.push_back(StreamPart::TextStart { id: id.clone() });
            self.open = Some(Block::Text(id));
        }
        if let Some(Block::Text(id)) = &self.open {
            self.ready.push_back(StreamPart::TextDelta { id: id.clone(), delta });
        }
    }

    /// Adds to the reasoning that is open, or opens one.
    pub(super) fn add_reasoning(&mut self, delta: String) {
        if delta.is_empty() {
            return;
        }
        if !matches!(self.open, Some(Block::Reasoning(_))) {
            let id = self.next_block();
            self.ready.push_back(StreamPart::ReasoningStart { id: id.clone() });
            self.open = Some(Block::Reasoning(id));
        }
        if let Some(Block::Reasoning(id)) = &self.open {
            self.ready.push_back(StreamPart::ReasoningDelta { id: id.clone(), delta });
        }
    }

    /// Begins the arguments of a call.
    pub(super) fn start_call(&mut self, id: &str, tool_name: &str) {
        self.close_block();
        self.has_calls = true;
        self.ready.push_back(StreamPart::ToolInputStart { id: id.into(), tool_name: tool_name.into() });
    }

    /// Adds to the arguments of a call.
    pub(super) fn add_input(&mut self, id: &str, delta: String) {
        if !delta.is_empty() {
            self.ready.push_back(StreamPart::ToolInputDelta { id: id.into(), delta });
        }
    }

    /// Completes a call. Models leave the arguments out where there are none.
    pub(super) fn end_call(&mut self, id: String, tool_name: String, input: String) {
        self.close_block();
        let input = if input.trim().is_empty() { "{}".into() } else { input };
        self.ready.push_back(StreamPart::ToolInputEnd { id: id.clone() });
        self.ready.push_back(StreamPart::ToolCall { tool_call_id: id, tool_name, input });
    }

    /// Completes the answer.
    pub(super) fn finish(&mut self, reason: FinishReason, usage: Usage) {
        self.close_block();
        // Several servers say `stop` after tool calls, or nothing.
        let is_silent = matches!(reason, FinishReason::Stop | FinishReason::Unknown);
        let finish_reason = if self.has_calls && is_silent { FinishReason::ToolCalls } else { reason };
        self.ready.push_back(StreamPart::Finish { finish_reason, usage });
    }

    /// Breaks the answer off.
    pub(super) fn fail(&mut self, message: String) {
        self.close_block();
        self.ready.push_back(StreamPart::Error { message });
    }

    fn next_block(&mut self) -> String {
        self.close_block();
        let id = self.blocks.to_string();
        self.blocks += 1;
        id
    }

    fn close_block(&mut self) {
        match self.open.take() {
            Some(Block::Text(id)) => self.ready.push_back(StreamPart::TextEnd { id }),
            Some(Block::Reasoning(id)) => self.ready.push_back(StreamPart::ReasoningEnd { id }),
            None => {}
        }
    }
}
