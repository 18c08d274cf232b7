//! A data directory is one host's at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::error::StoreError;

/// Makes a data directory if there is none: what people write to agents is for nobody else to read.
pub(crate) fn make_directory(data: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data)
}

/// Held while a host uses the data directory.
const LOCK: &str = "hotbay.lock";

/// Keeps other hosts out of a data directory until it is dropped.
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory.
    pub(super) fn take(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(LOCK);
        let failed = |error: &std::io::Error| {
            StoreError::Unavailable(format!(
                "{} cannot be written: {error}; let this user write there, or name another directory with --data",
                path.display()
            ))
        };
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let holder = match file.read_to_string(&mut holder) {
                    Ok(_) if !holder.trim().is_empty() => format!("process {}", holder.trim()),
                    _ => "another process".to_owned(),
                };
                return Err(StoreError::Conflict(format!(
                    "the data directory {} is in use by {holder}; stop it, or name another one with --data",
                    data.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        // For people; the lock itself is what counts.
        let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the lock file does not name the process");
        }
        Ok(Self { _file: file })
    }
}
