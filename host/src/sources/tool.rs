//! A tool of a third-party MCP server.

use std::time::Duration;

use hotbay_plugin::chat::ToolSpec;
use rmcp::{
    Peer, RoleClient,
    model::{CallToolRequestParams, CallToolResult, ContentBlock, Tool},
};
use serde_json::{Value, json};

/// Where a tool says through which hosts it came.
const VIA: &str = "hotbay/via";
/// How long a call may take.
const CALL: Duration = Duration::from_secs(300);

/// A tool, as long as its server is connected.
pub struct SourceTool {
    /// What agents call it by: `<server>_<tool>`.
    pub name: String,
    /// The server it is of.
    pub source: String,
    /// What its server says of it, under the name it has here.
    told: Tool,
    /// What its server calls it.
    theirs: String,
    peer: Peer<RoleClient>,
}

impl SourceTool {
    /// Returns the tool as `host` has it; `None` if it came from there.
    pub(super) fn new(source: &str, host: &str, mut tool: Tool, peer: Peer<RoleClient>) -> Option<Self> {
        let name = name(source, &tool.name);
        pass(&mut tool, host)?;
        let theirs = std::mem::replace(&mut tool.name, name.clone().into());
        Some(Self { name, source: source.to_owned(), told: tool, theirs: theirs.into_owned(), peer })
    }

    /// Returns what clients of this host are told of it.
    #[must_use]
    pub fn told(&self) -> &Tool {
        &self.told
    }

    /// Returns what models are told, under a key of the agent's own.
    #[must_use]
    pub fn spec(&self, key: &str) -> ToolSpec {
        ToolSpec {
            name: key.to_owned(),
            description: self.description().to_owned(),
            input_schema: Value::Object((*self.told.input_schema).clone()),
        }
    }

    /// Says what it does.
    #[must_use]
    pub fn description(&self) -> &str {
        self.told.description.as_deref().unwrap_or_default()
    }

    /// Calls it and returns what its result says. Dropping the future cancels the call.
    ///
    /// # Errors
    /// A sentence that says why there is no result.
    pub async fn call(&self, arguments: &Value) -> Result<Value, String> {
        self.ask(arguments).await.and_then(read)
    }

    /// Calls it and returns its result as it is, that of a failure, too. Dropping the future cancels
    /// the call.
    ///
    /// # Errors
    /// A sentence that says why there is no result.
    pub async fn ask(&self, arguments: &Value) -> Result<CallToolResult, String> {
        let mut request = CallToolRequestParams::new(self.theirs.clone());
        request.arguments = match arguments {
            Value::Object(arguments) => Some(arguments.clone()),
            Value::Null => None,
            _ => return Err("give the tool its arguments as an object".to_owned()),
        };
        match tokio::time::timeout(CALL, self.peer.call_tool(request)).await {
            Ok(Ok(result)) => Ok(result),
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

/// Notes that a tool comes through a host; `None` if it did already.
fn pass(tool: &mut Tool, host: &str) -> Option<()> {
    let meta = tool.meta.get_or_insert_default();
    let via = meta.0.entry(VIA).or_insert_with(|| json!([]));
    // Anything else was not written by a host.
    let Value::Array(hosts) = via else {
        *via = json!([host]);
        return Some(());
    };
    if hosts.iter().any(|it| it == host) {
        return None;
    }
    hosts.push(host.into());
    Some(())
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
    fn a_tool_that_comes_round_is_known() {
        let mut tool = Tool::new("t", "", serde_json::Map::new());
        assert!(pass(&mut tool, "a").is_some() && pass(&mut tool, "b").is_some());
        assert!(pass(&mut tool, "a").is_none());
        assert_eq!(tool.meta.unwrap().0[VIA], json!(["a", "b"]));
    }

    #[test]
    fn names_begin_with_their_server_and_fit_models() {
        assert_eq!(name("files", "read.file"), "files_read_file");
    }
}
