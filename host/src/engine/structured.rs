//! Answers of a given form: what is known of one while it is written, and whether it fits.

use serde_json::Value;

use super::options::Structured;
use crate::types::schema::Schema;

/// Returns what an unfinished JSON text says so far: open strings, arrays and objects are
/// closed, an unfinished key or word is left out. `None` if it is no JSON at all.
pub(super) fn partial(text: &str) -> Option<Value> {
    let text = strip_fence(text);
    if !text.starts_with(['{', '[']) {
        return None;
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let mut closers = Vec::new();
    let mut in_string = false;
    let mut escaped = false;
    // Where the document could be cut off and be complete, and what would close it there.
    let mut cut: Option<(usize, String)> = None;
    for (index, character) in text.char_indices() {
        let after = index + character.len_utf8();
        if in_string {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match character {
            '"' => in_string = true,
            '{' => closers.push('}'),
            '[' => closers.push(']'),
            '}' | ']' => {
                closers.pop();
            }
            ',' => {
                cut = Some((index, close(&closers)));
                continue;
            }
            _ => continue,
        }
        if matches!(character, '{' | '[' | '}' | ']') {
            cut = Some((after, close(&closers)));
        }
    }
    let mut open = text.to_owned();
    if escaped {
        open.pop();
    }
    if in_string {
        open.push('"');
    }
    open.push_str(&close(&closers));
    serde_json::from_str(&open).ok().or_else(|| {
        let (end, closers) = cut?;
        serde_json::from_str(&format!("{}{closers}", text.get(..end)?)).ok()
    })
}

/// Returns the value of a finished answer, or what is wrong with it.
pub(super) fn check(structured: &Structured, text: &str) -> Result<Value, String> {
    // A text that is no JSON is judged as the string it is.
    let value = serde_json::from_str(strip_fence(text)).unwrap_or_else(|_| Value::String(text.to_owned()));
    let problems = problems(&structured.schema, &value);
    if problems.is_empty() { Ok(value) } else { Err(problems.join("\n")) }
}

/// Returns what to tell a model that is not asked for the form by its provider.
pub(super) fn instruction(structured: &Structured) -> String {
    let lead = structured.instructions.as_deref().unwrap_or("Answer with one JSON document and nothing else.");
    format!("{lead}\nIt must fit this JSON Schema:\n{}", structured.schema.source)
}

/// The sentences of the reference's structured output, which are not those of its tools.
fn problems(schema: &Schema, value: &Value) -> Vec<String> {
    schema
        .issues(value)
        .into_iter()
        .map(|issue| {
            let mut path = issue.path;
            let message = match issue.message.strip_prefix("Invalid input: expected ") {
                Some(rest) => match rest.split_once(", received ") {
                    Some((_, "undefined")) => {
                        let key = path.pop().unwrap_or_default();
                        format!("must have required property '{key}'")
                    }
                    Some((expected, _)) => format!("must be {}", type_name(expected)),
                    None => format!("must be {rest}"),
                },
                None => issue.message,
            };
            let field = if path.is_empty() { "root".to_owned() } else { path.join(".") };
            format!("- {field}: {message}")
        })
        .collect()
}

fn type_name(expected: &str) -> &str {
    match expected {
        "int" => "integer",
        "record" => "object",
        other => other,
    }
}

fn close(closers: &[char]) -> String {
    closers.iter().rev().collect()
}

/// Models like to wrap JSON in a Markdown fence.
fn strip_fence(text: &str) -> &str {
    let text = text.trim();
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.split_once('\n').map_or("", |(_, rest)| rest);
    inner.strip_suffix("```").unwrap_or(inner).trim()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::options::Mismatch;

    #[track_caller]
    fn check_partial(text: &str, expected: Option<Value>) {
        assert_eq!(partial(text), expected);
    }

    #[test]
    fn an_unfinished_document_is_closed() {
        check_partial("{", Some(json!({})));
        check_partial(r#"{"name":"Ad"#, Some(json!({"name": "Ad"})));
        check_partial(r#"{"name":"Ada","age"#, Some(json!({"name": "Ada"})));
        check_partial(r#"{"name":"Ada","tags":["a","b"#, Some(json!({"name": "Ada", "tags": ["a", "b"]})));
        check_partial(r#"{"a":{"b":tr"#, Some(json!({"a": {}})));
        check_partial(r#"{"a":"x\"#, Some(json!({"a": "x"})));
        check_partial("```json\n{\"a\":1}\n```", Some(json!({"a": 1})));
    }

    #[test]
    fn what_is_no_document_says_nothing() {
        check_partial("not json", None);
        check_partial("", None);
    }

    fn structured() -> Structured {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
        Structured {
            schema: Schema::compile(schema).unwrap(),
            model: None,
            instructions: None,
            in_prompt: false,
            on_mismatch: Mismatch::Fail,
        }
    }

    #[test]
    fn misfits_are_named() {
        assert_eq!(check(&structured(), "not json"), Err("- root: must be object".to_owned()));
        assert_eq!(check(&structured(), "{}"), Err("- root: must have required property 'name'".to_owned()));
        assert_eq!(check(&structured(), r#"{"name":5}"#), Err("- name: must be string".to_owned()));
        assert_eq!(check(&structured(), r#"{"name":"x"}"#), Ok(json!({"name": "x"})));
    }
}
