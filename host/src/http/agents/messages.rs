//! A run's messages as a user interface shows them, and as a model is asked them. As they
//! are stored they are [`crate::memory::content`]'s.

use serde_json::{Value, json};

use crate::{
    engine::turn::{Mark, Turn},
    memory::content::{add_thread, error_part},
    types::{
        id::Millis,
        message::{Message, Part, Role, ToolPart, ToolState},
    },
};

/// Returns a message as a user interface shows it, with its first `parts` parts.
pub(super) fn shown(message: &Message, parts: usize) -> Value {
    let mut metadata = message.metadata.clone();
    metadata.insert("createdAt".to_owned(), message.created_at.iso().into());
    add_thread(&mut metadata, message);
    let mut parts: Vec<Value> = message.parts.iter().take(parts).map(shown_part).collect();
    // What was waited for is shown as data of its own beside the call.
    for (key, kind) in
        [("pendingToolApprovals", "data-tool-call-approval"), ("suspendedTools", "data-tool-call-suspended")]
    {
        let waits = message.metadata.get(key).and_then(Value::as_object).into_iter().flatten();
        parts.extend(waits.map(|(_, data)| json!({"type": kind, "data": data})));
    }
    json!({"id": message.id, "role": message.role.as_str(), "metadata": metadata, "parts": parts})
}

/// Returns messages as a model is asked them.
pub(super) fn asked<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<Value> {
    let mut asked = Vec::new();
    for message in messages {
        let parts = message.parts.iter().map(|part| (part, true));
        match message.role {
            Role::Assistant | Role::Tool => push_turn(&mut asked, parts),
            Role::User | Role::System => {
                let content: Vec<Value> = message.parts.iter().filter_map(|part| said(part, true)).collect();
                asked.push(json!({"role": message.role.as_str(), "content": content}));
            }
        }
    }
    asked
}

/// Returns the run's own messages up to `end` as a model is asked them; tool calls from
/// `pending` on are shown without their answers.
pub(super) fn asked_until(turn: &Turn, end: Mark, pending: Option<Mark>) -> Vec<Value> {
    let mut asked = Vec::new();
    for (index, message) in turn.response.iter().enumerate() {
        let parts = message.parts.iter().enumerate().filter_map(|(part, value)| {
            let here = Mark { message: index, part };
            (here < end).then_some((value, pending.is_none_or(|pending| here < pending)))
        });
        push_turn(&mut asked, parts);
    }
    asked
}

/// Returns the content of one step: what was said and called, then what the tools answered.
pub(super) fn content(turn: &Turn, start: Mark, end: Mark, answered: bool) -> Vec<Value> {
    let mut content = Vec::new();
    let mut answers = Vec::new();
    for part in turn.parts(start, end) {
        content.extend(said(part, answered));
        if let Part::Tool(tool) = part
            && answered
        {
            answers.extend(answer(tool));
        }
    }
    content.append(&mut answers);
    content
}

/// One entry of an agent is several of a model: each step, and the answers its tools gave.
fn push_turn<'a>(asked: &mut Vec<Value>, parts: impl Iterator<Item = (&'a Part, bool)>) {
    let mut content = Vec::new();
    let mut answers: Option<Vec<Value>> = None;
    let mut flush = |content: &mut Vec<Value>, answers: &mut Option<Vec<Value>>| {
        if !content.is_empty() {
            asked.push(json!({"role": "assistant", "content": std::mem::take(content)}));
        }
        if let Some(answers) = answers.take() {
            asked.push(json!({"role": "tool", "content": answers}));
        }
    };
    for (part, answered) in parts {
        if let Part::StepStart { .. } = part {
            flush(&mut content, &mut answers);
        }
        content.extend(said(part, answered));
        if let Part::Tool(tool) = part {
            let answers = answers.get_or_insert_default();
            if answered {
                answers.extend(answer(tool));
            }
        }
    }
    flush(&mut content, &mut answers);
}

fn said(part: &Part, answered: bool) -> Option<Value> {
    Some(match part {
        Part::Text { text, created_at } => {
            json!({"type": "text", "text": text, "providerOptions": made_at(*created_at)})
        }
        Part::Reasoning { text, created_at } => {
            json!({"type": "reasoning", "text": text, "providerOptions": made_at(*created_at)})
        }
        Part::File { data, media_type, created_at, .. } => {
            json!({"type": "file", "data": data, "mediaType": media_type, "providerOptions": made_at(*created_at)})
        }
        Part::Tool(tool) => {
            let mut call = json!({"type": "tool-call", "toolCallId": tool.tool_call_id, "toolName": tool.tool_name,
                "input": tool.args});
            if !answered || tool.state == ToolState::Called {
                call["providerOptions"] = made_at(tool.created_at);
            }
            call
        }
        Part::StepStart { .. } | Part::Error { .. } => return None,
    })
}

fn answer(tool: &ToolPart) -> Option<Value> {
    let output = tool.state.output()?;
    Some(json!({"type": "tool-result", "toolCallId": tool.tool_call_id, "toolName": tool.tool_name,
        "output": output, "input": tool.args}))
}

fn made_at(at: Millis) -> Value {
    json!({"mastra": {"createdAt": at.0}})
}

fn shown_part(part: &Part) -> Value {
    match part {
        Part::Text { text, created_at } => {
            json!({"type": "text", "text": text, "providerMetadata": made_at(*created_at)})
        }
        Part::Reasoning { text, created_at } => {
            json!({"type": "reasoning", "text": text, "state": "done", "providerMetadata": made_at(*created_at)})
        }
        Part::Tool(tool) => {
            let mut shown = json!({"type": format!("tool-{}", tool.tool_name), "toolCallId": tool.tool_call_id,
                "input": tool.args});
            let state = match &tool.state {
                ToolState::Called => {
                    shown["callProviderMetadata"] = made_at(tool.created_at);
                    "input-available"
                }
                ToolState::Answered(result) => {
                    shown["output"] = result.clone();
                    "output-available"
                }
                ToolState::Failed(message) => {
                    shown["errorText"] = message.as_str().into();
                    "output-error"
                }
                ToolState::Denied(reason) => {
                    shown["output"] = reason.as_str().into();
                    "output-available"
                }
            };
            shown["state"] = state.into();
            shown
        }
        Part::StepStart { model, created_at } => {
            json!({"type": "step-start", "createdAt": created_at.0, "model": model})
        }
        Part::File { data, media_type, created_at, .. } => {
            json!({"type": "file", "url": data, "mediaType": media_type, "providerMetadata": made_at(*created_at)})
        }
        Part::Error { message, created_at } => error_part(message, *created_at),
    }
}
