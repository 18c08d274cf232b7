//! The conversation as a model is asked it.

use hotbay_plugin::chat::{self, ToolOutput};
use serde_json::Value;

use super::{Plan, turn::Turn};
use crate::types::{
    id::Millis,
    message::{Message, Part, Role, ToolPart, ToolState},
};

/// Returns the conversation of a run, instructions first if there are any.
pub(super) fn messages(turn: &Turn, plan: &Plan, instructions: &str) -> Vec<chat::Message> {
    let mut prompt = Vec::new();
    if !instructions.is_empty() {
        prompt.push(chat::Message::System(instructions.to_owned()));
    }
    prompt.extend(plan.system.iter().cloned().map(chat::Message::System));
    for message in turn.remembered.iter().chain(&turn.input).chain(&turn.response) {
        push(&mut prompt, message);
    }
    prompt
}

fn push(prompt: &mut Vec<chat::Message>, message: &Message) {
    match message.role {
        Role::System => {
            let text: String = message.parts.iter().filter_map(text_of).collect();
            prompt.push(chat::Message::System(text));
        }
        Role::User => prompt.push(chat::Message::User(message.parts.iter().filter_map(spoken).collect())),
        Role::Assistant | Role::Tool => push_turn(prompt, message),
    }
}

/// One entry of an agent is several of a model: each step, and the answers its tools gave.
fn push_turn(prompt: &mut Vec<chat::Message>, message: &Message) {
    let mut said = Vec::new();
    let mut answers = Vec::new();
    for part in &message.parts {
        match part {
            Part::StepStart { .. } => flush(prompt, &mut said, &mut answers),
            Part::Tool(tool) => {
                said.push(chat::Part::ToolCall {
                    tool_call_id: tool.tool_call_id.clone(),
                    tool_name: tool.tool_name.clone(),
                    input: tool.args.clone(),
                });
                if let Some(output) = tool.state.output() {
                    answers.push(chat::Part::ToolResult {
                        tool_call_id: tool.tool_call_id.clone(),
                        tool_name: tool.tool_name.clone(),
                        output,
                    });
                }
            }
            other => said.extend(spoken(other)),
        }
    }
    flush(prompt, &mut said, &mut answers);
}

fn flush(prompt: &mut Vec<chat::Message>, said: &mut Vec<chat::Part>, answers: &mut Vec<chat::Part>) {
    if !said.is_empty() {
        prompt.push(chat::Message::Assistant(std::mem::take(said)));
    }
    if !answers.is_empty() {
        prompt.push(chat::Message::Tool(std::mem::take(answers)));
    }
}

fn text_of(part: &Part) -> Option<&str> {
    match part {
        Part::Text { text, .. } => Some(text),
        _ => None,
    }
}

fn spoken(part: &Part) -> Option<chat::Part> {
    match part {
        Part::Text { text, .. } => Some(chat::Part::Text { text: text.clone() }),
        Part::Reasoning { text, .. } => Some(chat::Part::Reasoning { text: text.clone() }),
        Part::File { data, media_type, filename, .. } => {
            Some(chat::Part::File { data: data.clone(), media_type: media_type.clone(), filename: filename.clone() })
        }
        Part::Tool(_) | Part::StepStart { .. } | Part::Error { .. } => None,
    }
}

/// Returns an entry of the conversation as a plugin writes it.
pub(super) fn entry(message: chat::Message) -> Message {
    let (role, parts) = match message {
        chat::Message::System(text) => return Message::of_text(Role::System, text),
        chat::Message::User(parts) => (Role::User, parts),
        chat::Message::Assistant(parts) => (Role::Assistant, parts),
        chat::Message::Tool(parts) => (Role::Tool, parts),
    };
    let mut entry = Message::new(role);
    let created_at = entry.created_at;
    entry.parts = parts.into_iter().map(|part| own(part, created_at)).collect();
    entry
}

fn own(part: chat::Part, created_at: Millis) -> Part {
    match part {
        chat::Part::Text { text } => Part::Text { text, created_at },
        chat::Part::Reasoning { text } => Part::Reasoning { text, created_at },
        chat::Part::File { data, media_type, filename } => Part::File { data, media_type, filename, created_at },
        chat::Part::ToolCall { tool_call_id, tool_name, input } => {
            Part::Tool(ToolPart { tool_call_id, tool_name, args: input, state: ToolState::Called, created_at })
        }
        chat::Part::ToolResult { tool_call_id, tool_name, output } => {
            let state = match output {
                ToolOutput::Text(text) => ToolState::Answered(Value::String(text)),
                ToolOutput::Json(value) => ToolState::Answered(value),
                ToolOutput::ErrorText(message) => ToolState::Failed(message),
                ToolOutput::ErrorJson(value) => ToolState::Failed(value.to_string()),
            };
            Part::Tool(ToolPart { tool_call_id, tool_name, args: Value::Null, state, created_at })
        }
    }
}
