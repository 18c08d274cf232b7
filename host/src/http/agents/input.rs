//! Messages as callers write them: texts, model messages, user-interface messages and
//! stored ones, side by side in one list.

use serde_json::{Map, Value, json};

use crate::{
    http::error::ApiError,
    memory::content,
    types::{
        id::Millis,
        message::{Message, Part, Role, ToolPart, ToolState},
        spoken,
    },
};

/// Reads a text or a list; system texts go to `system`, the rest to `messages`.
pub(super) fn read(value: &Value, system: &mut Vec<String>, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    match value {
        Value::String(text) => messages.push(Message::of_text(Role::User, text)),
        Value::Array(items) => {
            for item in items {
                read_one(item, system, messages)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Reads system texts: one, several, or messages with one each.
pub(super) fn system(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(system).collect(),
        Value::Object(message) => message.get("content").map(text_of).into_iter().filter(|it| !it.is_empty()).collect(),
        _ => Vec::new(),
    }
}

fn read_one(item: &Value, system: &mut Vec<String>, messages: &mut Vec<Message>) -> Result<(), ApiError> {
    let message = match item {
        Value::String(text) => {
            messages.push(Message::of_text(Role::User, text));
            return Ok(());
        }
        Value::Object(message) => message,
        _ => return Err(ApiError::bad_request("a message is a text or an object with a role and content")),
    };
    let role = match message.get("role").and_then(Value::as_str) {
        Some("system") => {
            system.push(message.get("content").map(text_of).unwrap_or_default());
            return Ok(());
        }
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => {
            answer_calls(message, messages);
            return Ok(());
        }
        Some(other) => return Err(ApiError::bad_request(format!("Unsupported role: {other}"))),
        None => return Err(ApiError::bad_request("a message needs a role")),
    };
    messages.push(spoken(role, message));
    Ok(())
}

fn spoken(role: Role, source: &Map<String, Value>) -> Message {
    let mut message = Message::new(role);
    if let Some(id) = source.get("id").and_then(Value::as_str) {
        id.clone_into(&mut message.id);
    }
    match (source.get("content"), source.get("parts")) {
        (Some(Value::String(text)), None) => {
            message.parts.push(Part::Text { text: text.clone(), created_at: message.created_at });
            message.text = Some(text.clone());
        }
        (Some(Value::Array(parts)), None) => {
            message.parts = parts.iter().filter_map(part).collect();
            let text = spoken::words(&message.parts);
            message.text = (!text.is_empty()).then_some(text);
        }
        // A stored message: its content is an object of parts.
        (Some(content @ Value::Object(_)), None) => {
            content::read_content(content, &mut message);
        }
        (_, Some(Value::Array(parts))) => message.parts = parts.iter().filter_map(part).collect(),
        _ => {}
    }
    message
}

/// Puts what a tool message answers into the calls that were made before it.
/// Gives calls their answers. What answers a call that is not in the list, because the agent
/// remembers it, is an entry of its own.
fn answer_calls(source: &Map<String, Value>, messages: &mut Vec<Message>) {
    let mut rest = Message::new(Role::Tool);
    for result in source.get("content").and_then(Value::as_array).into_iter().flatten() {
        let Some(id) = result.get("toolCallId").and_then(Value::as_str) else { continue };
        let output = result.get("output").or_else(|| result.get("result")).cloned().unwrap_or(Value::Null);
        let state = answered(output);
        let calls = messages.iter_mut().rev().flat_map(|message| message.parts.iter_mut());
        let mut is_known = false;
        for part in calls {
            if let Part::Tool(tool) = part
                && tool.tool_call_id == id
            {
                tool.state = state.clone();
                is_known = true;
            }
        }
        if let Some(name) = result.get("toolName").and_then(Value::as_str)
            && !is_known
        {
            let (tool_call_id, tool_name) = (id.to_owned(), name.to_owned());
            let created_at = rest.created_at;
            rest.parts.push(Part::Tool(ToolPart { tool_call_id, tool_name, args: json!({}), state, created_at }));
        }
    }
    if !rest.parts.is_empty() {
        messages.push(rest);
    }
}

fn answered(output: Value) -> ToolState {
    let kind = output.get("type").and_then(Value::as_str).map(str::to_owned);
    match (kind.as_deref(), output.get("value")) {
        (Some("text" | "json" | "content"), Some(value)) => ToolState::Answered(value.clone()),
        (Some("error-text"), Some(Value::String(message))) => ToolState::Failed(message.clone()),
        (Some("error-json"), Some(value)) => ToolState::Failed(value.to_string()),
        _ => ToolState::Answered(output),
    }
}

fn part(source: &Value) -> Option<Part> {
    let created_at = Millis::now();
    if let Some(part) = content::part(source, created_at) {
        return Some(part);
    }
    let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    let (name, args, state) = match source.get("type").and_then(Value::as_str)? {
        "tool-call" => {
            let args = source.get("input").or_else(|| source.get("args")).cloned().unwrap_or_default();
            (text("toolName")?, args, ToolState::Called)
        }
        kind => {
            let name = match kind.strip_prefix("tool-") {
                Some(name) => name.to_owned(),
                None if kind == "dynamic-tool" => text("toolName")?,
                None => return None,
            };
            let state = match text("state").as_deref() {
                Some("output-available") => ToolState::Answered(source.get("output").cloned().unwrap_or_default()),
                Some("output-error") => ToolState::Failed(text("errorText").unwrap_or_default()),
                _ => ToolState::Called,
            };
            (name, source.get("input").cloned().unwrap_or_default(), state)
        }
    };
    Some(Part::Tool(ToolPart { tool_call_id: text("toolCallId")?, tool_name: name, args, state, created_at }))
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}
