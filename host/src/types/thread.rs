//! Conversations as they are kept: threads and their entries, and how they are looked for.

use serde_json::{Map, Value, value::RawValue};

use super::{id::Millis, list::Slice, recall::RecallSpace};

/// A conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// Its id.
    pub id: String,
    /// Whom it belongs to.
    pub resource_id: String,
    /// Its title, empty if it has none.
    pub title: String,
    /// What clients noted on it.
    pub metadata: Option<Map<String, Value>>,
    /// When it began.
    pub created_at: Millis,
    /// When it or its entries changed last.
    pub updated_at: Millis,
}

/// An entry of a conversation as it is kept. [`super::message::Message`] is what the
/// engine makes of it; this one loses nothing a client saved.
#[derive(Debug, Clone)]
pub struct StoredMessage {
    /// Unique in the store.
    pub id: String,
    /// The conversation.
    pub thread_id: String,
    /// Whom it belongs to.
    pub resource_id: Option<String>,
    /// Who speaks, as the client said.
    pub role: String,
    /// The form of the content, `v2` unless a client said otherwise.
    pub kind: String,
    /// `{format: 2, parts, ...}`, as it was sent.
    pub content: Box<RawValue>,
    /// When it was said.
    pub created_at: Millis,
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// What threads are listed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadOrder {
    /// When they began.
    CreatedAt,
    /// When they changed last.
    UpdatedAt,
}

/// Which threads are asked for.
#[derive(Debug, Clone)]
pub struct ThreadQuery {
    /// Whom they belong to; anybody if absent.
    pub resource_id: Option<String>,
    /// What their metadata must hold.
    pub metadata: Map<String, Value>,
    /// What they are listed by.
    pub order: ThreadOrder,
    /// Which way.
    pub direction: Direction,
    /// Which of them.
    pub slice: Slice,
}

/// Which entries of a thread are asked for.
#[derive(Debug, Clone)]
pub struct MessageQuery {
    /// The thread.
    pub thread_id: String,
    /// The first time, included.
    pub from: Option<Millis>,
    /// The last time, included.
    pub to: Option<Millis>,
    /// Who speaks; anybody if empty.
    pub roles: Vec<String>,
    /// What the metadata of their content must hold.
    pub metadata: Map<String, Value>,
    /// Which way.
    pub direction: Direction,
    /// Which of them.
    pub slice: Slice,
}

impl MessageQuery {
    /// Returns a query for all entries of a thread.
    #[must_use]
    pub fn all(thread_id: impl Into<String>, direction: Direction) -> Self {
        Self {
            thread_id: thread_id.into(),
            from: None,
            to: None,
            roles: Vec::new(),
            metadata: Map::new(),
            direction,
            slice: Slice { offset: 0, limit: i64::MAX.unsigned_abs() },
        }
    }

    /// Returns the query for the last entries of a thread, newest first.
    #[must_use]
    pub fn last(thread_id: impl Into<String>, entries: u64) -> Self {
        Self { slice: Slice { offset: 0, limit: entries }, ..Self::all(thread_id, Direction::Descending) }
    }
}

/// What a run adds to a conversation.
#[derive(Debug, Clone)]
pub struct TurnEntries {
    /// The thread.
    pub thread_id: String,
    /// Entries that come after everything the thread has, in order.
    pub appended: Vec<StoredMessage>,
    /// Entries the thread has, as they are from here on.
    pub changed: Vec<StoredMessage>,
    /// Where they are found by their meaning, if anywhere.
    pub space: Option<RecallSpace>,
}

/// Where working memory is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkingScope {
    /// With the thread of this id.
    Thread(String),
    /// With the owner of this id, for all of its threads.
    Owner(String),
}

/// Tells whether metadata holds everything that is asked for.
#[must_use]
pub fn holds(metadata: Option<&Map<String, Value>>, asked: &Map<String, Value>) -> bool {
    asked.iter().all(|(key, value)| metadata.and_then(|metadata| metadata.get(key)) == Some(value))
}
