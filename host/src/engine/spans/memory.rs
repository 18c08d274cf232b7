//! Spans of what an agent remembers: read before it is asked, written when it is done.

use hotbay_plugin::manifest::AgentManifest;
use serde_json::{Value, json};

use super::{RunSpans, form::object};
use crate::{
    engine::turn::Turn,
    memory::content,
    observe::tracer::ActiveSpan,
    services::span,
    types::{message::Message, span::SpanKind},
};

/// What a processor is of, and its place among those of its phase.
struct Place {
    phase: &'static str,
    index: u32,
}

impl RunSpans {
    /// Begins to recall, for an agent that remembers.
    pub(in crate::engine) fn recall(&self, input: &[Message], instructions: &str) -> ActiveSpan {
        if !self.root.is_recording() {
            return ActiveSpan::default();
        }
        let given = self.root.records_input().then(|| {
            object([("messages", documents(input)), ("systemMessages", system(instructions)), ("retryCount", 0.into())])
        });
        let filter = self.root.child(SpanKind::ProcessorRun, "input processor: memory-input-filter");
        filter.entity("input_processor", "memory-input-filter", "MemoryInputFilter");
        place(&filter, &Place { phase: "input", index: 0 });
        filter.with(|span| span.input.clone_from(&given));
        filter.output(|| json!({}));
        filter.end();
        let recall = self.root.child(SpanKind::MemoryOperation, "memory: recall");
        recall.entity("input_processor", "message-history", "MessageHistory");
        recall.attribute("operationType", "recall");
        place(&recall, &Place { phase: "input", index: 1 });
        recall.with(|span| span.input = given);
        recall
    }

    /// Begins to write what the run came to, for an agent that remembers.
    pub(in crate::engine) fn save(&self, turn: &Turn) -> ActiveSpan {
        let save = self.root.child(SpanKind::MemoryOperation, "memory: save");
        if !save.is_recording() {
            return save;
        }
        save.entity("output_processor", "message-history", "MessageHistory");
        save.attribute("operationType", "save");
        place(&save, &Place { phase: "outputResult", index: 0 });
        save.input(|| {
            let finish = turn.steps.last().map(|step| step.finish);
            let result = json!({"text": turn.text(), "finishReason": finish, "stepCount": turn.steps.len()});
            object([("messages", documents(&turn.response)), ("result", result), ("retryCount", 0.into())])
        });
        save
    }
}

/// Ends the reading of what was said before.
pub(in crate::engine) fn recalled(recall: ActiveSpan, remembered: &[Message]) {
    recall.output(|| if remembered.is_empty() { json!({}) } else { object([("messages", documents(remembered))]) });
    recall.end();
}

/// Ends the writing of what a run came to.
pub(in crate::engine) fn saved(save: ActiveSpan, agent: &AgentManifest, turn: &Turn, error: Option<String>) {
    if let Some(error) = error {
        return save.fail(span::error(&error));
    }
    save.output(|| {
        let said = turn.input.iter().skip(turn.context).chain(&turn.response);
        let messages = said.map(content::kept).collect();
        object([("messages", messages), ("systemMessages", system(&agent.instructions))])
    });
    save.end();
}

fn place(span: &ActiveSpan, place: &Place) {
    span.attribute("processorPhase", place.phase);
    span.attribute("processorExecutor", "workflow");
    span.attribute("processorIndex", place.index);
}

fn documents(messages: &[Message]) -> Value {
    messages.iter().map(content::kept).collect()
}

fn system(instructions: &str) -> Value {
    if instructions.is_empty() { json!([]) } else { json!([{"role": "system", "content": instructions}]) }
}
