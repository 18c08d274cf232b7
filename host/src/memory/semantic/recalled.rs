//! What a model sees of messages that were found: in their places if they are of the
//! conversation, told of if they are of another one.

use std::collections::{HashMap, HashSet};

use super::FoundEntries;
use crate::{
    memory::content,
    types::{
        message::{Message, Part, Role},
        thread::StoredMessage,
    },
};

/// Joins entries that were found, and those around them, to the last ones of the conversation.
pub(in crate::memory) fn join(found: FoundEntries, thread_id: &str, remembered: &mut Vec<Message>) {
    let FoundEntries { entries, titles } = found;
    let mut seen: HashSet<String> = remembered.iter().map(|message| message.id.clone()).collect();
    let mut found: Vec<StoredMessage> = entries.into_iter().filter(|entry| seen.insert(entry.id.clone())).collect();
    found.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    let (own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|entry| entry.thread_id == thread_id);
    let mut joined = Vec::with_capacity(own.len() + 1 + remembered.len());
    joined.extend(told(&others, &titles));
    joined.extend(own.iter().map(content::message));
    joined.append(remembered);
    *remembered = joined;
}

/// Returns one message that tells of entries of other conversations.
fn told(entries: &[StoredMessage], titles: &HashMap<String, String>) -> Option<Message> {
    let mut text = String::from("From earlier conversations with the same user, which may matter now:\n");
    let mut lines = 0;
    let mut thread = None;
    for entry in entries {
        let words = content::words(entry);
        if words.trim().is_empty() {
            continue;
        }
        if thread != Some(&entry.thread_id) {
            thread = Some(&entry.thread_id);
            let title = titles.get(&entry.thread_id).filter(|title| !title.is_empty());
            text.push_str(&format!("\nConversation {}:\n", title.map_or("without a title", String::as_str)));
        }
        text.push_str(&format!("[{}] {}: {words}\n", entry.created_at.iso(), entry.role));
        lines += 1;
    }
    (lines > 0).then(|| {
        let mut message = Message::of_text(Role::System, &text);
        message.parts.retain(|part| matches!(part, Part::Text { .. }));
        message
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::id::Millis;

    fn entry(id: &str, thread: &str, at: i64) -> StoredMessage {
        let content = json!({"format": 2, "parts": [{"type": "text", "text": format!("says {id}")}]});
        StoredMessage {
            id: id.to_owned(),
            thread_id: thread.to_owned(),
            resource_id: Some("u".to_owned()),
            role: "user".to_owned(),
            kind: content::KIND.to_owned(),
            content: content::raw(&content),
            created_at: Millis(at),
        }
    }

    #[test]
    fn what_was_found_comes_before_the_last_entries_once_and_in_order() {
        let mut remembered = vec![content::message(&entry("d", "t", 9))];
        let found = vec![entry("b", "t", 2), entry("a", "t", 1), entry("d", "t", 9), entry("b", "t", 2)];
        join(FoundEntries { entries: found, ..FoundEntries::default() }, "t", &mut remembered);
        let ids: Vec<&str> = remembered.iter().map(|message| message.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "d"]);
    }

    #[test]
    fn other_conversations_are_told_of_and_not_mixed_in() {
        let mut remembered = vec![content::message(&entry("d", "t", 9))];
        let titles = [("o".to_owned(), "Travels".to_owned())].into_iter().collect();
        let entries = vec![entry("x", "o", 3), entry("y", "p", 1)];
        join(FoundEntries { entries, titles }, "t", &mut remembered);
        assert_eq!(remembered.len(), 2);
        assert_eq!(remembered[0].role, Role::System);
        let text = remembered[0].text.as_deref().unwrap();
        assert!(text.contains("Conversation Travels:\n[1970-01-01T00:00:00.003Z] user: says x\n"), "{text}");
        assert!(text.contains("Conversation without a title:\n[1970-01-01T00:00:00.001Z] user: says y\n"), "{text}");
    }
}
