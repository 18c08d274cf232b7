//! The history window: the last entries of a thread, fit to be shown to a model.

use std::collections::HashSet;

use super::content;
use crate::{
    store::{Store, StoreError},
    types::message::{Message, Part, Role, ToolState},
};

/// Returns a thread's last entries, oldest first.
pub(super) async fn last(store: &Store, thread_id: &str, entries: u64) -> Result<Vec<Message>, StoreError> {
    if entries == 0 {
        return Ok(Vec::new());
    }
    Ok(store.messages().last(thread_id, entries).await?.iter().rev().map(content::message).collect())
}

/// Gives remembered calls the answers the caller brings along, and returns the entries that
/// changed. A message of the caller that holds nothing else is taken out of `input`: what it
/// says is in the conversation already.
pub(super) fn settle(remembered: &mut [Message], input: &mut Vec<Message>) -> Vec<Message> {
    let mut changed = HashSet::new();
    input.retain_mut(|message| {
        if message.role == Role::User || message.parts.is_empty() {
            return true;
        }
        message.parts.retain(|part| {
            let Part::Tool(answer) = part else { return true };
            let waiting = remembered.iter_mut().enumerate().find_map(|(index, entry)| {
                let call = entry.parts.iter_mut().find_map(|part| match part {
                    Part::Tool(call) if call.tool_call_id == answer.tool_call_id => Some(call),
                    _ => None,
                })?;
                Some((index, call))
            });
            let Some((index, call)) = waiting else { return true };
            if call.state == ToolState::Called && answer.state != ToolState::Called {
                call.state = answer.state.clone();
                changed.insert(index);
            }
            false
        });
        message.parts.iter().any(|part| !matches!(part, Part::StepStart { .. }))
    });
    let mut changed: Vec<_> = changed.into_iter().collect();
    changed.sort_unstable();
    changed.into_iter().map(|index| remembered[index].clone()).collect()
}

/// Leaves out what the caller says again, as clients do that send the whole conversation.
pub(super) fn leave_out(remembered: &mut Vec<Message>, input: &[Message]) {
    let said: HashSet<&str> = input.iter().map(|message| message.id.as_str()).collect();
    remembered.retain(|message| !said.contains(message.id.as_str()));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::message::ToolPart;

    fn call(id: &str, state: ToolState) -> Message {
        let mut message = Message::new(Role::Assistant);
        let (tool_call_id, tool_name) = (id.to_owned(), "paint".to_owned());
        let part = ToolPart { tool_call_id, tool_name, args: Value::Null, state, created_at: message.created_at };
        message.parts.push(Part::Tool(part));
        message
    }

    #[test]
    fn the_answer_of_a_clients_tool_completes_the_remembered_call() {
        let mut remembered = vec![call("c1", ToolState::Called)];
        let answer = call("c1", ToolState::Answered(json!("red")));
        let mut input = vec![answer, Message::of_text(Role::User, "and now?")];
        let changed = settle(&mut remembered, &mut input);
        assert_eq!(input.len(), 1);
        assert_eq!(changed, remembered);
        let Part::Tool(tool) = &remembered[0].parts[0] else { panic!("it is a call") };
        assert_eq!(tool.state, ToolState::Answered(json!("red")));
    }

    #[test]
    fn an_answer_nobody_remembers_stays() {
        let mut input = vec![call("c2", ToolState::Answered(json!(1)))];
        assert!(settle(&mut [call("c1", ToolState::Called)], &mut input).is_empty());
        assert_eq!(input.len(), 1);
    }

    #[test]
    fn what_is_said_again_is_not_remembered_twice() {
        let mut remembered = vec![Message::of_text(Role::User, "one"), Message::of_text(Role::Assistant, "two")];
        let input = vec![remembered[0].clone()];
        leave_out(&mut remembered, &input);
        assert_eq!(remembered.len(), 1);
        assert_eq!(remembered[0].text.as_deref(), Some("two"));
    }
}
