//! What MCP clients are offered.

use hotbay_plugin::prelude::*;

use crate::{
    agents::echo_agent,
    tools::{calculator, failing, weather},
    workflows::plain::linear,
};

pub(crate) fn ref_mcp() -> McpServer {
    McpServer::new("ref-mcp")
        .name("Ref MCP")
        .version("1.0.0")
        .description("Reference MCP server")
        .tool(weather)
        .tool(calculator)
        .tool(failing)
        .agent("echoAgent", echo_agent)
        .workflow("linear", linear)
}

pub(crate) fn legacy_mcp() -> McpServer {
    McpServer::new("legacy-mcp")
        .name("Legacy MCP")
        .version("1.0.0")
        .description("MCP server of @mastra/mcp 1.x (sessionful, SSE)")
        .tool(weather)
        .tool(calculator)
        .tool(failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_described_as_recorded() {
        let tools = json!([
            { "key": "weather", "id": "weather" },
            { "key": "calculator", "id": "calculator" },
            { "key": "failing", "id": "failing" },
        ]);
        let server = serde_json::to_value(ref_mcp().manifest()).unwrap();
        assert_eq!(
            server,
            json!({
                "id": "ref-mcp",
                "name": "Ref MCP",
                "version": "1.0.0",
                "description": "Reference MCP server",
                "tools": tools,
                "agents": [{ "key": "echoAgent", "id": "echo-agent" }],
                "workflows": [{ "key": "linear", "id": "linear-workflow" }],
            })
        );
        let server = serde_json::to_value(legacy_mcp().manifest()).unwrap();
        assert_eq!((&server["tools"], &server["agents"], &server["workflows"]), (&tools, &json!([]), &json!([])));
    }
}
