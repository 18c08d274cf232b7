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

/// What is being written.
#[derive(Default)]
struct Open {
    text: Option<(String, String)>,
    reasoning: Option<(String, String)>,
    // What the structured answer said last.
    object: Option<Value>,
}

/// Reads an answer to its end: the parts go to the observer and into the turn's last step.
///
/// # Errors
/// If the answer breaks off; what came before is in the turn.
pub(super) async fn read<O: Observer>(
    turn: &mut Turn,
    step: &mut Step,
    mut parts: PartStream,
    toolbox: &Toolbox,
    form: Option<&Structured>,
    chunks: &mut Chunks,
    observer: &mut O,
) -> Result<(), EngineError> {
    let mut open = Open::default();
    let result = loop {
        observer.ready().await;
        let part = match parts.next().await {
            Some(Ok(StreamPart::Error { message })) => {
                step.response.answered = true;
                break Err(EngineError::Answer(message));
            }
            Some(Ok(part)) => part,
            Some(Err(error)) => break Err(error.into()),
            None => break Err(EngineError::Answer("the model's answer ended before it was complete".to_owned())),
        };
        step.response.answered = true;
        if let StreamPart::Finish { finish_reason, usage } = part {
            step.finish = finish_reason;
            step.usage = Some(usage);
            usage::add(&mut turn.usage, &usage);
            break Ok(());
        }
        take(turn, step, &mut open, part, toolbox, form, chunks, observer);
    };
    open.close(turn, step, chunks, observer);
    if result.is_err() {
        step.finish = FinishReason::Error;
    } else if !step.calls.is_empty() && matches!(step.finish, FinishReason::Stop | FinishReason::Unknown) {
        // Some providers say `stop` although they want tools called.
        step.finish = FinishReason::ToolCalls;
    }
    result
}

#[expect(clippy::too_many_arguments, reason = "everything a part may change")]
fn take<O: Observer>(
    turn: &mut Turn,
    step: &mut Step,
    open: &mut Open,
    part: StreamPart,
    toolbox: &Toolbox,
    form: Option<&Structured>,
    chunks: &mut Chunks,
    observer: &mut O,
) {
    match part {
        StreamPart::StreamStart { warnings } => step.warnings = warnings,
        StreamPart::ResponseMetadata { id, timestamp_ms, .. } => {
            if let Some(id) = id {
                step.response.id = id;
            }
            if let Some(timestamp) = timestamp_ms {
                step.response.timestamp = Millis(timestamp);
            }
        }
        StreamPart::TextStart { id } => open.begin_text(turn, step, id, chunks, observer),
        StreamPart::TextDelta { id, delta } => {
            if open.text.is_none() {
                open.begin_text(turn, step, id, chunks, observer);
            }
            let Some((id, text)) = open.text.as_mut() else { return };
            text.push_str(&delta);
            if form.is_some()
                && let Some(object) = structured::partial(text)
                && open.object.as_ref() != Some(&object)
            {
                observer.on(turn, RunEvent::Object(&object));
                open.object = Some(object);
            }
            observer.on(turn, RunEvent::TextDelta { id, text: &delta });
        }
        StreamPart::TextEnd { .. } => open.end_text(turn, step, chunks, observer),
        StreamPart::ReasoningStart { id } => open.begin_reasoning(turn, step, id, chunks, observer),
        StreamPart::ReasoningDelta { id, delta } => {
            if open.reasoning.is_none() {
                open.begin_reasoning(turn, step, id, chunks, observer);
            }
            let Some((id, text)) = open.reasoning.as_mut() else { return };
            text.push_str(&delta);
            observer.on(turn, RunEvent::ReasoningDelta { id, text: &delta });
        }
        StreamPart::ReasoningEnd { .. } => open.end_reasoning(turn, step, chunks, observer),
        StreamPart::ToolInputStart { id, tool_name } => {
            open.close(turn, step, chunks, observer);
            let foreign = !is_ours(toolbox, &tool_name);
            observer.on(turn, RunEvent::ToolInputStart { id: &id, name: &tool_name, foreign });
            step.inputs.insert(id, tool_name);
        }
        StreamPart::ToolInputDelta { id, delta } => {
            let name = step.inputs.get(&id).map_or("", String::as_str);
            observer.on(turn, RunEvent::ToolInputDelta { id: &id, name, delta: &delta });
        }
        StreamPart::ToolInputEnd { id } => observer.on(turn, RunEvent::ToolInputEnd { id: &id }),
        StreamPart::ToolCall { tool_call_id, tool_name, input } => {
            open.close(turn, step, chunks, observer);
            call(turn, step, toolbox, (tool_call_id, tool_name, &input), chunks, observer);
        }
        // Both end an answer and are handled by the reader.
        StreamPart::Finish { .. } | StreamPart::Error { .. } => {}
    }
}

fn call<O: Observer>(
    turn: &mut Turn,
    step: &mut Step,
    toolbox: &Toolbox,
    (id, name, input): (String, String, &str),
    chunks: &mut Chunks,
    observer: &mut O,
) {
    let id = if id.is_empty() { id::fresh() } else { id };
    let args = match input.trim() {
        "" => Value::Object(Map::new()),
        // Arguments that were cut off are shown as the text they are; the schema then refuses them.
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    };
    let call = ToolCall { foreign: !is_ours(toolbox, &name), id, name, args };
    turn.current().parts.push(Part::Tool(ToolPart {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        args: call.args.clone(),
        state: ToolState::Called,
        created_at: Millis::now(),
    }));
    turn.sign();
    chunks.call(&call);
    observer.on(turn, RunEvent::ToolCall(&call));
    step.calls.push(call);
}

/// Whether the host runs the tool, or would if it were active.
fn is_ours(toolbox: &Toolbox, name: &str) -> bool {
    toolbox.is_known(name)
}

impl Open {
    fn begin_text<O: Observer>(
        &mut self,
        turn: &mut Turn,
        step: &mut Step,
        id: String,
        chunks: &mut Chunks,
        observer: &mut O,
    ) {
        self.close(turn, step, chunks, observer);
        chunks.begin_text();
        observer.on(turn, RunEvent::TextStart { id: &id });
        self.text = Some((id, String::new()));
    }

    fn end_text<O: Observer>(&mut self, turn: &mut Turn, step: &mut Step, chunks: &mut Chunks, observer: &mut O) {
        let Some((id, text)) = self.text.take() else { return };
        chunks.end_text(&text);
        step.text.push_str(&text);
        let message = turn.current();
        message.parts.push(Part::Text { text: text.clone(), created_at: Millis::now() });
        message.text = Some(text);
        turn.sign();
        observer.on(turn, RunEvent::TextEnd { id: &id });
    }

    fn begin_reasoning<O: Observer>(
        &mut self,
        turn: &mut Turn,
        step: &mut Step,
        id: String,
        chunks: &mut Chunks,
        observer: &mut O,
    ) {
        self.close(turn, step, chunks, observer);
        chunks.begin_reasoning();
        observer.on(turn, RunEvent::ReasoningStart { id: &id });
        self.reasoning = Some((id, String::new()));
    }

    fn end_reasoning<O: Observer>(&mut self, turn: &mut Turn, step: &mut Step, chunks: &mut Chunks, observer: &mut O) {
        let Some((id, text)) = self.reasoning.take() else { return };
        chunks.end_reasoning(&text);
        step.reasoning.push_str(&text);
        step.reasoning_id.get_or_insert_with(|| format!("reasoning_{}", id::fresh()));
        turn.current().parts.push(Part::Reasoning { text, created_at: Millis::now() });
        turn.sign();
        observer.on(turn, RunEvent::ReasoningEnd { id: &id });
    }

    fn close<O: Observer>(&mut self, turn: &mut Turn, step: &mut Step, chunks: &mut Chunks, observer: &mut O) {
        self.end_reasoning(turn, step, chunks, observer);
        self.end_text(turn, step, chunks, observer);
    }
}
