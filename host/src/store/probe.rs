//! Whether the store can be used: found out by using it.

use std::{
    io::{ErrorKind, Write},
    path::Path,
    time::Duration,
};

use sqlx::{AnyConnection, Connection};

use super::{
    database::{Database, Dialect},
    error::StoreError,
    statement::Statement,
};

/// How long the store may take to prove itself. Whoever asks has a deadline as well.
const PATIENCE: Duration = Duration::from_secs(2);
/// A write no older than this is proof enough.
const FRESH: Duration = Duration::from_secs(2);
/// What must fit on the disk before it counts as having space again: a few transactions.
const ROOM: usize = 1 << 20;

impl Database {
    /// Returns what is wrong with the store, `None` if it can be read and written.
    ///
    /// A store nobody writes to is written to, so that a full disk shows before a caller meets it.
    pub(super) async fn problem(&self) -> Option<String> {
        if let Some(damage) = self.health.damage() {
            return Some(damage.to_string());
        }
        if self.health.was_written_within(FRESH) {
            return None;
        }
        let proved = match tokio::time::timeout(PATIENCE, self.prove()).await {
            Ok(proved) => proved,
            Err(_) => Err(self.find_reason().await),
        };
        let error = proved.err()?;
        self.health.write_failed(&error);
        Some(error.to_string())
    }

    /// Finds out why there is no answer.
    async fn find_reason(&self) -> StoreError {
        if self.dialect == Dialect::Postgres {
            // The pool tries again until its deadline and then no longer knows why.
            let options = self.readers.connect_options();
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, AnyConnection::connect_with(&options)).await {
                return StoreError::from(error).at("PostgreSQL cannot be used");
            }
        }
        self.health.problem().unwrap_or_else(|| {
            StoreError::Unavailable(format!("the store does not answer within {} s", PATIENCE.as_secs()))
        })
    }

    async fn prove(&self) -> Result<(), StoreError> {
        // One at a time: those who wait profit from the one before.
        let _turn = self.probing.lock().await;
        if self.health.was_written_within(FRESH) {
            return Ok(());
        }
        self.row(Statement::new("SELECT n FROM counts WHERE scope = 'probe'")).await?;
        // Changing a row may fit on a disk on which nothing else does.
        if self.dialect == Dialect::Sqlite && self.health.problem().is_some() {
            let data = self.data.clone();
            let room = tokio::task::spawn_blocking(move || find_room(&data)).await;
            room.map_err(|error| StoreError::Unavailable(error.to_string()))??;
        }
        self.write(Statement::new(
            "INSERT INTO counts (scope, n) VALUES ('probe', 1) ON CONFLICT (scope) DO UPDATE SET n = counts.n + 1",
        ))
        .await?;
        Ok(())
    }
}

fn find_room(data: &Path) -> Result<(), StoreError> {
    let written = tempfile::NamedTempFile::with_prefix_in(".room-", data).and_then(|mut file| {
        file.write_all(&vec![0; ROOM])?;
        file.as_file().sync_data()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::full(error),
        _ => StoreError::Unavailable(format!("{} cannot be written: {error}", data.display())),
    })
}
