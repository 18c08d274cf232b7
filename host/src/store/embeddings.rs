//! Which messages are found by their meaning, and which are yet to be brought up to date.
//!
//! One row for each message and space. A row that is due says only that the vector store may not
//! hold what the message is now: whoever takes it reads the message, or finds it gone. So wishes
//! that come twice, or in between, are one, and whoever dies leaves the row due.

use sqlx::any::AnyRow;

use super::{
    Store,
    database::{Database, column},
    error::StoreError,
    filter::places,
    statement::{Batch, Statement},
    threads::number,
};
use crate::types::{id::Millis, recall::RecallSpace};

/// Rows of one statement.
const ROWS: usize = 500;

impl Store {
    /// Returns which messages are found by their meaning.
    #[must_use]
    pub(crate) fn embeddings(&self) -> Embeddings {
        Embeddings { database: self.database.clone() }
    }
}

/// Which messages are found by their meaning.
#[derive(Clone)]
pub(crate) struct Embeddings {
    database: Database,
}

/// A message that is to be brought up to date in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DueEmbedding {
    /// The message.
    pub(crate) message_id: String,
    /// How many vectors the store may have of it.
    pub(crate) pieces: u64,
    version: i64,
}

/// How a space stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceState {
    /// The space.
    pub space: RecallSpace,
    /// How many messages it is to have.
    pub messages: u64,
    /// How many of them are to be brought up to date.
    pub waiting: u64,
}

impl Embeddings {
    /// Returns how each space stands that has messages.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn spaces(&self) -> Result<Vec<SpaceState>, StoreError> {
        let query = Statement::new(
            "SELECT vector_store, embedder, COUNT(*) AS messages, COUNT(due) AS waiting FROM embeddings \
             GROUP BY vector_store, embedder ORDER BY vector_store, embedder",
        );
        let state = |row: &AnyRow| {
            let (messages, waiting): (i64, i64) = (column(row, "messages")?, column(row, "waiting")?);
            let space = space(row)?;
            Ok(SpaceState { space, messages: messages.unsigned_abs(), waiting: waiting.unsigned_abs() })
        };
        self.database.rows(query).await?.iter().map(state).collect()
    }

    /// Returns how many messages are to be brought up to date, in all spaces.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn waiting(&self) -> Result<u64, StoreError> {
        let query = Statement::new("SELECT COUNT(*) AS n FROM embeddings WHERE due IS NOT NULL");
        let n: i64 = self.database.row(query).await?.map_or(Ok(0), |row| column(&row, "n"))?;
        Ok(n.unsigned_abs())
    }

    /// Returns the spaces in which something is due, and when the first of it is.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn due_spaces(&self) -> Result<Vec<(RecallSpace, Millis)>, StoreError> {
        let query = Statement::new(
            "SELECT vector_store, embedder, MIN(due) AS due FROM embeddings WHERE due IS NOT NULL \
             GROUP BY vector_store, embedder",
        );
        let due = |row: &AnyRow| Ok((space(row)?, Millis(column(row, "due")?)));
        self.database.rows(query).await?.iter().map(due).collect()
    }

    /// Makes messages due that were taken by a process that is gone: where the database is this
    /// process's alone, so is whoever took them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn take_over(&self) -> Result<(), StoreError> {
        if self.database.is_shared() {
            return Ok(());
        }
        let now = Millis::now().0;
        let taken = Statement::new("SELECT message_id FROM embeddings WHERE due > $1 LIMIT 1").bind(now);
        if self.database.row(taken).await?.is_some() {
            self.database.write(Statement::new("UPDATE embeddings SET due = $1 WHERE due > $1").bind(now)).await?;
        }
        Ok(())
    }

    /// Takes messages that are due in a space, the longest due first. Nobody else takes them before
    /// `until`.
    ///
    /// # Errors
    /// If they cannot be taken.
    pub(crate) async fn take(
        &self,
        space: &RecallSpace,
        most: u64,
        until: Millis,
    ) -> Result<Vec<DueEmbedding>, StoreError> {
        let query = Statement::new(
            "SELECT message_id, pieces, version FROM embeddings \
             WHERE vector_store = $1 AND embedder = $2 AND due <= $3 ORDER BY due LIMIT $4",
        );
        let query = query.bind(&space.vector_store).bind(&space.embedder).bind(Millis::now().0).bind(number(most));
        let due = |row: &AnyRow| {
            let pieces: i64 = column(row, "pieces")?;
            Ok(DueEmbedding {
                message_id: column(row, "message_id")?,
                pieces: pieces.unsigned_abs(),
                version: column(row, "version")?,
            })
        };
        let due: Vec<DueEmbedding> =
            self.database.rows(query).await?.iter().map(due).collect::<Result<_, StoreError>>()?;
        if due.is_empty() {
            return Ok(due);
        }
        let mut batch = Batch::default();
        for row in &due {
            batch.push(
                at(space, row, "UPDATE embeddings SET due = $5, version = version + 1 WHERE version = $4 AND ")
                    .bind(until.0),
            );
        }
        let changes = self.database.write(batch).await?;
        let taken = due.into_iter().zip(changes.iter()).filter(|(_, changed)| **changed > 0);
        Ok(taken.map(|(row, _)| DueEmbedding { version: row.version + 1, ..row }).collect())
    }

    /// Notes that a space may have so many vectors of each of these messages from now on, before they are
    /// put there: whoever dies in between leaves none that nobody knows of.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn expect(&self, space: &RecallSpace, rows: &[(&DueEmbedding, u64)]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (row, pieces) in rows {
            // Versions only rise: it is so whoever takes it next.
            let sql = "UPDATE embeddings SET pieces = CAST($5 AS BIGINT) \
                WHERE pieces < CAST($5 AS BIGINT) AND version >= $4 AND ";
            batch.push(at(space, row, sql).bind(number(*pieces)));
        }
        self.database.write(batch).await?;
        Ok(())
    }

    /// Notes that a space has so many vectors of each of these messages as they are said to have here. One
    /// that somebody wished for since, or took, stays due: what the store has of it may be old.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn settle(&self, space: &RecallSpace, rows: &[(DueEmbedding, u64)]) -> Result<(), StoreError> {
        let now = Millis::now().0;
        let mut batch = Batch::default();
        for (row, pieces) in rows {
            let sql = "UPDATE embeddings SET \
                pieces = CASE WHEN version = $4 OR pieces < CAST($5 AS BIGINT) THEN CAST($5 AS BIGINT) ELSE pieces END, \
                due = CASE WHEN version = $4 THEN NULL ELSE CAST($6 AS BIGINT) END WHERE ";
            batch.push(at(space, row, sql).bind(number(*pieces)).bind(now));
        }
        self.database.write(batch).await?;
        Ok(())
    }

    /// Forgets messages that are gone, of which a space has nothing any more.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn forget(&self, space: &RecallSpace, rows: &[DueEmbedding]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for row in rows {
            batch.push(at(space, row, "DELETE FROM embeddings WHERE version = $4 AND "));
        }
        self.database.write(batch).await?;
        Ok(())
    }

    /// Makes messages due that were taken and could not be brought up to date.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn give_back(&self, space: &RecallSpace, rows: &[DueEmbedding]) -> Result<(), StoreError> {
        let now = Millis::now().0;
        let mut batch = Batch::default();
        for row in rows {
            batch.push(at(space, row, "UPDATE embeddings SET due = $5 WHERE version = $4 AND ").bind(now));
        }
        self.database.write(batch).await?;
        Ok(())
    }

    /// Makes messages due in a space, those after `after` by id, at most 500. Returns the last one's
    /// id, `None` if there was none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn renew(&self, space: &RecallSpace, after: &str) -> Result<Option<String>, StoreError> {
        let last = Statement::new(
            "SELECT MAX(id) AS id FROM (SELECT id FROM messages WHERE id > $1 ORDER BY id LIMIT 500) AS page",
        );
        let row = self.database.row(last.bind(after)).await?;
        let Some(last): Option<String> = row.map_or(Ok(None), |row| column(&row, "id"))? else { return Ok(None) };
        let renew = Statement::new(
            "INSERT INTO embeddings (message_id, vector_store, embedder, pieces, due, version) \
             SELECT id, $1, $2, 0, $3, 0 FROM messages WHERE id > $4 AND id <= $5 \
             ON CONFLICT (message_id, vector_store, embedder) \
             DO UPDATE SET due = excluded.due, version = embeddings.version + 1",
        );
        let renew = renew.bind(&space.vector_store).bind(&space.embedder).bind(Millis::now().0);
        self.database.write(renew.bind(after).bind(&last)).await?;
        Ok(Some(last))
    }
}

/// Adds the statements that make messages due in a space unless they have been there before.
pub(super) fn want<'a>(batch: &mut Batch, space: &RecallSpace, ids: impl IntoIterator<Item = &'a String>) {
    let ids: Vec<&String> = ids.into_iter().collect();
    for some in ids.chunks(ROWS) {
        let rows: Vec<String> = (4..4 + some.len()).map(|id| format!("(${id}, $1, $2, 0, $3, 0)")).collect();
        let sql = format!(
            "INSERT INTO embeddings (message_id, vector_store, embedder, pieces, due, version) VALUES {} \
             ON CONFLICT (message_id, vector_store, embedder) DO NOTHING",
            rows.join(", ")
        );
        let statement = Statement::composed(sql).bind(&space.vector_store).bind(&space.embedder).bind(Millis::now().0);
        batch.push(some.iter().fold(statement, |statement, id| statement.bind(*id)));
    }
}

/// Makes messages due that have changed or are gone, wherever they are found.
pub(super) fn changed(ids: &[String]) -> Statement {
    let sql = format!("{CHANGE} WHERE message_id IN ({})", places(2, ids.len()));
    ids.iter().fold(Statement::composed(sql).bind(Millis::now().0), Statement::bind)
}

/// As [`changed`], of all messages of a thread; it comes before they are deleted.
pub(super) fn changed_in(thread: &str) -> Statement {
    let sql = format!("{CHANGE} WHERE message_id IN (SELECT id FROM messages WHERE thread_id = $2)");
    Statement::composed(sql).bind(Millis::now().0).bind(thread)
}

const CHANGE: &str = "UPDATE embeddings SET due = $1, version = version + 1";

/// Returns a statement about a row, whose version is `$4`.
fn at(space: &RecallSpace, row: &DueEmbedding, sql: &str) -> Statement {
    Statement::composed(format!("{sql} message_id = $1 AND vector_store = $2 AND embedder = $3"))
        .bind(&row.message_id)
        .bind(&space.vector_store)
        .bind(&space.embedder)
        .bind(row.version)
}

fn space(row: &AnyRow) -> Result<RecallSpace, StoreError> {
    Ok(RecallSpace { vector_store: column(row, "vector_store")?, embedder: column(row, "embedder")? })
}
