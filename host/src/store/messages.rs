//! Messages: saved as clients send them, appended a turn at a time, listed.
//!
//! A message's place in its thread is its time, then its id. A turn's entries are placed
//! after everything the thread has when they are written, so turns that ran at once never
//! mix.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;
use sqlx::any::AnyRow;

use super::{
    Store, counts,
    database::{Database, column},
    embeddings,
    error::StoreError,
    filter::{Filter, places},
    statement::{Batch, Statement},
    suspended::{SuspendedClaim, SuspendedRow},
    threads::number,
};
use crate::types::{
    id::Millis,
    list::Listed,
    recall::RecallSpace,
    thread::{Direction, MessageQuery, StoredMessage, TurnEntries, holds},
};

/// Rows of one statement, well below what either database takes in values.
const ROWS: usize = 500;
/// Rows read at once when every one must be looked at.
const PAGE: usize = 500;
const SELECT: &str = "SELECT id, thread_id, resource_id, role, type, content, created_at FROM messages";

impl Store {
    /// Returns the messages.
    #[must_use]
    pub fn messages(&self) -> Messages<'_> {
        Messages { database: &self.database }
    }
}

/// The messages of a store.
#[derive(Clone, Copy)]
pub struct Messages<'a> {
    database: &'a Database,
}

impl Messages<'_> {
    /// Saves messages, each in place of the one with its id if there is one. They are found by
    /// their meaning in `space`, and wherever those they replace were.
    ///
    /// # Errors
    /// If they cannot be written; none is then.
    pub async fn save(&self, entries: Vec<StoredMessage>, space: Option<&RecallSpace>) -> Result<(), StoreError> {
        // Of two with one id the last one counts.
        let mut ids = HashSet::new();
        let mut kept: Vec<_> = entries.into_iter().rev().filter(|entry| ids.insert(entry.id.clone())).collect();
        kept.reverse();
        let mut batch = Batch::default();
        let threads: BTreeMap<&str, ()> = kept.iter().map(|entry| (entry.thread_id.as_str(), ())).collect();
        for thread in threads.keys() {
            batch.push(touch(thread));
        }
        for some in kept.chunks(ROWS) {
            let ids: Vec<String> = some.iter().map(|entry| entry.id.clone()).collect();
            batch.push(uncount(&ids));
            batch.push(delete(&ids).if_changed());
            batch.push(embeddings::changed(&ids).if_changed());
        }
        insert(&mut batch, &kept, space);
        self.database.write(batch).await?;
        Ok(())
    }

    /// Writes what a run came to: its entries, and the run itself if it waits. One that had waited
    /// before is ended under its claim. The entries go with their thread if that was deleted
    /// meanwhile.
    ///
    /// # Errors
    /// If it cannot be written; nothing is then. [`StoreError::NotFound`] if somebody else goes on
    /// with the run.
    pub(crate) async fn append(
        &self,
        entries: Option<&TurnEntries>,
        waiting: Option<&SuspendedRow>,
        claim: Option<&SuspendedClaim>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        if let Some(claim) = claim {
            batch.push(claim.end());
        }
        if let Some(entries) = entries {
            append(&mut batch, entries);
        }
        if let Some(row) = waiting {
            batch.push(row.put());
        }
        self.database.write(batch).await?;
        Ok(())
    }

    /// Lists a thread's messages.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn list(&self, query: &MessageQuery) -> Result<Listed<StoredMessage>, StoreError> {
        if !query.metadata.is_empty() {
            return self.list_matching(query).await;
        }
        let filter = wanted(query);
        let is_whole = query.from.is_none() && query.to.is_none() && query.roles.is_empty();
        let total = if is_whole {
            counts::read(self.database, &counts::messages_of(&query.thread_id)).await?
        } else {
            let row = self.database.row(wanted(query).query("SELECT COUNT(*) AS n FROM messages", "")).await?;
            let n: i64 = row.map_or(Ok(0), |row| column(&row, "n"))?;
            n.unsigned_abs()
        };
        if query.slice.limit == 0 || query.slice.offset >= total {
            return Ok(Listed { entries: Vec::new(), total });
        }
        let direction = direction(query.direction);
        let tail = format!(
            "ORDER BY created_at {direction}, id {direction} LIMIT {} OFFSET {}",
            number(query.slice.limit),
            number(query.slice.offset)
        );
        let entries = self.read(filter.query(SELECT, &tail)).await?;
        Ok(Listed::counted_before(total, query.slice.offset, entries))
    }

    /// Returns a thread's last messages, newest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn last(&self, thread: &str, n: u64) -> Result<Vec<StoredMessage>, StoreError> {
        let mut filter = Filter::default();
        filter.and("thread_id = ?", [thread.into()]);
        let tail = format!("ORDER BY created_at DESC, id DESC LIMIT {}", number(n));
        self.read(filter.query(SELECT, &tail)).await
    }

    async fn list_matching(&self, query: &MessageQuery) -> Result<Listed<StoredMessage>, StoreError> {
        let (slice, mut entries, mut total) = (query.slice, Vec::new(), 0);
        let mut after = None;
        loop {
            let page = self.page(wanted(query), query.direction, after.as_ref()).await?;
            let is_last = page.len() < PAGE;
            for message in page {
                after = Some((message.created_at, message.id.clone()));
                let content: serde_json::Value = serde_json::from_str(message.content.get()).unwrap_or_default();
                if holds(content.get("metadata").and_then(serde_json::Value::as_object), &query.metadata) {
                    if total >= slice.offset && total - slice.offset < slice.limit {
                        entries.push(message);
                    }
                    total += 1;
                }
            }
            if is_last {
                return Ok(Listed { entries, total });
            }
        }
    }

    /// Returns messages of an owner, or of a thread, newest first, those before `before`: a page to search in.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn search_page(
        &self,
        owner: &str,
        thread: Option<&str>,
        before: Option<&(Millis, String)>,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut filter = Filter::default();
        filter.and("resource_id = ?", [owner.into()]);
        if let Some(thread) = thread {
            filter.and("thread_id = ?", [thread.into()]);
        }
        self.page(filter, Direction::Descending, before).await
    }

    async fn page(
        &self,
        mut filter: Filter,
        order: Direction,
        after: Option<&(Millis, String)>,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        if let Some((at, id)) = after {
            let beyond = match order {
                Direction::Ascending => ">",
                Direction::Descending => "<",
            };
            filter.and(&format!("(created_at, id) {beyond} (?, ?)"), [at.0.into(), id.into()]);
        }
        let order = direction(order);
        self.read(filter.query(SELECT, &format!("ORDER BY created_at {order}, id {order} LIMIT {PAGE}"))).await
    }

    /// Returns a message of a thread with those next to it, oldest first; none if it is not there.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn around(
        &self,
        thread: &str,
        id: &str,
        before: u64,
        after: u64,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut filter = Filter::default();
        filter.and("id = ?", [id.into()]);
        filter.and("thread_id = ?", [thread.into()]);
        let Some(message) = self.read(filter.query(SELECT, "")).await?.pop() else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        for (n, beyond, order) in [(before, "<", "DESC"), (after, ">", "ASC")] {
            if n > 0 {
                let mut filter = Filter::default();
                filter.and("thread_id = ?", [thread.into()]);
                let place = [message.created_at.0.into(), (&message.id).into()];
                filter.and(&format!("(created_at, id) {beyond} (?, ?)"), place);
                let tail = format!("ORDER BY created_at {order}, id {order} LIMIT {}", number(n));
                entries.extend(self.read(filter.query(SELECT, &tail)).await?);
            }
        }
        entries.push(message);
        entries.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(entries)
    }

    /// Returns the messages with these ids, in no order.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn get(&self, ids: &[String]) -> Result<Vec<StoredMessage>, StoreError> {
        let mut found = Vec::new();
        for ids in ids.chunks(ROWS) {
            let mut filter = Filter::default();
            filter.and_one_of("id", ids);
            found.extend(self.read(filter.query(SELECT, "")).await?);
        }
        Ok(found)
    }

    /// Deletes messages; those that are not there are no error.
    ///
    /// # Errors
    /// If they cannot be deleted; none is then.
    pub(crate) async fn remove(&self, ids: &[String]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for ids in ids.chunks(ROWS) {
            let of_these = places(2, ids.len());
            let touch = Statement::composed(format!(
                "UPDATE threads SET updated_at = $1 WHERE id IN (SELECT thread_id FROM messages WHERE id IN ({of_these}))"
            ))
            .bind(Millis::now().0);
            batch.push(ids.iter().fold(touch, Statement::bind));
            batch.push(uncount(ids));
            batch.push(delete(ids).if_changed());
            batch.push(embeddings::changed(ids).if_changed());
        }
        self.database.write(batch).await?;
        Ok(())
    }

    async fn read(&self, query: Statement) -> Result<Vec<StoredMessage>, StoreError> {
        self.database.rows(query).await?.iter().map(message).collect()
    }
}

/// Returns a direction as SQL says it.
pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    }
}

fn wanted(query: &MessageQuery) -> Filter {
    let mut filter = Filter::default();
    filter.and("thread_id = ?", [(&query.thread_id).into()]);
    if let Some(from) = query.from {
        filter.and("created_at >= ?", [from.0.into()]);
    }
    if let Some(to) = query.to {
        filter.and("created_at <= ?", [to.0.into()]);
    }
    if !query.roles.is_empty() {
        filter.and_one_of("role", &query.roles);
    }
    filter
}

/// Notes that a thread has changed, and makes other writers of it wait.
fn touch(thread: &str) -> Statement {
    Statement::new("UPDATE threads SET updated_at = $1 WHERE id = $2").bind(Millis::now().0).bind(thread)
}

/// Takes messages out of the totals of their threads.
fn uncount(ids: &[String]) -> Statement {
    let these = places(1, ids.len());
    let sql = format!(
        "UPDATE counts SET n = n - (SELECT COUNT(*) FROM messages \
         WHERE messages.id IN ({these}) AND 'messages/' || messages.thread_id = counts.scope) \
         WHERE scope IN (SELECT 'messages/' || thread_id FROM messages WHERE id IN ({these}))"
    );
    ids.iter().fold(Statement::composed(sql), Statement::bind)
}

fn delete(ids: &[String]) -> Statement {
    let these = places(1, ids.len());
    ids.iter().fold(Statement::composed(format!("DELETE FROM messages WHERE id IN ({these})")), Statement::bind)
}

/// Adds the statements that insert messages whose ids are free, and count them. They are found by
/// their meaning in `space`.
pub(super) fn insert(batch: &mut Batch, entries: &[StoredMessage], space: Option<&RecallSpace>) {
    for some in entries.chunks(ROWS) {
        let rows: Vec<String> = (0..some.len()).map(|row| format!("({})", places(row * 7 + 1, 7))).collect();
        let sql = format!(
            "INSERT INTO messages (id, thread_id, resource_id, role, type, content, created_at) VALUES {}",
            rows.join(", ")
        );
        let statement = some.iter().fold(Statement::composed(sql), |statement, entry| {
            statement
                .bind(&entry.id)
                .bind(&entry.thread_id)
                .bind(entry.resource_id.clone())
                .bind(&entry.role)
                .bind(&entry.kind)
                .bind(entry.content.get())
                .bind(entry.created_at.0)
        });
        batch.push(statement);
    }
    let mut by_thread: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        *by_thread.entry(&entry.thread_id).or_default() += 1;
    }
    for (thread, n) in by_thread {
        batch.push(counts::add(counts::messages_of(thread), n));
    }
    if let Some(space) = space {
        embeddings::want(batch, space, entries.iter().map(|entry| &entry.id));
    }
}

/// Adds the statements that write a turn. What is appended and has an id that is taken stays as it
/// is: callers send along what was said before.
fn append(batch: &mut Batch, entries: &TurnEntries) {
    let TurnEntries { thread_id, appended, changed, space } = entries;
    batch.push(touch(thread_id));
    for some in appended.chunks(ROWS) {
        // The chain goes on only if the thread is there.
        let sql = format!(
            "INSERT INTO counts (scope, n) SELECT $1, $2 - COUNT(*) FROM messages WHERE id IN ({}) \
             ON CONFLICT (scope) DO UPDATE SET n = counts.n + excluded.n",
            places(3, some.len())
        );
        let count = Statement::composed(sql)
            .bind(counts::messages_of(thread_id))
            .bind(i64::try_from(some.len()).unwrap_or(i64::MAX));
        batch.push(some.iter().fold(count, |count, entry| count.bind(&entry.id)).if_changed());
        batch.push(placed(thread_id, some).if_changed());
    }
    for entry in changed {
        batch.push(
            Statement::new("UPDATE messages SET content = $1 WHERE id = $2 AND thread_id = $3")
                .bind(entry.content.get())
                .bind(&entry.id)
                .bind(thread_id),
        );
        batch.push(embeddings::changed(std::slice::from_ref(&entry.id)).if_changed());
    }
    if let Some(space) = space {
        embeddings::want(batch, space, appended.iter().map(|entry| &entry.id));
    }
}

/// Inserts entries at their times, or after the thread's last one where that is later.
fn placed(thread_id: &str, entries: &[StoredMessage]) -> Statement {
    let row = |n: usize| {
        let place = |value: usize| n * 6 + value + 2;
        format!(
            "SELECT {n} AS n, ${} AS id, ${} AS resource_id, ${} AS role, ${} AS type, ${} AS content, ${} AS made",
            place(0),
            place(1),
            place(2),
            place(3),
            place(4),
            place(5)
        )
    };
    let rows: Vec<String> = (0..entries.len()).map(row).collect();
    let sql = format!(
        "WITH tail AS (SELECT COALESCE(MAX(created_at), 0) AS made FROM messages WHERE thread_id = $1) \
         INSERT INTO messages (id, thread_id, resource_id, role, type, content, created_at) \
         SELECT v.id, $1, v.resource_id, v.role, v.type, v.content, \
         CASE WHEN v.made > tail.made + v.n THEN v.made ELSE tail.made + 1 + v.n END \
         FROM tail CROSS JOIN ({}) AS v WHERE 1 = 1 ON CONFLICT (id) DO NOTHING",
        rows.join(" UNION ALL ")
    );
    entries.iter().fold(Statement::composed(sql).bind(thread_id), |statement, entry| {
        statement
            .bind(&entry.id)
            .bind(entry.resource_id.clone())
            .bind(&entry.role)
            .bind(&entry.kind)
            .bind(entry.content.get())
            .bind(entry.created_at.0)
    })
}

fn message(row: &AnyRow) -> Result<StoredMessage, StoreError> {
    let content: String = column(row, "content")?;
    let content = RawValue::from_string(content);
    Ok(StoredMessage {
        id: column(row, "id")?,
        thread_id: column(row, "thread_id")?,
        resource_id: column(row, "resource_id")?,
        role: column(row, "role")?,
        kind: column(row, "type")?,
        content: content.map_err(|error| StoreError::unreadable("a message's content", error))?,
        created_at: Millis(column(row, "created_at")?),
    })
}
