//! From a JSON schema to fields.

use serde_json::{Map, Value};

use super::field::{Entry, Field, Language};

/// How many objects may be in each other before one is entered as JSON.
const DEEPEST: usize = 5;

/// How many fields a form may have before all is entered as JSON.
const MOST_FIELDS: usize = 200;

/// How often a schema may refer to another before it is taken to go round.
const MOST_TURNS: usize = 16;

/// From how many characters on a text is given more lines.
const LONG_TEXT: u64 = 200;

/// Returns the fields of a schema, each before those in it; one for the whole if it is not an object with known fields.
pub(super) fn fields(schema: &Value) -> Vec<Field> {
    let mut builder = Builder { root: schema, fields: Vec::new() };
    let shape = builder.shape(schema);
    if let Some(properties) = shape.properties() {
        builder.properties(&shape, properties, &[], shape.default);
        if builder.fields.len() <= MOST_FIELDS {
            return builder.fields;
        }
        builder.fields.clear();
        let entry = Entry::written(Language::Json, true);
        let mut whole = Field::new(Vec::new(), entry, true, false);
        whole.limits = "JSON".to_owned();
        whole.default = shape.default.cloned();
        return vec![whole];
    }
    builder.field(schema, Vec::new(), true, None);
    builder.fields
}

struct Builder<'a> {
    root: &'a Value,
    fields: Vec<Field>,
}

/// A schema without what it is wrapped in.
struct Shape<'a> {
    schema: &'a Value,
    is_nullable: bool,
    description: &'a str,
    default: Option<&'a Value>,
    options: Option<Vec<Value>>,
}

impl<'a> Builder<'a> {
    /// Follows references, and goes through what only says that there may be nothing.
    fn shape(&self, schema: &'a Value) -> Shape<'a> {
        let mut shape = Shape { schema, is_nullable: false, description: "", default: None, options: None };
        for _ in 0..MOST_TURNS {
            let schema = shape.schema;
            if shape.description.is_empty() {
                let said = schema.get("description").or_else(|| schema.get("title"));
                shape.description = said.and_then(Value::as_str).unwrap_or_default();
            }
            shape.default = shape.default.or_else(|| schema.get("default"));
            let Some(inner) = self.inside(&mut shape) else { return shape.finished() };
            shape.schema = inner;
        }
        Shape { schema: &Value::Null, options: None, ..shape }
    }

    /// The schema that a schema stands for.
    fn inside(&self, shape: &mut Shape<'a>) -> Option<&'a Value> {
        let schema = shape.schema;
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return Some(reference.strip_prefix('#').and_then(|at| self.root.pointer(at)).unwrap_or(&Value::Null));
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array)
            && let ([only], None) = (all.as_slice(), schema.get("properties"))
        {
            return Some(only);
        }
        let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
        let others: Vec<&Value> = choices.iter().filter(|choice| !is_null(choice)).collect();
        shape.is_nullable |= others.len() < choices.len();
        if let [only] = others.as_slice() {
            return Some(only);
        }
        shape.options = others.iter().map(|choice| choice.get("const").cloned()).collect();
        None
    }

    /// What the whole starts with comes before what the things in it do.
    fn properties(
        &mut self,
        shape: &Shape<'a>,
        properties: &'a Map<String, Value>,
        path: &[String],
        default: Option<&'a Value>,
    ) {
        let required = shape.schema.get("required").and_then(Value::as_array);
        for (name, schema) in properties {
            if self.fields.len() > MOST_FIELDS {
                return;
            }
            let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
            let path = [path, std::slice::from_ref(name)].concat();
            self.field(schema, path, is_required, default.and_then(|value| value.get(name)));
        }
    }

    fn field(&mut self, schema: &'a Value, path: Vec<String>, is_required: bool, default: Option<&'a Value>) {
        let shape = self.shape(schema);
        let default = default.or(shape.default);
        let entry = shape.entry(path.len());
        let properties = if matches!(entry, Entry::Group) { shape.properties() } else { None };
        let mut field = Field::new(path, entry, is_required, shape.is_nullable);
        field.description = shape.description.to_owned();
        field.limits = shape.limits(&field.entry);
        field.default = default.cloned().or_else(|| shape.least(&field.entry).filter(|_| is_required));
        let path = field.path.clone();
        self.fields.push(field);
        if let Some(properties) = properties {
            self.properties(&shape, properties, &path, default);
        }
    }
}

impl<'a> Shape<'a> {
    /// Takes in what the schema itself says about there being nothing, and what it lists.
    fn finished(mut self) -> Self {
        if let Some(types) = self.schema.get("type").and_then(Value::as_array) {
            self.is_nullable |= types.iter().any(|name| name == "null");
        }
        if let Some(listed) = self.schema.get("enum").and_then(Value::as_array) {
            self.is_nullable |= listed.contains(&Value::Null);
            self.options = Some(listed.iter().filter(|option| !option.is_null()).cloned().collect());
        }
        self
    }

    /// The one type there is besides null.
    fn kind(&self) -> Option<&'a str> {
        match self.schema.get("type") {
            Some(Value::String(name)) => Some(name),
            Some(Value::Array(types)) => {
                let mut names = types.iter().filter_map(Value::as_str).filter(|name| *name != "null");
                let first = names.next();
                if names.next().is_some() { None } else { first }
            }
            _ => None,
        }
    }

    fn properties(&self) -> Option<&'a Map<String, Value>> {
        if !matches!(self.kind(), None | Some("object")) || self.options.is_some() {
            return None;
        }
        let is_more_said = ["anyOf", "oneOf", "allOf", "not", "if"].iter().any(|name| self.schema.get(name).is_some());
        let properties = self.schema.get("properties")?.as_object()?;
        (!properties.is_empty() && !is_more_said).then_some(properties)
    }

    fn entry(&self, depth: usize) -> Entry {
        if let Some(value) = self.schema.get("const") {
            return Entry::Const(value.clone());
        }
        if let Some(options) = self.options.clone().filter(|options| !options.is_empty()) {
            return Entry::Choice { options, chosen: None };
        }
        if self.properties().is_some() && depth <= DEEPEST {
            return Entry::Group;
        }
        match self.kind() {
            Some("string") => Entry::written(Language::Text, self.is_long_text()),
            Some("number" | "integer") => Entry::written(Language::Number, false),
            Some("boolean") => Entry::Boolean(None),
            _ => Entry::written(Language::Json, true),
        }
    }

    /// What an object nothing is known of starts with.
    fn least(&self, entry: &Entry) -> Option<Value> {
        let is_object = matches!(entry, Entry::Written { .. }) && self.kind() == Some("object");
        is_object.then(|| Value::Object(Map::new()))
    }

    fn is_long_text(&self) -> bool {
        let format = self.schema.get("format").and_then(Value::as_str).unwrap_or_default();
        self.schema.get("maxLength").and_then(Value::as_u64).is_some_and(|most| most > LONG_TEXT)
            || matches!(format, "textarea" | "multiline" | "markdown")
            || self.schema.get("contentMediaType").is_some()
    }

    /// Says shortly what may be entered.
    fn limits(&self, entry: &Entry) -> String {
        let said = |name: &str| self.schema.get(name).filter(|value| !value.is_null());
        let range = |least: &str, most: &str, of: &str| match (said(least), said(most)) {
            (Some(least), Some(most)) => format!("{least}..{most}{of}"),
            (Some(least), None) => format!(">= {least}{of}"),
            (None, Some(most)) => format!("<= {most}{of}"),
            (None, None) => String::new(),
        };
        let Entry::Written { language, .. } = entry else { return String::new() };
        match language {
            Language::Number => {
                let mut limits = range("minimum", "maximum", "");
                for (name, sign) in [("exclusiveMinimum", '>'), ("exclusiveMaximum", '<')] {
                    if let Some(limit) = said(name).filter(|limit| limit.is_number()) {
                        let space = if limits.is_empty() { "" } else { " " };
                        limits.push_str(&format!("{space}{sign} {limit}"));
                    }
                }
                limits
            }
            Language::Text => match said("format").and_then(Value::as_str) {
                Some("date-time") => "date and time, 2026-11-26T10:00:00Z".to_owned(),
                Some("date") => "date, 2026-11-26".to_owned(),
                Some("time") => "time, 10:00:00Z".to_owned(),
                Some("duration") => "duration, PT1H30M".to_owned(),
                Some(format @ ("email" | "uri" | "uuid" | "hostname" | "ipv4" | "ipv6")) => format.to_owned(),
                _ => range("minLength", "maxLength", " characters").replace("<= ", "0..").replace(">= ", "at least "),
            },
            Language::Json if self.kind() == Some("array") => {
                let items = range("minItems", "maxItems", " items");
                if items.is_empty() { "JSON list".to_owned() } else { format!("JSON list, {items}") }
            }
            Language::Json => "JSON".to_owned(),
        }
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|name| name == "null") || schema.get("const") == Some(&Value::Null)
}
