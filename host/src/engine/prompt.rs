//! The conversation as a model is asked it.

use hotbay_plugin::chat;

use super::{Plan, turn::Turn};
use crate::types::{
    message::{Message, Part, Role, ToolState},
    spoken,
};

/// Returns the conversation of a run: instructions if there are any, what the agent has noted, what was said.
pub(super) fn messages(turn: &Turn, plan: &Plan, instructions: &str, noted: Option<String>) -> Vec<chat::Message> {
    let mut prompt = Vec::new();
    if !instructions.is_empty() {
        prompt.push(chat::Message::System(instructions.to_owned()));
    }
    prompt.extend(noted.into_iter().chain(plan.system.iter().cloned()).map(chat::Message::System));
    for message in &turn.remembered {
        push(&mut prompt, message, true);
    }
    for message in turn.input.iter().chain(&turn.response) {
        push(&mut prompt, message, false);
    }
    prompt
}

fn push(prompt: &mut Vec<chat::Message>, message: &Message, is_over: bool) {
    match message.role {
        Role::System => {
            let text: String = message.parts.iter().filter_map(text_of).collect();
            prompt.push(chat::Message::System(text));
        }
        Role::User => prompt.push(chat::Message::User(message.parts.iter().filter_map(spoken::plain).collect())),
        Role::Assistant | Role::Tool => push_turn(prompt, message, is_over),
    }
}

/// One entry of an agent is several of a model: each step, and the answers its tools gave.
fn push_turn(prompt: &mut Vec<chat::Message>, message: &Message, is_over: bool) {
    let mut said = Vec::new();
    let mut answers = Vec::new();
    for part in &message.parts {
        match part {
            Part::StepStart { .. } => flush(prompt, &mut said, &mut answers),
            // What a remembered call waited for never came; models refuse calls without an answer.
            Part::Tool(tool) if is_over && tool.state == ToolState::Called => {}
            Part::Tool(tool) => {
                said.push(spoken::call(tool));
                answers.extend(spoken::answer(tool));
            }
            other => said.extend(spoken::plain(other)),
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

/// Returns an entry of the conversation as a plugin writes it.
pub(super) fn entry(message: chat::Message) -> Message {
    let (role, parts) = match message {
        chat::Message::System(text) => return Message::of_text(Role::System, text),
        chat::Message::User(parts) => (Role::User, parts),
        chat::Message::Assistant(parts) => (Role::Assistant, parts),
        chat::Message::Tool(parts) => (Role::Tool, parts),
    };
    let mut entry = Message::new(role);
    entry.parts = spoken::entry_parts(parts, entry.created_at);
    let texts: Vec<&str> = entry.parts.iter().filter_map(text_of).collect();
    entry.text = (!texts.is_empty()).then(|| texts.join("\n"));
    entry
}
