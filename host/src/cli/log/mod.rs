//! Where log records go: to standard error, to where they are kept, and to a file.
//!
//! What is kept and what is in the file is the same; what is shown has a filter of its own.

mod fields;

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use fields::Fields;

use super::Failure;
use crate::{
    config::{LogFormat, LogSettings, RecordSettings},
    observe::{file::LogFile, layer::RecordLayer},
};

/// Starts the log.
///
/// # Errors
/// If the log file cannot be opened.
pub(super) fn start(settings: &LogSettings, record: &RecordSettings) -> Result<(), Failure> {
    // The filters were checked with the other settings. The library that speaks MCP tells of every
    // session at `info`, which is for those who ask for it by name.
    let filter = |text: &str| {
        let text = if matches!(text, "off" | "error") { text.to_owned() } else { format!("rmcp=warn,{text}") };
        EnvFilter::try_new(text).unwrap_or_default()
    };
    let color = settings.color && io::stderr().is_terminal();
    let shown = tracing_subscriber::fmt::layer().with_writer(move || OneLine { writer: io::stderr(), color });
    let shown: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Json => shown.json().flatten_event(true).with_filter(filter(&settings.filter)).boxed(),
        LogFormat::Text => {
            shown.with_ansi(color).fmt_fields(Fields::default()).with_filter(filter(&settings.filter)).boxed()
        }
    };
    let file = match &settings.file {
        Some(path) => {
            let failed =
                |error| format!("cannot open the log file {}: {error}; name another with --log-file", path.display());
            Some(LogFile::open(path).map_err(failed)?)
        }
        None => None,
    };
    let kept = if record.is_on() { &record.filter } else { &settings.filter };
    let kept =
        (record.is_on() || file.is_some()).then(|| RecordLayer { recorder: None, file }.with_filter(filter(kept)));
    let started = tracing_subscriber::registry().with(shown).with(kept).try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "the log was started already");
    }
    Ok(())
}

/// Writes each record on one line, and no commands for a terminal: what callers choose, ids and texts,
/// may hold both, and would else look like records of the host.
struct OneLine<W> {
    writer: W,
    /// Whether colours are the host's own.
    color: bool,
}

impl<W: io::Write> io::Write for OneLine<W> {
    /// Is given whole records.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let (text, end) = record.strip_suffix(b"\n").map_or((record, &b""[..]), |text| (text, b"\n"));
        match std::str::from_utf8(text) {
            Ok(text) if text.contains(is_odd) => {
                let mut line = plain(text, self.color).into_bytes();
                line.extend_from_slice(end);
                self.writer.write_all(&line)?;
            }
            _ => self.writer.write_all(record)?,
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Whether a character breaks a line, commands a terminal, or changes the direction of what follows.
fn is_odd(character: char) -> bool {
    let turns = matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (character.is_control() && character != '\t') || turns
}

fn plain(text: &str, color: bool) -> String {
    let mut line = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let colored = if color { color_change(rest) } else { 0 };
        let length = colored.max(character.len_utf8());
        let (taken, left) = rest.split_at(length);
        if colored > 0 || !is_odd(character) {
            line.push_str(taken);
        } else {
            line.extend(character.escape_default());
        }
        rest = left;
    }
    line
}

/// Returns how long the change of colour is that a text begins with, nothing if it does not.
fn color_change(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    let end = parameters.find(|it: char| !it.is_ascii_digit() && it != ';');
    end.filter(|end| parameters.as_bytes().get(*end) == Some(&b'm')).map_or(0, |end| "\u{1b}[".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[track_caller]
    fn check(record: &str, color: bool, expected: &str) {
        let mut written = OneLine { writer: Vec::new(), color };
        written.write_all(record.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written.writer).unwrap(), expected);
    }

    #[test]
    fn a_record_is_one_line() {
        check("INFO all is\twell\n", false, "INFO all is\twell\n");
        check("INFO a\r\nERROR forged\n", false, "INFO a\\r\\nERROR forged\n");
        check("INFO \u{2028}x \u{202e}", false, "INFO \\u{2028}x \\u{202e}");
    }

    #[test]
    fn a_record_commands_no_terminal() {
        check("\u{1b}[2Jx \u{9b}31m\0\n", true, "\\u{1b}[2Jx \\u{9b}31m\\u{0}\n");
        check("\u{1b}[31mERROR\u{1b}[0m a\nb\n", true, "\u{1b}[31mERROR\u{1b}[0m a\\nb\n");
        check("\u{1b}[31mERROR\u{1b}\n", false, "\\u{1b}[31mERROR\\u{1b}\n");
    }
}
