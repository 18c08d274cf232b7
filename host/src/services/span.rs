//! Spans of what is called for a run: tools, whoever calls them.

use hotbay_plugin::manifest::ToolManifest;
use serde_json::{Map, Value, json};

use crate::{
    observe::tracer::ActiveSpan,
    sources::tool::SourceTool,
    types::span::{Entity, Span},
};

/// Says of a span that it is the call of a tool.
pub fn describe_tool(span: &ActiveSpan, name: &str, description: &str, call_id: Option<&str>) {
    span.with(|span| {
        span.entity = Some(Entity::new("tool", name, name));
        note(span, "toolDescription", description);
        note(span, "toolType", "tool");
        if let Some(id) = call_id {
            note(span, "toolCallId", id);
        }
    });
}

/// Says of a span that it is the call of a plugin's tool.
pub fn describe(span: &ActiveSpan, tool: &ToolManifest, plugin: &str, call_id: Option<&str>) {
    describe_tool(span, &tool.id, &tool.description, call_id);
    span.with(|span| span.plugin = Some(plugin.to_owned()));
}

/// Says of a span that it is the call of a tool of a third-party MCP server.
pub fn describe_foreign(span: &ActiveSpan, name: &str, tool: &SourceTool, call_id: Option<&str>) {
    describe_tool(span, name, tool.description(), call_id);
    span.attribute("mcpServer", tool.source.as_str());
}

/// Returns the name of the span of a tool's call.
#[must_use]
pub fn tool_name(name: &str) -> String {
    format!("tool: '{name}'")
}

/// Ends the call of a tool that answered.
pub fn answered(span: ActiveSpan, output: impl FnOnce() -> Value) {
    span.attribute("success", true);
    span.output(output);
    span.end();
}

/// Ends the call of a tool that failed.
pub fn failed(span: ActiveSpan, message: &str) {
    span.attribute("success", false);
    span.fail(error(message));
}

/// Returns an error as spans have it.
#[must_use]
pub fn error(message: &str) -> Value {
    json!({"message": message, "name": "Error"})
}

/// Returns what a caller passed along, as spans of agents have it: the reference adds which
/// state of its agents is meant, and there is one here.
#[must_use]
pub fn request_context(passed: &Map<String, Value>) -> Value {
    let mut context = passed.clone();
    context.insert("mastra__versions".to_owned(), json!({"defaultStatus": "published"}));
    context.into()
}

fn note(span: &mut Span, name: &str, value: &str) {
    span.attributes.insert(name.to_owned(), value.into());
}
