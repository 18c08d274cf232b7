//! The span of a question to a model that is no step of an agent: a plugin's, or the host's own.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use hotbay_plugin::chat::{ChatRequest, FinishReason, StreamPart};
use serde_json::{Value, json};

use super::{ModelError, PartStream};
use crate::{
    observe::{
        attrs::span as attr,
        tracer::{ActiveSpan, SpanContext},
    },
    types::{id::Millis, span::SpanKind, usage},
};

/// A question on its way.
#[derive(Default)]
pub(crate) struct Asked {
    span: ActiveSpan,
    text: String,
    calls: Vec<Value>,
    first: Option<Millis>,
}

impl Asked {
    /// Begins the span of a question, below what it is asked for.
    pub(crate) fn begin(within: Option<&SpanContext>, request: &ChatRequest) -> Self {
        let Some(within) = within else { return Self::default() };
        let (provider, model) = request.model.split_once('/').unwrap_or(("", &request.model));
        let span = within.child(SpanKind::ModelGeneration, format!("llm: '{model}'"));
        span.entity("model", &request.model, model);
        span.attribute(attr::MODEL, model);
        span.attribute(attr::PROVIDER, provider);
        span.attribute("streaming", true);
        span.attribute("parameters", json!(request.settings));
        if !request.tools.is_empty() {
            let names: Vec<&str> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
            span.attribute(attr::AVAILABLE_TOOLS, names);
        }
        span.input(|| json!({"messages": request.messages}));
        Self { span, ..Self::default() }
    }

    /// Returns the span.
    pub(crate) fn span(&self) -> &ActiveSpan {
        &self.span
    }

    /// Ends the span with the answer; the parts stay as they are.
    ///
    /// # Errors
    /// If there is no answer.
    pub(crate) fn follow(self, answer: Result<PartStream, ModelError>) -> Result<PartStream, ModelError> {
        match answer {
            Ok(parts) if self.span.is_recording() => Ok(Followed { parts, asked: self }.boxed()),
            Ok(parts) => Ok(parts),
            Err(error) => {
                self.fail(&error.to_string());
                Err(error)
            }
        }
    }

    fn fail(self, message: &str) {
        self.span.fail(json!({"message": message, "name": "Error"}));
    }

    /// Takes note of a part.
    fn note(&mut self, part: &Result<StreamPart, ModelError>) {
        match part {
            Ok(StreamPart::TextDelta { delta, .. }) => {
                self.first.get_or_insert_with(Millis::now);
                if self.span.records_output() {
                    self.text.push_str(delta);
                }
            }
            Ok(StreamPart::ToolCall { tool_call_id, tool_name, input }) => {
                self.first.get_or_insert_with(Millis::now);
                if self.span.records_output() {
                    let args: Value = serde_json::from_str(input).unwrap_or_else(|_| input.as_str().into());
                    self.calls.push(json!({"toolCallId": tool_call_id, "toolName": tool_name, "args": args}));
                }
            }
            Ok(StreamPart::Finish { finish_reason, usage }) => {
                self.span.attribute(attr::USAGE, usage::document(usage));
                self.finish(*finish_reason);
            }
            Ok(StreamPart::Error { message }) => std::mem::take(self).fail(message),
            Ok(_) => {}
            Err(error) => std::mem::take(self).fail(&error.to_string()),
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        let Self { span, text, calls, first } = std::mem::take(self);
        span.attribute(attr::FINISH_REASON, json!(reason));
        if let Some(first) = first {
            span.attribute("completionStartTime", first.iso());
        }
        span.output(|| json!({"text": text, "toolCalls": calls}));
        span.end();
    }
}

struct Followed {
    parts: PartStream,
    asked: Asked,
}

impl Stream for Followed {
    type Item = Result<StreamPart, ModelError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let part = self.parts.poll_next_unpin(context);
        if let std::task::Poll::Ready(Some(part)) = &part {
            self.asked.note(part);
        }
        part
    }
}
