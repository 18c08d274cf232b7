//! Agents and tools as lists show them.

use hotbay_plugin::manifest::{AgentManifest, ToolManifest};
use serde_json::{Map, Value, json};

use crate::plugin::registry::{AgentEntry, Snapshot};

/// Returns an agent; `partial` leaves its tools' input and output schemas out.
pub(super) fn agent(snapshot: &Snapshot, entry: &AgentEntry, partial: bool) -> Map<String, Value> {
    let manifest = &entry.manifest;
    let (provider, model) = manifest.model.split_once('/').unwrap_or(("", &manifest.model));
    let info = json!({
        "name": manifest.name,
        "description": manifest.description,
        "instructions": manifest.instructions,
        "agents": agents(snapshot, manifest),
        "tools": tools(snapshot, manifest, partial),
        "workflows": workflows(snapshot, manifest),
        "skills": [],
        "workspaceTools": [],
        "browserTools": [],
        "hasBrowser": false,
        "inputProcessors": [],
        "outputProcessors": [],
        "provider": provider,
        "modelId": model,
        "modelVersion": "v2",
        "supportsMemory": true,
        "defaultOptions": manifest.default_options,
        "defaultGenerateOptionsLegacy": {},
        "defaultStreamOptionsLegacy": {},
        "source": "code",
    });
    match info {
        Value::Object(info) => info,
        _ => Map::new(),
    }
}

/// Returns an agent's tools by the names models see.
pub(super) fn tools(snapshot: &Snapshot, manifest: &AgentManifest, partial: bool) -> Map<String, Value> {
    let tools = manifest.tools.iter().filter_map(|tool| {
        let entry = snapshot.tools.get(tool.id.as_str())?;
        Some((tool.key.clone(), self::tool(&entry.manifest, partial)))
    });
    tools.collect()
}

/// Returns a tool. Schemas are wrapped and written as text: clients unwrap them.
pub(in crate::http) fn tool(manifest: &ToolManifest, partial: bool) -> Value {
    let mut tool = json!({"id": manifest.id, "description": manifest.description});
    let wrapped = |schema: &Value| Value::String(json!({ "json": schema }).to_string());
    if !partial {
        if !manifest.input_schema.is_null() {
            tool["inputSchema"] = wrapped(&manifest.input_schema);
        }
        if let Some(schema) = &manifest.output_schema {
            tool["outputSchema"] = wrapped(schema);
        }
    }
    if let Some(schema) = &manifest.suspend_schema {
        tool["suspendSchema"] = schema.clone();
    }
    if let Some(schema) = &manifest.resume_schema {
        tool["resumeSchema"] = schema.clone();
    }
    tool["requireApproval"] = manifest.require_approval.into();
    tool
}

fn agents(snapshot: &Snapshot, manifest: &AgentManifest) -> Map<String, Value> {
    let agents = manifest.agents.iter().filter_map(|id| {
        let entry = snapshot.agents.get(id.as_str())?;
        Some((id.clone(), json!({"id": id, "name": entry.manifest.name})))
    });
    agents.collect()
}

fn workflows(snapshot: &Snapshot, manifest: &AgentManifest) -> Map<String, Value> {
    let workflows = manifest.workflows.iter().filter_map(|id| {
        snapshot.workflows.get(id.as_str())?;
        Some((id.clone(), json!({ "name": id })))
    });
    workflows.collect()
}
