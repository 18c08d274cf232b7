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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::layer::{self, RecordLayer};

    #[test]
    fn what_is_logged_is_appended_a_document_a_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/hotbay.log");
        for turn in 0..2 {
            let layer = RecordLayer { recorder: None, file: Some(LogFile::open(&path).unwrap()) };
            let _heard = layer::hear(layer);
            tracing::warn!(run.id = "run-1", turn, "two\nlines");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        for (turn, line) in lines.iter().enumerate() {
            assert_eq!(
                (&line["level"], &line["msg"], &line["runId"]),
                (&40.into(), &"two\nlines".into(), &"run-1".into())
            );
            assert_eq!(line["turn"], turn);
        }
    }

    #[test]
    fn what_another_thread_came_to_first_is_logged_too() {
        fn work(turn: i32) {
            tracing::info!(turn, "a place that logs");
        }
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hotbay.log");
        let _heard = layer::hear(RecordLayer { recorder: None, file: Some(LogFile::open(&path).unwrap()) });
        std::thread::spawn(|| work(1)).join().unwrap();
        work(2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() == 1 && text.contains(r#""turn":2"#), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        assert!(LogFile::open(home.path()).is_err(), "it is a directory");
    }
}
