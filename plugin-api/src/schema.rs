//! JSON Schemas of Rust types, written the way a person would write them.
//!
//! `schemars` derives them; this module takes out what the derivation adds and no
//! reader needs: titles, numeric formats, `null` in optional fields. Objects with
//! fixed properties are closed. Recursive types keep their `$defs`.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// The dialect every schema names.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Returns the schema of what `T` is parsed from.
#[must_use]
pub fn input<T: JsonSchema>() -> Value {
    document::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// Returns the schema of what `T` is serialised to.
#[must_use]
pub fn output<T: JsonSchema>() -> Value {
    document::<T>(SchemaSettings::draft2020_12().for_serialize())
}

/// Like [`output`], but `None` where the schema says nothing ([`Value`]) or nothing of use (`()`).
#[must_use]
pub fn typed_output<T: JsonSchema>() -> Option<Value> {
    let schema = output::<T>();
    let says_something = schema.as_object().is_some_and(|map| map.keys().any(|key| key != "$schema"));
    let is_null = schema.get("type").is_some_and(|kind| kind == "null");
    (says_something && !is_null).then_some(schema)
}

/// Returns the schema of an input without fields.
#[must_use]
pub fn no_input() -> Value {
    json!({ "$schema": DIALECT, "type": "object", "properties": {}, "additionalProperties": false })
}

/// Returns a schema that takes anything.
#[must_use]
pub fn anything() -> Value {
    json!({ "$schema": DIALECT })
}

fn document<T: JsonSchema>(mut settings: SchemaSettings) -> Value {
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    clean(&mut schema, Closing::Allowed);
    let Value::Object(map) = schema else { return anything() };
    let mut root = Map::new();
    root.insert("$schema".to_owned(), DIALECT.into());
    // The doc comment of the type says what the type is to its author, not what to send.
    root.extend(map.into_iter().filter(|(key, _)| key != "$schema" && key != "description"));
    Value::Object(root)
}

/// Whether an object schema may be closed with `additionalProperties: false`.
#[derive(Clone, Copy, PartialEq)]
enum Closing {
    Allowed,
    /// The schema describes a part of an object that others describe too.
    Partial,
}

fn clean(schema: &mut Value, closing: Closing) {
    let Value::Object(map) = schema else { return };
    map.remove("title");
    if is_numeric(map) {
        map.remove("format");
    }
    drop_null_of_optional_properties(map);

    let is_composed = ["allOf", "anyOf", "oneOf", "$ref", "if"].iter().any(|key| map.contains_key(*key));
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(|property| clean(property, Closing::Allowed));
    }
    let has_properties = map.contains_key("properties");
    for key in ["$defs", "definitions", "patternProperties", "dependentSchemas"] {
        if let Some(Value::Object(schemas)) = map.get_mut(key) {
            schemas.values_mut().for_each(|schema| clean(schema, Closing::Allowed));
        }
    }
    for key in ["items", "additionalProperties", "contains", "propertyNames", "not"] {
        if let Some(schema) = map.get_mut(key) {
            clean(schema, Closing::Allowed);
        }
    }
    for (key, inner) in [
        ("prefixItems", Closing::Allowed),
        ("allOf", Closing::Partial),
        ("anyOf", if has_properties { Closing::Partial } else { closing }),
        ("oneOf", if has_properties { Closing::Partial } else { closing }),
    ] {
        if let Some(Value::Array(schemas)) = map.get_mut(key) {
            schemas.iter_mut().for_each(|schema| clean(schema, inner));
        }
    }

    let is_object = map.get("type").is_some_and(|kind| kind == "object");
    if is_object && has_properties && !is_composed && closing == Closing::Allowed {
        map.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    sort_keys(map);
}

fn is_numeric(map: &Map<String, Value>) -> bool {
    let numeric = |kind: &Value| kind == "number" || kind == "integer";
    match map.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(numeric),
        Some(kind) => numeric(kind),
        None => false,
    }
}

/// A property that may be left out does not need `null` as well.
fn drop_null_of_optional_properties(map: &mut Map<String, Value>) {
    let required: Vec<String> = match map.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let Some(Value::Object(properties)) = map.get_mut("properties") else { return };
    for (name, property) in properties {
        if !required.contains(name) {
            drop_null(property);
        }
    }
}

fn drop_null(property: &mut Value) {
    let Value::Object(map) = property else { return };
    let mut was_nullable = false;
    if let Some(Value::Array(kinds)) = map.get_mut("type") {
        let before = kinds.len();
        kinds.retain(|kind| kind != "null");
        was_nullable = kinds.len() < before;
        if let [kind] = kinds.as_mut_slice() {
            let kind = kind.take();
            map.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
        let before = choices.len();
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        was_nullable |= choices.len() < before;
        if let [Value::Object(only)] = choices.as_mut_slice()
            && was_nullable
        {
            let only = std::mem::take(only);
            map.remove("anyOf");
            for (key, value) in only {
                // What the field says of itself wins over what its type says.
                map.entry(key).or_insert(value);
            }
        }
    }
    if was_nullable && map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
}

/// Puts the keys in the order a person writes them.
fn sort_keys(map: &mut Map<String, Value>) {
    let rank = |key: &str| match key {
        "$schema" => 0,
        "$ref" => 1,
        "type" => 2,
        "properties" => 4,
        "required" => 5,
        "additionalProperties" => 6,
        "default" => 7,
        "description" => 8,
        "$defs" => 9,
        _ => 3,
    };
    let mut entries: Vec<_> = std::mem::take(map).into_iter().collect();
    entries.sort_by_key(|(key, _)| rank(key));
    map.extend(entries);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[track_caller]
    fn check<T: JsonSchema>(expected: &str) {
        let schema = input::<T>().to_string();
        let (start, rest) = schema.split_at("{\"$schema\":".len() + DIALECT.len() + 2);
        assert_eq!(start, format!("{{\"$schema\":\"{DIALECT}\""));
        assert_eq!(rest.trim_start_matches(',').trim_end_matches('}'), expected.trim_end_matches('}'));
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    enum Units {
        C,
        F,
    }

    /// What this struct is for.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Place {
        /// City name
        city: String,
        units: Option<Units>,
    }

    #[test]
    fn struct_reads_as_if_written_by_hand() {
        check::<Place>(
            r#""type":"object","properties":{"city":{"type":"string","description":"City name"},"units":{"type":"string","enum":["C","F"]}},"required":["city"],"additionalProperties":false}"#,
        );
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Mixed {
        ratio: f64,
        how_many: Option<i64>,
        #[serde(default)]
        days: u8,
        inner: Option<Place>,
        title: String,
        more: BTreeMap<String, f32>,
    }

    #[test]
    fn numbers_maps_and_nested_structs_are_plain() {
        check::<Mixed>(
            r#""type":"object","properties":{"ratio":{"type":"number"},"howMany":{"type":"integer"},"days":{"type":"integer","minimum":0,"maximum":255,"default":0},"inner":{"type":"object","properties":{"city":{"type":"string","description":"City name"},"units":{"type":"string","enum":["C","F"]}},"required":["city"],"additionalProperties":false,"description":"What this struct is for."},"title":{"type":"string"},"more":{"type":"object","additionalProperties":{"type":"number"}}},"required":["ratio","title","more"],"additionalProperties":false}"#,
        );
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Shape {
        Circle { radius: f64 },
        Dot,
    }

    #[test]
    fn arms_of_a_tagged_enum_are_closed() {
        check::<Shape>(
            r#""oneOf":[{"type":"object","properties":{"kind":{"type":"string","const":"circle"},"radius":{"type":"number"}},"required":["kind","radius"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"string","const":"dot"}},"required":["kind"],"additionalProperties":false}]}"#,
        );
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Flat {
        name: String,
        #[serde(flatten)]
        shape: Shape,
    }

    #[test]
    fn parts_of_a_flattened_struct_stay_open() {
        let schema = input::<Flat>().to_string();
        assert!(!schema.contains("\"additionalProperties\":false"), "{schema}");
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    struct Tree {
        children: Vec<Self>,
    }

    #[test]
    fn recursive_type_keeps_its_definition() {
        let schema = input::<Tree>();
        let mut reference = &schema["properties"]["children"]["items"]["$ref"];
        if reference.is_null() {
            reference = &schema["$defs"]["Tree"]["properties"]["children"]["items"]["$ref"];
        }
        assert!(reference.is_string(), "{schema}");
    }

    #[derive(Serialize, JsonSchema)]
    struct Answer {
        always: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sometimes: Option<u32>,
    }

    #[test]
    fn output_is_null_only_where_it_can_be() {
        let properties = output::<Answer>()["properties"].take();
        assert_eq!(properties["always"]["type"], json!(["integer", "null"]));
        assert_eq!(properties["sometimes"]["type"], json!("integer"));
        let answer = Answer { always: None, sometimes: None };
        assert_eq!((answer.always, answer.sometimes), (None, None));
    }

    #[test]
    fn value_and_unit_have_no_output_schema() {
        assert_eq!(typed_output::<Value>(), None);
        assert_eq!(typed_output::<()>(), None);
        assert_eq!(typed_output::<String>(), Some(json!({ "$schema": DIALECT, "type": "string" })));
        assert_eq!(input::<Value>(), anything());
    }
}
