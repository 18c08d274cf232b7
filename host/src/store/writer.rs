//! Writing: one task for SQLite that commits many batches at once, the pool for PostgreSQL.
//!
//! A batch is acknowledged after its commit, which on SQLite is one `fdatasync` for all
//! batches that were waiting (group commit). A batch that fails takes none of the others
//! with it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use sqlx::{AnyConnection, AnyPool, Connection, Either, Executor};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    database::Dialect,
    error::StoreError,
    fault::{Fault, Point},
    health::Health,
    sqlite,
    statement::{Batch, Rule, joined},
};

/// Batches waiting for the writer. Who finds it full waits; they are all in requests or
/// runs, so there are no more of them than of those.
const WAITING: usize = 1024;
/// Most batches of one commit: enough to make the disk's latency small beside the work.
const GROUP: usize = 128;
/// How often a batch is tried that loses to others on PostgreSQL. Of those that lock each other
/// out one loses at a time, so among many the same one may lose many times.
const ATTEMPTS: u32 = 30;

/// How many rows each statement of a batch changed; 0 for those that did not run.
pub(crate) type Changes = Vec<u64>;

/// A batch and who waits for it.
pub(crate) struct Job {
    batch: Batch,
    done: oneshot::Sender<Result<Changes, StoreError>>,
}

/// Where batches go. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Writer {
    /// Through the one writer of an SQLite file.
    Queue(mpsc::Sender<Job>),
    /// Straight to PostgreSQL, which has many.
    Pool(AnyPool, Health, Fault),
}

impl Writer {
    /// Makes the writer of an SQLite file, which must be run.
    pub(super) fn queue(connection: AnyConnection, file: PathBuf, health: Health, fault: Fault) -> (Self, WriterTask) {
        let (sender, inbox) = mpsc::channel(WAITING);
        (Self::Queue(sender), WriterTask { connection, file, is_broken: false, inbox, health, fault })
    }

    /// Writes a batch; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if a guard found nothing to change; nothing was written then.
    pub(crate) async fn write(&self, batch: impl Into<Batch> + Send) -> Result<Changes, StoreError> {
        let batch = batch.into();
        match self {
            Self::Queue(sender) => {
                let (done, written) = oneshot::channel();
                let closed = || StoreError::Unavailable("the host is shutting down".to_owned());
                sender.send(Job { batch, done }).await.map_err(|_| closed())?;
                written.await.map_err(|_| closed())?
            }
            Self::Pool(pool, health, fault) => {
                let mut attempt = 1;
                loop {
                    let began = Instant::now();
                    let result = write_to_pool(pool, &batch, fault).await;
                    let is_beaten = matches!(&result, Err(Failed::Database(error)) if is_beaten(error));
                    if is_beaten && attempt < ATTEMPTS {
                        tokio::time::sleep(Duration::from_millis(u64::from(attempt) * fastrand::u64(1..10))).await;
                        attempt += 1;
                        continue;
                    }
                    return match result {
                        Ok(changes) => {
                            health.committed(1, began.elapsed());
                            Ok(changes)
                        }
                        Err(failed) => {
                            let error = StoreError::from(failed);
                            health.write_failed(&error);
                            Err(error)
                        }
                    };
                }
            }
        }
    }
}

/// Why a batch was not written.
enum Failed {
    Guard,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Guard => Self::NotFound("what was to be changed is gone or has changed".to_owned()),
            Failed::Database(error) => error.into(),
        }
    }
}

/// Whether PostgreSQL asks for the transaction to be tried again.
fn is_beaten(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// A batch that failed, and whether it had changed something before.
struct Stopped {
    failed: Failed,
    has_changed: bool,
}

/// Whether a batch has changed a row. Faults are placed by commits that have: those that keep
/// what is not there come whenever they do.
fn has_changed(changes: &Changes) -> bool {
    changes.iter().any(|&rows| rows > 0)
}

async fn write_to_pool(pool: &AnyPool, batch: &Batch, fault: &Fault) -> Result<Changes, Failed> {
    let mut transaction = pool.begin().await?;
    let changes = apply(&mut transaction, batch, Dialect::Postgres).await.map_err(|stopped| stopped.failed)?;
    let is_change = has_changed(&changes);
    if is_change {
        fault.at(Point::BeforeCommit);
    }
    transaction.commit().await?;
    if is_change {
        fault.at(Point::AfterCommit);
    }
    Ok(changes)
}

/// Runs a batch. On SQLite each query is a journey to the thread that owns the connection and
/// back, which costs more than most statements do, so statements that run whatever comes of
/// those before them travel together.
async fn apply(connection: &mut AnyConnection, batch: &Batch, dialect: Dialect) -> Result<Changes, Stopped> {
    let mut changes: Changes = Vec::with_capacity(batch.statements.len());
    // Of the statement before; `None` if it did not run.
    let mut before = None;
    while let [first, rest @ ..] = &batch.statements[changes.len()..] {
        if first.rule == Rule::IfChanged && before.is_none_or(|changed| changed == 0) {
            before = None;
            changes.push(0);
            continue;
        }
        let companions = match dialect {
            Dialect::Sqlite => rest.iter().take_while(|statement| statement.rule != Rule::IfChanged).count(),
            Dialect::Postgres => 0,
        };
        let together = &batch.statements[changes.len()..=changes.len() + companions];
        let query = if companions == 0 { first.query() } else { joined(together.iter()) };
        let mut results = connection.fetch_many(query);
        let mut is_refused = false;
        for statement in together {
            // One result for each: what is written gives no rows.
            let result = results.try_next().await;
            let has_changed = has_changed(&changes);
            let result = result.map_err(|error| {
                // What went wrong after a guard that found nothing would not have been tried.
                let failed = if is_refused { Failed::Guard } else { error.into() };
                Stopped { failed, has_changed }
            })?;
            let changed = result.and_then(Either::left).map_or(0, |result| result.rows_affected());
            is_refused |= statement.rule == Rule::Guard && changed == 0;
            before = Some(changed);
            changes.push(changed);
        }
        if is_refused {
            return Err(Stopped { failed: Failed::Guard, has_changed: has_changed(&changes) });
        }
    }
    Ok(changes)
}

/// The one writer of an SQLite file.
#[must_use]
pub struct WriterTask {
    connection: AnyConnection,
    file: PathBuf,
    /// The connection cannot be used any more.
    is_broken: bool,
    inbox: mpsc::Receiver<Job>,
    health: Health,
    fault: Fault,
}

/// How a batch that fails is undone without the others of its commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Not at all: most that fail have changed nothing, and undoing costs every batch two statements.
    Nothing,
    /// By a savepoint for each batch.
    Savepoint,
}

/// Why nothing of a group was written.
enum Abort {
    /// The store cannot be written; nor could each batch alone, and each would wait for that in vain.
    Store(StoreError),
    /// A batch failed halfway and could not be undone.
    Halfway,
}

impl From<sqlx::Error> for Abort {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the batches of one commit came to.
type Outcomes = Vec<Result<Changes, StoreError>>;

impl WriterTask {
    /// Writes until it is cancelled, and then what was handed over before.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            let taken = tokio::select! {
                biased;
                () = cancel.cancelled(), if !self.inbox.is_closed() => {
                    self.inbox.close();
                    continue;
                }
                taken = self.inbox.recv_many(&mut group, GROUP) => taken,
            };
            if taken == 0 {
                break;
            }
            // Those who were answered just now run first, and what they write next comes along;
            // else clients fall into two halves that take turns, each with commits half as large.
            tokio::task::yield_now().await;
            while group.len() < GROUP
                && let Ok(job) = self.inbox.try_recv()
            {
                group.push(job);
            }
            self.write_group(&mut group).await;
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the store did not close well; it is whole nevertheless");
        }
    }

    async fn write_group(&mut self, group: &mut Vec<Job>) {
        let mut written = self.commit(group, Undo::Nothing).await;
        if matches!(written, Err(Abort::Halfway)) {
            written = self.commit(group, Undo::Savepoint).await;
        }
        let outcomes = written.unwrap_or_else(|abort| {
            let error = match abort {
                Abort::Store(error) => error,
                Abort::Halfway => StoreError::Refused("a batch cannot be undone".into()),
            };
            vec![Err(error); group.len()]
        });
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            self.health.write_failed(error);
        }
        for (job, outcome) in group.drain(..).zip(outcomes) {
            // The caller may have given up; the batch is written all the same.
            drop(job.done.send(outcome));
        }
    }

    /// Writes a group in one transaction.
    async fn commit(&mut self, group: &[Job], undo: Undo) -> Result<Outcomes, Abort> {
        if self.is_broken {
            self.connection = sqlite::connect_writer(&self.file).await.map_err(Abort::Store)?;
            self.is_broken = false;
        }
        let written = self.transaction(group, undo).await;
        if written.is_err()
            && let Err(error) = self.connection.execute("ROLLBACK").await
        {
            // What makes SQLite give a transaction up has rolled it back already.
            self.is_broken = !error.to_string().contains("no transaction is active");
        }
        written
    }

    async fn transaction(&mut self, group: &[Job], undo: Undo) -> Result<Outcomes, Abort> {
        let began = Instant::now();
        self.connection.execute("BEGIN IMMEDIATE").await?;
        let outcomes = match undo {
            Undo::Nothing => self.straight(group).await?,
            Undo::Savepoint => self.one_by_one(group).await?,
        };
        let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        if written == 0 {
            // Nothing to commit is nothing to wait for the disk for.
            self.connection.execute("ROLLBACK").await?;
            return Ok(outcomes);
        }
        let is_change = outcomes.iter().flatten().any(has_changed);
        if is_change {
            self.fault.at(Point::BeforeCommit);
        }
        self.connection.execute("COMMIT").await?;
        if is_change {
            self.fault.at(Point::AfterCommit);
        }
        self.health.committed(written, began.elapsed());
        Ok(outcomes)
    }

    /// Writes a group whose batches most likely all succeed: those that are alike travel together.
    async fn straight(&mut self, group: &[Job]) -> Result<Outcomes, Abort> {
        let mut outcomes = Vec::with_capacity(group.len());
        for alike in alike(group) {
            if let [alone] = alike[..] {
                let outcome = match apply(&mut self.connection, &group[alone].batch, Dialect::Sqlite).await {
                    Ok(changes) => Ok(changes),
                    Err(Stopped { failed, has_changed }) => {
                        let error = own(failed)?;
                        if has_changed {
                            return Err(Abort::Halfway);
                        }
                        Err(error)
                    }
                };
                outcomes.push((alone, outcome));
                continue;
            }
            let batches = alike.iter().map(|&index| &group[index].batch);
            let query = joined(batches.flat_map(|batch| &batch.statements));
            let mut results = self.connection.fetch_many(query);
            for index in alike {
                let mut changes = Changes::new();
                for statement in &group[index].batch.statements {
                    let result = match results.try_next().await {
                        Ok(result) => result,
                        Err(error) => {
                            own(error.into())?;
                            return Err(Abort::Halfway);
                        }
                    };
                    let changed = result.and_then(Either::left).map_or(0, |result| result.rows_affected());
                    if statement.rule == Rule::Guard && changed == 0 {
                        return Err(Abort::Halfway);
                    }
                    changes.push(changed);
                }
                outcomes.push((index, Ok(changes)));
            }
        }
        outcomes.sort_unstable_by_key(|(index, _)| *index);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Writes a group one after the other; what a batch that fails has changed is undone.
    async fn one_by_one(&mut self, group: &[Job]) -> Result<Outcomes, Abort> {
        let mut outcomes = Vec::with_capacity(group.len());
        for job in group {
            self.connection.execute("SAVEPOINT batch").await?;
            let outcome = match apply(&mut self.connection, &job.batch, Dialect::Sqlite).await {
                Ok(changes) => Ok(changes),
                Err(Stopped { failed, .. }) => {
                    let error = own(failed)?;
                    self.connection.execute("ROLLBACK TO batch").await?;
                    Err(error)
                }
            };
            self.connection.execute("RELEASE batch").await?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

/// Returns the error of a batch, unless it is one of the whole store.
fn own(failed: Failed) -> Result<StoreError, Abort> {
    match StoreError::from(failed) {
        error @ StoreError::Unavailable(_) => Err(Abort::Store(error)),
        error => Ok(error),
    }
}

/// Most batches that are one query. Powers of two, so that few different texts are prepared.
const ALIKE: usize = 8;

/// Sorts batches into those that are one query, by their places in the group. Who waits for one
/// has not been told of another, so their order is free.
fn alike(group: &[Job]) -> Vec<Vec<usize>> {
    let mut kinds: Vec<Vec<usize>> = Vec::new();
    for (index, job) in group.iter().enumerate() {
        let is_like = |kind: &&mut Vec<usize>| {
            let first = &group[kind[0]].batch;
            first.is_straight() && job.batch.is_like(first)
        };
        match kinds.iter_mut().find(is_like) {
            Some(kind) => kind.push(index),
            None => kinds.push(vec![index]),
        }
    }
    let mut queries = Vec::new();
    for kind in kinds {
        let mut rest = &kind[..];
        while !rest.is_empty() {
            let most = ALIKE.min(1 << rest.len().ilog2());
            let (query, after) = rest.split_at(most);
            queries.push(query.to_vec());
            rest = after;
        }
    }
    queries
}
