//! Search in what was said: by its meaning for agents that recall that way, else by the words of
//! the question.

use axum::{Json, extract::State};
use hotbay_plugin::manifest::MemoryOptions;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Metadata, check_owner, record, remembering};
use crate::{
    app::AppState,
    http::{access::Asker, error::ApiError, extract::Query},
    memory::{
        content,
        options::{MemoryConfig, SemanticOptions},
        semantic::{SemanticError, Whose},
    },
    observe::tracer::ActiveSpan,
    types::thread::StoredMessage,
    vector::VectorError,
};

/// Messages found if the caller does not say.
const LIMIT: f64 = 20.0;
/// Most messages that are looked at, the newest first: what a search may cost.
const LOOKED_AT: usize = 20_000;
/// Messages shown before and after one that was found.
const AROUND: u64 = 2;

/// What is searched for, and where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SearchQuery {
    /// The agent.
    agent_id: String,
    /// What to find: messages near to it in meaning, or those that have all its words.
    search_query: String,
    /// Whose conversations.
    resource_id: String,
    /// The conversation; all of the owner's if absent.
    #[serde(default)]
    thread_id: Option<String>,
    /// Most messages.
    #[serde(default)]
    limit: Option<f64>,
    /// Options over those of the agent.
    #[serde(default)]
    #[schemars(schema_with = "record")]
    memory_config: Option<Metadata>,
}

/// Finds messages: the nearest by meaning first, or those with the words, newest first, in the last
/// 20,000 of their owner.
pub(in crate::http) async fn search(
    State(app): State<AppState>,
    asker: Asker,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Value>, ApiError> {
    let memory = remembering(&app, Some(&query.agent_id))?.unwrap_or_default();
    asker.check("thread", Some(&query.resource_id))?;
    if let Some(id) = &query.thread_id
        && let Some(thread) = app.store.threads().get(id).await?
    {
        check_owner(&thread.resource_id, Some(&query.resource_id))?;
    }
    let config = MemoryConfig::new(&memory, query.memory_config.as_ref().unwrap_or(&Metadata::new()));
    let meant = match &config.semantic {
        Some(options) => by_meaning(&app, &memory, &query, options).await?.map(|found| (options, found)),
        None => None,
    };
    let (kind, around, found) = match meant {
        Some((options, found)) => ("semantic", (options.before, options.after), found),
        None => {
            let found = find(&app, &query).await?;
            ("text", (AROUND, AROUND), found.into_iter().map(|message| (message, None)).collect())
        }
    };
    let mut results = Vec::with_capacity(found.len());
    for (message, score) in &found {
        results.push(result(&app, message, around, *score).await?);
    }
    let scope = if config.semantic.is_some_and(|options| options.is_of_thread) { "thread" } else { "resource" };
    Ok(Json(json!({
        "results": results,
        "count": found.len(),
        "query": query.search_query,
        "searchScope": scope,
        "searchType": kind,
    })))
}

/// Finds messages by their meaning; `None` if that cannot be done now, and words must do.
async fn by_meaning(
    app: &AppState,
    memory: &MemoryOptions,
    query: &SearchQuery,
    options: &SemanticOptions,
) -> Result<Option<Vec<(StoredMessage, Option<f32>)>>, ApiError> {
    let top_k = u32::try_from(limit(query.limit)).unwrap_or(u32::MAX);
    let options = SemanticOptions { top_k, ..options.clone() };
    let whose = Whose { resource_id: &query.resource_id, thread_id: query.thread_id.as_deref() };
    let semantic = app.engine.memory().semantic();
    let found = match semantic.space(memory) {
        Ok(space) => semantic.find(&space, &query.search_query, whose, &options, &ActiveSpan::default()).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => Ok(Some(found.into_iter().map(|found| (found.message, Some(found.score))).collect())),
        Err(SemanticError::Store(error)) => Err(error.into()),
        // The filter is the caller's.
        Err(SemanticError::VectorStore(error @ VectorError::Invalid(_))) => Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "a search by meaning goes by words instead");
            Ok(None)
        }
    }
}

async fn find(app: &AppState, query: &SearchQuery) -> Result<Vec<StoredMessage>, ApiError> {
    let words: Vec<String> = query.search_query.split_whitespace().map(str::to_lowercase).collect();
    let limit = limit(query.limit);
    let (mut found, mut looked_at, mut last) = (Vec::new(), 0, None);
    while found.len() < limit && looked_at < LOOKED_AT && !words.is_empty() {
        let page = app.store.messages();
        let page = page.search_page(&query.resource_id, query.thread_id.as_deref(), last.as_ref()).await?;
        let Some(end) = page.last() else { break };
        last = Some((end.created_at, end.id.clone()));
        looked_at += page.len();
        found.extend(page.into_iter().filter(|message| {
            let text = content::words(message).to_lowercase();
            words.iter().all(|word| text.contains(word))
        }));
    }
    found.truncate(limit);
    Ok(found)
}

async fn result(
    app: &AppState,
    message: &StoredMessage,
    (before, after): (u64, u64),
    score: Option<f32>,
) -> Result<Value, ApiError> {
    let thread = app.store.threads().get(&message.thread_id).await?;
    let entries = app.store.messages().around(&message.thread_id, &message.id, before, after).await?;
    let place = entries.iter().position(|entry| entry.id == message.id).unwrap_or(entries.len());
    let (before, after) = entries.split_at(place);
    let before: Vec<Value> = before.iter().map(line).collect();
    let after: Vec<Value> = after.iter().skip(1).map(line).collect();
    let mut result = line(message);
    result["threadId"] = message.thread_id.as_str().into();
    if let Some(thread) = thread {
        result["threadTitle"] = thread.title.into();
    }
    if let Some(score) = score {
        result["score"] = score.into();
    }
    result["context"] = json!({"before": before, "after": after});
    Ok(result)
}

fn line(message: &StoredMessage) -> Value {
    json!({"id": message.id, "role": message.role, "content": content::words(message),
        "createdAt": message.created_at.iso()})
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn limit(asked: Option<f64>) -> usize {
    asked.unwrap_or(LIMIT).clamp(0.0, 1000.0) as usize
}
