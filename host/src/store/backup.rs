//! A copy of the embedded database, made while it is used.

use std::{io, path::Path};

use sqlx::{Connection, Executor};
use tempfile::NamedTempFile;

use super::{database::FILE, error::StoreError, sqlite, statement::Statement};

/// Copies the embedded database of a data directory into a file, whether a host uses it or not.
///
/// The copy is what was committed when it began. Writers go on meanwhile: a reader never
/// stops them. It appears under its name when it is whole and on the disk, so a copy that is
/// interrupted leaves no file that looks like one.
pub(super) async fn back_up(data: &Path, file: &Path) -> Result<(), StoreError> {
    let there = || StoreError::Conflict(format!("{} is there already; name another file", file.display()));
    if file.exists() {
        return Err(there());
    }
    let failed = |error: &io::Error| StoreError::Unavailable(format!("{} cannot be written: {error}", file.display()));
    sqlx::any::install_default_drivers();
    let database = data.join(FILE);
    if !database.exists() {
        return Err(StoreError::NotFound(format!(
            "there is no database in {}; name the data directory with --data",
            data.display()
        )));
    }
    let mut connection = sqlite::connect(&database).await.map_err(|error| error.at(database.display()))?;
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let copy = NamedTempFile::with_prefix_in(".hotbay-backup-", directory).map_err(|error| failed(&error))?;
    let name = copy.path().to_str().ok_or_else(|| StoreError::Refused("a backup's path must be UTF-8".into()))?;
    // An empty file is the one kind of file that is not refused as being there.
    let copied = connection.execute(Statement::new("VACUUM INTO $1").bind(name).query()).await;
    copied.map_err(|error| StoreError::from(error).at(format_args!("copying to {}", file.display())))?;
    connection.close().await?;
    copy.as_file().sync_all().map_err(|error| failed(&error))?;
    copy.persist_noclobber(file).map_err(|kept| match kept.error.kind() {
        io::ErrorKind::AlreadyExists => there(),
        _ => failed(&kept.error),
    })?;
    // The name is on the disk as well then.
    let listed = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    listed.map_err(|error| failed(&error))
}
