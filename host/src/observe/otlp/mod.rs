//! OTLP, OpenTelemetry's protocol: spans and log records of other services come in, those of
//! this host go out.
//!
//! The messages are in [`messages`]; [`bounds`] says what a body may hold, [`incoming`] and [`outgoing`] make our records of them and
//! them of our records, and know the names of `gen_ai.*`; [`export`] sends what ends here to a
//! collector. The endpoints others send to are `http`'s. What came in is not sent out again: it
//! enters the recorder by another door than the host's own records.

pub mod bounds;
pub mod export;
pub mod incoming;
mod json;
pub mod messages;
pub mod outgoing;

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::config::OtlpProtocol;
use messages::{Any, AnyValue, ArrayValue, KeyValue, KeyValueList};

/// Text that is JSON is not taken apart beyond this depth: a document that is stored must
/// also be read again, and readers of JSON stop at 128.
const DEEPEST: usize = 64;

/// Which side of a call a span is, in OTLP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// It is not said.
    Unspecified = 0,
    /// Neither.
    Internal = 1,
    /// The one that is called.
    Server = 2,
    /// The one that calls.
    Client = 3,
    /// The one that sends a message.
    Producer = 4,
    /// The one that gets it.
    Consumer = 5,
}

impl SpanKind {
    const ALL: [Self; 6] =
        [Self::Unspecified, Self::Internal, Self::Server, Self::Client, Self::Producer, Self::Consumer];

    /// Returns the kind of this number.
    fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i32 == number)
    }

    /// Returns its name.
    fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// Reads a message.
///
/// # Errors
/// What is wrong with it.
pub fn decode<M: Message + Default + DeserializeOwned>(protocol: OtlpProtocol, body: &[u8]) -> Result<M, String> {
    match protocol {
        OtlpProtocol::Protobuf => M::decode(body).map_err(|error| error.to_string()),
        OtlpProtocol::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
    }
}

/// Writes a message.
pub fn encode<M: Message + Serialize>(protocol: OtlpProtocol, message: &M) -> Vec<u8> {
    match protocol {
        OtlpProtocol::Protobuf => message.encode_to_vec(),
        OtlpProtocol::Json => serde_json::to_vec(message).expect("messages have text keys and finite numbers"),
    }
}

/// Returns the content type of an encoding.
#[must_use]
pub fn content_type(protocol: OtlpProtocol) -> &'static str {
    match protocol {
        OtlpProtocol::Protobuf => "application/x-protobuf",
        OtlpProtocol::Json => "application/json",
    }
}

/// Returns bytes as hex.
fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Reads hex; nothing if it is none.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Returns a value as JSON. Its depth is bounded by what decoding lets through.
fn to_json(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        None => Value::Null,
        Some(Any::Text(text)) => text.into(),
        Some(Any::Boolean(value)) => value.into(),
        Some(Any::Integer(value)) => value.into(),
        // What JSON has no number for is a text, as in OTLP's own JSON.
        Some(Any::Double(value)) => serde_json::Number::from_f64(value)
            .map_or_else(|| Value::from(value.to_string().replace("inf", "Infinity")), Value::Number),
        Some(Any::List(list)) => list.values.into_iter().map(|value| to_json(Some(value))).collect(),
        Some(Any::Fields(fields)) => Value::Object(to_map(fields.values)),
        Some(Any::Bytes(bytes)) => STANDARD.encode(bytes).into(),
    }
}

/// Returns attributes as JSON; of several with one name the last counts.
fn to_map(attributes: Vec<KeyValue>) -> Map<String, Value> {
    attributes.into_iter().map(|attribute| (attribute.key, to_json(attribute.value))).collect()
}

/// Returns JSON as a value.
fn from_json(value: &Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(value) => Some(Any::Boolean(*value)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(integer) => Any::Integer(integer),
            None => Any::Double(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Some(Any::Text(text.clone())),
        Value::Array(values) => Some(Any::List(ArrayValue { values: values.iter().map(from_json).collect() })),
        Value::Object(fields) => {
            let values = fields.iter().map(|(key, value)| attribute(key, value)).collect();
            Some(Any::Fields(KeyValueList { values }))
        }
    };
    AnyValue { value }
}

fn attribute(name: &str, value: &Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(from_json(value)) }
}

/// Takes a text apart that is a JSON object or list, as `gen_ai.*` writes content.
fn parsed(value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    if !text.trim_start().starts_with(['{', '[']) {
        return value;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(document) if is_shallow(&document, DEEPEST) => document,
        _ => value,
    }
}

/// Whether a document is not deeper than this.
fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|value| is_shallow(value, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|value| is_shallow(value, levels - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
