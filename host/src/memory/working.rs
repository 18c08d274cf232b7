//! Working memory: what an agent notes about a person or a conversation, kept beyond the
//! history window. The model sees it in a system text and changes it with a tool.

use hotbay_plugin::chat::ToolSpec;
use serde_json::{Map, Value, json};

use super::{Memory, MemoryError, options::WorkingForm};
use crate::types::{schema::Schema, thread::WorkingScope};

/// The tool's name, which clients know.
pub const TOOL: &str = "updateWorkingMemory";

/// The working memory of a run.
#[derive(Debug, Clone)]
pub struct Working {
    /// Where it is kept.
    pub scope: WorkingScope,
    /// What it looks like.
    pub form: WorkingForm,
    /// What it was when the run began.
    pub text: Option<String>,
    /// The run may not change it.
    pub read_only: bool,
}

impl Working {
    /// Returns what the model is told.
    #[must_use]
    pub fn instructions(&self) -> String {
        let (form, shape) = match &self.form {
            WorkingForm::Template(template) => ("Markdown", format!("<template>\n{}\n</template>", template.trim())),
            WorkingForm::Schema(schema) => ("JSON", format!("<schema>\n{schema}\n</schema>")),
        };
        let text = self.text.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or("(nothing is noted yet)");
        let memory = format!("<working_memory>\n{text}\n</working_memory>");
        if self.read_only {
            return format!(
                "You have a working memory: what was noted about the user and this conversation before. Use it where it \
                 helps and do not mention it.\n{memory}"
            );
        }
        let update = match self.form {
            WorkingForm::Template(_) => "Send the whole text each time, with everything that is still true.",
            WorkingForm::Schema(_) => {
                "Send only the fields that change; null removes one, a list replaces the old one."
            }
        };
        format!(
            "You have a working memory: what was noted about the user and this conversation before. Call the tool \
             {TOOL} as soon as you learn something that will matter later, or something in it is no longer true. Do not \
             mention it to the user.\nIt is {form} of this shape:\n{shape}\n{update}\nThis is in it now:\n{memory}"
        )
    }

    /// Returns the tool that changes it, `None` if the run may not.
    #[must_use]
    pub fn tool(&self) -> Option<ToolSpec> {
        let (memory, note) = match &self.form {
            WorkingForm::Template(_) => {
                (json!({"type": "string", "description": "The whole text, Markdown"}), "the whole text")
            }
            WorkingForm::Schema(schema) => (schema_of_change(schema), "the fields that change"),
        };
        (!self.read_only).then(|| ToolSpec {
            name: TOOL.to_owned(),
            description: format!("Updates the working memory. `memory` is {note}."),
            input_schema: json!({"type": "object", "properties": {"memory": memory}, "required": ["memory"],
                "additionalProperties": false}),
        })
    }
}

impl Memory {
    /// Changes working memory as the model asks; `Err` is a sentence for the model.
    ///
    /// # Errors
    /// If what is asked does not fit, or the store cannot be used.
    pub async fn note(&self, working: &Working, args: &Value) -> Result<(), MemoryError> {
        let Some(asked) = args.get("memory") else {
            return Err(MemoryError::Invalid("`memory` is missing".to_owned()));
        };
        let change = |before: Option<&str>| match &working.form {
            WorkingForm::Template(template) => text(template, before, asked),
            WorkingForm::Schema(schema) => document(schema, before, asked),
        };
        self.store.threads().change_working_memory(&working.scope, change).await?;
        Ok(())
    }

    /// Replaces working memory as a client asks.
    ///
    /// # Errors
    /// If there is no such thread, or the store cannot be used.
    pub async fn set_working(&self, scope: &WorkingScope, text: &str) -> Result<(), MemoryError> {
        let text = |_: Option<&str>| Ok::<_, MemoryError>(text.to_owned());
        self.store.threads().change_working_memory(scope, text).await?;
        Ok(())
    }
}

/// The schema of a change: the memory's own, with nothing required and null for what is removed.
fn schema_of_change(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(map) = &mut schema {
        map.remove("required");
        map.remove("$schema");
        if let Some(Value::Object(properties)) = map.get_mut("properties") {
            for property in properties.values_mut() {
                *property = json!({"anyOf": [property.take(), {"type": "null"}]});
            }
        }
    }
    schema
}

fn text(template: &str, before: Option<&str>, asked: &Value) -> Result<String, MemoryError> {
    let Value::String(asked) = asked else {
        return Err(MemoryError::Invalid("`memory` must be a string, the whole text".to_owned()));
    };
    let is_empty = asked.trim() == template.trim() || asked.trim().is_empty();
    match before {
        // Models now and then send back the template they were shown; what is noted is worth more.
        Some(before) if is_empty && !before.trim().is_empty() => Err(MemoryError::Invalid(
            "the working memory is not replaced by an empty one: send the whole text with everything that is still true"
                .to_owned(),
        )),
        _ => Ok(asked.clone()),
    }
}

fn document(schema: &Value, before: Option<&str>, asked: &Value) -> Result<String, MemoryError> {
    // Some models send the document as text.
    let asked = match asked {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    let Value::Object(asked) = asked else {
        return Err(MemoryError::Invalid("`memory` must be a JSON object with the fields that change".to_owned()));
    };
    let mut memory = before.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    merge(&mut memory, asked);
    let memory = Value::Object(memory);
    if let Ok(schema) = Schema::compile(without_required(schema)) {
        let issues = schema.issues(&memory);
        if !issues.is_empty() {
            let issues: Vec<String> =
                issues.iter().map(|issue| format!("{}: {}", issue.field(), issue.message)).collect();
            return Err(MemoryError::Invalid(format!("the memory does not fit its schema: {}", issues.join("; "))));
        }
    }
    Ok(memory.to_string())
}

/// What is not known yet is no mistake.
fn without_required(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !(*key == "required" && value.is_array()));
            Value::Object(kept.map(|(key, value)| (key.clone(), without_required(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_required).collect(),
        other => other.clone(),
    }
}

fn merge(memory: &mut Map<String, Value>, change: Map<String, Value>) {
    for (key, value) in change {
        match (memory.get_mut(&key), value) {
            (_, Value::Null) => {
                memory.shift_remove(&key);
            }
            (Some(Value::Object(own)), Value::Object(change)) => merge(own, change),
            (_, value) => {
                memory.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
            "home": {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}}}})
    }

    #[track_caller]
    fn check(before: &str, asked: &Value, expected: Result<&Value, &str>) {
        match (document(&schema(), Some(before), asked), expected) {
            (Ok(memory), Ok(expected)) => assert_eq!(serde_json::from_str::<Value>(&memory).unwrap(), *expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_document_is_changed_field_by_field() {
        let before = r#"{"name":"Ada","tags":["a"],"home":{"city":"Rome"}}"#;
        check(
            before,
            &json!({"tags": ["b"], "home": {"zip": "1"}}),
            Ok(&json!({"name": "Ada", "tags": ["b"], "home": {"city": "Rome", "zip": "1"}})),
        );
        check(before, &json!({"tags": null, "home": null}), Ok(&json!({"name": "Ada"})));
        check("", &json!(r#"{"tags":["x"]}"#), Ok(&json!({"tags": ["x"]})));
    }

    #[test]
    fn what_does_not_fit_is_told_to_the_model() {
        check("", &json!({"name": 5}), Err("name: Invalid input: expected string, received number"));
        check("", &json!("nonsense"), Err("must be a JSON object"));
    }

    #[test]
    fn notes_are_not_replaced_by_the_template() {
        assert!(text("# T", Some("# T\nAda"), &json!(" # T ")).is_err());
        assert_eq!(text("# T", None, &json!("# T")).unwrap(), "# T");
        assert_eq!(text("# T", Some("old"), &json!("new")).unwrap(), "new");
    }

    #[test]
    fn a_run_that_only_reads_has_no_tool() {
        let mut working = Working {
            scope: WorkingScope::Owner("u".to_owned()),
            form: WorkingForm::Template("# T".to_owned()),
            text: Some("Ada".to_owned()),
            read_only: false,
        };
        assert_eq!(working.tool().unwrap().name, TOOL);
        assert!(working.instructions().contains(TOOL));
        working.read_only = true;
        assert!(working.tool().is_none());
        assert!(!working.instructions().contains(TOOL) && working.instructions().contains("Ada"));
    }
}
