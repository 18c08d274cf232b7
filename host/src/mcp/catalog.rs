//! What each server offers, at one moment.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use hotbay_plugin::{
    manifest::{AgentManifest, McpServerManifest, ToolManifest, WorkflowManifest},
    mcp::RESULT_KEYWORD,
};
use rmcp::model::{JsonObject, Prompt, Resource, ResourceTemplate, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::changes::Changed;
use crate::{
    engine::direct::Target,
    plugin::registry::Snapshot,
    sources::{Sources, tool::SourceTool},
    types::schema::DRAFT_07,
};

/// What holds the input that is no object.
const INPUT: &str = "input";

/// All servers, at one moment. Holds no generation: what it names is looked up when it is called.
#[derive(Debug, Default)]
pub struct Catalogs {
    /// The versions of the registry and of third-party servers it was made of.
    pub version: (u64, u64),
    servers: Vec<Arc<Catalog>>,
}

/// What one server offers.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Names the server in URLs.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// What clients may call, in order.
    pub tools: Vec<Offered>,
    /// Prompts, in order.
    pub prompts: Vec<Described<Prompt>>,
    /// Resources, in order.
    pub resources: Vec<Described<Resource>>,
    /// Templates of resources, in order.
    pub templates: Vec<Described<ResourceTemplate>>,
    /// Whether arguments are completed.
    pub completions: bool,
    by_name: HashMap<String, usize>,
}

/// Something a client may call.
#[derive(Debug)]
pub struct Offered {
    /// What clients are told.
    pub tool: Tool,
    /// What is run.
    pub target: Target,
    /// It answers in MCP's own words.
    pub is_content: bool,
    /// It takes something else than an object: clients give it in one, as `input`.
    pub is_wrapped: bool,
}

/// A prompt or resource, and the group whose code knows it.
#[derive(Debug)]
pub struct Described<T> {
    /// What clients are told.
    pub told: T,
    /// The group.
    pub group: Arc<str>,
    /// What the group calls it.
    pub name: String,
}

impl Offered {
    fn new(mut tool: Tool, schema: &Value, target: Target) -> Self {
        let (schema, is_wrapped) = input_schema(schema);
        tool.input_schema = schema;
        Self { tool, target, is_content: false, is_wrapped }
    }

    /// Returns what is run with, of what a client gives.
    #[must_use]
    pub fn input(&self, mut arguments: Value) -> Value {
        // Somebody may give it as it is.
        match arguments.get_mut(INPUT) {
            Some(input) if self.is_wrapped => input.take(),
            _ => arguments,
        }
    }
}

impl Catalogs {
    /// Collects what plugins and third-party servers offer; `everything` is the id of the server that
    /// offers all of it.
    #[must_use]
    pub fn of(snapshot: &Snapshot, sources: &Sources, everything: Option<&str>) -> Self {
        // Read before the tools are: what changes in between makes a newer version.
        let version = (snapshot.version, sources.version());
        let mut servers: Vec<_> =
            snapshot.mcp_servers.iter().map(|entry| Arc::new(Catalog::of_group(snapshot, &entry.manifest))).collect();
        // A plugin's group wins: its author has chosen the name.
        if let Some(id) = everything.filter(|id| servers.iter().all(|server| server.id != *id)) {
            servers.push(Arc::new(Catalog::of_everything(snapshot, sources, id)));
        }
        Self { version, servers }
    }

    /// Returns a server.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Catalog>> {
        self.servers.iter().find(|server| server.id == id)
    }

    /// Returns all of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Catalog>> {
        self.servers.iter()
    }

    /// Returns which lists of which servers are not what they were.
    pub(super) fn changes_since(&self, former: &Self) -> Vec<(String, Changed)> {
        let changes = self.servers.iter().filter_map(|server| {
            let changed = match former.get(&server.id) {
                Some(was) => server.changes_since(was),
                None => Changed { tools: true, prompts: true, resources: true, resource: None },
            };
            changed.is_any().then(|| (server.id.clone(), changed))
        });
        changes.collect()
    }
}

impl Catalog {
    /// Returns what a client may call by a name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Offered> {
        self.tools.get(*self.by_name.get(name)?)
    }

    fn of_group(snapshot: &Snapshot, group: &McpServerManifest) -> Self {
        let mut catalog = Self {
            id: group.id.clone(),
            name: group.name.clone(),
            version: group.version.clone(),
            description: group.description.clone(),
            ..Self::default()
        };
        for tool in &group.tools {
            match snapshot.tools.get(tool.id.as_str()) {
                Some(entry) => catalog.add(of_tool(tool.key.clone(), &entry.manifest)),
                None => missing(group, "tool", &tool.id),
            }
        }
        for agent in &group.agents {
            match snapshot.agents.get(agent.id.as_str()) {
                Some(entry) => catalog.add(of_agent(format!("ask_{}", agent.key), &entry.manifest)),
                None => missing(group, "agent", &agent.id),
            }
        }
        for workflow in &group.workflows {
            match snapshot.workflows.get(workflow.id.as_str()) {
                Some(entry) => {
                    catalog.add(of_workflow(format!("run_{}", workflow.key), &workflow.key, &entry.manifest));
                }
                None => missing(group, "workflow", &workflow.id),
            }
        }
        catalog.add_described(group, "");
        catalog
    }

    fn of_everything(snapshot: &Snapshot, sources: &Sources, id: &str) -> Self {
        let mut catalog = Self {
            id: id.to_owned(),
            name: "Hotbay".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "Everything this host offers; names begin with where it comes from".to_owned(),
            ..Self::default()
        };
        for entry in &snapshot.tools {
            let name = format!("{}_{}", entry.generation.plugin(), entry.manifest.id);
            catalog.add(of_tool(name, &entry.manifest));
        }
        for tool in sources.tools() {
            catalog.add(of_source(&tool));
        }
        for entry in &snapshot.agents {
            let name = format!("ask_{}_{}", entry.generation.plugin(), entry.manifest.id);
            catalog.add(of_agent(name, &entry.manifest));
        }
        for entry in snapshot.workflows.iter().filter(|entry| !entry.manifest.internal) {
            let name = format!("run_{}_{}", entry.generation.plugin(), entry.manifest.id);
            catalog.add(of_workflow(name, &entry.manifest.id, &entry.manifest));
        }
        for entry in &snapshot.mcp_servers {
            catalog.add_described(&entry.manifest, &format!("{}_", entry.manifest.id));
        }
        catalog
    }

    fn add(&mut self, mut offered: Offered) {
        let name = tool_name(&offered.tool.name);
        // Two that are told apart only by what no name may hold.
        if self.by_name.contains_key(&name) {
            tracing::warn!(mcp.server = self.id, tool = name, "two tools have the same name: the first is offered");
            return;
        }
        offered.tool.name = name.clone().into();
        self.by_name.insert(name, self.tools.len());
        self.tools.push(offered);
    }

    fn add_described(&mut self, group: &McpServerManifest, prefix: &str) {
        let id: Arc<str> = group.id.as_str().into();
        for prompt in read::<Prompt>(group, &group.prompts) {
            let name = prompt.name.clone();
            let mut told = prompt;
            told.name = format!("{prefix}{name}");
            self.prompts.push(Described { told, group: Arc::clone(&id), name });
        }
        let mut uris: HashSet<String> = self.resources.iter().map(|resource| resource.name.clone()).collect();
        for told in read::<Resource>(group, &group.resources) {
            let name = told.uri.clone();
            if uris.insert(name.clone()) {
                self.resources.push(Described { told, group: Arc::clone(&id), name });
            }
        }
        for told in read::<ResourceTemplate>(group, &group.resource_templates) {
            let name = told.uri_template.clone();
            self.templates.push(Described { told, group: Arc::clone(&id), name });
        }
        self.completions |= group.completions;
    }

    fn changes_since(&self, former: &Self) -> Changed {
        let tools = self.tools.len() != former.tools.len()
            || self.tools.iter().zip(&former.tools).any(|(now, was)| now.tool != was.tool);
        Changed {
            tools,
            prompts: is_other(&self.prompts, &former.prompts),
            resources: is_other(&self.resources, &former.resources) || is_other(&self.templates, &former.templates),
            resource: None,
        }
    }
}

fn is_other<T: PartialEq>(now: &[Described<T>], was: &[Described<T>]) -> bool {
    now.len() != was.len() || now.iter().zip(was).any(|(now, was)| now.told != was.told)
}

fn missing(group: &McpServerManifest, what: &str, id: &str) {
    tracing::warn!(mcp.server = group.id, "no plugin offers the {what} `{id}`: the MCP server goes without");
}

fn read<T: serde::de::DeserializeOwned>(group: &McpServerManifest, documents: &[Value]) -> Vec<T> {
    let read = documents.iter().filter_map(|document| match serde_json::from_value(document.clone()) {
        Ok(described) => Some(described),
        Err(error) => {
            tracing::warn!(mcp.server = group.id, %error, "a prompt or resource is not described as MCP wants it");
            None
        }
    });
    read.collect()
}

/// Returns a name clients take: letters, digits, `_`, `-` and `.`, 128 at most.
fn tool_name(name: &str) -> String {
    let fitting = |it: char| if it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.') { it } else { '_' };
    name.chars().map(fitting).take(128).collect()
}

fn of_tool(name: String, manifest: &ToolManifest) -> Offered {
    let output = manifest.output_schema.as_ref().and_then(Value::as_object);
    let is_content = output.is_some_and(|schema| schema.contains_key(RESULT_KEYWORD));
    let mut tool = Tool::new(name, manifest.description.clone(), JsonObject::new());
    // Of any other the text says what it answers.
    if let Some(schema) = output.filter(|schema| !is_content && is_of_object(schema)) {
        tool = tool.with_raw_output_schema(Arc::new(schema.clone()));
    }
    if manifest.require_approval {
        tool = tool.with_annotations(ToolAnnotations::new().destructive(true));
    }
    let offered = Offered::new(tool, &manifest.input_schema, Target::Tool(manifest.id.clone()));
    Offered { is_content, ..offered }
}

fn of_source(tool: &SourceTool) -> Offered {
    Offered { is_content: true, ..of_told(tool.told().clone(), Target::Source(tool.name.clone())) }
}

/// Returns a tool as a third party describes it, but for what would break the whole list.
fn of_told(mut tool: Tool, target: Target) -> Offered {
    if !is_of_object(&tool.input_schema) {
        tool.input_schema = input_schema(&Value::Null).0;
    }
    tool.output_schema = tool.output_schema.filter(|schema| is_of_object(schema));
    Offered { tool, target, is_content: false, is_wrapped: false }
}

/// Whether clients take a schema: they take a list with any other for broken, all of it.
fn is_of_object(schema: &JsonObject) -> bool {
    schema.get("type") == Some(&"object".into())
}

fn of_agent(name: String, manifest: &AgentManifest) -> Offered {
    let description = format!("Ask agent '{}' a question. Agent description: {}", manifest.name, manifest.description);
    let schema = json!({
        "type": "object",
        "properties": {"message": {"type": "string", "description": "The question or input for the agent."}},
        "required": ["message"],
        "additionalProperties": false,
        "$schema": DRAFT_07,
    });
    Offered::new(Tool::new(name, description, JsonObject::new()), &schema, Target::Agent(manifest.id.clone()))
}

fn of_workflow(name: String, key: &str, manifest: &WorkflowManifest) -> Offered {
    let description = format!("Run workflow '{key}'. Workflow description: {}", manifest.description);
    let mut schema = manifest.input_schema.clone();
    // Those that say the same in both dialects are told in the one clients expect of a workflow.
    if let Value::Object(schema) = &mut schema
        && !schema.contains_key("$defs")
    {
        schema.insert("$schema".to_owned(), DRAFT_07.into());
    }
    Offered::new(Tool::new(name, description, JsonObject::new()), &schema, Target::Workflow(manifest.id.clone()))
}

/// Returns a schema as clients want it, of an object, and whether what it is of is within that object.
fn input_schema(schema: &Value) -> (Arc<JsonObject>, bool) {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    let is_object = match schema.get("type") {
        None => true,
        Some(Value::Array(types)) => types.contains(&"object".into()),
        Some(one) => *one == "object",
    };
    if is_object {
        schema.insert("type".to_owned(), "object".into());
        return (Arc::new(schema), false);
    }
    let mut around = JsonObject::new();
    around.insert("type".to_owned(), "object".into());
    // Both are looked for at the root.
    for key in ["$schema", "$defs"] {
        around.extend(schema.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    around.insert("properties".to_owned(), json!({ INPUT: schema }));
    around.insert("required".to_owned(), json!([INPUT]));
    (Arc::new(around), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_clients_take() {
        assert_eq!(tool_name("hotbay-example_weather/now"), "hotbay-example_weather_now");
        assert_eq!(tool_name(&"x".repeat(200)).len(), 128);
    }

    #[track_caller]
    fn check(schema: Value, expected: &Value, is_wrapped: bool) {
        let (told, wrapped) = input_schema(&schema);
        assert_eq!((&Value::Object((*told).clone()), wrapped), (expected, is_wrapped));
    }

    #[test]
    fn a_tool_that_takes_anything_takes_an_object() {
        check(Value::Null, &json!({"type": "object"}), false);
        check(json!({"type": ["object", "null"]}), &json!({"type": "object"}), false);
    }

    #[test]
    fn what_is_no_object_is_given_in_one() {
        let list = json!({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "number"}}});
        let around = json!({"type": "object", "$defs": {"n": {"type": "number"}}, "required": ["input"],
            "properties": {"input": {"type": "array", "items": {"$ref": "#/$defs/n"}}}});
        check(list.clone(), &around, true);
        let offered = of_tool("t".to_owned(), &ToolManifest { input_schema: list, ..ToolManifest::default() });
        assert_eq!(offered.input(json!({"input": [1]})), json!([1]));
        assert_eq!(offered.input(json!([1])), json!([1]));
        let plain = of_tool("t".to_owned(), &ToolManifest::default());
        assert_eq!(plain.input(json!({"input": [1]})), json!({"input": [1]}));
    }

    #[test]
    fn a_third_party_cannot_break_the_list() {
        let told = |schema: Value| {
            let schema = Arc::new(schema.as_object().unwrap().clone());
            let tool = Tool::new("t", "", Arc::clone(&schema)).with_raw_output_schema(schema);
            of_told(tool, Target::Source("t".to_owned())).tool
        };
        let fine = told(json!({"type": "object", "properties": {}}));
        assert!(fine.input_schema.contains_key("properties") && fine.output_schema.is_some());
        let odd = told(json!({"type": "array"}));
        assert!(is_of_object(&odd.input_schema) && odd.output_schema.is_none());
    }

    #[test]
    fn only_objects_are_told_as_structure() {
        let told = |schema: Value| {
            let manifest = ToolManifest { output_schema: Some(schema), ..ToolManifest::default() };
            of_tool("t".to_owned(), &manifest).tool.output_schema.is_some()
        };
        assert!(told(json!({"type": "object"})));
        assert!(!told(json!({"type": "array"})) && !told(json!({})));
    }

    #[test]
    fn of_two_tools_with_one_name_the_first_is_offered() {
        let mut catalog = Catalog::default();
        for (name, id) in [("a b", "first"), ("a/b", "second"), ("c", "third")] {
            catalog.add(of_tool(name.to_owned(), &ToolManifest { id: id.to_owned(), ..ToolManifest::default() }));
        }
        assert_eq!(catalog.tools.len(), 2);
        assert_eq!(catalog.tool("a_b").unwrap().target, Target::Tool("first".to_owned()));
        assert_eq!(catalog.tool("c").unwrap().target, Target::Tool("third".to_owned()));
    }

    #[test]
    fn what_is_told_apart_is_a_change() {
        let described = |text: &str| {
            let mut catalog = Catalog { id: "a".to_owned(), ..Catalog::default() };
            let manifest = ToolManifest { id: "t".into(), description: text.into(), ..ToolManifest::default() };
            catalog.add(of_tool("t".to_owned(), &manifest));
            Catalogs { version: (0, 0), servers: vec![Arc::new(catalog)] }
        };
        assert!(described("one").changes_since(&described("one")).is_empty());
        let changes = described("two").changes_since(&described("one"));
        assert!(matches!(&changes[..], [(id, changed)] if id == "a" && changed.tools && !changed.prompts));
    }
}
