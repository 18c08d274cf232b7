//! Threads: made, read, listed, changed, copied, given away, deleted.

use std::collections::HashSet;

use axum::{Json, extract::State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    AgentQuery, Metadata, count, direction, no_thread, optional_time, own_thread, read, record, remembering, shown,
    slice, space,
};
use crate::{
    app::AppState,
    http::{
        access::Asker,
        error::{ApiError, Invalid},
        extract::{Body, PathId, Query},
    },
    store::StoreError,
    types::{
        id::{self, Millis},
        list::Slice,
        thread::{Direction, MessageQuery, StoredMessage, Thread, ThreadOrder, ThreadQuery},
    },
};

/// Threads on a page if the caller does not say.
const PER_PAGE: u64 = 100;

/// Which threads are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    /// Which page, from 0.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    page: Option<u64>,
    /// Threads on a page.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    per_page: Option<u64>,
    /// The agent; whoever it is, the store is the same.
    #[serde(default)]
    #[expect(dead_code, reason = "taken because clients send it")]
    agent_id: Option<String>,
    /// Whom they belong to.
    #[serde(default)]
    resource_id: Option<String>,
    /// What their metadata must hold.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    metadata: Option<Metadata>,
    /// `{field: createdAt | updatedAt, direction: ASC | DESC}`.
    #[serde(default)]
    #[schemars(schema_with = "order")]
    order_by: Option<Value>,
}

/// A thread to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct CreateRequest {
    /// Whom it belongs to.
    resource_id: String,
    /// Its title.
    #[serde(default)]
    title: Option<String>,
    /// What is noted on it.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    metadata: Option<Metadata>,
    /// Its id; made up if absent. A thread with this id is replaced.
    #[serde(default)]
    thread_id: Option<String>,
}

/// Which agent, and whom a thread must belong to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ThreadAccess {
    /// The agent.
    #[serde(default)]
    agent_id: Option<String>,
    /// Whom the thread must belong to.
    #[serde(default)]
    resource_id: Option<String>,
}

/// What changes on a thread.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct UpdateRequest {
    /// Its title.
    #[serde(default)]
    title: Option<String>,
    /// What is noted on it, in place of what was.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    metadata: Option<Metadata>,
    /// Whom it must belong to.
    #[serde(default)]
    resource_id: Option<String>,
}

/// How a thread is copied.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct CloneRequest {
    /// The copy's id; made up if absent.
    #[serde(default)]
    new_thread_id: Option<String>,
    /// Whom the copy belongs to; whom the thread belongs to if absent.
    #[serde(default)]
    resource_id: Option<String>,
    /// The copy's title.
    #[serde(default)]
    title: Option<String>,
    /// What is noted on the copy.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    metadata: Option<Metadata>,
    /// Which messages are copied.
    #[serde(default)]
    #[schemars(schema_with = "copied")]
    options: Option<Value>,
}

/// Whom a thread is given to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct TransferRequest {
    /// Whom.
    #[schemars(length(min = 1))]
    resource_id: String,
}

fn order(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"properties": {
        "field": {"type": "string", "enum": ["createdAt", "updatedAt"]},
        "direction": {"type": "string", "enum": ["ASC", "DESC"]}
    }})
}

fn copied(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "properties": {
        "messageLimit": {"type": "number"},
        "messageFilter": {"type": "object", "properties": {
            "startDate": {"type": "string", "format": "date-time"},
            "endDate": {"type": "string", "format": "date-time"},
            "messageIds": {"type": "array", "items": {"type": "string"}}
        }}
    }})
}

/// Lists threads.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    asker: Asker,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let (page, per_page, slice) = slice(query.page, query.per_page, PER_PAGE);
    let order = match query.order_by.as_ref().and_then(|order| order.get("field")?.as_str()) {
        Some("updatedAt") => ThreadOrder::UpdatedAt,
        _ => ThreadOrder::CreatedAt,
    };
    let direction = direction(query.order_by.as_ref()).unwrap_or(Direction::Descending);
    let query = ThreadQuery {
        resource_id: asker.owner(query.resource_id)?,
        metadata: query.metadata.unwrap_or_default(),
        order,
        direction,
        slice,
    };
    let listed = app.store.threads().list(&query).await?;
    let seen = slice.offset.saturating_add(listed.entries.len() as u64);
    Ok(Json(json!({
        "threads": listed.entries.iter().map(shown).collect::<Vec<_>>(),
        "total": listed.total,
        "page": page,
        "perPage": per_page,
        "hasMore": seen < listed.total,
    })))
}

/// Makes a thread.
pub(in crate::http) async fn create(
    State(app): State<AppState>,
    asker: Asker,
    Query(query): Query<AgentQuery>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    remembering(&app, query.agent_id.as_deref())?;
    asker.check("thread", Some(&request.resource_id))?;
    if let Some(id) = request.thread_id.as_deref().filter(|_| asker.is_bound())
        && let Some(replaced) = app.store.threads().get(id).await?
    {
        asker.check("thread", Some(&replaced.resource_id))?;
    }
    let now = Millis::now();
    let thread = Thread {
        id: request.thread_id.filter(|id| !id.is_empty()).unwrap_or_else(id::fresh),
        resource_id: request.resource_id,
        title: request.title.unwrap_or_default(),
        metadata: request.metadata,
        created_at: now,
        updated_at: now,
    };
    app.store.threads().put(&thread).await?;
    let mut made = shown(&thread);
    if let (Value::Object(made), None) = (&mut made, &thread.metadata) {
        made.remove("metadata");
    }
    Ok(Json(made))
}

/// Returns a thread.
pub(in crate::http) async fn get(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<ThreadAccess>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(shown(&own_thread(&app, &id, asker.owner(query.resource_id)?.as_deref()).await?)))
}

/// Changes a thread's title or metadata.
pub(in crate::http) async fn update(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<AgentQuery>,
    Body(request): Body<UpdateRequest>,
) -> Result<Json<Value>, ApiError> {
    remembering(&app, query.agent_id.as_deref())?;
    own_thread(&app, &id, asker.owner(request.resource_id)?.as_deref()).await?;
    let title = request.title.as_deref().filter(|title| !title.is_empty());
    let thread = app.store.threads().update(&id, title, request.metadata.as_ref()).await.map_err(missing)?;
    Ok(Json(shown(&thread)))
}

/// Deletes a thread and what was said in it.
pub(in crate::http) async fn remove(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<ThreadAccess>,
) -> Result<Json<Value>, ApiError> {
    remembering(&app, query.agent_id.as_deref())?;
    own_thread(&app, &id, asker.owner(query.resource_id)?.as_deref()).await?;
    app.store.threads().remove(&id).await.map_err(missing)?;
    Ok(Json(json!({"result": "Thread deleted"})))
}

/// Copies a thread with what was said in it, or a part of that.
pub(in crate::http) async fn clone(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<AgentQuery>,
    Body(request): Body<CloneRequest>,
) -> Result<Json<Value>, ApiError> {
    let space = space(&app, query.agent_id.as_deref())?;
    let source = app.store.threads().get(&id).await?;
    let source = source.ok_or_else(|| ApiError::not_found("Source thread not found"))?;
    asker.check("thread", Some(&source.resource_id))?;
    let owner = request.resource_id.unwrap_or_else(|| source.resource_id.clone());
    asker.check("thread", Some(&owner))?;
    let entries = wanted(&app, &id, request.options.as_ref()).await?;
    let now = Millis::now();
    let mut origin = Map::new();
    origin.insert("sourceThreadId".to_owned(), id.as_str().into());
    origin.insert("clonedAt".to_owned(), now.iso().into());
    if let Some(last) = entries.last() {
        origin.insert("lastMessageId".to_owned(), last.id.as_str().into());
    }
    let mut metadata = request.metadata.unwrap_or_default();
    metadata.insert("clone".to_owned(), origin.into());
    let default_title = if source.title.is_empty() { String::new() } else { format!("Clone of {}", source.title) };
    let thread = Thread {
        id: request.new_thread_id.unwrap_or_else(id::fresh),
        resource_id: owner,
        title: request.title.filter(|title| !title.is_empty()).unwrap_or(default_title),
        metadata: Some(metadata),
        created_at: now,
        updated_at: now,
    };
    let mut ids = Map::new();
    let copies: Vec<StoredMessage> = entries
        .into_iter()
        .map(|entry| {
            let copy = id::fresh();
            ids.insert(entry.id, copy.as_str().into());
            let (thread_id, resource_id) = (thread.id.clone(), Some(thread.resource_id.clone()));
            StoredMessage { id: copy, thread_id, resource_id, ..entry }
        })
        .collect();
    app.store.threads().create_copy(&thread, &id, &copies, space.as_ref()).await?;
    let copies: Vec<Value> = copies.iter().map(read::document).collect();
    Ok(Json(json!({"thread": shown(&thread), "messageIdMap": ids, "clonedMessages": copies})))
}

/// Gives a thread to somebody else.
pub(in crate::http) async fn transfer(
    State(app): State<AppState>,
    PathId(id): PathId,
    Query(_): Query<AgentQuery>,
    Body(request): Body<TransferRequest>,
) -> Result<Json<Value>, ApiError> {
    let mut thread = own_thread(&app, &id, None).await?;
    if let Some(metadata) = &mut thread.metadata {
        // It names a thread of the former owner.
        metadata.shift_remove("clone");
    }
    let threads = app.store.threads();
    let transferred = threads.transfer(&id, &request.resource_id, thread.metadata.as_ref()).await;
    Ok(Json(shown(&transferred.map_err(missing)?)))
}

/// Returns the messages a copy is to have, oldest first.
async fn wanted(app: &AppState, thread: &str, options: Option<&Value>) -> Result<Vec<StoredMessage>, ApiError> {
    let mut query = MessageQuery::all(thread, Direction::Descending);
    let filter = options.and_then(|options| options.get("messageFilter"));
    let field = |key: &str| filter.and_then(|filter| filter.get(key));
    let (start, end) = ("options.messageFilter.startDate", "options.messageFilter.endDate");
    query.from = optional_time(field("startDate"), Invalid::Body, start)?;
    query.to = optional_time(field("endDate"), Invalid::Body, end)?;
    let ids: Option<HashSet<&str>> =
        field("messageIds").and_then(Value::as_array).map(|ids| ids.iter().filter_map(Value::as_str).collect());
    let limit = options.and_then(|options| options.get("messageLimit")?.as_f64()).filter(|limit| *limit >= 1.0);
    if let (Some(limit), None) = (limit, &ids) {
        query.slice = Slice { offset: 0, limit: whole(limit) };
    }
    let mut entries = app.store.messages().list(&query).await?.entries;
    if let Some(ids) = ids {
        entries.retain(|entry| ids.contains(entry.id.as_str()));
        if let Some(limit) = limit {
            entries.truncate(usize::try_from(whole(limit)).unwrap_or(usize::MAX));
        }
    }
    entries.reverse();
    Ok(entries)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 1e15) as u64
}

fn missing(error: StoreError) -> ApiError {
    match error {
        StoreError::NotFound(_) => no_thread(),
        other => other.into(),
    }
}
