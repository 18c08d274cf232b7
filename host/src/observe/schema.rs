//! What the index knows of a record: its fields, and the documents made for them.
//!
//! A log record is one document. The spans of one hand-over are a document each, but kept
//! together: the first has all of them as its body, the others say where in it they are.
//! What is counted or grouped by is in columns, what is looked for in postings; nothing is
//! in both without need, for each field of each record costs about a microsecond.

use std::{borrow::Cow, sync::LazyLock};

use serde_json::{Map, Value};
use tantivy::{
    DateTime, TantivyDocument,
    schema::{
        DateOptions, DateTimePrecision, FAST, Field, IndexRecordOption, JsonObjectOptions, NumericOptions, OwnedValue,
        STORED, Schema, TextFieldIndexing, TextOptions,
    },
    tokenizer::TokenizerManager,
};

use super::{
    attrs::Key,
    record::{Record, tokens},
    words,
};
use crate::types::{id::Millis, log::Level, span::Span};

/// The name under which the index knows what splits texts.
const WORDS: &str = "words";
/// Leaves nothing out and changes nothing.
const RAW: &str = "raw";

/// The fields.
pub(super) struct Fields {
    pub(super) schema: Schema,
    /// Its place in the write-ahead log.
    pub(super) seq: Field,
    /// Its place in the body that is kept with its first neighbour.
    pub(super) place: Field,
    pub(super) body: Field,
    pub(super) time: Field,
    pub(super) ended: Field,
    pub(super) took: Field,
    pub(super) level: Field,
    pub(super) text: Field,
    pub(super) fields: Field,
    /// The paths of its free fields.
    pub(super) has: Field,
    /// What is true of it: `root`, `childError`.
    pub(super) facts: Field,
    pub(super) input_tokens: Field,
    pub(super) output_tokens: Field,
    keys: Vec<Field>,
}

/// The first span of a trace here.
pub(super) const ROOT: &str = "root";
/// A root below which something failed.
pub(super) const CHILD_ERROR: &str = "childError";

/// Names of columns, for those who read them.
pub(super) mod column {
    pub(crate) const SEQ: &str = "seq";
    pub(crate) const PLACE: &str = "place";
    pub(crate) const TIME: &str = "time";
    pub(crate) const ENDED: &str = "endedAt";
    pub(crate) const TOOK: &str = "duration";
    pub(crate) const INPUT_TOKENS: &str = "inputTokens";
    pub(crate) const OUTPUT_TOKENS: &str = "outputTokens";
}

/// How the values of a key are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// In postings and in a column: there are few of them.
    Column,
    /// In postings.
    Postings,
    /// As [`number`]s in postings: each run has its own. A dictionary of texts that have nothing in
    /// common but their length costs more than all else of a record.
    NumberPostings,
    /// As [`number`]s in a column: each record has its own, and they are seldom looked for.
    NumberColumn,
}

/// Returns how the values of a key are kept.
pub(super) fn kept(key: Key) -> Kept {
    match key {
        Key::LogId | Key::SpanId | Key::ParentSpanId => Kept::NumberColumn,
        Key::TraceId | Key::RunId | Key::RequestId => Kept::NumberPostings,
        Key::Name => Kept::Postings,
        _ => Kept::Column,
    }
}

/// Returns an id as a number: that which it is if it has sixteen hex digits, as those of spans. Of all others it is part
/// of a cryptographic hash, for who chooses an id must not come upon what another names.
pub(super) fn number(id: &str) -> u64 {
    let is_number = id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_number && let Ok(number) = u64::from_str_radix(id, 16) {
        return number;
    }
    let hash = blake3::hash(id.as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash is longer than a number");
    u64::from_le_bytes(*first)
}

/// Returns the fields.
pub(super) fn fields() -> &'static Fields {
    static FIELDS: LazyLock<Fields> = LazyLock::new(Fields::new);
    &FIELDS
}

/// Returns what splits texts, by the names the schema has for it.
pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    tokenizers.register(WORDS, words::analyzer());
    tokenizers
}

impl Fields {
    fn new() -> Self {
        let mut schema = Schema::builder();
        let indexing = |tokenizer: &str, option| {
            TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(option).set_fieldnorms(false)
        };
        let raw = TextOptions::default().set_indexing_options(indexing(RAW, IndexRecordOption::Basic));
        let column = raw.clone().set_fast(RAW);
        let words =
            TextOptions::default().set_indexing_options(indexing(WORDS, IndexRecordOption::WithFreqsAndPositions));
        let date = || DateOptions::from(FAST).set_precision(DateTimePrecision::Milliseconds);
        let json = JsonObjectOptions::default()
            .set_indexing_options(indexing(RAW, IndexRecordOption::Basic))
            .set_expand_dots_enabled();
        Self {
            seq: schema.add_u64_field(column::SEQ, FAST),
            place: schema.add_u64_field(column::PLACE, FAST),
            // A text, for bytes are written and read one by one.
            body: schema.add_text_field("body", STORED),
            time: schema.add_date_field(column::TIME, date()),
            ended: schema.add_date_field(column::ENDED, date()),
            took: schema.add_u64_field(column::TOOK, FAST),
            level: schema.add_text_field("level", column.clone()),
            text: schema.add_text_field("message", words),
            fields: schema.add_json_field("fields", json),
            has: schema.add_text_field("has", raw.clone()),
            facts: schema.add_text_field("is", raw.clone()),
            input_tokens: schema.add_u64_field(column::INPUT_TOKENS, FAST),
            output_tokens: schema.add_u64_field(column::OUTPUT_TOKENS, FAST),
            keys: Key::ALL
                .into_iter()
                .map(|key| match kept(key) {
                    Kept::Column => schema.add_text_field(key.as_str(), column.clone()),
                    Kept::Postings => schema.add_text_field(key.as_str(), raw.clone()),
                    Kept::NumberPostings => schema.add_u64_field(key.as_str(), NumericOptions::default().set_indexed()),
                    Kept::NumberColumn => schema.add_u64_field(key.as_str(), FAST),
                })
                .collect(),
            schema: schema.build(),
        }
    }

    /// Returns the field of a key.
    pub(super) fn key(&self, key: Key) -> Field {
        self.keys[key as usize]
    }

    /// Returns the document of a record. `body` is given for the first of those that share one.
    pub(super) fn document(&self, record: Record<'_>, seq: u64, place: u64, body: Option<&[u8]>) -> TantivyDocument {
        let mut document = TantivyDocument::with_capacity(512 + body.map_or(0, <[u8]>::len));
        document.add_u64(self.seq, seq);
        if place > 0 {
            document.add_u64(self.place, place);
        }
        document.add_date(self.time, date(record.time()));
        record.keys(|key, value| match kept(key) {
            Kept::Column | Kept::Postings => document.add_text(self.key(key), value),
            Kept::NumberPostings | Kept::NumberColumn => document.add_u64(self.key(key), number(value)),
        });
        record.texts(|text| document.add_text(self.text, text));
        match record {
            Record::Log(log) => document.add_text(self.level, level(log.level)),
            Record::Span(span) => self.add_span(&mut document, span),
        }
        let free = record.fields();
        if !free.is_empty() {
            document.add_field_value(self.fields, &object(free));
            paths(free, &mut String::new(), &mut |path| document.add_text(self.has, path));
        }
        if let Some(body) = body {
            // JSON is UTF-8. To look is done for many bytes at once, to replace what is none for each.
            let text = str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
            document.add_text(self.body, text);
        }
        document
    }

    fn add_span(&self, document: &mut TantivyDocument, span: &Span) {
        if let Some(ended) = span.ended_at {
            document.add_date(self.ended, date(ended));
        }
        if let Some(took) = span.duration() {
            document.add_u64(self.took, took);
        }
        if span.is_root() {
            document.add_text(self.facts, ROOT);
        }
        if span.has_child_error {
            document.add_text(self.facts, CHILD_ERROR);
        }
        if let Some(tokens) = tokens(span, "inputTokens") {
            document.add_u64(self.input_tokens, tokens);
        }
        if let Some(tokens) = tokens(span, "outputTokens") {
            document.add_u64(self.output_tokens, tokens);
        }
    }
}

/// Returns a level as the index has it.
pub(super) fn level(level: Level) -> &'static str {
    level.as_str()
}

/// The last time the index can hold, and less one the first: it counts nanoseconds, as far as the year 2262.
const LAST: i64 = i64::MAX / 1_000_000;

/// Returns a time as the index has it.
pub(super) fn date(time: Millis) -> DateTime {
    DateTime::from_timestamp_millis(time.0.clamp(-LAST, LAST))
}

/// Returns free fields as the index takes them. Texts stay texts, even those that look like times.
fn object(fields: &Map<String, Value>) -> OwnedValue {
    OwnedValue::Object(fields.iter().map(|(name, value)| (name.clone(), owned(value))).collect())
}

fn owned(value: &Value) -> OwnedValue {
    match value {
        Value::Null => OwnedValue::Null,
        Value::Bool(value) => OwnedValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => OwnedValue::I64(number),
            (None, Some(number), _) => OwnedValue::U64(number),
            (None, None, Some(number)) => OwnedValue::F64(number),
            (None, None, None) => OwnedValue::Null,
        },
        Value::String(text) => OwnedValue::Str(text.clone()),
        Value::Array(values) => OwnedValue::Array(values.iter().map(owned).collect()),
        Value::Object(fields) => object(fields),
    }
}

/// Calls `each` with the dotted path of everything that is not null.
fn paths(fields: &Map<String, Value>, path: &mut String, each: &mut impl FnMut(&str)) {
    for (name, value) in fields {
        if value.is_null() {
            continue;
        }
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        each(path);
        if let Value::Object(inner) = value {
            paths(inner, path, each);
        }
        path.truncate(length);
    }
}
