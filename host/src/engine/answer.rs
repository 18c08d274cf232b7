//! One answer of a model, from its parts to a step of the run.

use futures::StreamExt;
use hotbay_plugin::chat::{FinishReason, StreamPart};
use serde_json::{Map, Value};

use super::{
    error::EngineError,
    event::{Observer, RunEvent},
    options::Structured,
    spans::Chunks,
    structured,
    toolbox::Toolbox,
    turn::{Step, ToolCall, Turn},
};
use crate::{
    model::PartStream,
    types::{
        id::{self, Millis},
        message::{Part, ToolPart, ToolState},
        usage,
    },
};

/// An answer that is being read, and everything its parts may change.
pub(super) struct Answer<'a, O> {
    pub(super) turn: &'a mut Turn,
    pub(super) step: &'a mut Step,
    pub(super) toolbox: &'a Toolbox,
    /// The form of a structured answer.
    pub(super) form: Option<&'a Structured>,
    pub(super) chunks: &'a mut Chunks,
    pub(super) observer: &'a mut O,
}

/// What is being written.
#[derive(Default)]
struct Open {
    text: Option<(String, String)>,
    reasoning: Option<(String, String)>,
    // What the structured answer said last.
    object: Option<Value>,
}

impl<O: Observer> Answer<'_, O> {
    /// Reads it to its end: the parts go to the observer and into the turn's last step.
    ///
    /// # Errors
    /// If it breaks off; what came before is in the turn.
    pub(super) async fn read(mut self, mut parts: PartStream) -> Result<(), EngineError> {
        let mut open = Open::default();
        let result = loop {
            self.observer.ready().await;
            let part = match parts.next().await {
                Some(Ok(StreamPart::Error { message })) => {
                    self.step.response.answered = true;
                    break Err(EngineError::Answer(message));
                }
                Some(Ok(part)) => part,
                Some(Err(error)) => break Err(error.into()),
                None => break Err(EngineError::Answer("the model's answer ended before it was complete".to_owned())),
            };
            self.step.response.answered = true;
            if let StreamPart::Finish { finish_reason, usage } = part {
                self.step.finish = finish_reason;
                self.step.usage = Some(usage);
                usage::add(&mut self.turn.usage, &usage);
                break Ok(());
            }
            self.take(&mut open, part);
        };
        self.close(&mut open);
        let step = self.step;
        if result.is_err() {
            step.finish = FinishReason::Error;
        } else if !step.calls.is_empty() && matches!(step.finish, FinishReason::Stop | FinishReason::Unknown) {
            // Some providers say `stop` although they want tools called.
            step.finish = FinishReason::ToolCalls;
        }
        result
    }

    fn tell(&mut self, event: RunEvent<'_>) {
        self.observer.on(self.turn, event);
    }

    fn take(&mut self, open: &mut Open, part: StreamPart) {
        match part {
            StreamPart::StreamStart { warnings } => self.step.warnings = warnings,
            StreamPart::ResponseMetadata { id, timestamp_ms, .. } => {
                if let Some(id) = id {
                    self.step.response.id = id;
                }
                if let Some(timestamp) = timestamp_ms {
                    self.step.response.timestamp = Millis(timestamp);
                }
            }
            StreamPart::TextStart { id } => self.begin_text(open, id),
            StreamPart::TextDelta { id, delta } => self.text(open, id, &delta),
            StreamPart::TextEnd { .. } => self.end_text(open),
            StreamPart::ReasoningStart { id } => self.begin_reasoning(open, id),
            StreamPart::ReasoningDelta { id, delta } => self.reasoning(open, id, &delta),
            StreamPart::ReasoningEnd { .. } => self.end_reasoning(open),
            StreamPart::ToolInputStart { id, tool_name } => {
                self.close(open);
                let foreign = !self.is_ours(&tool_name);
                self.tell(RunEvent::ToolInputStart { id: &id, name: &tool_name, foreign });
                self.step.inputs.insert(id, tool_name);
            }
            StreamPart::ToolInputDelta { id, delta } => {
                let name = self.step.inputs.get(&id).map_or("", String::as_str);
                self.observer.on(self.turn, RunEvent::ToolInputDelta { id: &id, name, delta: &delta });
            }
            StreamPart::ToolInputEnd { id } => self.tell(RunEvent::ToolInputEnd { id: &id }),
            StreamPart::ToolCall { tool_call_id, tool_name, input } => {
                self.close(open);
                self.call(tool_call_id, tool_name, &input);
            }
            // Both end an answer and are handled by the reader.
            StreamPart::Finish { .. } | StreamPart::Error { .. } => {}
        }
    }

    fn call(&mut self, id: String, name: String, input: &str) {
        let id = if id.is_empty() { id::fresh() } else { id };
        let args = match input.trim() {
            "" => Value::Object(Map::new()),
            // Arguments that were cut off are shown as the text they are; the schema then refuses them.
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        let call = ToolCall { foreign: !self.is_ours(&name), id, name, args };
        self.write(Part::Tool(ToolPart {
            tool_call_id: call.id.clone(),
            tool_name: call.name.clone(),
            args: call.args.clone(),
            state: ToolState::Called,
            created_at: Millis::now(),
        }));
        self.chunks.call(&call);
        self.tell(RunEvent::ToolCall(&call));
        self.step.calls.push(call);
    }

    /// Whether the host runs the tool, or would if it were active.
    fn is_ours(&self, name: &str) -> bool {
        self.toolbox.is_known(name)
    }

    /// Adds a part to the message.
    fn write(&mut self, part: Part) {
        self.turn.current().parts.push(part);
        self.turn.sign();
    }

    fn begin_text(&mut self, open: &mut Open, id: String) {
        self.close(open);
        self.chunks.begin_text();
        self.tell(RunEvent::TextStart { id: &id });
        open.text = Some((id, String::new()));
    }

    fn text(&mut self, open: &mut Open, id: String, delta: &str) {
        if open.text.is_none() {
            self.begin_text(open, id);
        }
        let Some((id, text)) = open.text.as_mut() else { return };
        text.push_str(delta);
        if self.form.is_some()
            && let Some(object) = structured::partial(text)
            && open.object.as_ref() != Some(&object)
        {
            self.tell(RunEvent::Object(&object));
            open.object = Some(object);
        }
        self.tell(RunEvent::TextDelta { id, text: delta });
    }

    fn end_text(&mut self, open: &mut Open) {
        let Some((id, text)) = open.text.take() else { return };
        self.chunks.end_text(&text);
        self.step.text.push_str(&text);
        self.write(Part::Text { text: text.clone(), created_at: Millis::now() });
        self.turn.current().text = Some(text);
        self.tell(RunEvent::TextEnd { id: &id });
    }

    fn begin_reasoning(&mut self, open: &mut Open, id: String) {
        self.close(open);
        self.chunks.begin_reasoning();
        self.tell(RunEvent::ReasoningStart { id: &id });
        open.reasoning = Some((id, String::new()));
    }

    fn reasoning(&mut self, open: &mut Open, id: String, delta: &str) {
        if open.reasoning.is_none() {
            self.begin_reasoning(open, id);
        }
        let Some((id, text)) = open.reasoning.as_mut() else { return };
        text.push_str(delta);
        self.tell(RunEvent::ReasoningDelta { id, text: delta });
    }

    fn end_reasoning(&mut self, open: &mut Open) {
        let Some((id, text)) = open.reasoning.take() else { return };
        self.chunks.end_reasoning(&text);
        self.step.reasoning.push_str(&text);
        self.step.reasoning_id.get_or_insert_with(|| format!("reasoning_{}", id::fresh()));
        self.write(Part::Reasoning { text, created_at: Millis::now() });
        self.tell(RunEvent::ReasoningEnd { id: &id });
    }

    /// Ends what is open.
    fn close(&mut self, open: &mut Open) {
        self.end_reasoning(open);
        self.end_text(open);
    }
}
