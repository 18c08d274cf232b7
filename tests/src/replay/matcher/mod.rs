//! Compares JSON with an expectation that may hold placeholders.
//!
//! An expectation is plain JSON in which an object such as `{"$uuid": true}`
//! stands for any value of a kind. Keys the expectation lacks are noted as
//! extra and do not fail; a key or element it has must be there. The order of
//! keys is free, the order of elements counts. What a status, a header or a
//! stream is, is none of this module's business: see [`super::judge`].

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::bindings::{Bindings, Unbound, has_reference, text_of};
use super::mismatch::{Mismatch, shown};

const PLACEHOLDERS: [&str; 15] = [
    "$uuid",
    "$iso",
    "$ms",
    "$hex",
    "$any",
    "$number",
    "$string",
    "$bool",
    "$pattern",
    "$json",
    "$each",
    "$open",
    "$one",
    "$unordered",
    "$optional",
];
const OPTIONS: [&str; 3] = ["$as", "$min", "$max"];

static UUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A(?i-u:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\z").expect("constant pattern")
});
static ISO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\z").expect("constant pattern")
});

/// One comparison: what it found, and the names it bound on the way.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// Names bound before and during the comparison.
    pub bindings: Bindings,
    /// What differs, in the order of the expectation.
    pub mismatches: Vec<Mismatch>,
    /// Paths the expectation does not have.
    pub extra: Vec<String>,
    ignored: Vec<Regex>,
    unordered: Vec<Regex>,
}

impl Matcher {
    /// A comparison that knows the names bound so far.
    pub fn new(bindings: Bindings) -> Self {
        Self { bindings, ..Self::default() }
    }

    /// Leaves out these paths and everything below them; `*` stands for a key or an index.
    #[must_use]
    pub fn ignoring(mut self, paths: &[String]) -> Self {
        self.ignored = paths.iter().filter_map(|path| path_pattern(path, r"(?:[.\[].*)?")).collect();
        self
    }

    /// Compares the arrays at these paths in any order; `*` as above.
    #[must_use]
    pub fn unordered(mut self, paths: &[String]) -> Self {
        self.unordered = paths.iter().filter_map(|path| path_pattern(path, "")).collect();
        self
    }

    /// Whether a value matches, without keeping anything of the comparison.
    pub fn accepts(&self, expected: &Value, actual: &Value) -> bool {
        self.attempt(expected, actual).is_some()
    }

    /// Compares what should stand at a path with what does.
    pub fn compare(&mut self, expected: &Value, actual: Option<&Value>, path: &str) {
        if self.is_ignored(path) {
            return;
        }
        let placeholder = Placeholder::read(expected);
        let Some(actual) = actual else {
            let is_optional = placeholder.is_some_and(|placeholder| placeholder.name == "$optional");
            if !is_optional {
                self.differ(path, expected, None);
            }
            return;
        };
        if let Some(placeholder) = placeholder {
            return self.placeholder(&placeholder, expected, actual, path);
        }
        match (expected, actual) {
            (Value::String(text), _) if has_reference(text) => self.reference(text, actual, path),
            (Value::Object(expected), Value::Object(actual)) => self.object(expected, actual, path),
            (Value::Array(expected), Value::Array(actual)) => {
                if self.unordered.iter().any(|pattern| pattern.is_match(path)) {
                    self.any_order(expected, actual, path);
                } else {
                    self.array(expected, actual, path);
                }
            }
            (Value::Number(left), Value::Number(right)) if is_close(left, right) => {}
            _ if expected == actual => {}
            _ => self.differ(path, expected, Some(actual)),
        }
    }

    fn reference(&mut self, text: &str, actual: &Value, path: &str) {
        match self.bindings.expand(text) {
            Ok(value) if is_same(&value, actual) => {}
            Ok(value) => self.differ(path, &value, Some(actual)),
            Err(unbound) => self.mismatches.push(Mismatch::new(path, unbound_text(&unbound), shown(Some(actual)))),
        }
    }

    fn object(&mut self, expected: &Map<String, Value>, actual: &Map<String, Value>, path: &str) {
        let (named, plain): (Vec<_>, Vec<_>) = expected.iter().partition(|(key, _)| has_reference(key));
        let mut claimed: Vec<String> = plain.iter().map(|(key, _)| (*key).clone()).collect();
        for (key, value) in plain {
            self.compare(value, actual.get(key), &join(path, key));
        }
        for (key, value) in named {
            let key = match self.bindings.expand(key) {
                Ok(key) => text_of(&key),
                // Not known yet: the first key that nothing else claims bears the name from now on.
                Err(unbound) => {
                    let Some(free) = actual.keys().find(|key| !claimed.contains(key)) else {
                        let mismatch = Mismatch::new(format!("{path}.{key}"), unbound_text(&unbound), shown(None));
                        self.mismatches.push(mismatch);
                        continue;
                    };
                    self.bindings.set(&unbound.0, Value::from(free.as_str()));
                    free.clone()
                }
            };
            self.compare(value, actual.get(&key), &join(path, &key));
            claimed.push(key);
        }
        for key in actual.keys().filter(|key| !claimed.contains(key)) {
            let path = join(path, key);
            if !self.is_ignored(&path) {
                self.extra.push(path);
            }
        }
    }

    fn array(&mut self, expected: &[Value], actual: &[Value], path: &str) {
        for (index, value) in expected.iter().enumerate() {
            let item = actual.get(index);
            if item.is_none() {
                // One line says that the array is short; the rest would repeat it.
                return self.differ(&format!("{path}[{index}]"), value, None);
            }
            self.compare(value, item, &format!("{path}[{index}]"));
        }
        if let Some(surplus) = actual.get(expected.len()) {
            self.surplus(path, expected.len(), surplus);
        }
    }

    fn any_order(&mut self, expected: &[Value], actual: &[Value], path: &str) {
        let mut left: Vec<&Value> = actual.iter().collect();
        for (index, value) in expected.iter().enumerate() {
            let found = left.iter().enumerate().find_map(|(at, item)| Some((at, self.attempt(value, item)?)));
            let Some((at, attempt)) = found else {
                let left = Value::Array(left.into_iter().cloned().collect());
                return self.differ(&format!("{path}[{index}] (any order)"), value, Some(&left));
            };
            self.keep(attempt, &format!("{path}[]."));
            left.remove(at);
        }
        if let Some(surplus) = left.first() {
            self.surplus(path, expected.len(), surplus);
        }
    }

    fn placeholder(&mut self, placeholder: &Placeholder<'_>, expected: &Value, actual: &Value, path: &str) {
        let operand = placeholder.operand;
        let text = actual.as_str();
        let number = actual.as_f64();
        let holds = match placeholder.name {
            "$any" => true,
            "$uuid" => text.is_some_and(|text| UUID.is_match(text)),
            "$iso" => text.is_some_and(|text| ISO.is_match(text)),
            "$ms" => number.is_some_and(|number| number > 1.5e12 && number < 1e14),
            "$hex" => text.is_some_and(|text| is_hex(text, operand)),
            "$number" => number.is_some_and(|number| number >= placeholder.minimum.unwrap_or(f64::NEG_INFINITY)),
            "$string" => text.is_some_and(|text| placeholder.allows(text.chars().count(), None)),
            "$bool" => actual.is_boolean(),
            "$pattern" => text.is_some_and(|text| has_pattern(text, operand)),
            "$json" => {
                let inner = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
                return match inner {
                    Some(inner) => self.compare(operand, Some(&inner), &format!("{path}<json>")),
                    None => self.differ(path, expected, Some(actual)),
                };
            }
            "$open" => return self.open(operand, expected, actual, path),
            "$each" => return self.each(placeholder, expected, actual, path),
            "$optional" => return self.compare(operand, Some(actual), path),
            "$one" => {
                let alternatives = operand.as_array().into_iter().flatten();
                let attempt = alternatives.into_iter().find_map(|alternative| self.attempt(alternative, actual));
                return match attempt {
                    Some(attempt) => self.keep(attempt, &format!("{path}.")),
                    None => self.differ(path, expected, Some(actual)),
                };
            }
            "$unordered" => {
                return match (operand, actual) {
                    (Value::Array(operand), Value::Array(actual)) => self.any_order(operand, actual, path),
                    _ => self.differ(path, expected, Some(actual)),
                };
            }
            _ => false,
        };
        if !holds {
            return self.differ(path, expected, Some(actual));
        }
        if let Some(name) = placeholder.name_for_value {
            self.bind(name, actual, path);
        }
    }

    /// Gives the value its name, or checks that the name's value is this one.
    fn bind(&mut self, name: &str, actual: &Value, path: &str) {
        match self.bindings.get(name) {
            None => self.bindings.set(name, actual.clone()),
            Some(before) if is_same(before, actual) => {}
            Some(before) => {
                let expected = Value::from(format!("{} (the same as before: {name})", text_of(before)));
                self.differ(path, &expected, Some(actual));
            }
        }
    }

    /// Only the keys of the operand count, also for what is extra below them.
    fn open(&mut self, operand: &Value, expected: &Value, actual: &Value, path: &str) {
        let (Some(wanted), Value::Object(object)) = (operand.as_object(), actual) else {
            return self.differ(path, expected, Some(actual));
        };
        let part = object.iter().filter(|(key, _)| wanted.contains_key(*key));
        let part = Value::Object(part.map(|(key, value)| (key.clone(), value.clone())).collect());
        let extra = self.extra.len();
        self.compare(operand, Some(&part), path);
        self.extra.truncate(extra);
    }

    fn each(&mut self, placeholder: &Placeholder<'_>, expected: &Value, actual: &Value, path: &str) {
        let items: Option<Vec<&Value>> = match actual {
            Value::Array(items) => Some(items.iter().collect()),
            Value::Object(object) => Some(object.values().collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        let Some(items) = items.filter(|items| placeholder.allows(items.len(), placeholder.maximum)) else {
            return self.differ(path, expected, Some(actual));
        };
        for (index, item) in items.into_iter().enumerate() {
            self.compare(placeholder.operand, Some(item), &format!("{path}[{index}]"));
        }
    }

    /// A comparison on trial: its names count only when it succeeds and is kept.
    fn attempt(&self, expected: &Value, actual: &Value) -> Option<Self> {
        let mut attempt = Self::new(self.bindings.clone());
        attempt.compare(expected, Some(actual), "");
        attempt.mismatches.is_empty().then_some(attempt)
    }

    fn keep(&mut self, attempt: Self, prefix: &str) {
        self.bindings = attempt.bindings;
        self.extra.extend(attempt.extra.into_iter().map(|path| format!("{prefix}{path}")));
    }

    fn differ(&mut self, path: &str, expected: &Value, actual: Option<&Value>) {
        self.mismatches.push(Mismatch::new(path, shown(Some(expected)), shown(actual)));
    }

    fn surplus(&mut self, path: &str, index: usize, actual: &Value) {
        self.mismatches.push(Mismatch::new(format!("{path}[{index}]"), shown(None), shown(Some(actual))));
    }

    fn is_ignored(&self, path: &str) -> bool {
        self.ignored.iter().any(|pattern| pattern.is_match(path))
    }
}

/// An object that stands for a kind of value.
struct Placeholder<'a> {
    name: &'a str,
    operand: &'a Value,
    name_for_value: Option<&'a str>,
    minimum: Option<f64>,
    maximum: Option<f64>,
}

impl<'a> Placeholder<'a> {
    /// An object is a placeholder when it has one placeholder's key and besides only options.
    fn read(expected: &'a Value) -> Option<Self> {
        let object = expected.as_object()?;
        let (options, others): (Vec<_>, Vec<_>) = object.iter().partition(|(key, _)| OPTIONS.contains(&key.as_str()));
        let [(name, operand)] = others.as_slice() else { return None };
        if !PLACEHOLDERS.contains(&name.as_str()) {
            return None;
        }
        let option = |wanted: &str| options.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
        Some(Self {
            name,
            operand,
            name_for_value: option("$as").and_then(Value::as_str),
            minimum: option("$min").and_then(Value::as_f64),
            maximum: option("$max").and_then(Value::as_f64),
        })
    }

    fn allows(&self, length: usize, maximum: Option<f64>) -> bool {
        let length = length as f64;
        self.minimum.is_none_or(|minimum| length >= minimum) && maximum.is_none_or(|maximum| length <= maximum)
    }
}

fn unbound_text(unbound: &Unbound) -> String {
    format!("${{{}}} (not bound)", unbound.0)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `*` stands for one key, `[*]` for an index. A path is always a valid pattern once escaped.
fn path_pattern(path: &str, tail: &str) -> Option<Regex> {
    let pattern = regex::escape(path).replace(r"\[\*\]", r"\[\d+\]").replace(r"\*", r"[^.\[]+");
    Regex::new(&format!(r"\A{pattern}{tail}\z")).ok()
}

fn is_hex(text: &str, length: &Value) -> bool {
    length.as_u64() == Some(text.len() as u64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether the whole text has the pattern. A pattern that is none matches nothing.
fn has_pattern(text: &str, pattern: &Value) -> bool {
    let pattern = pattern.as_str().map(|pattern| Regex::new(&format!(r"\A(?s:{pattern})\z")));
    matches!(pattern, Some(Ok(pattern)) if pattern.is_match(text))
}

/// Whole numbers are equal or not; others may differ in the last digits.
fn is_close(left: &Number, right: &Number) -> bool {
    let whole = |number: &Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return left == right;
    }
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-6 * left.abs().max(right.abs()).max(1.0),
        _ => false,
    }
}

/// Equality in which `1` is `1.0`, as everywhere in JSON.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same = |(key, value)| right.get(key).is_some_and(|other| is_same(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests;
