//! JSON documents as text: what `serde_json` makes of them, in less time where most of it is text.

use std::fmt::Write;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What most documents have room in; to grow step by step costs as much as to write them.
const ROOM: usize = 1 << 10;

/// Reads a document.
///
/// # Errors
/// If it is none, or does not fit `T`.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    // Looked through once, and not each text in it.
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    }
}

/// Returns a document as text, without spaces.
#[must_use]
pub fn text(document: &Value) -> String {
    let mut text = String::with_capacity(ROOM);
    put(&mut text, document);
    text
}

/// Writes a document, without spaces.
#[must_use]
pub fn write(document: &Value) -> Vec<u8> {
    text(document).into_bytes()
}

fn put(written: &mut String, value: &Value) {
    match value {
        Value::Null => written.push_str("null"),
        Value::Bool(true) => written.push_str("true"),
        Value::Bool(false) => written.push_str("false"),
        Value::Number(number) => write!(written, "{number}").expect("nothing keeps a text from growing"),
        Value::String(text) => put_text(written, text),
        Value::Array(items) => put_items(written, items),
        Value::Object(fields) => put_fields(written, fields),
    }
}

fn put_items(written: &mut String, items: &[Value]) {
    written.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            written.push(',');
        }
        put(written, item);
    }
    written.push(']');
}

fn put_fields(written: &mut String, fields: &Map<String, Value>) {
    written.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            written.push(',');
        }
        put_text(written, name);
        written.push(':');
        put(written, value);
    }
    written.push('}');
}

fn put_text(written: &mut String, text: &str) {
    // To the end, whatever is found: so it is done for many bytes at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if is_plain {
        written.push('"');
        written.push_str(text);
        written.push('"');
    } else {
        written.push_str(&serde_json::to_string(text).expect("a text is JSON"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::arbitrary;

    const WORDS: &[&str] = &["\"", "\\", "\n\u{1f}\u{7f}", "ü€😀", "0123456789abcdef0123456789abcdef\"", ""];

    proptest! {
        #[test]
        fn what_is_written_is_what_the_library_writes(document in arbitrary::json(WORDS)) {
            let written = write(&document);
            prop_assert_eq!(std::str::from_utf8(&written).unwrap(), document.to_string());
            prop_assert_eq!(read::<Value>(&written).unwrap(), document);
        }

        #[test]
        fn what_is_read_is_what_the_library_reads(
            mut bytes in arbitrary::json(WORDS).prop_map(|document| write(&document)),
            place in any::<prop::sample::Index>(),
            odd in any::<u8>(),
        ) {
            *place.get_mut(&mut bytes) = odd;
            let text = |read: serde_json::Result<Value>| read.map_err(|error| error.to_string());
            prop_assert_eq!(text(read(&bytes)), text(serde_json::from_slice(&bytes)));
        }
    }
}
