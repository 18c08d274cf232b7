//! Groups of capabilities offered to MCP clients.

use crate::{
    Agent, Tool, Workflow,
    manifest::{McpServerManifest, ToolRef},
};

/// A group of capabilities offered to MCP clients under one id.
#[derive(Debug, Clone)]
#[must_use]
pub struct McpServer(McpServerManifest);

impl McpServer {
    /// Returns an empty group with this id, version 1.0.0.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let version = "1.0.0".to_owned();
        Self(McpServerManifest { name: id.clone(), id, version, ..McpServerManifest::default() })
    }

    /// Sets the name for people; the id if not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }

    /// Sets the version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.0.version = version.into();
        self
    }

    /// Says what the group is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.0.description = description.into();
        self
    }

    /// Offers a tool of this plugin under its id.
    pub fn tool(self, tool: impl Fn() -> Tool) -> Self {
        let id = tool().id();
        self.tool_id_as(id, id)
    }

    /// Offers a tool of any plugin under a name.
    pub fn tool_id_as(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.0.tools.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Offers an agent of this plugin as `ask_<key>`.
    pub fn agent(self, key: impl Into<String>, agent: impl Fn() -> Agent) -> Self {
        let agent = agent();
        self.agent_id(key, agent.id())
    }

    /// Offers an agent of any plugin as `ask_<key>`.
    pub fn agent_id(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.0.agents.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Offers a workflow of this plugin as `run_<key>`.
    pub fn workflow(self, key: impl Into<String>, workflow: impl Fn() -> Workflow) -> Self {
        let workflow = workflow();
        self.workflow_id(key, workflow.id())
    }

    /// Offers a workflow of any plugin as `run_<key>`.
    pub fn workflow_id(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.0.workflows.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Returns what the host is told about the group.
    #[must_use]
    pub fn manifest(&self) -> &McpServerManifest {
        &self.0
    }
}
