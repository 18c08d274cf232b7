//! The messages of OTLP, in both of its encodings: protobuf and JSON.
//!
//! Written by hand from `opentelemetry-proto` 1.x, whose numbers never change. The crate of
//! that name would bring seven crates instead of three, OpenTelemetry's SDK among them, and its
//! JSON is too strict for a receiver: one id that is not hex spoils a whole request, and a field
//! it does not know in a value is an error, where the specification wants it ignored.
//! `https://opentelemetry.io/docs/specs/otlp/`

use serde::{Deserialize, Serialize};

use super::json::{AnyJson, hex, int64, or_default, unsigned};

/// What is posted to `/v1/traces`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TracesRequest {
    /// Spans, by what sent them.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// Spans of one resource.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceSpans {
    /// What sent them.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The spans, by what made them.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// Spans of one library.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeSpans {
    /// The library.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub spans: Vec<Span>,
}

/// One timed piece of work.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    /// Its trace, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// Itself, 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// What vendors say of the trace.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub trace_state: String,
    /// The span it is part of, 8 bytes; a root has none.
    #[prost(bytes = "vec", tag = "4")]
    #[serde(with = "hex")]
    pub parent_span_id: Vec<u8>,
    /// What people read.
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Which side of a call it is: see [`SpanKind`](super::SpanKind).
    #[prost(int32, tag = "6")]
    #[serde(deserialize_with = "or_default")]
    pub kind: i32,
    /// When it began, in nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    #[serde(with = "unsigned")]
    pub start_time_unix_nano: u64,
    /// When it ended.
    #[prost(fixed64, tag = "8")]
    #[serde(with = "unsigned")]
    pub end_time_unix_nano: u64,
    /// What is known of it.
    #[prost(message, repeated, tag = "9")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// What happened in it.
    #[prost(message, repeated, tag = "11")]
    #[serde(deserialize_with = "or_default")]
    pub events: Vec<Event>,
    /// Spans it has to do with.
    #[prost(message, repeated, tag = "13")]
    #[serde(deserialize_with = "or_default")]
    pub links: Vec<Link>,
    /// How it ended.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// Flags of its trace context.
    #[prost(fixed32, tag = "16")]
    #[serde(deserialize_with = "or_default")]
    pub flags: u32,
}

/// Something that happened in a span.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// When, in nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    #[serde(with = "unsigned")]
    pub time_unix_nano: u64,
    /// What.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// What is known of it.
    #[prost(message, repeated, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
}

/// A span another has to do with.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Link {
    /// Its trace.
    #[prost(bytes = "vec", tag = "1")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// Itself.
    #[prost(bytes = "vec", tag = "2")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// What is known of it.
    #[prost(message, repeated, tag = "4")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
}

/// How a span ended.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// A sentence for people.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// 0 is not set, 1 is well, 2 is an error.
    #[prost(int32, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub code: i32,
}

/// What is posted to `/v1/logs`.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogsRequest {
    /// Log records, by what sent them.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub resource_logs: Vec<ResourceLogs>,
}

/// Log records of one resource.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceLogs {
    /// What sent them.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// The log records, by what made them.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub scope_logs: Vec<ScopeLogs>,
}

/// Log records of one library.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeLogs {
    /// The library.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<Scope>,
    /// The log records.
    #[prost(message, repeated, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub log_records: Vec<LogRecord>,
}

/// One log record.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogRecord {
    /// When it happened, in nanoseconds since 1970; 0 if that is not known.
    #[prost(fixed64, tag = "1")]
    #[serde(with = "unsigned")]
    pub time_unix_nano: u64,
    /// How much it matters: 1 to 24.
    #[prost(int32, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub severity_number: i32,
    /// The same in the sender's words.
    #[prost(string, tag = "3")]
    #[serde(deserialize_with = "or_default")]
    pub severity_text: String,
    /// What it says.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AnyValue>,
    /// What else is known.
    #[prost(message, repeated, tag = "6")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
    /// Flags of its trace context.
    #[prost(fixed32, tag = "8")]
    #[serde(deserialize_with = "or_default")]
    pub flags: u32,
    /// The trace it was written in.
    #[prost(bytes = "vec", tag = "9")]
    #[serde(with = "hex")]
    pub trace_id: Vec<u8>,
    /// The span.
    #[prost(bytes = "vec", tag = "10")]
    #[serde(with = "hex")]
    pub span_id: Vec<u8>,
    /// When it was seen first.
    #[prost(fixed64, tag = "11")]
    #[serde(with = "unsigned")]
    pub observed_time_unix_nano: u64,
    /// What kind of event it is, if it is one.
    #[prost(string, tag = "12")]
    #[serde(deserialize_with = "or_default")]
    pub event_name: String,
}

/// What sent something: a service.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    /// What is known of it.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub attributes: Vec<KeyValue>,
}

/// What made something: a library.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Scope {
    /// Its name.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub version: String,
}

/// A name and a value.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyValue {
    /// The name.
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub key: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// Any value.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(try_from = "AnyJson", into = "AnyJson")]
pub struct AnyValue {
    /// Which; none is null.
    #[prost(oneof = "Any", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<Any>,
}

/// What a value may be.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Any {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// A boolean.
    #[prost(bool, tag = "2")]
    Boolean(bool),
    /// An integer.
    #[prost(int64, tag = "3")]
    Integer(i64),
    /// Another number.
    #[prost(double, tag = "4")]
    Double(f64),
    /// Several values.
    #[prost(message, tag = "5")]
    List(ArrayValue),
    /// Names with values.
    #[prost(message, tag = "6")]
    Fields(KeyValueList),
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

/// Several values.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<AnyValue>,
}

/// Names with values.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyValueList {
    /// The names and values.
    #[prost(message, repeated, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<KeyValue>,
}

/// The answer to spans that were taken.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TracesResponse {
    /// Which were not.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<RejectedSpans>,
}

/// Spans that were not taken.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RejectedSpans {
    /// How many.
    #[prost(int64, tag = "1")]
    #[serde(with = "int64")]
    pub rejected_spans: i64,
    /// Why.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub error_message: String,
}

/// The answer to log records that were taken.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogsResponse {
    /// Which were not.
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_success: Option<RejectedLogs>,
}

/// Log records that were not taken.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RejectedLogs {
    /// How many.
    #[prost(int64, tag = "1")]
    #[serde(with = "int64")]
    pub rejected_log_records: i64,
    /// Why.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub error_message: String,
}

/// `google.rpc.Status`: why a request was not taken.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RpcStatus {
    /// A code of gRPC.
    #[prost(int32, tag = "1")]
    #[serde(deserialize_with = "or_default")]
    pub code: i32,
    /// A sentence for people.
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}
