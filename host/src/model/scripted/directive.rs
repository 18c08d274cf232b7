//! Which tools a text leads to, and with which arguments.
//!
//! A line `call <tool> {json}` calls that tool; without such a line, a text that has the
//! words of an offered tool's name calls it. Arguments that are not given are taken
//! from the text as far as the tool's schema asks for them.

use hotbay_plugin::chat::ToolSpec;
use serde_json::Value;

use super::{
    schema::{Hints, fill},
    script::Call,
};

/// Words in tools' names that say nothing about the subject.
const EMPTY_WORDS: &[&str] = &["a", "by", "do", "fetch", "find", "for", "get", "look", "of", "the", "tool", "up"];

/// Returns the calls a text asks for.
pub(super) fn calls(said: &str, tools: &[ToolSpec]) -> Vec<Call> {
    let ordered: Vec<Call> = said.lines().filter_map(|line| ordered(line, said, tools)).collect();
    if !ordered.is_empty() {
        return ordered;
    }
    let said_words = words(said);
    let is_meant = |tool: &&ToolSpec| {
        let name = words(&tool.name);
        let (empty, telling): (Vec<_>, Vec<_>) = name.iter().partition(|word| EMPTY_WORDS.contains(&word.as_str()));
        let name = if telling.is_empty() { empty } else { telling };
        !name.is_empty() && name.iter().all(|word| said_words.contains(word))
    };
    tools.iter().find(is_meant).map(|tool| call(tool, said)).into_iter().collect()
}

/// Returns a call with the arguments the text has for it.
pub(super) fn call(tool: &ToolSpec, said: &str) -> Call {
    let input = fill(&tool.input_schema, &mut Hints::of(said));
    let input = if input.is_object() { input } else { serde_json::json!({}) };
    Call { tool_call_id: None, tool_name: tool.name.clone(), input }
}

/// Reads a line `call <tool> {json}`.
fn ordered(line: &str, said: &str, tools: &[ToolSpec]) -> Option<Call> {
    let order = line.trim().strip_prefix("call ")?.trim_start();
    let (name, arguments) = order.split_once(char::is_whitespace).unwrap_or((order, ""));
    let tool = tools.iter().find(|tool| tool.name == name)?;
    match serde_json::from_str::<Value>(arguments.trim()) {
        Ok(input) => Some(Call { tool_call_id: None, tool_name: tool.name.clone(), input }),
        Err(_) => Some(call(tool, said)),
    }
}

/// Returns the words of a text in lower case; `camelCase`, `-` and `_` part words too.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in text.chars() {
        if !character.is_alphanumeric() || (was_lower && character.is_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
        was_lower = character.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}
