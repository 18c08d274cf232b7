//! Memory: threads, their messages, working memory and search, for clients that look after
//! conversations themselves. What agents remember by themselves is [`crate::memory`]'s.
//!
//! Nobody need be named: there is one store. An agent that is named must exist and
//! remember where something is changed; reading under another name reads the store.

mod embeddings;
mod messages;
mod read;
mod save;
mod search;
mod threads;
mod working;

use axum::{Json, extract::State};
use hotbay_plugin::manifest::MemoryOptions;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    error::{ApiError, Invalid},
    extract::Query,
};
use crate::{
    app::AppState,
    memory::{
        MemoryError,
        options::{TEMPLATE, merged},
    },
    types::{
        id::Millis,
        list::Slice,
        recall::RecallSpace,
        thread::{Direction, Thread},
    },
};
pub(super) use embeddings::{RenewResponse, SpacesResponse, renew as renew_embeddings, spaces as embeddings};
pub(super) use messages::{add, list as list_messages, remove as remove_messages, save};
pub(super) use search::search;
pub(super) use threads::{clone, create, get, list, remove, transfer, update};
pub(super) use working::{get as get_working, update as update_working};

/// Whose memory is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentQuery {
    /// The agent; the store itself if absent.
    #[serde(default)]
    agent_id: Option<String>,
}

/// Whose memory is asked about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusQuery {
    /// The agent.
    agent_id: String,
}

/// Tells whether an agent has a memory.
pub(super) async fn status(State(app): State<AppState>, Query(query): Query<StatusQuery>) -> Json<Value> {
    Json(match known(&app, Some(&query.agent_id)) {
        Some(_) => json!({"result": true, "memoryType": "local"}),
        None => json!({"result": true}),
    })
}

/// Returns how an agent remembers.
pub(super) async fn config(State(app): State<AppState>, Query(query): Query<StatusQuery>) -> Json<Value> {
    let Some(memory) = known(&app, Some(&query.agent_id)) else { return Json(json!({"config": null})) };
    let defaults = json!({
        "lastMessages": memory.last_messages,
        "semanticRecall": false,
        "generateTitle": false,
        "workingMemory": {"enabled": false, "template": TEMPLATE},
        "observationalMemory": {"enabled": false},
    });
    let defaults =
        MemoryOptions { last_messages: memory.last_messages, more: defaults.as_object().cloned().unwrap_or_default() };
    Json(json!({"config": merged(&defaults, &memory.more)}))
}

/// Returns how the named agent remembers, if there is such an agent and it does.
fn known(app: &AppState, agent_id: Option<&str>) -> Option<MemoryOptions> {
    app.engine.snapshot().agents.get(agent_id?)?.manifest.memory.clone()
}

/// Makes sure that the named agent remembers. Returns how, `None` if nobody is named.
fn remembering(app: &AppState, agent_id: Option<&str>) -> Result<Option<MemoryOptions>, ApiError> {
    let Some(id) = agent_id else { return Ok(None) };
    let snapshot = app.engine.snapshot();
    let agent = snapshot.agents.get(id).ok_or_else(|| ApiError::not_found("Agent not found"))?;
    let memory = agent.manifest.memory.clone();
    Ok(Some(memory.ok_or_else(|| ApiError::bad_request("Memory is not initialized"))?))
}

/// Makes sure that the named agent remembers. Returns where what is stored for it is found by its
/// meaning, if anywhere.
fn space(app: &AppState, agent_id: Option<&str>) -> Result<Option<RecallSpace>, ApiError> {
    let memory = remembering(app, agent_id)?;
    Ok(memory.and_then(|memory| app.engine.memory().semantic().space_to_store(&memory)))
}

/// Returns a thread if it belongs to whom the caller says, or the caller does not say.
async fn own_thread(app: &AppState, id: &str, resource_id: Option<&str>) -> Result<Thread, ApiError> {
    let thread = app.store.threads().get(id).await?.ok_or_else(no_thread)?;
    check_owner(&thread.resource_id, resource_id)?;
    Ok(thread)
}

fn check_owner(owner: &str, claimed: Option<&str>) -> Result<(), ApiError> {
    match claimed {
        Some(claimed) if claimed != owner => Err(MemoryError::Denied.into()),
        _ => Ok(()),
    }
}

fn no_thread() -> ApiError {
    ApiError::not_found("Thread not found")
}

/// Returns a thread as clients see it.
fn shown(thread: &Thread) -> Value {
    json!({
        "id": thread.id,
        "resourceId": thread.resource_id,
        "title": thread.title,
        "metadata": thread.metadata,
        "createdAt": thread.created_at.iso(),
        "updatedAt": thread.updated_at.iso(),
    })
}

/// Which part of a list is asked for: `page` counts from 0.
fn slice(page: Option<u64>, per_page: Option<u64>, default: u64) -> (u64, u64, Slice) {
    let (page, limit) = (page.unwrap_or(0), per_page.unwrap_or(default));
    (page, limit, Slice { offset: page.saturating_mul(limit), limit })
}

/// Returns which way `orderBy` asks for; a bare text says nothing.
fn direction(order: Option<&Value>) -> Option<Direction> {
    match order?.get("direction")?.as_str()? {
        "ASC" => Some(Direction::Ascending),
        _ => Some(Direction::Descending),
    }
}

/// Reads a time: ISO 8601, or milliseconds since 1970.
fn time(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(number) => number.as_i64().map(Millis),
        Value::String(text) => {
            let timestamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
                let local = text.parse::<jiff::civil::DateTime>().ok();
                let local = local.or_else(|| text.parse::<jiff::civil::Date>().ok().map(|date| date.at(0, 0, 0, 0)));
                local?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
            })?;
            Some(Millis(timestamp.as_millisecond()))
        }
        _ => None,
    }
}

/// Reads an optional time of a request.
fn optional_time(value: Option<&Value>, part: Invalid, field: &str) -> Result<Option<Millis>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match time(value) {
            Some(time) => Ok(Some(time)),
            None => Err(ApiError::invalid_field(part, field, "Invalid input: expected date, received Date")),
        },
    }
}

fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": 0})
}

fn record(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// Metadata as a map.
type Metadata = Map<String, Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_several_forms() {
        assert_eq!(time(&json!("2026-01-01T00:00:01.500Z")), Some(Millis(1_767_225_601_500)));
        assert_eq!(time(&json!("2026-01-01")), Some(Millis(1_767_225_600_000)));
        assert_eq!(time(&json!(5)), Some(Millis(5)));
        assert_eq!(time(&json!("soon")), None);
    }

    #[test]
    fn pages_count_from_zero() {
        let (_, _, slice) = slice(Some(3), Some(10), 100);
        assert_eq!((slice.offset, slice.limit), (30, 10));
        assert_eq!(super::slice(Some(u64::MAX), Some(2), 0).2.offset, u64::MAX);
    }

    #[test]
    fn a_bare_order_says_nothing() {
        assert_eq!(direction(Some(&json!("createdAt"))), None);
        assert_eq!(direction(Some(&json!({"direction": "ASC"}))), Some(Direction::Ascending));
    }
}
