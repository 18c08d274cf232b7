//! The transport before Streamable HTTP: one stream of events to the client, each of its messages a
//! request of its own.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use rmcp::model::ClientJsonRpcMessage;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{guard, unknown_server};
use crate::{
    app::AppState,
    http::{
        error::{ApiError, Invalid},
        extract::{Body, PathId, Query},
        sse,
    },
};

/// How often a silent stream says that it is there. A client that is gone is noticed by it.
const ALIVE: Duration = Duration::from_secs(15);

/// Which session a message is for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct MessageQuery {
    /// The session.
    #[serde(default)]
    session_id: Option<String>,
}

/// Any JSON document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(in crate::http) struct Message(Value);

/// Begins a session and streams what it says.
pub(in crate::http) async fn open(
    State(app): State<AppState>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    guard::check(&app.config, &headers)?;
    app.mcp.catalog(&id).ok_or_else(|| unknown_server(&id))?;
    let Some((session, messages)) = app.mcp.open_legacy(&id) else {
        let message = format!("MCP server '{id}' has as many sessions as it may have; try again later");
        return Err(ApiError::too_many(message, ALIVE));
    };
    let prefix = app.config.prefix.trim_end_matches('/');
    let endpoint = frame("endpoint", &format!("{prefix}/mcp/{id}/messages?sessionId={session}"));
    let messages = messages.map(|message| frame("message", &serde_json::to_string(&message).unwrap_or_default()));
    let frames = stream::once(async { endpoint }).chain(kept_alive(messages));
    Ok(sse::events(frames))
}

/// Takes a message of a session's client; what it is answered comes with the stream.
pub(in crate::http) async fn messages(
    State(app): State<AppState>,
    PathId(id): PathId,
    headers: HeaderMap,
    Query(query): Query<MessageQuery>,
    Body(Message(message)): Body<Message>,
) -> Result<Response, ApiError> {
    guard::check(&app.config, &headers)?;
    app.mcp.catalog(&id).ok_or_else(|| unknown_server(&id))?;
    let Some(session) = query.session_id else {
        return Ok((StatusCode::BAD_REQUEST, "No sessionId provided").into_response());
    };
    let no_session = format!("No transport found for sessionId {session}");
    if !app.mcp.has_legacy(&id, &session) {
        return Ok((StatusCode::BAD_REQUEST, no_session).into_response());
    }
    let message: ClientJsonRpcMessage = serde_json::from_value(message)
        .map_err(|_| ApiError::invalid_field(Invalid::Body, "body", "Invalid JSON-RPC message"))?;
    if !app.mcp.tell_legacy(&id, &session, message).await {
        return Ok((StatusCode::BAD_REQUEST, no_session).into_response());
    }
    Ok((StatusCode::ACCEPTED, "Accepted").into_response())
}

fn frame(event: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {event}\ndata: {data}\n\n"))
}

/// Puts comments into the silences of a stream.
fn kept_alive(
    frames: impl futures::Stream<Item = Bytes> + Send + 'static,
) -> impl futures::Stream<Item = Bytes> + Send {
    stream::unfold(Box::pin(frames), |mut frames| async move {
        let frame = match tokio::time::timeout(ALIVE, frames.next()).await {
            Ok(frame) => frame?,
            Err(_) => Bytes::from_static(b": alive\n\n"),
        };
        Some((frame, frames))
    })
}
