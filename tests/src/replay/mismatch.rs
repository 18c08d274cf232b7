//! One mismatch between an expectation and an answer, ready to be read.

use std::fmt;
use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// How much of a value a line shows.
const SHOWN: usize = 200;

/// Where an answer differs from what is expected, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The path in the answer, such as `body.items[0].id`, or `status`, `end`, `request`.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub got: String,
}

impl Mismatch {
    /// A mismatch in words that are ready to be shown.
    pub fn new(path: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { path: path.into(), expected: expected.into(), got: got.into() }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {} got {}", self.path, self.expected, self.got)
    }
}

/// A value as one readable line, cut short when it is long.
pub fn shown(value: Option<&Value>) -> String {
    shown_up_to(value, SHOWN)
}

/// As [`shown`], with its own length.
pub fn shown_up_to(value: Option<&Value>, length: usize) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Spaced);
    if value.serialize(&mut serializer).is_err() {
        return "an unprintable value".to_owned();
    }
    let text = String::from_utf8_lossy(&text);
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

/// JSON on one line with a space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_on_one_line_and_cut() {
        assert_eq!(shown(Some(&json!({"a": [1, "é"]}))), r#"{"a": [1, "é"]}"#);
        assert_eq!(shown_up_to(Some(&json!("éééé")), 3), "\"éé...");
        assert_eq!(shown(None), "nothing");
    }
}
