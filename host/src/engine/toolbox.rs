//! The tools of one run: an agent's own, other agents, workflows, and the caller's.

use std::sync::Arc;

use hotbay_plugin::chat::ToolSpec;
use serde_json::{Value, json};

use super::{options::RunOptions, workflow_tool};
use crate::{
    plugin::{
        generation::GenerationPin,
        registry::{AgentEntry, Snapshot, ToolEntry, WorkflowEntry},
    },
    sources::{Sources, tool::SourceTool},
};

/// The tools of a run, in the order models see them.
#[derive(Default)]
pub(super) struct Toolbox {
    tools: Vec<Offered>,
}

/// A tool under the name the model knows it by.
pub(super) struct Offered {
    pub(super) key: String,
    pub(super) kind: Kind,
    active: bool,
}

/// Who runs a tool.
pub(super) enum Kind {
    /// A plugin.
    Plugin(Arc<ToolEntry>),
    /// Another agent.
    Agent(Arc<AgentEntry>),
    /// The host, step by step.
    Workflow(Arc<WorkflowEntry>),
    /// The host: it changes working memory.
    Notes(ToolSpec),
    /// A third-party MCP server.
    Source(Arc<SourceTool>),
    /// The caller.
    Client(ToolSpec),
}

impl Toolbox {
    /// Collects the tools an agent has in this run. A tool of the caller takes the place of one
    /// of the agent's with the same name; what no plugin offers now is left out.
    /// `notes` changes working memory.
    pub(super) fn new(
        snapshot: &Snapshot,
        sources: Option<&Sources>,
        agent: &AgentEntry,
        options: &RunOptions,
        notes: Option<ToolSpec>,
    ) -> Self {
        let is_active =
            |key: &str| options.active_tools.as_ref().is_none_or(|active| active.iter().any(|name| name == key));
        let is_clients = |key: &str| options.client_tools.iter().any(|tool| tool.name == key);
        let mut tools = Vec::new();
        let mut add = |key: String, kind: Kind| {
            let active = is_active(&key);
            tools.push(Offered { key, kind, active });
        };
        for tool in &agent.manifest.tools {
            let found = snapshot.tools.get(tool.id.as_str()).map(|entry| Kind::Plugin(Arc::clone(entry)));
            let found = found.or_else(|| Some(Kind::Source(sources?.tool(&tool.id)?)));
            match found {
                Some(kind) if !is_clients(&tool.key) => add(tool.key.clone(), kind),
                Some(_) => {}
                None => tracing::warn!(
                    agent.id = agent.manifest.id,
                    tool.id = tool.id,
                    "no plugin and no MCP server offers a tool the agent names: it goes without"
                ),
            }
        }
        for tool in sources.map(|sources| sources.tools_of(&agent.manifest.id)).unwrap_or_default() {
            // The agent may name it, too, under a key of its own.
            let is_named = agent.manifest.tools.iter().any(|named| named.id == tool.name);
            if !is_named && !is_clients(&tool.name) {
                add(tool.name.clone(), Kind::Source(tool));
            }
        }
        for id in &agent.manifest.agents {
            if let Some(entry) = snapshot.agents.get(id.as_str()) {
                add(format!("agent-{id}"), Kind::Agent(Arc::clone(entry)));
            }
        }
        for id in &agent.manifest.workflows {
            match snapshot.workflows.get(id.as_str()).filter(|entry| !entry.manifest.internal) {
                Some(entry) => add(format!("workflow-{id}"), Kind::Workflow(Arc::clone(entry))),
                None => tracing::warn!(
                    agent.id = agent.manifest.id,
                    workflow.id = id,
                    "no plugin offers a workflow the agent names: it goes without"
                ),
            }
        }
        if let Some(tool) = notes.filter(|tool| !is_clients(&tool.name)) {
            add(tool.name.clone(), Kind::Notes(tool));
        }
        for tool in &options.client_tools {
            add(tool.name.clone(), Kind::Client(tool.clone()));
        }
        Self { tools }
    }

    /// Returns the tool the model may call by this name.
    pub(super) fn get(&self, key: &str) -> Option<&Offered> {
        self.tools.iter().find(|tool| tool.active && tool.key == key)
    }

    /// Whether the host itself has a tool of this name, active or not.
    pub(super) fn is_known(&self, key: &str) -> bool {
        self.tools.iter().any(|tool| tool.key == key && !matches!(tool.kind, Kind::Client(_)))
    }

    /// Returns the generations of plugins whose tools and agents it has.
    pub(super) fn generations(&self) -> impl Iterator<Item = &GenerationPin> {
        self.tools.iter().filter_map(|tool| match &tool.kind {
            Kind::Plugin(entry) => Some(&entry.generation),
            Kind::Agent(entry) => Some(&entry.generation),
            Kind::Workflow(entry) => Some(&entry.generation),
            Kind::Client(_) | Kind::Notes(_) | Kind::Source(_) => None,
        })
    }

    /// Returns the names the model may call.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tools.iter().filter(|tool| tool.active).map(|tool| tool.key.as_str()).collect()
    }

    /// Returns what the model is told.
    pub(super) fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().filter(|tool| tool.active).map(Offered::spec).collect()
    }

    /// Returns what the model is told when it calls a tool that is not there.
    pub(super) fn missing(&self, key: &str) -> String {
        let names = self.names();
        let available =
            if names.is_empty() { String::new() } else { format!(" Available tools: {}", names.join(", ")) };
        format!(
            "Tool \"{key}\" not found.{available}. Call tools by their exact name only \u{2014} never add prefixes, namespaces, or colons."
        )
    }
}

impl Offered {
    fn spec(&self) -> ToolSpec {
        match &self.kind {
            Kind::Plugin(entry) => ToolSpec {
                name: self.key.clone(),
                description: entry.manifest.description.clone(),
                input_schema: entry.manifest.input_schema.clone(),
            },
            Kind::Agent(entry) => ToolSpec {
                name: self.key.clone(),
                description: format!("Asks the agent {}. {}", entry.manifest.name, entry.manifest.description),
                input_schema: prompt_schema(),
            },
            Kind::Workflow(entry) => workflow_tool::spec(&self.key, entry),
            Kind::Source(tool) => tool.spec(&self.key),
            Kind::Notes(spec) | Kind::Client(spec) => spec.clone(),
        }
    }
}

/// What an agent is asked with as a tool.
fn prompt_schema() -> Value {
    json!({"type": "object", "properties": {"prompt": {"type": "string", "description": "What to ask"}},
        "required": ["prompt"], "additionalProperties": false})
}
