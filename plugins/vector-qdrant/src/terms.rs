//! Metadata in words Qdrant can look up, so that its conditions mean what a filter means.
//!
//! Conditions of Qdrant's own look into arrays, do not tell what is missing from what is empty, and need an index for
//! each field. So the payload has, beside the metadata itself, a list of terms: what is said of each field, one keyword
//! each, all in one index.
//!
//! | term | says of the field |
//! |---|---|
//! | `path..?` | it is there, and not null |
//! | `path..=word` | it is this value |
//! | `path..[` | it is an array |
//! | `path..[=word` | it is an array with this element |
//! | `path..#3` | it is an array of this length |
//!
//! Numbers are in a map as well, for ranges, and so is text that is a number. Two dots end a path because
//! no path has them: a filter goes by dots, so a key with one, or without a character, is out of its reach.

use std::{collections::HashMap, fmt::Write};

use serde_json::{Map, Number, Value};
use uuid::Uuid;

/// The longest word that is kept as it is; others are hashed.
const MAX_WORD: usize = 64;
/// Below this the order of numbers is the same for whole numbers and doubles.
const PLAIN: f64 = 9_007_199_254_740_992.0;

/// What is said of metadata.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// The terms, each once.
    pub(crate) words: Vec<String>,
    /// Fields that are numbers, by path.
    pub(crate) numbers: HashMap<String, f64>,
    /// Fields that are text that is a number, by path.
    pub(crate) texts: HashMap<String, f64>,
}

impl Terms {
    /// Says all of metadata that a filter may ask.
    pub(crate) fn of(metadata: &Map<String, Value>) -> Self {
        let mut terms = Self::default();
        terms.say("", metadata);
        terms.words.sort_unstable();
        terms.words.dedup();
        terms
    }

    fn say(&mut self, prefix: &str, fields: &Map<String, Value>) {
        for (key, value) in fields {
            if value.is_null() || key.is_empty() || key.contains('.') {
                continue;
            }
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            self.words.push(present(&path));
            self.words.push(equal(&path, value));
            match value {
                Value::Object(fields) => self.say(&path, fields),
                Value::Array(elements) => {
                    self.words.push(array(&path));
                    self.words.push(size(&path, elements.len() as u64));
                    self.words.extend(elements.iter().map(|one| element(&path, one)));
                }
                Value::Number(number) => {
                    self.numbers.extend(number.as_f64().map(|number| (path, number)));
                }
                Value::String(text) => {
                    // JSON has no infinity; the largest number is on the same side of every bound that is asked for.
                    let number = text.trim().parse::<f64>().ok().filter(|number| !number.is_nan());
                    self.texts.extend(number.map(|number| (path, number.clamp(f64::MIN, f64::MAX))));
                }
                Value::Null | Value::Bool(_) => {}
            }
        }
    }
}

pub(crate) fn present(path: &str) -> String {
    format!("{path}..?")
}

pub(crate) fn equal(path: &str, value: &Value) -> String {
    format!("{path}..={}", word(value))
}

pub(crate) fn array(path: &str) -> String {
    format!("{path}..[")
}

pub(crate) fn element(path: &str, value: &Value) -> String {
    format!("{path}..[={}", word(value))
}

pub(crate) fn size(path: &str, length: u64) -> String {
    format!("{path}..#{length}")
}

/// Whether equal words mean equal values: neither is a hash, nor is there a number that doubles round.
pub(crate) fn is_certain(value: &Value) -> bool {
    fn is_plain(value: &Value) -> bool {
        match value {
            Value::Number(number) => is_plain_number(number),
            Value::Array(values) => values.iter().all(is_plain),
            Value::Object(fields) => fields.values().all(is_plain),
            Value::Null | Value::Bool(_) | Value::String(_) => true,
        }
    }
    is_plain(value) && canonical(value).len() <= MAX_WORD
}

pub(crate) fn is_plain_number(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number.abs() < PLAIN)
}

/// Returns the same for equal values.
fn word(value: &Value) -> String {
    let text = canonical(value);
    if text.len() <= MAX_WORD { text } else { format!("~{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())) }
}

fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, to: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => to.push_str(&value.to_string()),
        Value::Number(number) => {
            // `1` and `1.0` are one number, `0` and `-0` as well.
            let number = number.as_f64().unwrap_or(f64::MAX) + 0.0;
            write!(to, "{number:e}").unwrap_or_default();
        }
        Value::Array(values) => {
            to.push('[');
            for value in values {
                write_canonical(value, to);
                to.push(',');
            }
            to.push(']');
        }
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            to.push('{');
            for key in keys {
                write_canonical(&Value::String(key.clone()), to);
                to.push(':');
                write_canonical(&fields[key], to);
                to.push(',');
            }
            to.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_have_one_word() {
        for (one, other) in [
            (json!(1), json!(1.0)),
            (json!(0), json!(-0.0)),
            (json!({ "a": 1, "b": [2] }), json!({ "b": [2.0], "a": 1 })),
        ] {
            assert_eq!(word(&one), word(&other));
        }
        for (one, other) in [
            (json!("1"), json!(1)),
            (json!("null"), json!(null)),
            (json!(["a", "b"]), json!(["b", "a"])),
            (json!(["a,b"]), json!(["a", "b"])),
            (json!([]), json!({})),
            (json!("x".repeat(100)), json!("x".repeat(101))),
        ] {
            assert_ne!(word(&one), word(&other));
        }
    }

    #[test]
    fn all_that_is_asked_is_said() {
        let metadata = json!({ "a": { "b": ["x", null] }, "n": 2, "t": " 3 ", "gone": null, "a.b": 1, "": 1 });
        let terms = Terms::of(metadata.as_object().unwrap());
        let expected = [
            "a..=",
            "a..?",
            "a.b..#2",
            "a.b..=",
            "a.b..?",
            "a.b..[",
            "a.b..[=\"x\"",
            "a.b..[=null",
            "n..=2e0",
            "n..?",
            "t..=\" 3 \"",
            "t..?",
        ];
        assert_eq!(terms.words.len(), expected.len(), "{:?}", terms.words);
        for (term, expected) in terms.words.iter().zip(expected) {
            assert!(term.starts_with(expected), "{term} {expected}");
        }
        assert_eq!((terms.numbers["n"], terms.texts["t"]), (2.0, 3.0));
    }
}
