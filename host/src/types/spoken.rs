//! Parts of messages as models and plugins speak of them, and back.

use hotbay_plugin::chat::{self, ToolOutput};
use serde_json::Value;

use super::{
    id::Millis,
    message::{Part, ToolPart, ToolState},
};

/// Returns a part that a model is told as it is: a text, a reasoning, a file.
#[must_use]
pub fn plain(part: &Part) -> Option<chat::Part> {
    match part {
        Part::Text { text, .. } => Some(chat::Part::Text { text: text.clone() }),
        Part::Reasoning { text, .. } => Some(chat::Part::Reasoning { text: text.clone() }),
        Part::File { data, media_type, filename, .. } => {
            Some(chat::Part::File { data: data.clone(), media_type: media_type.clone(), filename: filename.clone() })
        }
        Part::Tool(_) | Part::StepStart { .. } | Part::Error { .. } => None,
    }
}

/// Returns what parts say in words, a line each.
#[must_use]
pub fn words(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Returns the call a tool part is about.
#[must_use]
pub fn call(tool: &ToolPart) -> chat::Part {
    chat::Part::ToolCall {
        tool_call_id: tool.tool_call_id.clone(),
        tool_name: tool.tool_name.clone(),
        input: tool.args.clone(),
    }
}

/// Returns the answer of a tool part; `None` while there is none.
#[must_use]
pub fn answer(tool: &ToolPart) -> Option<chat::Part> {
    Some(chat::Part::ToolResult {
        tool_call_id: tool.tool_call_id.clone(),
        tool_name: tool.tool_name.clone(),
        output: tool.state.output()?,
    })
}

/// Returns everything a part says.
pub fn parts(part: &Part) -> impl Iterator<Item = chat::Part> {
    let said = match part {
        Part::Tool(tool) => [Some(call(tool)), answer(tool)],
        other => [plain(other), None],
    };
    said.into_iter().flatten()
}

/// Returns parts as the host keeps them: a call and its answer are one.
#[must_use]
pub fn entry_parts(spoken: Vec<chat::Part>, created_at: Millis) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::with_capacity(spoken.len());
    for part in spoken {
        match part {
            chat::Part::Text { text } => parts.push(Part::Text { text, created_at }),
            chat::Part::Reasoning { text } => parts.push(Part::Reasoning { text, created_at }),
            chat::Part::File { data, media_type, filename } => {
                parts.push(Part::File { data, media_type, filename, created_at });
            }
            chat::Part::ToolCall { tool_call_id, tool_name, input } => {
                let state = ToolState::Called;
                parts.push(Part::Tool(ToolPart { tool_call_id, tool_name, args: input, state, created_at }));
            }
            chat::Part::ToolResult { tool_call_id, tool_name, output } => {
                let state = match output {
                    ToolOutput::Text(text) => ToolState::Answered(Value::String(text)),
                    ToolOutput::Json(value) => ToolState::Answered(value),
                    ToolOutput::ErrorText(message) => ToolState::Failed(message),
                    ToolOutput::ErrorJson(value) => ToolState::Failed(value.to_string()),
                };
                let called = parts.iter_mut().find_map(|part| match part {
                    Part::Tool(tool) if tool.tool_call_id == tool_call_id => Some(tool),
                    _ => None,
                });
                match called {
                    Some(tool) => tool.state = state,
                    None => parts.push(Part::Tool(ToolPart {
                        tool_call_id,
                        tool_name,
                        args: Value::Null,
                        state,
                        created_at,
                    })),
                }
            }
        }
    }
    parts
}
