//! Writing: one task for SQLite that commits many batches at once, the pool for PostgreSQL.
//!
//! A batch is acknowledged after its commit, which on SQLite is one `fdatasync` for all
//! batches that were waiting (group commit). A batch that fails takes none of the others
//! with it: the group is rolled back and its batches are written one by one.

use std::time::Duration;

use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    error::StoreError,
    fault::{Fault, Point},
    health::Health,
    statement::{Batch, Rule},
};

/// Batches waiting for the writer. Who finds it full waits; they are all in requests or
/// runs, so there are no more of them than of those.
const WAITING: usize = 1024;
/// Most batches of one commit: enough to make the disk's latency small beside the work.
const GROUP: usize = 128;
/// How often a batch is tried again that lost to another one on PostgreSQL.
const ATTEMPTS: u32 = 5;

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
    pub(super) fn queue(connection: AnyConnection, health: Health, fault: Fault) -> (Self, WriterTask) {
        let (sender, inbox) = mpsc::channel(WAITING);
        (Self::Queue(sender), WriterTask { connection, inbox, health, fault })
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
                    let result = write_to_pool(pool, &batch, fault).await;
                    let is_beaten = matches!(&result, Err(Failed::Database(error)) if is_beaten(error));
                    if is_beaten && attempt < ATTEMPTS {
                        tokio::time::sleep(Duration::from_millis(u64::from(attempt) * fastrand::u64(1..10))).await;
                        attempt += 1;
                        continue;
                    }
                    let result = result.map_err(StoreError::from);
                    health.note(result.as_ref().err());
                    return result;
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

async fn write_to_pool(pool: &AnyPool, batch: &Batch, fault: &Fault) -> Result<Changes, Failed> {
    let mut transaction = pool.begin().await?;
    let changes = apply(&mut transaction, batch).await?;
    fault.at(Point::BeforeCommit);
    transaction.commit().await?;
    fault.at(Point::AfterCommit);
    Ok(changes)
}

async fn apply(connection: &mut AnyConnection, batch: &Batch) -> Result<Changes, Failed> {
    let mut changes: Changes = Vec::with_capacity(batch.statements.len());
    // Of the statement before; `None` if it did not run.
    let mut before = None;
    for statement in &batch.statements {
        let runs = match statement.rule {
            Rule::Plain | Rule::Guard => true,
            Rule::IfChanged => before.is_some_and(|changed| changed > 0),
            Rule::IfUnchanged => before == Some(0),
        };
        if !runs {
            before = None;
            changes.push(0);
            continue;
        }
        let changed = connection.execute(statement.query()).await?.rows_affected();
        if statement.rule == Rule::Guard && changed == 0 {
            return Err(Failed::Guard);
        }
        before = Some(changed);
        changes.push(changed);
    }
    Ok(changes)
}

/// The one writer of an SQLite file.
#[must_use]
pub struct WriterTask {
    connection: AnyConnection,
    inbox: mpsc::Receiver<Job>,
    health: Health,
    fault: Fault,
}

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
            self.write_group(&mut group).await;
        }
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the store did not close well; it is whole nevertheless");
        }
    }

    async fn write_group(&mut self, group: &mut Vec<Job>) {
        if group.len() > 1 {
            match self.transaction(group.iter().map(|job| &job.batch)).await {
                Ok(changes) => {
                    self.health.note(None);
                    for (job, changes) in group.drain(..).zip(changes) {
                        // The caller may have given up; the batch is written all the same.
                        drop(job.done.send(Ok(changes)));
                    }
                    return;
                }
                Err(error) => tracing::debug!(%error, "a group was rolled back, its batches are written one by one"),
            }
        }
        for job in group.drain(..) {
            let result = self.transaction(std::iter::once(&job.batch)).await.map(|changes| changes.concat());
            self.health.note(result.as_ref().err());
            drop(job.done.send(result));
        }
    }

    /// Writes batches in one transaction.
    async fn transaction<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a Batch> + Send,
    ) -> Result<Vec<Changes>, StoreError> {
        self.connection.execute("BEGIN IMMEDIATE").await?;
        match self.apply_all(batches).await {
            Ok(changes) => Ok(changes),
            Err(failed) => {
                // Some failures have rolled back by themselves; then there is nothing to roll back.
                if let Err(error) = self.connection.execute("ROLLBACK").await {
                    tracing::debug!(%error, "nothing to roll back");
                }
                Err(failed.into())
            }
        }
    }

    async fn apply_all<'a>(&mut self, batches: impl Iterator<Item = &'a Batch> + Send) -> Result<Vec<Changes>, Failed> {
        let mut changes = Vec::new();
        for batch in batches {
            changes.push(apply(&mut self.connection, batch).await?);
        }
        self.fault.at(Point::BeforeCommit);
        self.connection.execute("COMMIT").await?;
        self.fault.at(Point::AfterCommit);
        Ok(changes)
    }
}
