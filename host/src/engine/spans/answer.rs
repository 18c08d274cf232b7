//! Spans of what a model streams.

use hotbay_plugin::manifest::AgentManifest;
use serde_json::Value;

use super::form::object;
use crate::{
    engine::turn::ToolCall,
    observe::tracer::{ActiveSpan, SpanContext},
    types::{
        id::Millis,
        span::{Entity, SpanKind},
    },
};

/// The spans of one answer: a chunk each text, reasoning and call. Inert unless it is made for
/// a question that is recorded.
#[derive(Default)]
pub(in crate::engine) struct Chunks {
    text: ActiveSpan,
    reasoning: ActiveSpan,
    question: ActiveSpan,
    agent: Option<Entity>,
    count: u32,
    first: Option<Millis>,
}

impl Chunks {
    /// Returns those of the answer to a question.
    pub(super) fn new(question: ActiveSpan, agent: &AgentManifest) -> Self {
        let agent = question.is_recording().then(|| Entity::new("agent", &agent.id, &agent.name));
        Self { question, agent, ..Self::default() }
    }

    pub(super) fn context(&self) -> Option<SpanContext> {
        self.question.context()
    }

    /// Returns when the model first said something.
    pub(super) fn first(&self) -> Option<Millis> {
        self.first
    }

    /// Ends what is open but for the question itself, and returns that.
    pub(super) fn close(&mut self) -> ActiveSpan {
        for open in [std::mem::take(&mut self.text), std::mem::take(&mut self.reasoning)] {
            open.end();
        }
        std::mem::take(&mut self.question)
    }

    /// A text begins.
    pub(in crate::engine) fn begin_text(&mut self) {
        self.text = self.begin("text");
    }

    /// It ends.
    pub(in crate::engine) fn end_text(&mut self, text: &str) {
        let span = std::mem::take(&mut self.text);
        span.output(|| object([("text", text.into())]));
        span.end();
    }

    /// A reasoning begins.
    pub(in crate::engine) fn begin_reasoning(&mut self) {
        self.reasoning = self.begin("reasoning");
    }

    /// It ends.
    pub(in crate::engine) fn end_reasoning(&mut self, text: &str) {
        let span = std::mem::take(&mut self.reasoning);
        span.output(|| object([("text", text.into())]));
        span.end();
    }

    /// The model calls a tool.
    pub(in crate::engine) fn call(&mut self, call: &ToolCall) {
        let span = self.begin("tool-call");
        span.output(|| {
            object([
                ("toolName", call.name.as_str().into()),
                ("toolCallId", call.id.as_str().into()),
                ("toolInput", call.args.clone()),
            ])
        });
        span.end();
    }

    /// A tool the model called has answered, or failed.
    pub(in crate::engine) fn result(&mut self, call: &ToolCall, has_failed: bool) {
        let span = self.begin(if has_failed { "tool-error" } else { "tool-result" });
        span.with(|span| {
            for (name, value) in [("toolCallId", &call.id), ("toolName", &call.name)] {
                span.metadata.insert(name.to_owned(), Value::String(value.clone()));
            }
        });
        span.happened();
    }

    fn begin(&mut self, kind: &str) -> ActiveSpan {
        if !self.question.is_recording() {
            return ActiveSpan::default();
        }
        let span = self.question.child(SpanKind::ModelChunk, format!("chunk: '{kind}'"));
        span.with(|span| {
            self.first.get_or_insert(span.started_at);
            span.entity.clone_from(&self.agent);
            span.attributes.insert("chunkType".to_owned(), kind.into());
            span.attributes.insert("sequenceNumber".to_owned(), self.count.into());
        });
        self.count += 1;
        span
    }
}
