//! Tools that answer at once: with content of every kind, messages, progress, an error.

use std::{borrow::Cow, time::Duration};

use hotbay_plugin::{
    mcp::{Block, Content, Severity},
    prelude::*,
};
use schemars::{Schema, SchemaGenerator};

/// A picture of one red pixel.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sound without a sample.
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";
const PAUSE: Duration = Duration::from_millis(50);

#[tool(description = "Answers with a text")]
pub(crate) async fn test_simple_text() -> Result<Content> {
    Ok(Content::text("This is a simple text response for testing."))
}

#[tool(description = "Answers with a picture")]
pub(crate) async fn test_image_content() -> Result<Content> {
    Ok(Content::of([Block::image(PIXEL, "image/png")]))
}

#[tool(description = "Answers with a sound")]
pub(crate) async fn test_audio_content() -> Result<Content> {
    Ok(Content::of([Block::audio(SILENCE, "audio/wav")]))
}

#[tool(description = "Answers with a resource")]
pub(crate) async fn test_embedded_resource() -> Result<Content> {
    let text = "This is an embedded resource content.";
    let resource = json!({"uri": "test://embedded-resource", "mimeType": "text/plain", "text": text});
    Ok(Content::of([Block::Resource { resource }]))
}

#[tool(description = "Answers with several kinds of content")]
pub(crate) async fn test_multiple_content_types() -> Result<Content> {
    let text = json!({"test": "data", "value": 123}).to_string();
    let resource = json!({"uri": "test://mixed-content-resource", "mimeType": "application/json", "text": text});
    Ok(Content::of([
        Block::text("Multiple content types test:"),
        Block::image(PIXEL, "image/png"),
        Block::Resource { resource },
    ]))
}

#[tool(description = "Sends messages while it runs")]
pub(crate) async fn test_tool_with_logging(ctx: &Ctx) -> Result<Content> {
    ctx.tell(Severity::Info, "Tool execution started").await?;
    ctx.sleep(PAUSE).await;
    ctx.tell(Severity::Info, "Tool processing data").await?;
    ctx.sleep(PAUSE).await;
    ctx.tell(Severity::Info, "Tool execution completed").await?;
    Ok(Content::text("Tool with logging executed successfully"))
}

#[tool(description = "Sends a message nobody has asked for")]
pub(crate) async fn test_logging_tool(ctx: &Ctx) -> Result<Content> {
    ctx.tell(Severity::Info, "a message").await?;
    Ok(Content::text("Sent a message"))
}

#[tool(description = "Always fails")]
pub(crate) async fn test_error_handling() -> Result<Content> {
    Err(Error::new("This tool intentionally returns an error for testing"))
}

#[tool(description = "Tells how far it is")]
pub(crate) async fn test_tool_with_progress(ctx: &Ctx) -> Result<Content> {
    for done in [0.0, 50.0, 100.0] {
        ctx.progress(done, Some(100.0), None).await?;
        ctx.sleep(PAUSE).await;
    }
    Ok(Content::text("Tool with progress executed successfully"))
}

#[tool(description = "Takes a moment, so that a client can come back for the answer")]
pub(crate) async fn test_reconnection(ctx: &Ctx) -> Result<Content> {
    ctx.sleep(PAUSE).await;
    Ok(Content::text("Reconnection test completed"))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Region {
    /// Where to look
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

#[tool(description = "Takes an argument that is in a header, too")]
pub(crate) async fn test_region(place: Region) -> Result<Content> {
    Ok(Content::text(format!("Looked in {}", place.region)))
}

/// A document with the schema the suite compares with.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Contact(Value);

impl JsonSchema for Contact {
    fn schema_name() -> Cow<'static, str> {
        "Contact".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "$defs": {"address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }},
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false,
        })
    }
}

#[tool(id = "json_schema_2020_12_tool", description = "Tool with JSON Schema 2020-12 features")]
pub(crate) async fn json_schema_2020_12_tool(contact: Contact) -> Result<Content> {
    Ok(Content::text(contact.0.to_string()))
}
