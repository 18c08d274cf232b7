//! Messages as clients read them.

use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::types::thread::StoredMessage;

/// A message as lists show it: the content as it was sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageView<'a> {
    id: &'a str,
    role: &'a str,
    content: &'a RawValue,
    created_at: String,
    thread_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<&'a str>,
}

impl<'a> From<&'a StoredMessage> for MessageView<'a> {
    fn from(message: &'a StoredMessage) -> Self {
        Self {
            id: &message.id,
            role: &message.role,
            content: &message.content,
            created_at: message.created_at.iso(),
            thread_id: &message.thread_id,
            resource_id: message.resource_id.as_deref(),
        }
    }
}

/// Returns a message as a JSON value.
pub(super) fn document(message: &StoredMessage) -> Value {
    serde_json::to_value(MessageView::from(message)).unwrap_or_default()
}
