//! JSON documents as text: what `serde_json` makes of them, in less time where most of it is text.

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

/// Writes a document, without spaces.
#[must_use]
pub fn write(document: &Value) -> Vec<u8> {
    let mut written = Vec::with_capacity(ROOM);
    put(&mut written, document);
    written
}

fn put(written: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => put_text(written, text),
        Value::Array(items) => put_items(written, items),
        Value::Object(fields) => put_fields(written, fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => put_other(written, value),
    }
}

fn put_items(written: &mut Vec<u8>, items: &[Value]) {
    written.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            written.push(b',');
        }
        put(written, item);
    }
    written.push(b']');
}

fn put_fields(written: &mut Vec<u8>, fields: &Map<String, Value>) {
    written.push(b'{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            written.push(b',');
        }
        put_text(written, name);
        written.push(b':');
        put(written, value);
    }
    written.push(b'}');
}

fn put_text(written: &mut Vec<u8>, text: &str) {
    // To the end, whatever is found: so it is done for many bytes at once.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if !is_plain {
        return put_other(written, text);
    }
    written.push(b'"');
    written.extend_from_slice(text.as_bytes());
    written.push(b'"');
}

fn put_other(written: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    serde_json::to_writer(written, value).expect("a JSON value is written to memory");
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
