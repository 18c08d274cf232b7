//! The JSON Schema of a request or response type, made and compiled once per type.

use std::{
    any::TypeId,
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::types::{map::QuickMap, schema::Schema};

/// A type as seen from outside: its schema, without references where it is not recursive.
///
/// Optional fields may be left out, they may not be `null`: clients of the reference
/// server are told so. A field that may is marked `#[schemars(extend("nullable" = true))]`.
pub(in crate::http) struct Shape {
    make: fn() -> Value,
    made: OnceLock<Value>,
    compiled: OnceLock<Schema>,
}

impl Shape {
    /// Returns the shape of a type.
    pub(in crate::http) fn of<T: JsonSchema + 'static>() -> &'static Self {
        static SHAPES: OnceLock<Mutex<QuickMap<TypeId, &'static Shape>>> = OnceLock::new();
        // Nothing can be half done in there: entries are inserted whole.
        let mut shapes = SHAPES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = shapes.get(&TypeId::of::<T>()) {
            return shape;
        }
        // Types are as many as the program has, so what is leaked is bounded.
        let shape: &'static Self =
            Box::leak(Box::new(Self { make: source::<T>, made: OnceLock::new(), compiled: OnceLock::new() }));
        shapes.insert(TypeId::of::<T>(), shape);
        shape
    }

    /// Returns the schema as it is shown in the API's description, made at its first use.
    pub(in crate::http) fn source(&self) -> &Value {
        self.made.get_or_init(self.make)
    }

    /// Returns the schema, compiled at its first use.
    pub(super) fn schema(&self) -> &Schema {
        self.compiled.get_or_init(|| {
            Schema::compile(self.source().clone()).expect("schemas made from types are valid JSON Schemas")
        })
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shape").field(self.source()).finish()
    }
}

fn source<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    plain(&mut schema);
    schema
}

/// Rewrites what schemars makes of Rust's types into what their JSON form is for a caller.
fn plain(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(map) => {
            map.values_mut().for_each(plain);
            enumerate(map);
            let required: Vec<Value> = map.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                for (name, property) in properties {
                    let nullable = property.as_object_mut().and_then(|property| property.remove("nullable"));
                    if nullable.is_none() && !required.iter().any(|field| field == name) {
                        without_null(property);
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes `null` from what an optional property may be.
fn without_null(property: &mut Value) {
    let Value::Object(map) = property else { return };
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            map["type"] = only.clone();
        }
    }
    if let Some(Value::Array(options)) = map.get_mut("enum") {
        options.retain(|option| !option.is_null());
    }
    if let Some(Value::Array(variants)) = map.get_mut("anyOf") {
        variants.retain(|variant| variant.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = variants.as_mut_slice() {
            let only = std::mem::take(only);
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
    // A default that is not said is no default.
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
}

/// Turns variants that are constants, each with its description, into one `enum`.
fn enumerate(map: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = map.get("oneOf") else { return };
    let mut options = Vec::with_capacity(variants.len());
    for variant in variants {
        match (variant.get("const"), variant.get("enum")) {
            (Some(option), _) => options.push(option.clone()),
            (None, Some(Value::Array(some))) => options.extend(some.iter().cloned()),
            (None, _) => return,
        }
    }
    map.remove("oneOf");
    if options.iter().all(Value::is_string) {
        map.insert("type".to_owned(), json!("string"));
    }
    map.insert("enum".to_owned(), Value::Array(options));
}
