//! A small document for a JSON Schema.
//!
//! Covers what tools' and answers' schemas use; an exotic keyword (`pattern`, `not`)
//! may be missed, and the engine's validation then says so.

use serde_json::{Map, Value, json};

/// A schema that refers to itself ends here.
const DEEPEST: usize = 12;

/// A list is never made longer, whatever the schema demands.
const LONGEST: u64 = 64;

/// Texts and numbers to fill a schema with, taken in order.
pub(super) struct Hints {
    texts: Vec<String>,
    numbers: Vec<Value>,
}

impl Hints {
    /// Nothing to fill with: the document is as small as can be.
    pub(super) fn none() -> Self {
        Self { texts: Vec::new(), numbers: Vec::new() }
    }

    /// Finds what a text mentions: what is quoted, then names after words like `in`,
    /// then the whole text.
    pub(super) fn of(said: &str) -> Self {
        let mut texts: Vec<String> =
            said.split('"').skip(1).step_by(2).filter(|text| !text.is_empty()).map(Into::into).collect();
        texts.extend(names(said));
        texts.push(said.trim().to_owned());
        texts.reverse();
        let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
        let mut numbers: Vec<Value> = said
            .split(|c: char| !is_number(c))
            .filter_map(|word| serde_json::from_str(word.trim_end_matches('.')).ok())
            .collect();
        numbers.reverse();
        Self { texts, numbers }
    }

    /// Takes the next text; the last one is the text as a whole and stays.
    fn text(&mut self) -> Option<String> {
        if self.texts.len() > 1 { self.texts.pop() } else { self.texts.last().cloned() }
    }

    fn number(&mut self, is_whole: bool) -> Option<Value> {
        let position = self.numbers.iter().rposition(|number| !is_whole || number.is_i64())?;
        Some(self.numbers.remove(position))
    }
}

/// Returns capitalised words that follow a preposition: `New York` in `in New York?`.
fn names(said: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut words = said.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if !["in", "for", "at", "of", "to", "from", "about"].contains(&word.to_lowercase().as_str()) {
            continue;
        }
        let mut name = Vec::new();
        while let Some(word) = words.next_if(|word| word.starts_with(char::is_uppercase)) {
            let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            name.push(bare);
            if bare.len() < word.len() {
                break;
            }
        }
        if !name.is_empty() {
            names.push(name.join(" "));
        }
    }
    names
}

/// Returns a document of this schema, with every required property and no other.
pub(super) fn fill(schema: &Value, hints: &mut Hints) -> Value {
    value(schema, schema, hints, 0)
}

fn value(schema: &Value, root: &Value, hints: &mut Hints, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|path| root.pointer(path.strip_prefix('#')?)) {
        return value(target, root, hints, depth + 1);
    }
    for keyword in ["const", "default"] {
        if let Some(fixed) = schema.get(keyword) {
            return fixed.clone();
        }
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[keyword].as_array() {
            let choice = choices.iter().find(|choice| choice["type"] != "null").or(choices.first());
            return choice.map_or(Value::Null, |choice| value(choice, root, hints, depth + 1));
        }
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all_of(schema, all, root, hints, depth);
    }
    match type_of(schema) {
        "object" => object(schema, root, hints, depth).into(),
        "array" => {
            let length = schema["minItems"].as_u64().unwrap_or(0).min(LONGEST);
            (0..length).map(|_| value(&schema["items"], root, hints, depth + 1)).collect()
        }
        "string" => text(schema, hints).into(),
        "integer" => number(schema, hints, true),
        "number" => number(schema, hints, false),
        "boolean" => true.into(),
        _ => Value::Null,
    }
}

fn type_of(schema: &Value) -> &str {
    let types = &schema["type"];
    let listed = || types.as_array()?.iter().filter_map(Value::as_str).find(|kind| *kind != "null");
    if let Some(kind) = types.as_str().or_else(listed) {
        return kind;
    }
    // Without any word about its type, an answer in JSON is an object.
    if schema.get("items").is_some() { "array" } else { "object" }
}

fn object(schema: &Value, root: &Value, hints: &mut Hints, depth: usize) -> Map<String, Value> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required.map(|name| (name.to_owned(), value(&schema["properties"][name], root, hints, depth + 1))).collect()
}

fn all_of(schema: &Value, all: &[Value], root: &Value, hints: &mut Hints, depth: usize) -> Value {
    let mut merged = object(schema, root, hints, depth);
    for part in all {
        match value(part, root, hints, depth + 1) {
            Value::Object(more) => merged.extend(more),
            other => return other,
        }
    }
    merged.into()
}

fn text(schema: &Value, hints: &mut Hints) -> String {
    match schema["format"].as_str() {
        Some("date-time") => return "2000-01-01T00:00:00Z".into(),
        Some("date") => return "2000-01-01".into(),
        Some("time") => return "00:00:00Z".into(),
        Some("email") => return "someone@example.com".into(),
        Some("uri" | "url") => return "https://example.com/".into(),
        Some("uuid") => return "00000000-0000-4000-8000-000000000000".into(),
        _ => {}
    }
    let mut text = hints.text().unwrap_or_else(|| "scripted".into());
    let shortest = usize::try_from(schema["minLength"].as_u64().unwrap_or(0).min(10_000)).unwrap_or(0);
    let length = text.chars().count();
    text.extend(std::iter::repeat_n('x', shortest.saturating_sub(length)));
    match schema["maxLength"].as_u64().and_then(|longest| usize::try_from(longest).ok()) {
        Some(longest) => text.chars().take(longest).collect(),
        None => text,
    }
}

fn number(schema: &Value, hints: &mut Hints, is_whole: bool) -> Value {
    if let Some(number) = hints.number(is_whole) {
        return number;
    }
    let bound = |keyword: &str| schema[keyword].as_f64();
    let lowest = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + 1.0));
    let highest = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound - 1.0));
    let mut number = lowest.unwrap_or(0.0).min(highest.unwrap_or(f64::MAX));
    if lowest.is_none() && highest.is_some_and(|highest| highest < 0.0) {
        number = highest.unwrap_or(0.0);
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        number = (number / step).ceil() * step;
    }
    if is_whole { json!(number.ceil() as i64) } else { json!(number) }
}
