//! What is offered to MCP clients, and what a call can say to one.
//!
//! [`McpServer`] is a group of tools, agents and workflows, with resources and prompts of its own:
//! those are described by [`describe`](Resource), and `code` answers what clients ask about them.
//! A tool that has more to say than a JSON document returns [`Content`]; what a call asks of the
//! client's user or model is an [`Ask`].

mod ask;
mod code;
mod content;
mod describe;
mod notice;

pub use ask::{Answers, Ask};
pub(crate) use code::Code;
pub use code::{COMPLETE, GET_PROMPT, KIND, McpRequest, READ_RESOURCE};
pub use content::{Block, Content, RESULT_KEYWORD};
pub use describe::{Prompt, Resource, ResourceTemplate};
pub use notice::{Notice, Severity};

use std::future::Future;

use serde_json::Value;

use crate::{
    Agent, Ctx, Result, Tool, Workflow,
    manifest::{McpServerManifest, ServiceManifest, ToolRef},
};

/// A group of capabilities offered to MCP clients under one id.
#[derive(Debug, Clone)]
#[must_use]
pub struct McpServer {
    manifest: McpServerManifest,
    pub(crate) code: Option<Code>,
}

impl McpServer {
    /// Returns an empty group with this id, version 1.0.0.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let version = "1.0.0".to_owned();
        let manifest = McpServerManifest { name: id.clone(), id, version, ..McpServerManifest::default() };
        Self { manifest, code: None }
    }

    /// Sets the name for people; the id if not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.manifest.name = name.into();
        self
    }

    /// Sets the version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.manifest.version = version.into();
        self
    }

    /// Says what the group is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.manifest.description = description.into();
        self
    }

    /// Offers a tool of this plugin under its id.
    pub fn tool(self, tool: impl Fn() -> Tool) -> Self {
        let id = tool().id();
        self.tool_id_as(id, id)
    }

    /// Offers a tool of any plugin under a name.
    pub fn tool_id_as(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.manifest.tools.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Offers an agent of this plugin as `ask_<key>`.
    pub fn agent(self, key: impl Into<String>, agent: impl Fn() -> Agent) -> Self {
        let agent = agent();
        self.agent_id(key, agent.id())
    }

    /// Offers an agent of any plugin as `ask_<key>`.
    pub fn agent_id(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.manifest.agents.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Offers a workflow of this plugin as `run_<key>`.
    pub fn workflow(self, key: impl Into<String>, workflow: impl Fn() -> Workflow) -> Self {
        let workflow = workflow();
        self.workflow_id(key, workflow.id())
    }

    /// Offers a workflow of any plugin as `run_<key>`.
    pub fn workflow_id(mut self, key: impl Into<String>, id: impl Into<String>) -> Self {
        self.manifest.workflows.push(ToolRef { key: key.into(), id: id.into() });
        self
    }

    /// Offers a resource; [`McpServer::code`] reads it.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.manifest.resources.push(resource.into_json());
        self
    }

    /// Offers resources whose URIs follow a template; [`McpServer::code`] reads them.
    pub fn resource_template(mut self, template: ResourceTemplate) -> Self {
        self.manifest.resource_templates.push(template.into_json());
        self
    }

    /// Offers a prompt; [`McpServer::code`] fills it in.
    pub fn prompt(mut self, prompt: Prompt) -> Self {
        self.manifest.prompts.push(prompt.into_json());
        self
    }

    /// Says that [`McpServer::code`] completes arguments of prompts and templates.
    pub fn completions(mut self) -> Self {
        self.manifest.completions = true;
        self
    }

    /// Sets what reads resources, fills in prompts and completes arguments. It answers with the result
    /// MCP defines for the request, as JSON, and may [suspend](Ctx::suspend) with an [`Ask`] like a tool.
    pub fn code<C, F>(mut self, code: C) -> Self
    where
        C: Fn(Ctx, McpRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        self.code = Some(Code::new(code));
        self
    }

    /// Returns what the host is told about the group.
    #[must_use]
    pub fn manifest(&self) -> &McpServerManifest {
        &self.manifest
    }

    /// Returns what the host is told about its code, if it has any.
    pub(crate) fn service(&self) -> Option<ServiceManifest> {
        let name = self.manifest.id.clone();
        self.code.as_ref().map(|_| ServiceManifest { kind: KIND.to_owned(), name })
    }
}
