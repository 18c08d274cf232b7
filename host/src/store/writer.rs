//! Writing: one task for SQLite that commits many batches at once, the pool for PostgreSQL.
//!
//! A batch is acknowledged after its commit, which on SQLite is one `fdatasync` for all
//! batches that were waiting (group commit, see `group`). A batch that fails takes none of the
//! others with it.

use std::time::{Duration, Instant};

use sqlx::{AnyConnection, AnyPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    error::StoreError,
    fault::{Fault, Point},
    group::{GroupWriter, Written},
    health::Health,
    statement::{Batch, Rule},
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
    pub(super) fn queue(group: GroupWriter, health: Health) -> (Self, WriterTask) {
        let (sender, inbox) = mpsc::channel(WAITING);
        (Self::Queue(sender), WriterTask { group, inbox, health })
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
            Failed::Guard => Self::guarded(),
            Failed::Database(error) => error.into(),
        }
    }
}

/// Whether PostgreSQL asks for the transaction to be tried again.
fn is_beaten(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// Whether a batch has changed a row. Faults are placed by commits that have: those that keep
/// what is not there come whenever they do.
pub(super) fn has_changed(changes: &Changes) -> bool {
    changes.iter().any(|&rows| rows > 0)
}

async fn write_to_pool(pool: &AnyPool, batch: &Batch, fault: &Fault) -> Result<Changes, Failed> {
    let mut transaction = pool.begin().await?;
    let changes = apply(&mut transaction, batch).await?;
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

/// Runs a batch on PostgreSQL.
async fn apply(connection: &mut AnyConnection, batch: &Batch) -> Result<Changes, Failed> {
    let mut changes = Changes::with_capacity(batch.statements.len());
    // Of the statement before; 0 if it did not run.
    let mut before = 0;
    for statement in &batch.statements {
        if statement.rule == Rule::IfChanged && before == 0 {
            changes.push(0);
            continue;
        }
        before = statement.query().execute(&mut *connection).await?.rows_affected();
        if statement.rule == Rule::Guard && before == 0 {
            return Err(Failed::Guard);
        }
        changes.push(before);
    }
    Ok(changes)
}

/// The one writer of an SQLite file.
#[must_use]
pub struct WriterTask {
    group: GroupWriter,
    inbox: mpsc::Receiver<Job>,
    health: Health,
}

impl WriterTask {
    /// Writes until it is cancelled, and then what was handed over before.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut jobs = Vec::with_capacity(GROUP);
        loop {
            let taken = tokio::select! {
                biased;
                () = cancel.cancelled(), if !self.inbox.is_closed() => {
                    self.inbox.close();
                    continue;
                }
                taken = self.inbox.recv_many(&mut jobs, GROUP) => taken,
            };
            if taken == 0 {
                break;
            }
            // Those who were answered just now run first, and what they write next comes along;
            // else clients fall into two halves that take turns, each with commits half as large.
            tokio::task::yield_now().await;
            while jobs.len() < GROUP
                && let Ok(job) = self.inbox.try_recv()
            {
                jobs.push(job);
            }
            let (mut group, health) = (self.group, self.health.clone());
            // One journey for the whole group, there and back.
            let written = tokio::task::spawn_blocking(move || {
                write_group(&mut group, &mut jobs, &health);
                (group, jobs)
            });
            match written.await {
                Ok((group, emptied)) => (self.group, jobs) = (group, emptied),
                Err(error) => {
                    let why = format!("writing broke off, restart the host ({error})");
                    self.health.write_failed(&StoreError::Unavailable(why));
                    return;
                }
            }
        }
        let closed = tokio::task::spawn_blocking(move || self.group.close()).await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "the store did not close well; it is whole nevertheless");
        }
    }
}

fn write_group(group: &mut GroupWriter, jobs: &mut Vec<Job>, health: &Health) {
    let batches: Vec<&Batch> = jobs.iter().map(|job| &job.batch).collect();
    let Written { outcomes, took } = group.write(&batches);
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        health.write_failed(error);
    }
    if let Some(took) = took {
        health.committed(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), took);
    }
    for (job, outcome) in jobs.drain(..).zip(outcomes) {
        // The caller may have given up; the batch is written all the same.
        drop(job.done.send(outcome));
    }
}
