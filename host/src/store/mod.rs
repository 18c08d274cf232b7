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

mod counts;
mod database;
mod error;
mod fault;
mod filter;
mod health;
mod messages;
mod migrations;
pub mod runs;
mod statement;
mod suspended;
mod threads;
mod writer;

#[cfg(test)]
mod contract;

use std::{path::Path, sync::Arc};

pub use database::StoreSettings;
use database::{Database, DirectoryLock};
pub use error::StoreError;
use runs::Runs;
pub(crate) use suspended::SuspendedRow;
pub use writer::WriterTask;

/// Everything that is stored. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    database: Database,
    _lock: Arc<DirectoryLock>,
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
        Ok((Self { database, _lock: lock }, task))
    }

    /// Returns the runs of workflows.
    #[must_use]
    pub fn runs(&self) -> Runs {
        Runs { database: self.database.clone() }
    }

    /// Returns what is wrong with the store, `None` if it can be read and written.
    pub async fn problem(&self) -> Option<String> {
        self.database.problem().await
    }

    /// Copies the embedded database into a file that must not exist, while it is used.
    ///
    /// # Errors
    /// If the file is there or cannot be written.
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        self.database.back_up(file).await
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
    database::back_up_directory(data, file).await
}
