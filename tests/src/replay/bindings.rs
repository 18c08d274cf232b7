//! Values that get a name while a session is played: ids and the like.
//!
//! A name is bound by a step's `bind`, or by `$as` in an expectation; `${name}`
//! in a request or an expectation stands for the value.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::session::Request;

static REFERENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\{(\w+)\}").expect("the pattern is constant"));

/// A name that stands for nothing, because the answer that should have given it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbound(pub String);

/// Names and their values.
#[derive(Clone, Debug, Default)]
pub struct Bindings(HashMap<String, Value>);

impl Bindings {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Gives a name its value, also when it had another.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Replaces the references in a text. A text that is one reference becomes
    /// the value itself, whatever its type.
    ///
    /// # Errors
    ///
    /// The first name that has no value.
    pub fn expand(&self, text: &str) -> Result<Value, Unbound> {
        let names = REFERENCE.captures_iter(text).map(|captures| captures[1].to_owned());
        if let Some(name) = names.into_iter().find(|name| !self.0.contains_key(name)) {
            return Err(Unbound(name));
        }
        let whole = REFERENCE.captures(text).filter(|captures| captures[0].len() == text.len());
        if let Some(value) = whole.and_then(|captures| self.0.get(&captures[1])) {
            return Ok(value.clone());
        }
        let replaced = REFERENCE.replace_all(text, |captures: &Captures<'_>| text_of(&self.0[&captures[1]]));
        Ok(Value::from(replaced))
    }

    /// Replaces the references in every text and key of a value.
    ///
    /// # Errors
    ///
    /// The first name that has no value.
    pub fn fill(&self, value: &Value) -> Result<Value, Unbound> {
        Ok(match value {
            Value::String(text) => self.expand(text)?,
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect::<Result<_, _>>()?,
            Value::Object(object) => {
                let fill = |(key, value): (&String, &Value)| Ok((self.text(key)?, self.fill(value)?));
                Value::Object(object.iter().map(fill).collect::<Result<_, Unbound>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    /// Replaces the references in a request.
    ///
    /// # Errors
    ///
    /// The first name that has no value.
    pub fn fill_request(&self, request: &Request) -> Result<Request, Unbound> {
        let header = |(name, value): (&String, &String)| Ok((self.text(name)?, self.text(value)?));
        Ok(Request {
            method: self.text(&request.method)?,
            path: self.text(&request.path)?,
            headers: request.headers.iter().map(header).collect::<Result<_, Unbound>>()?,
            body: request.body.as_ref().map(|body| self.fill(body)).transpose()?,
            raw_body: request.raw_body.as_deref().map(|body| self.text(body)).transpose()?,
            timeout_ms: request.timeout_ms,
        })
    }

    fn text(&self, text: &str) -> Result<String, Unbound> {
        self.expand(text).map(|value| text_of(&value))
    }
}

/// Whether a text holds a reference.
pub fn has_reference(text: &str) -> bool {
    text.contains("${")
}

/// A value inside a text: text without quotes, all else as JSON.
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_become_values_alone_and_text_inside() {
        let mut bindings = Bindings::default();
        bindings.set("n", json!(7));
        bindings.set("id", json!("x"));
        let filled = bindings.fill(&json!({"${id}": ["${n}", "a ${id}-${n}", 1, null]}));
        assert_eq!(filled, Ok(json!({"x": [7, "a x-7", 1, null]})));
    }

    #[test]
    fn an_unknown_name_is_told() {
        assert_eq!(Bindings::default().fill(&json!(["a ${who}"])), Err(Unbound("who".to_owned())));
    }
}
