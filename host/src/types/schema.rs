//! A compiled JSON Schema and the issues it finds, in the reference's words.
//! (being written)

use serde_json::Value;

/// A JSON Schema, compiled once.
#[derive(Debug)]
pub struct Schema {
    /// The schema as the plugin gave it.
    pub source: Value,
}

impl Schema {
    /// Compiles a schema; the error is one sentence.
    pub fn compile(source: Value) -> Result<Self, String> {
        Ok(Self { source })
    }
}
