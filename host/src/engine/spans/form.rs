//! The documents spans of agents carry: conversations, answers, tools, tokens.

use hotbay_plugin::chat::{self, Usage};
use serde_json::{Map, Value, json};

use crate::{
    engine::{
        toolbox::Toolbox,
        turn::{ToolCall, Turn},
    },
    types::{
        message::{Message, Part, Role},
        schema::DRAFT_07,
        spoken, usage,
    },
};

/// Returns an object of these. `json!` would copy what is a document already.
pub(super) fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Returns what an agent was asked: a text if that is all.
pub(super) fn asked(input: &[Message]) -> Value {
    if let [message] = input
        && message.role == Role::User
        && let [Part::Text { text, .. }] = message.parts.as_slice()
    {
        return text.as_str().into();
    }
    let messages = input.iter().map(|message| {
        let content = match message.parts.as_slice() {
            [Part::Text { text, .. }] => text.as_str().into(),
            parts => json!(parts.iter().flat_map(spoken::parts).collect::<Vec<_>>()),
        };
        object([("role", message.role.as_str().into()), ("content", content)])
    });
    messages.collect()
}

/// Returns the conversation as a model is first asked it. When texts of people were written is
/// said with them, as providers are told.
pub(super) fn prompt(messages: &[chat::Message], turn: &Turn) -> Value {
    let mut people = turn.remembered.iter().chain(&turn.input).filter(|message| message.role == Role::User);
    let messages = messages.iter().map(|message| {
        let mut document = json!(message);
        if let chat::Message::User(_) = message
            && let Some(said) = people.next()
            && let Some(parts) = document["content"].as_array_mut()
        {
            for part in parts.iter_mut().filter(|part| part["type"] == "text") {
                part["providerOptions"] = json!({"mastra": {"createdAt": said.created_at.0}});
            }
        }
        document
    });
    object([("messages", messages.collect())])
}

/// Returns the conversation as texts, one a message.
pub(super) fn flat(messages: &[chat::Message]) -> Value {
    let flat = messages.iter().map(|message| {
        let (role, parts) = match message {
            chat::Message::System(text) => {
                return object([("role", "system".into()), ("content", text.as_str().into())]);
            }
            chat::Message::User(parts) => ("user", parts),
            chat::Message::Assistant(parts) => ("assistant", parts),
            chat::Message::Tool(parts) => ("tool", parts),
        };
        let mut content = String::new();
        for part in parts {
            if !content.is_empty() {
                content.push('\n');
            }
            match part {
                chat::Part::Text { text } => content.push_str(text),
                chat::Part::Reasoning { .. } => content.push_str("[reasoning]"),
                chat::Part::File { media_type, .. } => content.push_str(&format!("[file: {media_type}]")),
                chat::Part::ToolCall { tool_name, .. } => content.push_str(&format!("[tool: {tool_name}]")),
                chat::Part::ToolResult { tool_name, .. } => content.push_str(&format!("[tool-result: {tool_name}]")),
            }
        }
        object([("role", role.into()), ("content", content.into())])
    });
    flat.collect()
}

/// Returns the tools a model may call.
pub(super) fn tools(toolbox: &Toolbox) -> Value {
    let tools = toolbox.specs().into_iter().map(|spec| {
        object([
            ("type", "function".into()),
            ("name", spec.name.into()),
            ("description", spec.description.into()),
            ("parameters", in_draft_07(spec.input_schema)),
        ])
    });
    tools.collect()
}

/// Names the dialect clients know.
fn in_draft_07(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), DRAFT_07.into());
    }
    schema
}

/// Returns how a model may call them.
pub(super) fn choice(choice: &chat::ToolChoice) -> Value {
    match choice {
        chat::ToolChoice::Auto => "auto".into(),
        chat::ToolChoice::None => "none".into(),
        chat::ToolChoice::Required => "required".into(),
        chat::ToolChoice::Tool { .. } => json!(choice),
    }
}

/// Returns tool calls.
pub(super) fn calls(calls: &[ToolCall]) -> Value {
    calls.iter().map(one_call).collect()
}

fn one_call(call: &ToolCall) -> Value {
    object([
        ("toolCallId", call.id.as_str().into()),
        ("toolName", call.name.as_str().into()),
        ("args", call.args.clone()),
    ])
}

/// Returns tokens.
pub(super) fn usage(usage: &Usage) -> Value {
    usage::document(usage)
}

/// Returns what a model said in all steps of a run.
pub(super) fn generated(turn: &Turn) -> Value {
    let reasoning = turn.steps.iter().filter(|step| !step.reasoning.is_empty());
    let mut output = Map::new();
    let mut put = |name: &str, value: Value| output.insert(name.to_owned(), value);
    put("files", json!([]));
    put("reasoning", reasoning.map(|step| json!({"type": "reasoning", "text": step.reasoning})).collect());
    put("sources", json!([]));
    put("text", turn.text().into());
    put("warnings", turn.steps.last().map(|step| step.warnings.clone()).unwrap_or_default().into());
    put("toolCalls", turn.steps.iter().flat_map(|step| &step.calls).map(one_call).collect());
    if let Some(object) = &turn.object {
        put("object", object.clone());
    }
    output.into()
}
