//! The store: what outlives the process.
//!
//! [`Store`] is the only door; behind it one family a file: threads and messages, runs of
//! workflows. One SQL text serves SQLite, in the data directory, and PostgreSQL, by URL;
//! the few places that differ ask for the `Dialect`. Nothing outside this module knows SQL.
//!
//! # What is promised
//!
//! A write that returned is on the disk and survives a crash and a power cut. Rows that
//! belong together are written together (`statement::Batch`). Reads see every
//! write that has returned.
//!
//! Read next: `writer`, how many writes become one commit.

mod backup;
mod counts;
mod database;
mod embeddings;
mod error;
mod fault;
mod filter;
mod group;
mod health;
mod lock;
mod mark;
mod messages;
mod migrations;
mod probe;
pub mod runs;
pub mod schedules;
mod spans;
mod sqlite;
mod statement;
mod suspended;
mod threads;
pub mod tokens;
pub mod verdicts;
mod writer;

#[cfg(test)]
mod contract;

use std::{path::Path, sync::Arc};

use database::Database;
pub use database::StoreSettings;
pub(crate) use embeddings::DueEmbedding;
pub use embeddings::SpaceState;
pub use error::StoreError;
pub use health::Statistics;
use lock::DirectoryLock;
pub(crate) use lock::make_directory;
pub(crate) use mark::Mark;
pub use messages::Messages;
use runs::Runs;
use schedules::Schedules;
pub(crate) use suspended::{SuspendedClaim, SuspendedRow};
use verdicts::Verdicts;
pub use writer::WriterTask;

/// Everything that is stored. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// Absent beside the host that has it.
    _lock: Option<Arc<DirectoryLock>>,
}

impl Store {
    /// Opens the store and returns what must be run for it to write; PostgreSQL needs nothing.
    ///
    /// # Errors
    /// If another host uses the data directory, the database does not answer, is damaged,
    /// or was written by a newer host.
    pub async fn open(settings: &StoreSettings) -> Result<(Self, Option<WriterTask>), StoreError> {
        let lock = Arc::new(DirectoryLock::take(&settings.data)?);
        let (database, task) = Database::open(settings).await?;
        Ok((Self { database, _lock: Some(lock) }, task))
    }

    /// As [`Store::open`], also while a host uses the data directory: for commands that change a few
    /// rows. The schema must be this build's.
    ///
    /// # Errors
    /// As [`Store::open`], but for another host.
    pub async fn open_beside(settings: &StoreSettings) -> Result<(Self, Option<WriterTask>), StoreError> {
        match DirectoryLock::take(&settings.data) {
            Ok(lock) => {
                let (database, task) = Database::open(settings).await?;
                Ok((Self { database, _lock: Some(Arc::new(lock)) }, task))
            }
            Err(StoreError::Conflict(_)) => {
                let (database, task) = Database::open_beside(settings).await?;
                Ok((Self { database, _lock: None }, task))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the runs of workflows.
    #[must_use]
    pub fn runs(&self) -> Runs {
        Runs { database: self.database.clone() }
    }

    /// Returns when workflows start by themselves.
    #[must_use]
    pub fn schedules(&self) -> Schedules {
        Schedules { database: self.database.clone() }
    }

    /// Returns what was said of traces.
    #[must_use]
    pub fn verdicts(&self) -> Verdicts {
        Verdicts { database: self.database.clone() }
    }

    /// Takes how the store stands, before it is looked for something to do.
    pub(crate) fn mark(&self) -> Mark {
        self.database.mark()
    }

    /// Returns what is wrong with the store, `None` if it can be read and written.
    pub async fn problem(&self) -> Option<String> {
        self.database.problem().await
    }

    /// Returns what was written since the store was opened.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.database.statistics()
    }

    /// Closes the store's connections; what is being read still ends.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Copies the embedded database of a data directory, whether a host uses it or not.
///
/// # Errors
/// If there is none, or the file is there or cannot be written.
pub async fn back_up(data: &Path, file: &Path) -> Result<(), StoreError> {
    backup::back_up(data, file).await
}
