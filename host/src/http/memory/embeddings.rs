//! What is found by its meaning: how far embedding has come, and doing it again.

use axum::{Json, extract::State};
use hotbay_plugin::manifest::MemoryOptions;
use schemars::JsonSchema;
use serde::Serialize;

use super::AgentQuery;
use crate::{
    app::AppState,
    http::{error::ApiError, extract::Query},
    memory::options::recalls_by_meaning,
};

/// Where messages are found by their meaning.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct SpacesResponse {
    /// One entry an embedder and vector store.
    spaces: Vec<SpaceResponse>,
}

/// An embedder and the vector store that keeps what it makes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SpaceResponse {
    /// The embedder, `provider/model`.
    embedder: String,
    /// The vector store.
    vector_store: String,
    /// The index in it.
    index: String,
    /// How many messages are or will be found there.
    messages: u64,
    /// How many of them are yet to be brought up to date.
    waiting: u64,
}

/// What is embedded again.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct RenewResponse {
    /// With what, `provider/model`.
    embedders: Vec<String>,
}

/// Tells how far embedding has come.
pub(in crate::http) async fn spaces(State(app): State<AppState>) -> Result<Json<SpacesResponse>, ApiError> {
    let spaces = app.engine.memory().semantic().spaces().await?;
    let spaces = spaces.into_iter().map(|state| SpaceResponse {
        index: state.space.index(),
        embedder: state.space.embedder,
        vector_store: state.space.vector_store,
        messages: state.messages,
        waiting: state.waiting,
    });
    Ok(Json(SpacesResponse { spaces: spaces.collect() }))
}

/// Has all messages embedded again, as the named agent finds them, or as any that recalls by meaning.
pub(in crate::http) async fn renew(
    State(app): State<AppState>,
    Query(query): Query<AgentQuery>,
) -> Result<Json<RenewResponse>, ApiError> {
    let semantic = app.engine.memory().semantic();
    let snapshot = app.engine.snapshot();
    let named = match &query.agent_id {
        Some(id) => Some(snapshot.agents.get(id.as_str()).ok_or_else(|| ApiError::not_found("Agent not found"))?),
        None => None,
    };
    let mut spaces = Vec::new();
    for agent in named.map_or_else(|| snapshot.agents.iter().collect(), |agent| vec![agent]) {
        let memory = agent.manifest.memory.as_ref().filter(|memory| recalls_by_meaning(&memory.more));
        let Some(memory) = memory else {
            if named.is_some() {
                return Err(ApiError::bad_request("this agent does not recall by meaning: turn semanticRecall on"));
            }
            continue;
        };
        let space = semantic.space(memory).map_err(|error| ApiError::bad_request(error.to_string()))?;
        if !spaces.contains(&space) {
            spaces.push(space);
        }
    }
    // Requests may have turned it on for agents that do not.
    if named.is_none()
        && let Ok(usual) = semantic.space(&MemoryOptions::default())
        && !spaces.contains(&usual)
        && semantic.spaces().await?.iter().any(|state| state.space == usual)
    {
        spaces.push(usual);
    }
    for space in &spaces {
        semantic.renew(space).await?;
    }
    Ok(Json(RenewResponse { embedders: spaces.into_iter().map(|space| space.embedder).collect() }))
}
