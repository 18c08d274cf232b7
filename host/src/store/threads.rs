//! Threads: made, found, listed, changed, copied, and the working memory that is kept
//! with one or with its owner.
//!
//! Whatever changes a thread or its messages begins with an `UPDATE` of the thread's row,
//! which on PostgreSQL makes writers of one thread wait for each other.

use serde_json::{Map, Value};
use sqlx::any::AnyRow;

use super::{
    Store, counts,
    database::{Database, column},
    embeddings,
    error::StoreError,
    filter::Filter,
    messages,
    statement::{Batch, Statement},
};
use crate::types::{
    id::Millis,
    list::Listed,
    recall::RecallSpace,
    thread::{Direction, StoredMessage, Thread, ThreadOrder, ThreadQuery, WorkingScope, holds},
};

/// Rows read at once when every one must be looked at.
const PAGE: usize = 500;
const SELECT: &str = "SELECT id, resource_id, title, metadata, created_at, updated_at FROM threads";
/// How often a change of working memory is tried that lost to another one.
const ATTEMPTS: u32 = 8;

impl Store {
    /// Returns the threads.
    pub(crate) fn threads(&self) -> Threads<'_> {
        Threads { database: &self.database }
    }
}

/// The threads of a store.
#[derive(Clone, Copy)]
pub(crate) struct Threads<'a> {
    database: &'a Database,
}

impl Threads<'_> {
    /// Makes a thread, in place of the one with its id if there is one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn put(&self, thread: &Thread) -> Result<(), StoreError> {
        let mut batch = Batch::from([
            lock(&thread.id),
            uncount(&thread.id).if_changed(),
            Statement::new("DELETE FROM threads WHERE id = $1").bind(&thread.id).if_changed(),
        ]);
        insert(&mut batch, thread, None);
        self.database.write(batch).await?;
        Ok(())
    }

    /// Makes a thread unless there is one with its id. Returns whether it was made.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn create(&self, thread: &Thread) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        insert(&mut batch, thread, None);
        let changes = self.database.write(batch).await?;
        Ok(changes.first().is_some_and(|changed| *changed > 0))
    }

    /// Makes a thread that is a copy of another one, with these messages, which are found by their
    /// meaning in `space`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is a thread with its id.
    pub(crate) async fn create_copy(
        &self,
        thread: &Thread,
        source: &str,
        entries: &[StoredMessage],
        space: Option<&RecallSpace>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        insert(&mut batch, thread, Some(source));
        messages::insert(&mut batch, entries, space);
        self.database.write(batch).await.map_err(|error| match error {
            StoreError::NotFound(_) => StoreError::Conflict(format!("Thread with id {} already exists", thread.id)),
            other => other,
        })?;
        Ok(())
    }

    /// Returns a thread.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Thread>, StoreError> {
        let mut filter = Filter::default();
        filter.and("id = ?", [id.into()]);
        self.database.row(filter.query(SELECT, "")).await?.as_ref().map(thread).transpose()
    }

    /// Lists threads. Without a filter on metadata this takes the same time however many there are.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn list(&self, query: &ThreadQuery) -> Result<Listed<Thread>, StoreError> {
        if !query.metadata.is_empty() {
            return self.list_matching(query).await;
        }
        let scope = query.resource_id.as_deref().map_or_else(|| counts::THREADS.to_owned(), counts::threads_of);
        let total = counts::read(self.database, &scope).await?;
        if query.slice.limit == 0 || query.slice.offset >= total {
            return Ok(Listed { entries: Vec::new(), total });
        }
        let (column, direction) = order(query);
        let tail = format!(
            "ORDER BY {column} {direction}, id {direction} LIMIT {} OFFSET {}",
            number(query.slice.limit),
            number(query.slice.offset)
        );
        let statement = owned_by(query).query(SELECT, &tail);
        let entries = self.database.rows(statement).await?.iter().map(thread).collect::<Result<_, _>>()?;
        Ok(Listed::counted_before(total, query.slice.offset, entries))
    }

    /// Lists threads by what their metadata holds, which no index knows: all are looked at, a page at a time.
    async fn list_matching(&self, query: &ThreadQuery) -> Result<Listed<Thread>, StoreError> {
        let (column, direction) = order(query);
        let beyond = match query.direction {
            Direction::Ascending => ">",
            Direction::Descending => "<",
        };
        let tail = format!("ORDER BY {column} {direction}, id {direction} LIMIT {PAGE}");
        let (slice, mut entries, mut total) = (query.slice, Vec::new(), 0);
        let mut last: Option<Thread> = None;
        loop {
            let mut filter = owned_by(query);
            filter.and("metadata IS NOT NULL", []);
            if let Some(thread) = &last {
                let at = match query.order {
                    ThreadOrder::CreatedAt => thread.created_at.0,
                    ThreadOrder::UpdatedAt => thread.updated_at.0,
                };
                filter.and(&format!("({column}, id) {beyond} (?, ?)"), [at.into(), (&thread.id).into()]);
            }
            let statement = filter.query(SELECT, &tail);
            let page = self.database.rows(statement).await?;
            for row in &page {
                let thread = thread(row)?;
                if holds(thread.metadata.as_ref(), &query.metadata) {
                    if total >= slice.offset && total - slice.offset < slice.limit {
                        entries.push(thread.clone());
                    }
                    total += 1;
                }
                last = Some(thread);
            }
            if page.len() < PAGE {
                return Ok(Listed { entries, total });
            }
        }
    }

    /// Changes a thread's title or metadata and returns what it is then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such thread.
    pub(crate) async fn update(
        &self,
        id: &str,
        title: Option<&str>,
        metadata: Option<&Map<String, Value>>,
    ) -> Result<Thread, StoreError> {
        let update = Statement::new(
            "UPDATE threads SET title = COALESCE($1, title), metadata = COALESCE($2, metadata), updated_at = $3 WHERE id = $4",
        );
        let update = update.bind(title).bind(metadata.map(text)).bind(Millis::now().0).bind(id);
        self.database.write(update.guard()).await.map_err(|error| missing(error, id))?;
        self.get(id).await?.ok_or_else(|| gone(id))
    }

    /// Gives a thread a title if it has none.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) async fn set_first_title(&self, id: &str, title: &str) -> Result<(), StoreError> {
        let update = Statement::new("UPDATE threads SET title = $1, updated_at = $2 WHERE id = $3 AND title = ''");
        self.database.write(update.bind(title).bind(Millis::now().0).bind(id)).await?;
        Ok(())
    }

    /// Deletes a thread with its messages.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such thread.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), StoreError> {
        let batch = [
            lock(id).guard(),
            uncount(id),
            Statement::new("DELETE FROM threads WHERE id = $1").bind(id),
            embeddings::changed_in(id),
            Statement::new("DELETE FROM messages WHERE thread_id = $1").bind(id),
            Statement::new("DELETE FROM counts WHERE scope = $1").bind(counts::messages_of(id)),
        ];
        self.database.write(batch).await.map_err(|error| missing(error, id))?;
        Ok(())
    }

    /// Gives a thread and its messages to somebody else and returns what it is then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such thread.
    pub(crate) async fn transfer(
        &self,
        id: &str,
        owner: &str,
        metadata: Option<&Map<String, Value>>,
    ) -> Result<Thread, StoreError> {
        let batch = [
            lock(id).guard(),
            Statement::new(
                "UPDATE counts SET n = n - 1 WHERE scope IN (SELECT 'threads/' || resource_id FROM threads WHERE id = $1)",
            )
            .bind(id),
            Statement::new("UPDATE threads SET resource_id = $1, metadata = $2, updated_at = $3 WHERE id = $4")
                .bind(owner)
                .bind(metadata.map(text))
                .bind(Millis::now().0)
                .bind(id),
            counts::add(counts::threads_of(owner), 1),
            Statement::new("UPDATE messages SET resource_id = $1 WHERE thread_id = $2").bind(owner).bind(id),
            // Whom a message belongs to is among what it is found by.
            embeddings::changed_in(id),
        ];
        self.database.write(batch).await.map_err(|error| missing(error, id))?;
        self.get(id).await?.ok_or_else(|| gone(id))
    }

    /// Returns working memory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn working_memory(&self, scope: &WorkingScope) -> Result<Option<String>, StoreError> {
        let query = match scope {
            WorkingScope::Thread(id) => Statement::new("SELECT working_memory FROM threads WHERE id = $1").bind(id),
            WorkingScope::Owner(id) => Statement::new("SELECT working_memory FROM owners WHERE id = $1").bind(id),
        };
        self.database.row(query).await?.map_or(Ok(None), |row| column(&row, "working_memory"))
    }

    /// Changes working memory: `change` makes the next text of the last one, again if somebody
    /// else was faster.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such thread, or what `change` refuses.
    pub(crate) async fn change_working_memory<E: From<StoreError>>(
        &self,
        scope: &WorkingScope,
        change: impl Fn(Option<&str>) -> Result<String, E> + Sync,
    ) -> Result<String, E> {
        let mut attempt = 0;
        loop {
            let before = self.working_memory(scope).await?;
            let text = change(before.as_deref())?;
            attempt += 1;
            match self.database.write(set_working_memory(scope, before, &text).guard()).await {
                Ok(_) => return Ok(text),
                Err(StoreError::NotFound(_)) if attempt < ATTEMPTS && self.has(scope).await? => {}
                Err(StoreError::NotFound(_)) if attempt < ATTEMPTS => {
                    return Err(StoreError::NotFound("Thread not found".to_owned()).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn has(&self, scope: &WorkingScope) -> Result<bool, StoreError> {
        match scope {
            WorkingScope::Thread(id) => Ok(self.get(id).await?.is_some()),
            // An owner is made when something is remembered of one.
            WorkingScope::Owner(_) => Ok(true),
        }
    }
}

/// Makes other writers of the thread wait; changes nothing if there is no such thread.
fn lock(id: &str) -> Statement {
    Statement::new("UPDATE threads SET updated_at = updated_at WHERE id = $1").bind(id)
}

/// Takes a thread out of the totals.
fn uncount(id: &str) -> Statement {
    Statement::new(
        "UPDATE counts SET n = n - 1 WHERE scope IN (SELECT 'threads' FROM threads WHERE id = $1 \
         UNION ALL SELECT 'threads/' || resource_id FROM threads WHERE id = $1)",
    )
    .bind(id)
}

/// Adds the statements that make a thread unless its id is taken. A copy has the working memory of
/// its source, and must not find its id taken.
fn insert(batch: &mut Batch, thread: &Thread, source: Option<&str>) {
    let sql = "INSERT INTO threads (id, resource_id, title, metadata, working_memory, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, (SELECT working_memory FROM threads WHERE id = $5), $6, $7) ON CONFLICT (id) DO NOTHING";
    let statement = Statement::new(sql)
        .bind(&thread.id)
        .bind(&thread.resource_id)
        .bind(&thread.title)
        .bind(thread.metadata.as_ref().map(text))
        .bind(source)
        .bind(thread.created_at.0)
        .bind(thread.updated_at.0);
    batch.push(if source.is_some() { statement.guard() } else { statement });
    batch.push(counts::add(counts::THREADS, 1).if_changed());
    batch.push(counts::add(counts::threads_of(&thread.resource_id), 1).if_changed());
}

fn set_working_memory(scope: &WorkingScope, before: Option<String>, text: &str) -> Statement {
    // None and the empty text are one: what was never written.
    let before = before.unwrap_or_default();
    let now = Millis::now().0;
    match scope {
        WorkingScope::Thread(id) => Statement::new(
            "UPDATE threads SET working_memory = $1, updated_at = $2 WHERE id = $3 AND COALESCE(working_memory, '') = $4",
        )
        .bind(text)
        .bind(now)
        .bind(id)
        .bind(before),
        WorkingScope::Owner(id) => Statement::new(
            "INSERT INTO owners (id, working_memory, created_at, updated_at) VALUES ($1, $2, $3, $3) \
             ON CONFLICT (id) DO UPDATE SET working_memory = excluded.working_memory, updated_at = excluded.updated_at \
             WHERE COALESCE(owners.working_memory, '') = $4",
        )
        .bind(id)
        .bind(text)
        .bind(now)
        .bind(before),
    }
}

fn owned_by(query: &ThreadQuery) -> Filter {
    let mut filter = Filter::default();
    if let Some(owner) = &query.resource_id {
        filter.and("resource_id = ?", [owner.into()]);
    }
    filter
}

fn order(query: &ThreadQuery) -> (&'static str, &'static str) {
    let column = match query.order {
        ThreadOrder::CreatedAt => "created_at",
        ThreadOrder::UpdatedAt => "updated_at",
    };
    (column, messages::direction(query.direction))
}

fn thread(row: &AnyRow) -> Result<Thread, StoreError> {
    let metadata: Option<String> = column(row, "metadata")?;
    let metadata = metadata.map(|text| serde_json::from_str(&text)).transpose();
    Ok(Thread {
        id: column(row, "id")?,
        resource_id: column(row, "resource_id")?,
        title: column(row, "title")?,
        metadata: metadata.map_err(|error| StoreError::unreadable("a thread's metadata", error))?,
        created_at: Millis(column(row, "created_at")?),
        updated_at: Millis(column(row, "updated_at")?),
    })
}

fn text(metadata: &Map<String, Value>) -> String {
    serde_json::to_string(metadata).expect("a map of JSON values is written to memory")
}

/// Returns a count as the database knows it.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn gone(id: &str) -> StoreError {
    StoreError::NotFound(format!("there is no thread `{id}`"))
}

fn missing(error: StoreError, id: &str) -> StoreError {
    match error {
        StoreError::NotFound(_) => gone(id),
        other => other,
    }
}
