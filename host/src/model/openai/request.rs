//! What is said to an OpenAI-compatible server.
//!
//! Owns the mapping of a [`ChatRequest`] to the body of `POST /chat/completions`.
//! What the wire has no word for is refused or, if it costs little, warned about.

use hotbay_plugin::chat::{ChatRequest, Message, Part, ResponseFormat, Settings, ToolChoice};
use serde_json::{Map, Value, json};

use crate::model::{ModelError, tool_text};

/// Returns the body, and warnings about what it leaves out.
pub(super) fn body(provider: &str, model: &str, request: &ChatRequest) -> Result<(Value, Vec<Value>), ModelError> {
    let mut warnings = Vec::new();
    let mut messages = Vec::new();
    for message in &request.messages {
        add_message(&mut messages, message, &mut warnings)?;
    }
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    body.insert("messages".into(), messages.into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({ "include_usage": true }));
    add_settings(&mut body, &request.settings);
    add_tools(&mut body, request);
    if let Some(ResponseFormat::Json { schema }) = &request.response_format {
        let format = match schema {
            Some(schema) => json!({ "type": "json_schema", "json_schema": { "name": "response", "schema": schema } }),
            None => json!({ "type": "json_object" }),
        };
        body.insert("response_format".into(), format);
    }
    if let Some(Value::Object(options)) = request.provider_options.get(provider) {
        for (name, value) in options {
            let name = if name == "reasoningEffort" { "reasoning_effort" } else { name };
            body.insert(name.into(), value.clone());
        }
    }
    Ok((Value::Object(body), warnings))
}

fn add_settings(body: &mut Map<String, Value>, settings: &Settings) {
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    };
    add("temperature", settings.temperature.map(Value::from));
    add("top_p", settings.top_p.map(Value::from));
    add("top_k", settings.top_k.map(Value::from));
    add("max_tokens", settings.max_output_tokens.map(Value::from));
    add("presence_penalty", settings.presence_penalty.map(Value::from));
    add("frequency_penalty", settings.frequency_penalty.map(Value::from));
    add("seed", settings.seed.map(Value::from));
    add("stop", (!settings.stop_sequences.is_empty()).then(|| json!(settings.stop_sequences)));
}

fn add_tools(body: &mut Map<String, Value>, request: &ChatRequest) {
    if request.tools.is_empty() {
        return;
    }
    let tools: Vec<Value> = request
        .tools
        .iter()
        .map(|tool| {
            let parameters = if tool.input_schema.is_object() {
                tool.input_schema.clone()
            } else {
                json!({ "type": "object", "properties": {} })
            };
            json!({ "type": "function", "function": {
                "name": tool.name, "description": tool.description, "parameters": parameters,
            }})
        })
        .collect();
    body.insert("tools".into(), tools.into());
    // `auto` is what every server does unasked, and some know no other word.
    let choice = match &request.tool_choice {
        ToolChoice::Auto => return,
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Tool { tool_name } => json!({ "type": "function", "function": { "name": tool_name } }),
    };
    body.insert("tool_choice".into(), choice);
}

fn add_message(messages: &mut Vec<Value>, message: &Message, warnings: &mut Vec<Value>) -> Result<(), ModelError> {
    match message {
        Message::System(text) => messages.push(json!({ "role": "system", "content": text })),
        Message::User(parts) => messages.push(json!({ "role": "user", "content": user_content(parts, warnings)? })),
        Message::Assistant(parts) => messages.push(assistant(parts, warnings)),
        Message::Tool(parts) => {
            for part in parts {
                match part {
                    Part::ToolResult { tool_call_id, output, .. } => messages.push(json!({
                        "role": "tool", "tool_call_id": tool_call_id, "content": tool_text(output),
                    })),
                    other => warnings.push(left_out(other, "tool")),
                }
            }
        }
    }
    Ok(())
}

/// A single text stays a plain string: the oldest servers read nothing else.
fn user_content(parts: &[Part], warnings: &mut Vec<Value>) -> Result<Value, ModelError> {
    if let [Part::Text { text }] = parts {
        return Ok(text.as_str().into());
    }
    let mut content = Vec::new();
    for part in parts {
        match part {
            Part::Text { text } => content.push(json!({ "type": "text", "text": text })),
            Part::File { data, media_type, filename } => content.push(file(data, media_type, filename.as_deref())?),
            other => warnings.push(left_out(other, "user")),
        }
    }
    Ok(content.into())
}

fn assistant(parts: &[Part], warnings: &mut Vec<Value>) -> Value {
    let mut text = String::new();
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Text { text: more } => text.push_str(more),
            // The wire has no place for what the model thought earlier.
            Part::Reasoning { .. } => {}
            Part::ToolCall { tool_call_id, tool_name, input } => calls.push(json!({
                "id": tool_call_id, "type": "function",
                "function": { "name": tool_name, "arguments": input.to_string() },
            })),
            other => warnings.push(left_out(other, "assistant")),
        }
    }
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { text.into() };
    let mut message = json!({ "role": "assistant", "content": content });
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

fn file(data: &str, media_type: &str, filename: Option<&str>) -> Result<Value, ModelError> {
    let is_link = data.starts_with("http://") || data.starts_with("https://");
    let url =
        if is_link || data.starts_with("data:") { data.to_owned() } else { format!("data:{media_type};base64,{data}") };
    if media_type.starts_with("image/") {
        return Ok(json!({ "type": "image_url", "image_url": { "url": url } }));
    }
    if is_link {
        return Err(ModelError::Refused {
            status: None,
            message: format!("a file of type `{media_type}` cannot be sent to this model as a link, send its content"),
        });
    }
    let content = url.split_once(',').map_or(url.as_str(), |(_, content)| content);
    Ok(match media_type {
        "audio/wav" | "audio/x-wav" => {
            json!({ "type": "input_audio", "input_audio": { "data": content, "format": "wav" } })
        }
        "audio/mpeg" | "audio/mp3" => {
            json!({ "type": "input_audio", "input_audio": { "data": content, "format": "mp3" } })
        }
        _ => json!({ "type": "file", "file": { "filename": filename.unwrap_or("file"), "file_data": url } }),
    })
}

fn left_out(part: &Part, role: &str) -> Value {
    let kind = match part {
        Part::Text { .. } => "text",
        Part::Reasoning { .. } => "reasoning",
        Part::File { .. } => "file",
        Part::ToolCall { .. } => "tool-call",
        Part::ToolResult { .. } => "tool-result",
    };
    json!({ "type": "other", "message": format!("a {kind} part of a message of role {role} was left out") })
}
