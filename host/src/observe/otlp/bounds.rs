//! What a body may come to in memory, seen before it is decoded: two bytes can be a span of a
//! few hundred. Whatever a sender really has to say is well within what its bytes allow.

use std::mem::size_of;

use super::messages::{Event, KeyValue, Link, LogRecord, ResourceSpans, ScopeSpans, Span};
use crate::config::OtlpProtocol;

/// What any body may come to, in bytes.
const FREE: usize = 4 << 20;
/// What each of its bytes allows beyond that.
const EACH: usize = 8;
/// What an object of JSON comes to, on average over all there are in a span.
const OBJECT: usize = 100;
/// Values in each other are not looked into further; those who decode refuse them.
const DEEPEST: usize = 100;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Spans.
    Spans,
    /// Log records.
    Logs,
}

/// A message, as far as there are others in it.
#[derive(Debug, Clone, Copy)]
enum Part {
    Request,
    Resources,
    Scopes,
    Record,
    Event,
    Link,
    Attributes,
    Pair,
    Value,
    Values,
}

impl Part {
    /// Returns what the messages of this field are, and what each takes.
    fn field(self, tag: u64, sent: Sent) -> Option<(Self, usize)> {
        Some(match (self, tag) {
            (Self::Request, 1) => (Self::Resources, size_of::<ResourceSpans>()),
            (Self::Resources, 2) => (Self::Scopes, size_of::<ScopeSpans>()),
            // Once if it is said once; each further one replaces it.
            (Self::Resources, 1) => (Self::Attributes, 0),
            (Self::Scopes, 2) if sent == Sent::Logs => (Self::Record, size_of::<LogRecord>()),
            (Self::Scopes, 2) => (Self::Record, size_of::<Span>()),
            (Self::Record, 5) if sent == Sent::Logs => (Self::Value, 0),
            (Self::Record, 6) if sent == Sent::Logs => (Self::Pair, size_of::<KeyValue>()),
            (Self::Record, 9) if sent == Sent::Spans => (Self::Pair, size_of::<KeyValue>()),
            (Self::Record, 11) if sent == Sent::Spans => (Self::Event, size_of::<Event>()),
            (Self::Record, 13) if sent == Sent::Spans => (Self::Link, size_of::<Link>()),
            (Self::Event, 3) | (Self::Link, 4) | (Self::Attributes, 1) => (Self::Pair, size_of::<KeyValue>()),
            (Self::Pair, 2) => (Self::Value, 0),
            // What is in an array is a value, what is in a list is a pair.
            (Self::Value | Self::Pair, 5 | 6) => (Self::Values, 0),
            (Self::Values, 1) => (Self::Pair, size_of::<KeyValue>()),
            _ => return None,
        })
    }
}

/// Refuses a body of many messages with nothing in them.
///
/// # Errors
/// What is wrong with it.
pub fn check(protocol: OtlpProtocol, body: &[u8], sent: Sent) -> Result<(), String> {
    let most = FREE.saturating_add(body.len().saturating_mul(EACH));
    let is_within = match protocol {
        OtlpProtocol::Protobuf => weigh(body, sent, most),
        OtlpProtocol::Json => objects(body).saturating_mul(OBJECT) <= most,
    };
    if is_within {
        return Ok(());
    }
    Err(format!(
        "the {} bytes of the body are too many records or attributes with nothing in them; send smaller batches",
        body.len()
    ))
}

/// Whether the messages of a body take no more than `most`. What is no message is left to who decodes it.
fn weigh(body: &[u8], sent: Sent, most: usize) -> bool {
    let mut weight = 0;
    let mut left = vec![(Part::Request, body, 0)];
    while let Some((part, mut rest, depth)) = left.pop() {
        while let Some((tag, inner)) = next(&mut rest) {
            let (Some(inner), Some((part, size))) = (inner, part.field(tag, sent)) else { continue };
            weight += size;
            if weight > most {
                return false;
            }
            if !inner.is_empty() && depth < DEEPEST {
                left.push((part, inner, depth + 1));
            }
        }
    }
    true
}

/// Reads a field: its tag, and its bytes if it has a length.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let key = varint(rest)?;
    let (tag, kind) = (key >> 3, key & 7);
    let length = match kind {
        0 => {
            varint(rest)?;
            return Some((tag, None));
        }
        1 => 8,
        2 => usize::try_from(varint(rest)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some((tag, (kind == 2).then_some(bytes)))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Returns how many objects a JSON document has.
fn objects(document: &[u8]) -> usize {
    let (mut objects, mut is_text, mut is_escaped) = (0, false, false);
    for byte in document {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' if !is_text => objects += 1,
            _ => {}
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a message of one field, with what is in it.
    fn field(tag: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![(tag << 3) | 2];
        let mut length = inner.len();
        while length > 0x7f {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(inner);
        bytes
    }

    fn nested(tags: &[u8], inner: &[u8]) -> Vec<u8> {
        tags.iter().rev().fold(inner.to_vec(), |inner, tag| field(*tag, &inner))
    }

    #[track_caller]
    fn check_protobuf(sent: Sent, body: &[u8], is_taken: bool) {
        assert_eq!(check(OtlpProtocol::Protobuf, body, sent).is_ok(), is_taken);
    }

    #[test]
    fn messages_with_nothing_in_them_are_refused_wherever_they_are() {
        let many = |tag: u8| [tag << 3 | 2, 0].repeat(500_000);
        for tags in [&[1, 2, 2][..], &[1, 2], &[1], &[1, 2, 2, 9], &[1, 2, 2, 11], &[1, 2, 2, 13], &[1, 2, 2, 11, 3]] {
            let (last, around) = tags.split_last().unwrap();
            check_protobuf(Sent::Spans, &nested(around, &many(*last)), false);
        }
        // An array of values, in a list of pairs, in an attribute.
        check_protobuf(Sent::Spans, &nested(&[1, 2, 2, 9, 2, 6, 1, 2, 5], &many(1)), false);
        check_protobuf(Sent::Logs, &nested(&[1, 2, 2, 5, 5, 1, 5], &many(1)), false);
        check_protobuf(Sent::Logs, &nested(&[1, 2], &many(2)), false);
        // Fields nobody reads take nothing.
        check_protobuf(Sent::Spans, &nested(&[1, 2, 2], &many(14)), true);
        let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(500_000));
        assert!(check(OtlpProtocol::Json, json.as_bytes(), Sent::Spans).is_err());
        let text = format!(r#"["{}\"{}"]"#, "{".repeat(500_000), "{".repeat(500_000));
        assert_eq!(objects(text.as_bytes()), 0);
    }

    #[test]
    fn what_a_sender_has_to_say_is_taken_however_much_it_is() {
        let attribute = field(9, &[field(1, b"a"), field(2, &[3 << 3, 1])].concat());
        let ids = [field(1, &[1; 16]), field(2, &[1; 8]), field(5, b"name")].concat();
        let span = field(2, &[ids, attribute.repeat(20)].concat());
        check_protobuf(Sent::Spans, &nested(&[1, 2], &span.repeat(20_000)), true);
        let record = field(2, &[field(5, &field(1, b"hello")), vec![1 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8]].concat());
        check_protobuf(Sent::Logs, &nested(&[1, 2], &record.repeat(100_000)), true);
    }

    #[test]
    fn nonsense_is_left_to_who_decodes_it() {
        for body in [&[][..], &[0xff; 64], &[10, 200, 1], &[3, 4], &[10]] {
            check_protobuf(Sent::Spans, body, true);
        }
        // As deep as it is long.
        let mut deep = Vec::new();
        for _ in 0..3000 {
            deep = field(5, &field(1, &deep));
        }
        check_protobuf(Sent::Logs, &nested(&[1, 2, 2, 5], &deep), true);
    }
}
