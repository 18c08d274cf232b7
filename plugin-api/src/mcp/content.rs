//! What a tool says in MCP's own words: text, pictures, sounds, resources.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The keyword in a tool's output schema that says its result is a [`Content`].
pub const RESULT_KEYWORD: &str = "x-mcp-result";

/// A tool's result as MCP clients get it. Agents and other callers see the same as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Content {
    /// What people and models read.
    pub content: Vec<Block>,
    /// The same for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    /// The tool failed, and says how.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Block {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// In base64.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// In base64.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A resource: `{"uri", "mimeType"?, "text" or "blob"}`.
    Resource {
        /// The resource.
        resource: Value,
    },
}

impl Content {
    /// Returns content of these pieces.
    #[must_use]
    pub fn of(content: impl IntoIterator<Item = Block>) -> Self {
        Self { content: content.into_iter().collect(), ..Self::default() }
    }

    /// Returns content that is one text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of([Block::text(text)])
    }
}

impl Block {
    /// Returns a text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    /// Returns a picture, from base64.
    #[must_use]
    pub fn image(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Image { data: data.into(), mime_type: mime_type.into() }
    }

    /// Returns a sound, from base64.
    #[must_use]
    pub fn audio(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Audio { data: data.into(), mime_type: mime_type.into() }
    }
}

impl JsonSchema for Content {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Content".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({"type": "object"});
        schema.insert(RESULT_KEYWORD.to_owned(), true.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema;

    #[test]
    fn the_schema_says_what_it_is() {
        let schema = schema::typed_output::<Content>().unwrap();
        assert_eq!(schema[RESULT_KEYWORD], true);
    }

    #[test]
    fn content_is_written_as_clients_read_it() {
        let content = Content::of([Block::text("a"), Block::image("AA==", "image/png")]);
        let expected = json!({"content": [{"type": "text", "text": "a"},
            {"type": "image", "data": "AA==", "mimeType": "image/png"}]});
        assert_eq!(serde_json::to_value(content).unwrap(), expected);
    }
}
