//! Search in what was said: by the words of the question.

use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{check_owner, read, remembering};
use crate::{
    app::AppState,
    http::{error::ApiError, extract::Query},
    types::thread::StoredMessage,
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
    /// Words; a message is found if it has all of them.
    search_query: String,
    /// Whose conversations.
    resource_id: String,
    /// The conversation; all of the owner's if absent.
    #[serde(default)]
    thread_id: Option<String>,
    /// Most messages.
    #[serde(default)]
    limit: Option<f64>,
}

/// Finds messages by their words, newest first, in the last 20,000 of their owner.
pub(in crate::http) async fn search(
    State(app): State<AppState>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Value>, ApiError> {
    remembering(&app, Some(&query.agent_id))?;
    if let Some(id) = &query.thread_id
        && let Some(thread) = app.store.threads().get(id).await?
    {
        check_owner(&thread.resource_id, Some(&query.resource_id))?;
    }
    let found = find(&app, &query).await?;
    let mut results = Vec::with_capacity(found.len());
    for message in &found {
        results.push(result(&app, message).await?);
    }
    Ok(Json(json!({
        "results": results,
        "count": found.len(),
        "query": query.search_query,
        "searchScope": "resource",
        "searchType": "text",
    })))
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
            let text = read::text(message).to_lowercase();
            words.iter().all(|word| text.contains(word))
        }));
    }
    found.truncate(limit);
    Ok(found)
}

async fn result(app: &AppState, message: &StoredMessage) -> Result<Value, ApiError> {
    let thread = app.store.threads().get(&message.thread_id).await?;
    let entries = app.store.messages().around(&message.thread_id, &message.id, AROUND, AROUND).await?;
    let place = entries.iter().position(|entry| entry.id == message.id).unwrap_or(entries.len());
    let (before, after) = entries.split_at(place);
    let before: Vec<Value> = before.iter().map(line).collect();
    let after: Vec<Value> = after.iter().skip(1).map(line).collect();
    let mut result = line(message);
    result["threadId"] = message.thread_id.as_str().into();
    if let Some(thread) = thread {
        result["threadTitle"] = thread.title.into();
    }
    result["context"] = json!({"before": before, "after": after});
    Ok(result)
}

fn line(message: &StoredMessage) -> Value {
    json!({"id": message.id, "role": message.role, "content": read::text(message),
        "createdAt": message.created_at.iso()})
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range before")]
fn limit(asked: Option<f64>) -> usize {
    asked.unwrap_or(LIMIT).clamp(0.0, 1000.0) as usize
}
