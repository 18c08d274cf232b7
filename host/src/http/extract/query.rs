//! A query string as a JSON document: what a value's text means is in the schema.
//!
//! Repeated keys are arrays. Objects come as `orderBy={"field":"createdAt"}` or as
//! `orderBy[field]=createdAt`; clients use both.

use axum::extract::Query;
use http::Uri;
use serde_json::{Map, Value};

use super::shape::Shape;
use crate::types::schema::Issue;

/// Reads a query string; the document fits the schema as far as text can be converted.
///
/// # Errors
///
/// What is wrong, of the text and of the schema, if some text is not what its type asks for.
pub(super) fn document(query: &str, shape: &Shape) -> Result<Value, Vec<Issue>> {
    let mut tree = Map::new();
    for (key, value) in pairs(query) {
        insert(&mut tree, &path(&key), value);
    }
    let mut document = Value::Object(tree);
    let mut conversion = Conversion::default();
    conversion.object(&mut document, shape.source());
    if conversion.issues.is_empty() {
        return Ok(document);
    }
    let mut issues = conversion.issues;
    for issue in shape.schema().issues(&document) {
        if !issues.iter().any(|known| known.path == issue.path) {
            issues.push(issue);
        }
    }
    Err(issues)
}

/// Returns the names and values of a query string, decoded.
pub(in crate::http) fn pairs(query: &str) -> Vec<(String, String)> {
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    // Pairs of strings always deserialise; what is not UTF-8 is replaced.
    uri.ok().and_then(|uri| Query::try_from_uri(&uri).ok()).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// Deepest object in brackets; no parameter has one as deep.
const DEPTH: usize = 8;

/// Splits `a[b][c]` into `a`, `b`, `c`; a key of another form, or deeper, stays whole.
fn path(key: &str) -> Vec<&str> {
    let Some((name, rest)) = key.split_once('[') else { return vec![key] };
    let Some(rest) = rest.strip_suffix(']').filter(|_| !name.is_empty()) else { return vec![key] };
    let mut path = vec![name];
    path.extend(rest.split("][").take(DEPTH));
    if path.len() > DEPTH { vec![key] } else { path }
}

fn insert(tree: &mut Map<String, Value>, path: &[&str], value: String) {
    match path {
        [] => {}
        // `a[]=x` is a way to write an array.
        [name] | [name, ""] => match tree.get_mut(*name) {
            None => {
                tree.insert((*name).to_owned(), Value::String(value));
            }
            Some(Value::Array(values)) => values.push(Value::String(value)),
            Some(first) => *first = Value::Array(vec![first.take(), Value::String(value)]),
        },
        [name, rest @ ..] => {
            let inner = tree.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// Turns texts into what a schema asks for.
#[derive(Default)]
struct Conversion {
    path: Vec<String>,
    issues: Vec<Issue>,
}

impl Conversion {
    fn object(&mut self, document: &mut Value, schema: &Value) {
        let Value::Object(fields) = document else { return };
        let mut refused = Vec::new();
        for (name, value) in fields.iter_mut() {
            let Some(schema) = schema.get("properties").and_then(|properties| properties.get(name)) else { continue };
            self.path.push(name.clone());
            if !self.value(value, schema) {
                refused.push(name.clone());
            }
            self.path.pop();
        }
        for name in refused {
            fields.remove(&name);
        }
    }

    /// Converts one value; `false` if it cannot be what the schema asks for.
    fn value(&mut self, value: &mut Value, schema: &Value) -> bool {
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or("any");
        match (kind, &mut *value) {
            ("number" | "integer", Value::String(text)) => match number(text) {
                Some(number) => *value = number,
                None => return self.refuse("Invalid input: expected number, received NaN"),
            },
            ("number" | "integer", Value::Array(_) | Value::Object(_)) => {
                return self.refuse("Invalid input: expected number, received NaN");
            }
            ("boolean", Value::String(text)) => match text.as_str() {
                "true" => *value = Value::Bool(true),
                "false" => *value = Value::Bool(false),
                _ => {}
            },
            ("string", Value::String(text)) => {
                let is_date = schema.get("format").is_some_and(|format| format == "date-time");
                if is_date && !is_point_in_time(text) {
                    return self.refuse("Invalid input: expected date, received Date");
                }
            }
            ("array", Value::String(text)) => {
                *value = match serde_json::from_str(text) {
                    Ok(Value::Array(values)) => Value::Array(values),
                    _ => Value::Array(vec![value.take()]),
                };
                return self.items(value, schema);
            }
            ("array", Value::Array(_)) => return self.items(value, schema),
            ("object", Value::Object(_)) => self.object(value, schema),
            ("object" | "any", Value::String(text)) => {
                if let Ok(document @ Value::Object(_)) = serde_json::from_str(text) {
                    *value = document;
                }
            }
            _ => {}
        }
        true
    }

    fn items(&mut self, value: &mut Value, schema: &Value) -> bool {
        let (Value::Array(values), Some(items)) = (value, schema.get("items")) else { return true };
        let mut converted = true;
        for (index, value) in values.iter_mut().enumerate() {
            self.path.push(index.to_string());
            converted &= self.value(value, items);
            self.path.pop();
        }
        converted
    }

    fn refuse(&mut self, message: &str) -> bool {
        self.issues.push(Issue { path: self.path.clone(), message: message.to_owned() });
        false
    }
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

fn is_point_in_time(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok()
}
