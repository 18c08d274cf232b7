//! Memory processors of plugins: earlier entries out, what the model is to see back.

use std::{collections::HashMap, sync::Arc};

use hotbay_plugin::processor::{KIND, MemoryMessage, PROCESS, Processed, Remembered, Speaker};

use super::{Conversation, MemoryError, options::ProcessorRef};
use crate::{
    plugin::call::{Call, Target},
    services::Origin,
    types::{
        id::Millis,
        message::{Message, Part, Role},
        spoken,
    },
};

/// Sends entries through a processor. One that comes back as it was is kept as it is stored.
pub(super) async fn apply(
    origin: &Origin,
    processor: &ProcessorRef,
    conversation: &Conversation,
    entries: Vec<Message>,
) -> Result<Vec<Message>, MemoryError> {
    let name = &processor.name;
    let key: (Arc<str>, Arc<str>) = (KIND.into(), name.as_str().into());
    let service = origin.snapshot.services.get(&key).ok_or_else(|| MemoryError::UnknownProcessor(name.clone()))?;
    let shown: Vec<MemoryMessage> = entries.iter().map(show).collect();
    let mut request = Remembered::new(shown.clone());
    request.options.clone_from(&processor.options);
    request.thread_id = Some(conversation.thread_id.clone());
    request.resource_id = Some(conversation.resource_id.clone());
    let garbled = |error: serde_json::Error| MemoryError::Garbled { name: name.clone(), reason: error.to_string() };
    let body = serde_json::to_vec(&request).map_err(garbled)?;
    let context = Some(Arc::new(origin.clone()) as _);
    let target = Target::Service { kind: key.0, name: key.1, op: PROCESS.into() };
    let reply = service.generation.call(target, Call { body, context, ..Call::default() }).await.map_err(Arc::new)?;
    let processed: Processed = serde_json::from_slice(&reply.body).map_err(garbled)?;

    let mut known: HashMap<String, (Message, MemoryMessage)> =
        entries.into_iter().zip(shown).map(|(entry, shown)| (entry.id.clone(), (entry, shown))).collect();
    let taken = processed.messages.into_iter().map(|message| match known.remove(&message.id) {
        Some((entry, shown)) if shown == message => entry,
        Some((mut entry, _)) => {
            take(&mut entry, message);
            entry
        }
        None => {
            let mut entry = Message::new(role(message.role));
            take(&mut entry, message);
            entry
        }
    });
    Ok(taken.collect())
}

/// Returns an entry as plugins see it.
pub(super) fn show(entry: &Message) -> MemoryMessage {
    let mut shown = MemoryMessage::default();
    shown.id.clone_from(&entry.id);
    shown.role = match entry.role {
        Role::System => Speaker::System,
        Role::User => Speaker::User,
        Role::Assistant => Speaker::Assistant,
        Role::Tool => Speaker::Tool,
    };
    shown.created_at_ms = entry.created_at.0;
    shown.content = entry.parts.iter().flat_map(spoken::parts).collect();
    shown
}

fn take(entry: &mut Message, message: MemoryMessage) {
    let created_at = if message.created_at_ms == 0 { entry.created_at } else { Millis(message.created_at_ms) };
    entry.created_at = created_at;
    entry.parts = spoken::entry_parts(message.content, created_at);
    let texts: Vec<&str> = entry
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    entry.text = (!texts.is_empty()).then(|| texts.concat());
}

fn role(speaker: Speaker) -> Role {
    match speaker {
        Speaker::System => Role::System,
        Speaker::Assistant => Role::Assistant,
        Speaker::Tool => Role::Tool,
        _ => Role::User,
    }
}
