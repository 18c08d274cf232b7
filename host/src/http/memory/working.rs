//! Working memory, read and written by clients.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Metadata, check_owner, known, no_thread, record, remembering};
use crate::{
    app::AppState,
    http::{
        access::Asker,
        error::ApiError,
        extract::{Body, PathId, Query},
    },
    memory::options::{MemoryConfig, WorkingForm, WorkingOptions},
    types::thread::{Thread, WorkingScope},
};

/// Whose working memory is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GetQuery {
    /// The agent.
    agent_id: String,
    /// Whom the thread belongs to.
    #[serde(default)]
    resource_id: Option<String>,
    /// Options over the agent's own.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    memory_config: Option<Metadata>,
}

/// Whose working memory is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct UpdateQuery {
    /// The agent.
    agent_id: String,
}

/// What is to be noted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct UpdateRequest {
    /// The whole text.
    working_memory: String,
    /// Whom the thread belongs to.
    #[serde(default)]
    resource_id: Option<String>,
    /// Options over the agent's own.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    memory_config: Option<Metadata>,
}

/// Returns working memory and what it looks like when it is empty.
pub(in crate::http) async fn get(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<GetQuery>,
) -> Result<Json<Value>, ApiError> {
    let Some(agent) = known(&app, Some(&query.agent_id)) else {
        return Ok(Json(json!({"workingMemory": null, "source": "thread", "workingMemoryTemplate": null,
            "threadExists": false})));
    };
    let owner = asker.owner(query.resource_id)?;
    let thread = app.store.threads().get(&id).await?;
    if let Some(thread) = &thread {
        check_owner(&thread.resource_id, owner.as_deref())?;
    }
    let working = MemoryConfig::new(&agent, &query.memory_config.unwrap_or_default()).working;
    let scope = scope(working.as_ref(), &id, thread.as_ref(), owner);
    let text = match &working {
        Some(_) => app.store.threads().working_memory(&scope).await?,
        None => None,
    };
    let source = match scope {
        WorkingScope::Thread(_) => "thread",
        WorkingScope::Owner(_) => "resource",
    };
    let template = working.map(|working| match working.form {
        WorkingForm::Template(template) => json!({"format": "markdown", "content": template}),
        WorkingForm::Schema(schema) => json!({"format": "json", "content": empty(&schema).to_string()}),
    });
    Ok(Json(json!({"workingMemory": text, "source": source, "workingMemoryTemplate": template,
        "threadExists": thread.is_some()})))
}

/// Replaces working memory.
pub(in crate::http) async fn update(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<UpdateQuery>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<Value>, ApiError> {
    let agent = remembering(&app, Some(&query.agent_id))?.unwrap_or_default();
    let working = MemoryConfig::new(&agent, &request.memory_config.unwrap_or_default()).working;
    let working =
        working.ok_or_else(|| ApiError::bad_request("Working memory is not enabled for this memory instance"))?;
    let thread = app.store.threads().get(&id).await?.ok_or_else(no_thread)?;
    let owner = asker.owner(request.resource_id)?;
    check_owner(&thread.resource_id, owner.as_deref())?;
    if matches!(working.form, WorkingForm::Schema(_))
        && serde_json::from_str::<Map<String, Value>>(&request.working_memory).is_err()
    {
        return Err(ApiError::bad_request("this working memory has a schema: send the text of a JSON object"));
    }
    let scope = scope(Some(&working), &id, Some(&thread), owner);
    app.engine.memory().set_working(&scope, &request.working_memory).await?;
    Ok(Json(json!({"success": true})))
}

/// Where working memory is kept: with the owner, unless the agent says with the thread or nobody
/// knows the owner.
fn scope(
    working: Option<&WorkingOptions>,
    id: &str,
    thread: Option<&Thread>,
    resource_id: Option<String>,
) -> WorkingScope {
    let owner = resource_id.or_else(|| thread.map(|thread| thread.resource_id.clone()));
    match owner {
        Some(owner) if !working.is_some_and(|working| working.is_of_thread) => WorkingScope::Owner(owner),
        _ => WorkingScope::Thread(id.to_owned()),
    }
}

/// Returns a document of a schema with nothing in it.
fn empty(schema: &Value) -> Value {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            properties.map(|(key, property)| (key.clone(), empty(property))).collect()
        }
        Some("string") => json!(""),
        Some("array") => json!([]),
        Some("number" | "integer") => json!(0),
        Some("boolean") => json!(false),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_document_has_every_field() {
        let schema = json!({"type": "object", "properties": {"name": {"type": "string"}, "tags": {"type": "array"},
            "home": {"type": "object", "properties": {"floor": {"type": "integer"}}}, "any": {}}});
        assert_eq!(empty(&schema), json!({"name": "", "tags": [], "home": {"floor": 0}, "any": null}));
    }
}
