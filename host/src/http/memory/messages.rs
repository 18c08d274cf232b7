//! Messages of threads: listed, saved, deleted.

use std::collections::HashSet;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    AgentQuery, check_owner, count, direction, known, optional_time, own_thread, read::MessageView, remembering,
    save::Incoming, slice, space,
};
use crate::{
    app::AppState,
    http::{
        access::Asker,
        error::{ApiError, Invalid},
        extract::{Body, PathId, Query},
    },
    types::{
        event::Event,
        id::Millis,
        recall::RecallSpace,
        thread::{Direction, MessageQuery, StoredMessage, Thread},
    },
};

/// Messages on a page if the caller does not say.
const PER_PAGE: u64 = 40;
/// Most messages before or after one that is included.
const MOST_AROUND: f64 = 1000.0;

/// Which messages are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    /// Which page, from 0.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    page: Option<u64>,
    /// Messages on a page.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    per_page: Option<u64>,
    /// The agent. With one that remembers, pages begin at the end of the conversation.
    #[serde(default)]
    agent_id: Option<String>,
    /// Whom the thread must belong to.
    #[serde(default)]
    resource_id: Option<String>,
    /// `{field: createdAt, direction: ASC | DESC}`.
    #[serde(default)]
    #[schemars(schema_with = "order")]
    order_by: Option<Value>,
    /// Messages that are listed in any case, and how many around them.
    #[serde(default)]
    #[schemars(schema_with = "include")]
    include: Option<Vec<Include>>,
    /// `{dateRange: {start, end}, roles, metadata}`.
    #[serde(default)]
    #[schemars(schema_with = "filter")]
    filter: Option<Value>,
}

/// A message that is listed in any case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Include {
    id: String,
    #[serde(default)]
    thread_id: Option<String>,
    #[serde(default)]
    with_previous_messages: Option<f64>,
    #[serde(default)]
    with_next_messages: Option<f64>,
}

/// Messages to save.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SaveRequest {
    /// The messages, stored ones or as a model is told them.
    messages: Vec<Value>,
}

/// A message to add, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct AddRequest {
    /// The messages, if they are several.
    #[serde(default)]
    messages: Option<Vec<Value>>,
    /// The one message.
    #[serde(flatten)]
    message: serde_json::Map<String, Value>,
}

/// Messages to delete.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RemoveRequest {
    /// One id or several, bare or as `{id}`.
    #[schemars(schema_with = "ids")]
    message_ids: Value,
}

/// Which agent, and whom messages must belong to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct MessageAccess {
    /// The agent.
    #[serde(default)]
    agent_id: Option<String>,
    /// Whom the messages must belong to.
    #[serde(default)]
    resource_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListResponse<'a> {
    messages: Vec<MessageView<'a>>,
    total: u64,
    page: u64,
    per_page: u64,
    has_more: bool,
    /// Always null; clients make their own of the messages.
    ui_messages: (),
}

fn order(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"properties": {
        "field": {"type": "string", "enum": ["createdAt"]},
        "direction": {"type": "string", "enum": ["ASC", "DESC"]}
    }})
}

fn include(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "object", "required": ["id"], "properties": {
        "id": {"type": "string"},
        "threadId": {"type": "string"},
        "withPreviousMessages": {"type": "number"},
        "withNextMessages": {"type": "number"}
    }}})
}

fn filter(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "properties": {
        "dateRange": {"type": "object", "properties": {
            "start": {"type": "string", "format": "date-time"},
            "end": {"type": "string", "format": "date-time"},
            "startExclusive": {"type": "boolean"},
            "endExclusive": {"type": "boolean"}
        }},
        "roles": {"type": "array", "items": {"type": "string"}},
        "metadata": {"type": "object"}
    }})
}

fn ids(_: &mut SchemaGenerator) -> Schema {
    let id = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
    json_schema!({"anyOf": [
        {"type": "string"}, {"type": "array", "items": {"type": "string"}}, id, {"type": "array", "items": id}
    ]})
}

/// Lists a thread's messages, a page in the order they were said.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let thread = own_thread(&app, &id, asker.owner(query.resource_id)?.as_deref()).await?;
    let remembers = known(&app, query.agent_id.as_deref()).is_some();
    let (page, per_page, slice) = slice(query.page, query.per_page, PER_PAGE);
    let newest_first = if remembers { Direction::Descending } else { Direction::Ascending };
    let direction = direction(query.order_by.as_ref()).unwrap_or(newest_first);
    let mut wanted = MessageQuery { slice, ..MessageQuery::all(id, direction) };
    narrow(&mut wanted, query.filter.as_ref())?;
    // As recorded: of nothing there is nothing more.
    let (mut entries, total, has_more) = if per_page == 0 {
        (Vec::new(), 0, false)
    } else {
        let listed = app.store.messages().list(&wanted).await?;
        let seen = slice.offset.saturating_add(listed.entries.len() as u64);
        (listed.entries, listed.total, seen < listed.total)
    };
    add_included(&app, &thread, query.include.unwrap_or_default(), &mut entries).await?;
    entries.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    if direction == Direction::Descending && !remembers {
        entries.reverse();
    }
    let messages = entries.iter().map(MessageView::from).collect();
    Ok(Json(ListResponse { messages, total, page, per_page, has_more, ui_messages: () }).into_response())
}

/// Saves messages, each in place of the one with its id.
pub(in crate::http) async fn save(
    State(app): State<AppState>,
    asker: Asker,
    Query(query): Query<AgentQuery>,
    Body(request): Body<SaveRequest>,
) -> Result<Json<Value>, ApiError> {
    let space = space(&app, query.agent_id.as_deref())?;
    let nameless = request.messages.iter().filter(|message| {
        let names = |key: &str| message.get(key).and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        !names("threadId") || !names("resourceId")
    });
    match nameless.count() {
        0 => {
            check_all(&app, &asker, &request.messages).await?;
            write(&app, request.messages, space.as_ref()).await
        }
        n => Err(ApiError::bad_request(format!(
            "All messages must have threadId and resourceId fields. Found {n} invalid message(s)."
        ))),
    }
}

/// Adds one message to a thread, or several.
pub(in crate::http) async fn add(
    State(app): State<AppState>,
    asker: Asker,
    PathId(id): PathId,
    Query(query): Query<MessageAccess>,
    Body(request): Body<AddRequest>,
) -> Result<Json<Value>, ApiError> {
    let space = space(&app, query.agent_id.as_deref())?;
    let thread = own_thread(&app, &id, asker.owner(query.resource_id)?.as_deref()).await?;
    let mut messages = request.messages.unwrap_or_else(|| vec![request.message.into()]);
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        message.insert("threadId".to_owned(), thread.id.as_str().into());
        message.insert("resourceId".to_owned(), thread.resource_id.as_str().into());
    }
    check_replaced(&app, &asker, &messages).await?;
    write(&app, messages, space.as_ref()).await
}

/// Deletes messages; those that are not there are no error.
pub(in crate::http) async fn remove(
    State(app): State<AppState>,
    asker: Asker,
    Query(query): Query<MessageAccess>,
    Body(request): Body<RemoveRequest>,
) -> Result<Json<Value>, ApiError> {
    remembering(&app, query.agent_id.as_deref())?;
    let named = match request.message_ids {
        Value::Array(ids) => ids,
        one => vec![one],
    };
    let id = |value: &Value| value.as_str().or_else(|| value.get("id")?.as_str()).map(str::to_owned);
    let ids: Vec<String> = named.iter().filter_map(id).collect();
    let owner = asker.owner(query.resource_id)?;
    if owner.is_some() {
        for message in app.store.messages().get(&ids).await? {
            check_owner(message.resource_id.as_deref().unwrap_or_default(), owner.as_deref())?;
        }
    }
    app.store.messages().remove(&ids).await?;
    let plural = if ids.len() == 1 { "" } else { "s" };
    let message = format!("{} message{plural} deleted successfully", ids.len());
    Ok(Json(json!({"success": true, "message": message})))
}

/// Makes sure that messages, the threads they go to and those they replace are the asker's, if they are
/// bound to one owner.
async fn check_all(app: &AppState, asker: &Asker, messages: &[Value]) -> Result<(), ApiError> {
    if !asker.is_bound() {
        return Ok(());
    }
    let text = |message: &Value, key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut threads = HashSet::new();
    for message in messages {
        asker.check("thread", text(message, "resourceId").as_deref())?;
        threads.extend(text(message, "threadId"));
    }
    for id in threads {
        if let Some(thread) = app.store.threads().get(&id).await? {
            asker.check("thread", Some(&thread.resource_id))?;
        }
    }
    check_replaced(app, asker, messages).await
}

/// Makes sure that messages with the ids of these are the asker's, if they are bound to one owner.
async fn check_replaced(app: &AppState, asker: &Asker, messages: &[Value]) -> Result<(), ApiError> {
    if !asker.is_bound() {
        return Ok(());
    }
    let id = |message: &Value| message.get("id").and_then(Value::as_str).map(str::to_owned);
    let ids: Vec<String> = messages.iter().filter_map(id).collect();
    for replaced in app.store.messages().get(&ids).await? {
        asker.check("message", replaced.resource_id.as_deref())?;
    }
    Ok(())
}

async fn write(app: &AppState, messages: Vec<Value>, space: Option<&RecallSpace>) -> Result<Json<Value>, ApiError> {
    let incoming = messages.into_iter().enumerate().map(|(index, message)| Incoming::read(index, message));
    let incoming = incoming.collect::<Result<Vec<_>, _>>()?;
    let (shown, stored): (Vec<Value>, Vec<StoredMessage>) =
        incoming.into_iter().map(|incoming| (incoming.shown, incoming.stored)).unzip();
    let told: Vec<Event> = stored.iter().map(|message| Event::stored(message, None)).collect();
    app.store.messages().save(stored, space).await?;
    told.into_iter().for_each(|event| app.observe.recorder().events().publish(|| event));
    Ok(Json(json!({"messages": shown})))
}

/// Reads what of a thread's messages is asked for.
fn narrow(query: &mut MessageQuery, filter: Option<&Value>) -> Result<(), ApiError> {
    let Some(filter) = filter else { return Ok(()) };
    let range = filter.get("dateRange");
    let field = |key: &str| range.and_then(|range| range.get(key));
    let is_exclusive = |key: &str| field(key) == Some(&Value::Bool(true));
    query.from = optional_time(field("start"), Invalid::Query, "filter.dateRange.start")?
        .map(|from| Millis(from.0.saturating_add(i64::from(is_exclusive("startExclusive")))));
    query.to = optional_time(field("end"), Invalid::Query, "filter.dateRange.end")?
        .map(|to| Millis(to.0.saturating_sub(i64::from(is_exclusive("endExclusive")))));
    let roles = filter.get("roles").and_then(Value::as_array).into_iter().flatten();
    query.roles = roles.filter_map(Value::as_str).map(str::to_owned).collect();
    query.metadata = filter.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    Ok(())
}

/// Adds messages that are asked for by id, with their neighbours. Another thread's are added
/// only if it belongs to whom this one belongs to.
async fn add_included(
    app: &AppState,
    thread: &Thread,
    include: Vec<Include>,
    entries: &mut Vec<StoredMessage>,
) -> Result<(), ApiError> {
    let mut listed: HashSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    for wanted in include {
        let id = wanted.thread_id.as_deref().unwrap_or(&thread.id);
        if id != thread.id {
            let other = app.store.threads().get(id).await?;
            if other.is_none_or(|other| other.resource_id != thread.resource_id) {
                continue;
            }
        }
        let (before, after) = (around(wanted.with_previous_messages), around(wanted.with_next_messages));
        for entry in app.store.messages().around(id, &wanted.id, before, after).await? {
            if listed.insert(entry.id.clone()) {
                entries.push(entry);
            }
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn around(messages: Option<f64>) -> u64 {
    messages.unwrap_or_default().clamp(0.0, MOST_AROUND) as u64
}
