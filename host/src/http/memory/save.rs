//! Messages as clients bring them: stored ones, which are kept word for word, and those a
//! model is told, which are put into the stored form.

use serde_json::{Map, Value, json};

use super::time;
use crate::{
    http::error::{ApiError, Invalid},
    memory::content::{KIND, raw},
    types::{
        id::{self, Millis},
        thread::StoredMessage,
    },
};

/// A message that was brought.
pub(super) struct Incoming {
    /// As the answer shows it.
    pub(super) shown: Value,
    /// As it is stored.
    pub(super) stored: StoredMessage,
}

impl Incoming {
    /// Reads the message at this place of the request; thread and owner are known to be there.
    pub(super) fn read(index: usize, message: Value) -> Result<Self, ApiError> {
        let invalid = |field: &str, message: &str| {
            Err(ApiError::invalid_field(Invalid::Body, format!("messages.{index}{field}"), message))
        };
        let Value::Object(mut message) = message else { return invalid("", "Invalid input: expected object") };
        let Some(role) = message.get("role").and_then(Value::as_str).map(str::to_owned) else {
            return invalid(".role", "Invalid input: expected string, received undefined");
        };
        let created_at = match message.get("createdAt") {
            None | Some(Value::Null) => Millis::now(),
            Some(value) => match time(value) {
                Some(time) => time,
                None => return invalid(".createdAt", "Invalid input: expected date, received Date"),
            },
        };
        let text = |key: &str| message.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let id = text("id").map_or_else(id::fresh, str::to_owned);
        let (thread_id, resource_id) = (text("threadId").map(str::to_owned), text("resourceId").map(str::to_owned));
        let thread_id = thread_id.unwrap_or_default();
        let kind = text("type").unwrap_or(KIND).to_owned();

        let is_stored = message.get("content").is_some_and(Value::is_object);
        if is_stored {
            let content = raw(&message["content"]);
            message.insert("id".to_owned(), id.as_str().into());
            message.insert("createdAt".to_owned(), created_at.iso().into());
            let stored = StoredMessage { id, thread_id, resource_id, role, kind, content, created_at };
            return Ok(Self { shown: message.into(), stored });
        }
        let Some(content) = message.get("content").or_else(|| message.get("parts")).and_then(converted) else {
            return invalid(".content", "Invalid input");
        };
        // What a tool answered is part of what the agent did.
        let role = if role == "tool" { "assistant".to_owned() } else { role };
        let shown = json!({"id": id, "role": role, "createdAt": created_at.iso(), "threadId": thread_id,
            "resourceId": resource_id, "content": content});
        let content = raw(&content.into());
        let kind = KIND.to_owned();
        Ok(Self { shown, stored: StoredMessage { id, thread_id, resource_id, role, kind, content, created_at } })
    }
}

/// Returns what a model is told as stored content; `None` if it is neither a text nor a list.
fn converted(content: &Value) -> Option<Map<String, Value>> {
    let mut stored = Map::new();
    stored.insert("format".to_owned(), 2.into());
    match content {
        Value::String(text) => {
            stored.insert("parts".to_owned(), json!([{"type": "text", "text": text}]));
            stored.insert("content".to_owned(), text.as_str().into());
        }
        Value::Array(parts) => {
            let parts: Vec<Value> = parts.iter().map(part).collect();
            let texts: Vec<&str> =
                parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect();
            let text = texts.join("\n");
            let answers: Vec<Value> = parts
                .iter()
                .filter_map(|part| part.get("toolInvocation"))
                .filter(|tool| tool["state"] == "result")
                .cloned()
                .collect();
            stored.insert("parts".to_owned(), parts.into());
            if !text.is_empty() {
                stored.insert("content".to_owned(), text.into());
            }
            if !answers.is_empty() {
                stored.insert("toolInvocations".to_owned(), answers.into());
            }
        }
        _ => return None,
    }
    Some(stored)
}

/// Returns a part in its stored form; one of another kind stays as it is.
fn part(source: &Value) -> Value {
    let get = |keys: [&str; 3]| keys.iter().find_map(|key| source.get(*key)).cloned().unwrap_or(Value::Null);
    match source.get("type").and_then(Value::as_str) {
        Some("tool-call") => {
            let args = get(["input", "args", "args"]);
            json!({"type": "tool-invocation", "toolInvocation": {"state": "call",
                "toolCallId": source["toolCallId"], "toolName": source["toolName"], "args": args}})
        }
        Some("tool-result") => {
            let output = get(["output", "result", "result"]);
            // What models call an output is a value with its kind.
            let result = match (output.get("type").and_then(Value::as_str), output.get("value")) {
                (Some("text" | "json" | "content" | "error-text" | "error-json"), Some(value)) => value.clone(),
                _ => output,
            };
            json!({"type": "tool-invocation", "toolInvocation": {"state": "result",
                "toolCallId": source["toolCallId"], "toolName": source["toolName"], "args": {}, "result": result}})
        }
        Some("image" | "file") if source.get("data").is_none() || source.get("mimeType").is_none() => {
            let mut file = json!({"type": "file", "data": get(["data", "image", "url"]),
                "mimeType": get(["mediaType", "mimeType", "mimeType"])});
            if let Some(name) = source.get("filename") {
                file["filename"] = name.clone();
            }
            file
        }
        Some("reasoning") if source.get("details").is_none() => {
            let text = get(["text", "reasoning", "reasoning"]);
            json!({"type": "reasoning", "reasoning": text, "details": [{"type": "text", "text": text}]})
        }
        _ => source.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut message: Value) -> Result<Incoming, ApiError> {
        message["threadId"] = "t".into();
        message["resourceId"] = "r".into();
        Incoming::read(0, message)
    }

    #[test]
    fn a_stored_message_is_kept_word_for_word() {
        let content = json!({"format": 2, "parts": [{"type": "custom", "x": [1]}], "extra": true});
        let incoming = read(json!({"id": "m", "role": "signal", "type": "v3", "content": content})).unwrap();
        assert_eq!(incoming.stored.content.get(), content.to_string());
        assert_eq!((incoming.stored.role.as_str(), incoming.stored.kind.as_str()), ("signal", "v3"));
        assert_eq!(incoming.shown["content"], content);
    }

    #[test]
    fn what_a_model_is_told_loses_nothing() {
        let call = json!({"type": "tool-call", "toolCallId": "c", "toolName": "w", "input": {"city": "x"}});
        let incoming = read(json!({"role": "assistant", "content": [call]})).unwrap();
        assert_eq!(incoming.shown["content"]["parts"][0]["toolInvocation"]["args"], json!({"city": "x"}));
        let answer = json!({"type": "tool-result", "toolCallId": "c", "toolName": "w",
            "output": {"type": "json", "value": {"ok": 1}}});
        let incoming = read(json!({"role": "tool", "content": [answer]})).unwrap();
        assert_eq!(incoming.stored.role, "assistant");
        assert_eq!(incoming.shown["content"]["toolInvocations"][0]["result"], json!({"ok": 1}));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let error = |message| read(message).err().unwrap().issues[0].field.clone();
        assert_eq!(error(json!({"content": "x"})), "messages.0.role");
        assert_eq!(error(json!({"role": "user"})), "messages.0.content");
        assert_eq!(error(json!({"role": "user", "content": "x", "createdAt": "soon"})), "messages.0.createdAt");
    }
}
