//! One tool call: the input checked, the plugin called, the answer checked.

use std::{sync::Arc, time::Duration};

use hotbay_plugin::manifest::CallMeta;
use serde_json::{Map, Value, json};

use super::error::EngineError;
use crate::{
    plugin::{
        call::{Call, ChunkSender, Reply, ReplyKind, Target},
        registry::ToolEntry,
    },
    services::Origin,
    types::{
        json,
        schema::{Issue, Schema},
    },
};

/// What a tool answered when it was run by itself.
#[derive(Debug)]
pub enum ToolAnswer {
    /// Its result, a JSON document as the plugin wrote it.
    Value(Vec<u8>),
    /// Input or result do not fit the tool's schemas: a document that says where.
    Misfit(Value),
}

/// What a tool answered in a run.
pub(super) enum Outcome {
    /// A result; a misfit is one too, for the model to correct.
    Answered(Value),
    /// It failed, in a sentence for the model.
    Failed(String),
    /// It waits for somebody.
    Suspended(Pause),
}

/// What a tool waits with.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// What it tells whoever is to answer.
    pub(super) payload: Value,
    /// JSON Schema of the answer, if its own manifest does not have it.
    pub(super) schema: Option<Value>,
    /// Names what it asks, for tools that may ask again under the same call.
    pub(super) mark: Option<u64>,
}

/// What a tool answered to somebody outside a run who may answer it in turn.
pub(super) enum Outside {
    /// Its result, a JSON document as the plugin wrote it.
    Value(Vec<u8>),
    /// Input or result do not fit: a document that says where.
    Misfit(Value),
    /// It waits for somebody, with this payload.
    Suspended(Value),
}

/// Runs a tool by itself.
pub(super) async fn execute(
    entry: &ToolEntry,
    data: &Value,
    request_context: Map<String, Value>,
    run_id: Option<String>,
    origin: Origin,
) -> Result<ToolAnswer, EngineError> {
    let meta = CallMeta { run_id, request_context, ..CallMeta::default() };
    Ok(match outside(entry, data, &meta, None, origin).await? {
        Outside::Value(body) => ToolAnswer::Value(body),
        Outside::Misfit(misfit) => ToolAnswer::Misfit(misfit),
        Outside::Suspended(_) => {
            // Here nothing can be resumed: the tool has simply given no result.
            let message = "Invalid input: expected object, received undefined".into();
            let nothing = Issue { path: Vec::new(), message };
            ToolAnswer::Misfit(output_misfit(&entry.manifest.id, &[nothing], None))
        }
    })
}

/// Runs a tool by itself for somebody who may answer what it asks.
pub(super) async fn outside(
    entry: &ToolEntry,
    data: &Value,
    meta: &CallMeta,
    sink: Option<ChunkSender>,
    origin: Origin,
) -> Result<Outside, EngineError> {
    if let Some(schema) = &entry.input {
        let issues = schema.issues(data);
        if !issues.is_empty() {
            return Ok(Outside::Misfit(input_misfit(&entry.manifest.id, &issues, data)));
        }
    }
    let reply = call(entry, data, meta, sink, origin).await?;
    if reply.kind == ReplyKind::Suspended {
        return Ok(Outside::Suspended(json::read(&reply.body).unwrap_or(Value::Null)));
    }
    let Some(schema) = &entry.output else { return Ok(Outside::Value(reply.body)) };
    let result: Value = json::read(&reply.body).unwrap_or(Value::Null);
    Ok(match misfit(entry, schema, &result) {
        Some(misfit) => Outside::Misfit(misfit),
        None => Outside::Value(reply.body),
    })
}

/// Runs a tool for a model.
pub(super) async fn for_model(entry: &ToolEntry, args: &Value, meta: CallMeta, origin: Origin) -> Outcome {
    if let Some(schema) = &entry.input {
        let issues = schema.issues(args);
        if !issues.is_empty() {
            return Outcome::Answered(input_misfit(&entry.manifest.id, &issues, args));
        }
    }
    let reply = match call(entry, args, &meta, None, origin).await {
        Ok(reply) => reply,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let result: Value = json::read(&reply.body).unwrap_or(Value::Null);
    if reply.kind == ReplyKind::Suspended {
        return Outcome::Suspended(Pause { payload: result, ..Pause::default() });
    }
    match entry.output.as_ref().and_then(|schema| misfit(entry, schema, &result)) {
        Some(misfit) => Outcome::Answered(misfit),
        None => Outcome::Answered(result),
    }
}

/// Runs a tool as a node of a workflow.
///
/// # Errors
/// If the input does not fit, or the tool fails.
pub(super) async fn in_workflow(
    entry: &ToolEntry,
    input: &Value,
    meta: &CallMeta,
    origin: Origin,
    timeout: Option<Duration>,
) -> Result<Reply, EngineError> {
    if let Some(schema) = &entry.input {
        let issues = schema.issues(input);
        if !issues.is_empty() {
            let message = format!("Tool input validation failed for {}. {}", entry.manifest.id, listed(&issues));
            return Err(EngineError::InvalidInput { message, issues });
        }
    }
    let call = Call {
        body: json::write(input),
        meta: serde_json::to_vec(meta).unwrap_or_default(),
        deadline: timeout,
        context: Some(Arc::new(origin)),
        ..Call::default()
    };
    Ok(entry.generation.call(Target::Tool(entry.id.clone()), call).await?)
}

async fn call(
    entry: &ToolEntry,
    input: &Value,
    meta: &CallMeta,
    sink: Option<ChunkSender>,
    origin: Origin,
) -> Result<Reply, EngineError> {
    let meta = if *meta == CallMeta::default() { Vec::new() } else { serde_json::to_vec(meta).unwrap_or_default() };
    let call = Call { body: json::write(input), meta, sink, context: Some(Arc::new(origin)), ..Call::default() };
    Ok(entry.generation.call(Target::Tool(entry.id.clone()), call).await?)
}

fn misfit(entry: &ToolEntry, schema: &Schema, result: &Value) -> Option<Value> {
    let issues = schema.issues(result);
    if issues.is_empty() { None } else { Some(output_misfit(&entry.manifest.id, &issues, Some(result))) }
}

fn input_misfit(tool: &str, issues: &[Issue], input: &Value) -> Value {
    let message = format!(
        "Tool input validation failed for {tool}. Please fix the following errors and try again:\n{}\n\nProvided arguments: {}",
        listed(issues),
        pretty(input)
    );
    document(&message, issues)
}

fn output_misfit(tool: &str, issues: &[Issue], output: Option<&Value>) -> Value {
    let shown = output.map_or_else(|| "[Unable to serialize data]".to_owned(), pretty);
    let message = format!(
        "Tool output validation failed for {tool}. The tool returned invalid output:\n{}\n\nReturned output: {shown}",
        listed(issues)
    );
    document(&message, issues)
}

fn listed(issues: &[Issue]) -> String {
    let lines: Vec<String> = issues.iter().map(|issue| format!("- {}: {}", issue.field(), issue.message)).collect();
    lines.join("\n")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Returns the document clients and models get, with the issues as a tree by field.
fn document(message: &str, issues: &[Issue]) -> Value {
    let mut tree = json!({"errors": [], "fields": {}});
    for issue in issues {
        let mut node = &mut tree;
        for key in &issue.path {
            node = &mut node["fields"][key];
            if node.is_null() {
                *node = json!({"errors": [], "fields": {}});
            }
        }
        if let Value::Array(errors) = &mut node["errors"] {
            errors.push(Value::String(issue.message.clone()));
        }
    }
    json!({"error": true, "message": message, "validationErrors": tree})
}
