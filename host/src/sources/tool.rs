//! A tool of a third-party MCP server.

use std::time::Duration;

use hotbay_plugin::chat::ToolSpec;
use rmcp::{
    Peer, RoleClient,
    model::{CallToolRequestParams, CallToolResult, ContentBlock, Tool},
};
use serde_json::Value;

/// How long a call may take.
const CALL: Duration = Duration::from_secs(300);

/// A tool, as long as its server is connected.
pub struct SourceTool {
    /// What agents call it by: `<server>_<tool>`.
    pub name: String,
    tool: Tool,
    peer: Peer<RoleClient>,
}

impl SourceTool {
    pub(super) fn new(source: &str, tool: Tool, peer: Peer<RoleClient>) -> Self {
        Self { name: name(source, &tool.name), tool, peer }
    }

    /// Returns what models are told, under a key of the agent's own.
    #[must_use]
    pub fn spec(&self, key: &str) -> ToolSpec {
        ToolSpec {
            name: key.to_owned(),
            description: self.description().to_owned(),
            input_schema: Value::Object((*self.tool.input_schema).clone()),
        }
    }

    /// Says what it does.
    #[must_use]
    pub fn description(&self) -> &str {
        self.tool.description.as_deref().unwrap_or_default()
    }

    /// Calls it. Dropping the future cancels the call.
    ///
    /// # Errors
    /// A sentence that says why there is no result.
    pub async fn call(&self, arguments: &Value) -> Result<Value, String> {
        let mut request = CallToolRequestParams::new(self.tool.name.clone());
        request.arguments = match arguments {
            Value::Object(arguments) => Some(arguments.clone()),
            Value::Null => None,
            _ => return Err("give the tool its arguments as an object".to_owned()),
        };
        match tokio::time::timeout(CALL, self.peer.call_tool(request)).await {
            Ok(Ok(result)) => read(result),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the tool did not answer within {} s", CALL.as_secs())),
        }
    }
}

/// Returns a tool's name: letters, digits, `_` and `-`, as models want it.
fn name(source: &str, tool: &str) -> String {
    let fitting = |it: char| if it.is_ascii_alphanumeric() || matches!(it, '_' | '-') { it } else { '_' };
    format!("{source}_{tool}").chars().map(fitting).take(128).collect()
}

/// Returns what a result says: for programs if it has that, a text if it is one, else all of it.
fn read(result: CallToolResult) -> Result<Value, String> {
    let text = || {
        let texts: Option<Vec<_>> = result.content.iter().map(ContentBlock::as_text).collect();
        texts.map(|texts| texts.iter().map(|text| text.text.as_str()).collect::<Vec<_>>().join("\n"))
    };
    if result.is_error == Some(true) {
        return Err(text().unwrap_or_else(|| "the tool failed and does not say why".to_owned()));
    }
    if let Some(value) = &result.structured_content {
        return Ok(value.clone());
    }
    Ok(text().map_or_else(|| serde_json::to_value(&result.content).unwrap_or_default(), Value::String))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(result: Value, expected: Result<Value, &str>) {
        let result = serde_json::from_value(result).unwrap();
        assert_eq!(read(result), expected.map_err(str::to_owned));
    }

    #[test]
    fn a_result_says_what_programs_or_people_read() {
        let texts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        check(json!({"content": texts}), Ok(json!("a\nb")));
        check(json!({"content": texts, "structuredContent": {"a": 1}}), Ok(json!({"a": 1})));
        check(json!({"content": texts, "isError": true}), Err("a\nb"));
        let image = json!([{"type": "image", "data": "AA==", "mimeType": "image/png"}]);
        check(json!({"content": image}), Ok(image));
    }

    #[test]
    fn names_begin_with_their_server_and_fit_models() {
        assert_eq!(name("files", "read.file"), "files_read_file");
    }
}
