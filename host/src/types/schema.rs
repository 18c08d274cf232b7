//! A compiled JSON Schema and the issues it finds, worded as clients know them.
//!
//! The sentences are those of the reference server's validator: clients show them to
//! people and models correct their tool calls by them. Unknown keys are never an
//! issue: `additionalProperties: false` describes a shape, extra keys are dropped.

use std::fmt;

use jsonschema::{Validator, error::ValidationErrorKind, paths::LocationSegment};
use serde_json::{Map, Value};

/// The dialect clients read schemas in.
pub const DRAFT_07: &str = "http://json-schema.org/draft-07/schema#";

/// A JSON Schema, compiled once. Cheap to use from any thread.
pub struct Schema {
    /// The schema as it was given.
    pub source: Value,
    validator: Validator,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where: object keys and array indices from the root.
    pub path: Vec<String>,
    /// What, as a sentence.
    pub message: String,
}

impl Issue {
    /// Returns the dotted path, `root` for the document itself.
    #[must_use]
    pub fn field(&self) -> String {
        if self.path.is_empty() { "root".to_owned() } else { self.path.join(".") }
    }
}

impl Schema {
    /// Compiles a schema. References are resolved inside the document only.
    ///
    /// # Errors
    /// One sentence about what is wrong with the schema.
    pub fn compile(source: Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .should_validate_formats(false)
            .build(&without_closed_objects(&source))
            .map_err(|error| format!("not a JSON Schema: {error}"))?;
        Ok(Self { source, validator })
    }

    /// Tells whether the document fits.
    #[must_use]
    pub fn accepts(&self, document: &Value) -> bool {
        self.validator.is_valid(document)
    }

    /// Returns what is wrong with the document, in the schema's order; empty if it fits.
    #[must_use]
    pub fn issues(&self, document: &Value) -> Vec<Issue> {
        if self.validator.is_valid(document) {
            return Vec::new();
        }
        self.validator.iter_errors(document).map(|error| self.issue(&error)).collect()
    }

    fn issue(&self, error: &jsonschema::ValidationError<'_>) -> Issue {
        let mut path: Vec<String> = error
            .instance_path()
            .segments()
            .map(|segment| match segment {
                LocationSegment::Property(name) => name.into_owned(),
                LocationSegment::Index(index) => index.to_string(),
            })
            .collect();
        let holder = self.holder(error.schema_path().as_str());
        let message = match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                path.push(name.to_owned());
                missing(holder.and_then(|schema| schema.get("properties")?.get(name)))
            }
            ValidationErrorKind::Type { .. } => mismatch(holder, received(error.instance())),
            ValidationErrorKind::Enum { options } => one_of(options),
            ValidationErrorKind::Constant { expected_value } => {
                format!("Invalid input: expected {expected_value}")
            }
            ValidationErrorKind::Minimum { limit } => {
                format!("Too small: expected number to be >={limit}")
            }
            ValidationErrorKind::ExclusiveMinimum { limit } => {
                format!("Too small: expected number to be >{limit}")
            }
            ValidationErrorKind::Maximum { limit } => format!("Too big: expected number to be <={limit}"),
            ValidationErrorKind::ExclusiveMaximum { limit } => {
                format!("Too big: expected number to be <{limit}")
            }
            ValidationErrorKind::MinLength { limit } => {
                format!("Too small: expected string to have >={limit} characters")
            }
            ValidationErrorKind::MaxLength { limit } => {
                format!("Too big: expected string to have <={limit} characters")
            }
            ValidationErrorKind::MinItems { limit } => {
                format!("Too small: expected array to have >={limit} items")
            }
            ValidationErrorKind::MaxItems { limit } => {
                format!("Too big: expected array to have <={limit} items")
            }
            ValidationErrorKind::Pattern { pattern } => {
                format!("Invalid string: must match pattern /{pattern}/")
            }
            ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => "Invalid input".to_owned(),
            _ => format!("Invalid input: {error}"),
        };
        Issue { path, message }
    }

    /// Returns the schema object that holds the keyword at the end of `path`.
    fn holder(&self, path: &str) -> Option<&Value> {
        let end = path.rfind('/')?;
        self.source.pointer(path.get(..end)?)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

/// Returns the name a value's type has in issues.
#[must_use]
pub fn received(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn missing(property: Option<&Value>) -> String {
    // A property may say itself what it is to be called when it is not there.
    if let Some(message) = property.and_then(|schema| schema.get("x-missing")?.as_str()) {
        return message.to_owned();
    }
    match property.and_then(|schema| schema.get("enum")) {
        Some(options) => one_of(options),
        None => mismatch(property, "undefined"),
    }
}

fn mismatch(schema: Option<&Value>, received: &str) -> String {
    let Some(schema) = schema else { return "Invalid input".to_owned() };
    let expected = match schema.get("type") {
        Some(Value::String(name)) if name == "integer" => "int",
        // A map of anything, as opposed to an object with known keys.
        Some(Value::String(name)) if name == "object" && schema.get("properties").is_none() => "record",
        Some(Value::String(name)) => name,
        _ => return "Invalid input".to_owned(),
    };
    format!("Invalid input: expected {expected}, received {received}")
}

fn one_of(options: &Value) -> String {
    let options: Vec<String> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
    match options.as_slice() {
        [only] => format!("Invalid input: expected {only}"),
        _ => format!("Invalid option: expected one of {}", options.join("|")),
    }
}

/// Returns the schema with its objects open.
fn without_closed_objects(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, value)| !(*key == "additionalProperties" && **value == Value::Bool(false)))
                .map(|(key, value)| (key.clone(), without_closed_objects(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_closed_objects).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: Value, document: Value, expected: &[(&str, &str)]) {
        let issues = Schema::compile(schema).unwrap().issues(&document);
        let found: Vec<(String, String)> = issues.iter().map(|i| (i.field(), i.message.clone())).collect();
        let expected: Vec<(String, String)> = expected.iter().map(|(f, m)| ((*f).into(), (*m).into())).collect();
        assert_eq!(found, expected);
    }

    fn weather() -> Value {
        json!({"type": "object", "properties": {"city": {"type": "string"}, "units": {"type": "string", "enum": ["C", "F"]},
            "days": {"type": "integer", "minimum": 1}}, "required": ["city"], "additionalProperties": false})
    }

    #[test]
    fn a_fitting_document_has_no_issues() {
        check(weather(), json!({"city": "Rome", "units": "C"}), &[]);
    }

    #[test]
    fn unknown_keys_are_no_issue() {
        check(weather(), json!({"city": "Rome", "extra": 1}), &[]);
    }

    #[test]
    fn a_wrong_type_names_both_types() {
        check(weather(), json!({"city": 5}), &[("city", "Invalid input: expected string, received number")]);
        check(weather(), json!(0), &[("root", "Invalid input: expected object, received number")]);
        check(
            weather(),
            json!({"city": "x", "days": "y"}),
            &[("days", "Invalid input: expected int, received string")],
        );
    }

    #[test]
    fn a_missing_key_is_undefined() {
        check(weather(), json!({"town": 1}), &[("city", "Invalid input: expected string, received undefined")]);
    }

    #[test]
    fn options_and_limits_are_listed() {
        check(
            weather(),
            json!({"city": "x", "units": "K"}),
            &[("units", r#"Invalid option: expected one of "C"|"F""#)],
        );
        check(weather(), json!({"city": "x", "days": 0}), &[("days", "Too small: expected number to be >=1")]);
    }

    #[test]
    fn paths_go_through_arrays() {
        let schema = json!({"type": "object", "properties": {"vectors": {"type": "array",
            "items": {"type": "array", "items": {"type": "number"}}}}});
        check(
            schema,
            json!({"vectors": [[1, "a"]]}),
            &[("vectors.0.1", "Invalid input: expected number, received string")],
        );
    }

    #[test]
    fn a_choice_that_fits_nothing_is_just_invalid() {
        let schema = json!({"type": "object", "properties": {"messages": {"anyOf": [{"type": "string"}, {"type": "array"}]}},
            "required": ["messages"]});
        check(schema.clone(), json!({"messages": 5}), &[("messages", "Invalid input")]);
        check(schema, json!({}), &[("messages", "Invalid input")]);
    }

    #[test]
    fn a_map_is_a_record() {
        let schema = json!({"type": "object", "properties": {"requestContext": {"type": "object"}}});
        check(
            schema,
            json!({"requestContext": "x"}),
            &[("requestContext", "Invalid input: expected record, received string")],
        );
    }

    #[test]
    fn a_broken_schema_is_an_error() {
        assert!(Schema::compile(json!({"type": 5})).is_err());
    }
}
