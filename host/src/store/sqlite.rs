//! The file of the embedded database: made, found, connected to.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::OpenFlags;
use sqlx::{AnyConnection, AnyPool, Connection, Executor, any::AnyPoolOptions};

use super::{
    database::{ACQUIRE, options},
    error::StoreError,
    migrations,
};

/// Connections that read. Each has a thread and a page cache of its own.
const READERS: u32 = 4;
/// How long a statement waits for another program that holds the file.
const BUSY: &str = "PRAGMA busy_timeout=5000";

/// Makes the file if there is none, and refuses what cannot be one.
///
/// It is made under another name and renamed, so a file without content is never one that a
/// host began, but one that has lost what was in it.
pub(super) async fn prepare(file: &Path) -> Result<(), StoreError> {
    let lost = |what: &str| {
        StoreError::Corrupt(format!("{}: {what}; restore a backup, or remove it to begin anew", file.display()))
    };
    match fs::metadata(file) {
        Ok(found) if found.len() == 0 => Err(lost("the file is empty")),
        // SQLite would open what it may not write and say nothing until the first write.
        Ok(_) => fs::File::options().write(true).open(file).map(drop).map_err(|error| {
            StoreError::Unavailable(format!(
                "{} cannot be written: {error}; let this user write to it, or name another directory with --data",
                file.display()
            ))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let log = log_of(file);
            if log.exists() {
                return Err(lost(&format!("it is gone, but its log {} is there", log.display())));
            }
            make(file).await
        }
        Err(error) => Err(StoreError::Unavailable(format!("{} cannot be read: {error}", file.display()))),
    }
}

async fn make(file: &Path) -> Result<(), StoreError> {
    let failed = |error: StoreError| error.at(file.display());
    let begun = beside(file, ".begun");
    for left in [begun.clone(), beside(&begun, "-journal")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Unavailable(format!("{} cannot be removed: {error}", left.display())));
            }
            _ => {}
        }
    }
    let url = format!("{}?mode=rwc", url(&begun));
    let mut connection = AnyConnection::connect_with(&options(&url)?).await.map_err(|error| failed(error.into()))?;
    migrations::apply(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(|error| failed(error.into()))?;
    let named = fs::rename(&begun, file).and_then(|()| match file.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    });
    named.map_err(|error| StoreError::Unavailable(format!("{} cannot be made: {error}", file.display())))
}

/// Connects the one writer. This blocks.
pub(super) fn open_writer(file: &Path) -> Result<rusqlite::Connection, StoreError> {
    let connection = rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    for pragma in [
        BUSY,
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA temp_store=MEMORY",
        "PRAGMA journal_size_limit=67108864",
    ] {
        connection.execute_batch(pragma)?;
    }
    Ok(connection)
}

/// Connects to a file that is there.
pub(super) async fn connect(file: &Path) -> Result<AnyConnection, StoreError> {
    let mut connection = AnyConnection::connect_with(&options(&format!("{}?mode=rw", url(file)))?).await?;
    connection.execute(BUSY).await?;
    Ok(connection)
}

/// Connects those that read.
pub(super) async fn connect_readers(file: &Path) -> Result<AnyPool, StoreError> {
    let readers = AnyPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        // A file is always there; asking each time would double what a read takes.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(BUSY).await?;
                connection.execute("PRAGMA query_only=ON").await?;
                Ok(())
            })
        })
        .connect_with(options(&format!("{}?mode=rw", url(file)))?)
        .await?;
    Ok(readers)
}

/// Returns where everything is written first.
pub(super) fn log_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

/// Returns the path of what SQLite or we keep beside a file.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Returns the URL of a file; what has a meaning in URLs is escaped.
fn url(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for character in path.to_string_lossy().chars() {
        match character {
            '%' => url.push_str("%25"),
            '?' => url.push_str("%3F"),
            '#' => url.push_str("%23"),
            ' ' => url.push_str("%20"),
            other => url.push(other),
        }
    }
    url
}
