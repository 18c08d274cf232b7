//! Messages and the document they are stored and sent as: `{id, role, createdAt, threadId,
//! resourceId, content: {format: 2, parts, ...}}`. The only place that knows both.

use serde_json::{Map, Value, json, value::RawValue};

use crate::types::{
    id::Millis,
    message::{Message, Part, Role, ToolPart, ToolState},
    thread::StoredMessage,
};

/// The form of content this host writes.
pub const KIND: &str = "v2";

/// Returns a message as answers show it.
#[must_use]
pub fn document(message: &Message) -> Value {
    let mut content = content(message);
    let invocations: Vec<Value> = message
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Tool(tool) if matches!(tool.state, ToolState::Answered(_)) => Some(invocation(tool)),
            _ => None,
        })
        .collect();
    if !invocations.is_empty() {
        content.insert("toolInvocations".to_owned(), invocations.into());
    }
    let mut document = Map::new();
    document.insert("id".to_owned(), message.id.as_str().into());
    document.insert("role".to_owned(), message.role.as_str().into());
    document.insert("createdAt".to_owned(), message.created_at.iso().into());
    document.insert("content".to_owned(), content.into());
    add_thread(&mut document, message);
    document.into()
}

/// Returns the content of a message.
#[must_use]
pub fn content(message: &Message) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("format".to_owned(), 2.into());
    content.insert("parts".to_owned(), message.parts.iter().map(written).collect());
    if let Some(text) = &message.text {
        content.insert("content".to_owned(), text.as_str().into());
    }
    if !message.metadata.is_empty() {
        content.insert("metadata".to_owned(), message.metadata.clone().into());
    }
    if message.role == Role::User {
        // Clients of an older kind look for files here.
        let files: Vec<Value> = message.parts.iter().filter_map(attachment).collect();
        if !files.is_empty() {
            content.insert("experimental_attachments".to_owned(), files.into());
        }
    }
    content
}

/// Returns the content of a message as it is kept.
fn kept_content(message: &Message) -> Map<String, Value> {
    let mut content = content(message);
    if let Some(Value::Array(parts)) = content.get_mut("parts") {
        for part in parts.iter_mut().filter_map(Value::as_object_mut) {
            // As recorded: once a call is answered, when it was made is no longer told.
            if part.get("toolInvocation").is_some_and(|tool| tool["state"] == "result") {
                part.shift_remove("createdAt");
            }
        }
    }
    content
}

/// Returns a message as spans show what is kept of it.
#[must_use]
pub fn kept(message: &Message) -> Value {
    let mut document = Map::new();
    document.insert("id".to_owned(), message.id.as_str().into());
    document.insert("role".to_owned(), message.role.as_str().into());
    document.insert("content".to_owned(), kept_content(message).into());
    document.insert("createdAt".to_owned(), message.created_at.iso().into());
    add_thread(&mut document, message);
    document.into()
}

/// Returns a message as it is stored in a thread.
#[must_use]
pub fn stored(message: &Message, thread_id: &str, resource_id: &str) -> StoredMessage {
    let content = kept_content(message);
    StoredMessage {
        id: message.id.clone(),
        thread_id: thread_id.to_owned(),
        resource_id: Some(resource_id.to_owned()),
        role: message.role.as_str().to_owned(),
        kind: KIND.to_owned(),
        content: raw(&content.into()),
        created_at: message.created_at,
    }
}

/// Returns JSON as the text it is stored as.
#[must_use]
pub fn raw(content: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(content).expect("a JSON value is written to memory")
}

/// Returns what a message says in words.
#[must_use]
pub fn words(message: &StoredMessage) -> String {
    let content: Value = serde_json::from_str(message.content.get()).unwrap_or_default();
    if let Value::String(text) = content {
        return text;
    }
    let parts = content.get("parts").and_then(Value::as_array);
    let texts = parts.into_iter().flatten().filter(|part| part.get("type").is_some_and(|kind| kind == "text"));
    let texts: Vec<&str> = texts.filter_map(|part| part.get("text")?.as_str()).collect();
    texts.join("\n")
}

/// Returns a stored message as the engine sees it; parts it does not know are left out.
#[must_use]
pub fn message(stored: &StoredMessage) -> Message {
    let content: Value = serde_json::from_str(stored.content.get()).unwrap_or_default();
    let mut message = Message {
        id: stored.id.clone(),
        role: role(&stored.role),
        created_at: stored.created_at,
        thread_id: Some(stored.thread_id.clone()),
        resource_id: stored.resource_id.clone(),
        ..Message::new(Role::User)
    };
    read_content(&content, &mut message);
    message
}

/// Reads the document of a message, as [`document`] writes it.
#[must_use]
pub fn read(document: &Value) -> Option<Message> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
    let created_at = document.get("createdAt")?.as_str()?.parse::<jiff::Timestamp>().ok()?;
    let mut message = Message {
        id: text("id")?,
        role: role(document.get("role")?.as_str()?),
        created_at: Millis(created_at.as_millisecond()),
        thread_id: text("threadId"),
        resource_id: text("resourceId"),
        ..Message::new(Role::User)
    };
    read_content(document.get("content")?, &mut message);
    Some(message)
}

/// Reads content into a message.
pub fn read_content(content: &Value, message: &mut Message) {
    match content {
        Value::String(text) => {
            message.parts = vec![Part::Text { text: text.clone(), created_at: message.created_at }];
            message.text = Some(text.clone());
        }
        content => {
            let parts = content.get("parts").and_then(Value::as_array);
            message.parts = parts.into_iter().flatten().filter_map(|source| part(source, message.created_at)).collect();
            message.text = content.get("content").and_then(Value::as_str).map(str::to_owned);
            message.metadata = content.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        }
    }
}

/// Reads a stored part; `at` is when it was made if it does not say.
#[must_use]
pub fn part(source: &Value, at: Millis) -> Option<Part> {
    let created_at = source.get("createdAt").and_then(Value::as_i64).map_or(at, Millis);
    let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(match source.get("type").and_then(Value::as_str)? {
        "text" => Part::Text { text: text("text")?, created_at },
        "reasoning" => Part::Reasoning { text: text("text").or_else(|| text("reasoning"))?, created_at },
        "step-start" => Part::StepStart { model: text("model").unwrap_or_default(), created_at },
        "tool-invocation" => Part::Tool(read_invocation(source.get("toolInvocation")?, created_at)?),
        kind @ ("file" | "image") => {
            let data = text("url").or_else(|| text("data")).or_else(|| text("image"))?;
            let media_type = text("mediaType").or_else(|| text("mimeType")).or_else(|| media_type(&data));
            let unknown = if kind == "image" { "image/*" } else { "application/octet-stream" };
            Part::File {
                media_type: media_type.unwrap_or_else(|| unknown.to_owned()),
                data,
                filename: text("filename"),
                created_at,
            }
        }
        "error" => Part::Error { message: source.get("error")?.get("message")?.as_str()?.to_owned(), created_at },
        _ => return None,
    })
}

/// Adds which conversation a message belongs to.
pub(crate) fn add_thread(object: &mut Map<String, Value>, message: &Message) {
    if let Some(thread) = &message.thread_id {
        object.insert("threadId".to_owned(), thread.as_str().into());
    }
    if let Some(resource) = &message.resource_id {
        object.insert("resourceId".to_owned(), resource.as_str().into());
    }
}

/// Returns the part that says why a turn broke off.
pub(crate) fn error_part(message: &str, at: Millis) -> Value {
    json!({"type": "error", "error": {"name": "Error", "message": message}, "createdAt": at.0})
}

/// Returns the type a `data:` URL names.
fn media_type(data: &str) -> Option<String> {
    let (media_type, _) = data.strip_prefix("data:")?.split_once([';', ','])?;
    (!media_type.is_empty()).then(|| media_type.to_owned())
}

fn role(name: &str) -> Role {
    match name {
        "system" => Role::System,
        "user" => Role::User,
        "tool" => Role::Tool,
        _ => Role::Assistant,
    }
}

fn attachment(part: &Part) -> Option<Value> {
    match part {
        Part::File { data, media_type, .. } => Some(json!({"url": data, "contentType": media_type})),
        _ => None,
    }
}

fn written(part: &Part) -> Value {
    match part {
        Part::Text { text, created_at } => json!({"type": "text", "text": text, "createdAt": created_at.0}),
        Part::Reasoning { text, created_at } => json!({"type": "reasoning", "reasoning": text,
            "details": [{"type": "text", "text": text}], "createdAt": created_at.0}),
        Part::Tool(tool) => {
            json!({"type": "tool-invocation", "toolInvocation": invocation(tool), "createdAt": tool.created_at.0})
        }
        Part::StepStart { model, created_at } => {
            json!({"type": "step-start", "createdAt": created_at.0, "model": model})
        }
        Part::File { data, media_type, filename, created_at } => {
            let mut file = json!({"type": "file", "data": data, "mimeType": media_type, "createdAt": created_at.0});
            if let Some(name) = filename {
                file["filename"] = name.as_str().into();
            }
            file
        }
        Part::Error { message, created_at } => error_part(message, *created_at),
    }
}

fn invocation(tool: &ToolPart) -> Value {
    let mut invocation = json!({"state": "call", "toolCallId": tool.tool_call_id, "toolName": tool.tool_name,
        "args": tool.args});
    match &tool.state {
        ToolState::Called => {}
        ToolState::Answered(result) => {
            invocation["state"] = "result".into();
            invocation["result"] = result.clone();
        }
        ToolState::Failed(message) => {
            invocation["state"] = "output-error".into();
            invocation["errorText"] = message.as_str().into();
        }
        ToolState::Denied(reason) => {
            invocation["state"] = "output-denied".into();
            invocation["approval"] = json!({"id": tool.tool_call_id, "approved": false, "reason": reason});
        }
    }
    invocation
}

fn read_invocation(source: &Value, created_at: Millis) -> Option<ToolPart> {
    let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
    let state = match text("state").as_deref() {
        Some("result") => ToolState::Answered(source.get("result").cloned().unwrap_or_default()),
        Some("output-error") => ToolState::Failed(text("errorText").unwrap_or_default()),
        Some("output-denied") => {
            let reason = source.get("approval").and_then(|approval| approval.get("reason")?.as_str());
            ToolState::Denied(reason.unwrap_or_default().to_owned())
        }
        _ => ToolState::Called,
    };
    let args = source.get("args").cloned().unwrap_or_default();
    Some(ToolPart { tool_call_id: text("toolCallId")?, tool_name: text("toolName")?, args, state, created_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> Message {
        let at = Millis(1_000);
        let tool = |id: &str, state| {
            let (tool_call_id, tool_name) = (id.to_owned(), "t".to_owned());
            Part::Tool(ToolPart { tool_call_id, tool_name, args: json!({"a": 1}), state, created_at: at })
        };
        let mut message = Message::of_text(Role::Assistant, "hello");
        message.created_at = at;
        message.parts = vec![
            Part::Reasoning { text: "hm".to_owned(), created_at: at },
            tool("1", ToolState::Called),
            tool("2", ToolState::Answered(json!({"b": [1]}))),
            tool("3", ToolState::Failed("no".to_owned())),
            tool("4", ToolState::Denied("never".to_owned())),
            Part::StepStart { model: "p/m".to_owned(), created_at: at },
            Part::File {
                data: "https://x/y.png".to_owned(),
                media_type: "image/png".to_owned(),
                filename: Some("y.png".to_owned()),
                created_at: at,
            },
            Part::Text { text: "hello".to_owned(), created_at: at },
            Part::Error { message: "broke".to_owned(), created_at: at },
        ];
        message.metadata.insert("modelId".to_owned(), "m".into());
        message.thread_id = Some("t-1".to_owned());
        message.resource_id = Some("r-1".to_owned());
        message
    }

    #[test]
    fn what_is_written_is_read_again() {
        let turn = turn();
        assert_eq!(read(&document(&turn)).as_ref(), Some(&turn));
        assert_eq!(message(&stored(&turn, "t-1", "r-1")), turn);
    }

    #[test]
    fn a_file_is_of_the_type_its_data_says() {
        let source = json!({"type": "image", "image": "data:image/png;base64,AAAA"});
        let Some(Part::File { media_type, .. }) = part(&source, Millis(0)) else { panic!("it is a file") };
        assert_eq!(media_type, "image/png");
    }

    #[test]
    fn parts_nobody_knows_are_left_out() {
        let content = json!({"format": 2, "parts": [{"type": "source", "url": "x"}, {"type": "text", "text": "y"}]});
        let mut message = Message::new(Role::User);
        read_content(&content, &mut message);
        assert_eq!(message.parts.len(), 1);
    }
}
