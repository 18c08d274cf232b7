//! Items from stored messages.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::item::{Body, Call, Heading, Item};
use crate::parts::markdown::Streaming;

impl Item {
    /// Reads a stored message: its heading and its parts. What is not understood is left out.
    pub(crate) fn of_message(message: &Value) -> Vec<Self> {
        let Some(fields) = message.as_object() else { return Vec::new() };
        let word = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, role) = (word("id"), word("role"));
        let role = if role.is_empty() { "message" } else { role };
        let content = fields.get("content").unwrap_or(&Value::Null);
        let usage = content.pointer("/metadata/usage").and_then(total);
        let time = fields.get("createdAt").map(clock).unwrap_or_default();
        let heading = Heading { role: role.to_owned(), time, tokens: usage, ..Heading::default() };
        let mut items = vec![Self::new(id, Body::Heading(heading))];
        let parts = content.get("parts").or_else(|| fields.get("parts")).unwrap_or(content);
        match parts.as_array() {
            Some(parts) => items.extend(parts.iter().filter_map(|part| read(id, role, part))),
            None => {
                let text = content.as_str().or_else(|| content.get("content")?.as_str()).unwrap_or_default();
                items.extend(said(id, role, text));
            }
        }
        items
    }
}

/// Returns a text in the way of whom it is of.
fn said(id: &str, role: &str, text: &str) -> Option<Item> {
    if text.is_empty() {
        return None;
    }
    let body = match role {
        "assistant" => {
            let mut answer = Streaming::default();
            answer.push(text);
            Body::Answer(answer)
        }
        "system" => Body::System(text.to_owned()),
        _ => Body::Said(text.to_owned()),
    };
    Some(Item::new(id, body))
}

fn read(id: &str, role: &str, part: &Value) -> Option<Item> {
    let word = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default();
    match word("type") {
        "text" => said(id, role, word("text")),
        "reasoning" => {
            let text = if word("reasoning").is_empty() { word("text") } else { word("reasoning") };
            (!text.is_empty()).then(|| Item::new(id, Body::Thinking(text.to_owned())))
        }
        "tool-invocation" => call(part.get("toolInvocation")?),
        "file" | "image" => {
            let media = [word("mimeType"), word("mediaType")].concat();
            Some(Item::new(id, Body::Notice(format!("file {media}").trim_end().to_owned())))
        }
        "source" | "source-url" => {
            let url = part.pointer("/source/url").or_else(|| part.get("url")).and_then(Value::as_str)?;
            Some(Item::new(id, Body::Notice(format!("source {url}"))))
        }
        "error" => Some(Item::new(id, Body::Error(reason(part.get("error").unwrap_or(part))))),
        kind if kind.starts_with("tool-") || kind == "dynamic-tool" => call(part),
        _ => None,
    }
}

/// Reads a call in any of the ways it is stored.
fn call(said: &Value) -> Option<Item> {
    let word = |key: &str| said.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = match word("toolName") {
        "" => word("type").strip_prefix("tool-")?,
        name => name,
    };
    let any = |keys: [&str; 2]| keys.iter().find_map(|key| said.get(*key)).cloned();
    let args = any(["args", "input"]).unwrap_or_default();
    let mut call = Call { name: name.to_owned(), args, state: "pending".to_owned(), ..Call::default() };
    match word("state") {
        "result" | "output-available" => call.end(any(["result", "output"]).unwrap_or_default()),
        "output-error" | "error" => {
            call.state = "failed".to_owned();
            call.note = any(["errorText", "error"]).map(|error| reason(&error)).unwrap_or_default();
        }
        "output-denied" => call.state = "canceled".to_owned(),
        _ => {}
    }
    Some(Item::new(word("toolCallId"), Body::Call(call)))
}

/// Returns what went wrong, in one sentence.
pub(super) fn reason(error: &Value) -> String {
    let told = ["/message", "/details/errorMessage", "/error/message", "/reason", "/error"];
    let told = told.iter().find_map(|path| error.pointer(path).and_then(Value::as_str));
    match (error.as_str(), told) {
        (Some(text), _) | (None, Some(text)) => text.to_owned(),
        (None, None) => error.get("name").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned),
    }
}

/// Returns all tokens of a usage.
pub(super) fn total(usage: &Value) -> Option<u64> {
    let number = |key: &str| usage.get(key).and_then(Value::as_u64);
    let sum = number("inputTokens").unwrap_or_default().saturating_add(number("outputTokens").unwrap_or_default());
    number("totalTokens").or(Some(sum)).filter(|&tokens| tokens > 0)
}

/// Returns the time of day of a date, or of milliseconds.
pub(super) fn clock(at: &Value) -> String {
    let parsed = match at {
        Value::String(text) => text.parse::<Timestamp>().ok(),
        _ => at.as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok()),
    };
    parsed.map(|at| at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()).unwrap_or_default()
}
