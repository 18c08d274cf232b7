//! The log file: records as JSON lines, for programs that follow a file.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::line;
use crate::types::log::LogRecord;

/// A file that records are appended to.
pub struct LogFile {
    // Held for one write: a line is written whole.
    file: Mutex<File>,
}

impl LogFile {
    /// Opens a file, and makes it and its directory if they are not there.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Appends a record. One that cannot be written is lost here; it is kept elsewhere too, and a
    /// full disk must not stop what is logged about.
    pub(super) fn write(&self, log: &LogRecord) {
        let mut line = serde_json::to_vec(&line::of(log)).unwrap_or_default();
        line.push(b'\n');
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line));
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogFile")
    }
}
