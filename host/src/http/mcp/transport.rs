//! Streamable HTTP: both generations of the protocol at one address.

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{guard, unknown_server};
use crate::{
    app::AppState,
    http::{error::ApiError, extract::PathId, sse::EVENT_STREAM},
};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The first version without sessions.
const WITHOUT_SESSIONS: &str = "2026-07-28";

/// Speaks MCP with a client.
pub(in crate::http) async fn speak(
    State(app): State<AppState>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    guard::check(&app.config, request.headers())?;
    let service = app.mcp.service(&id).ok_or_else(|| unknown_server(&id))?;
    if may_begin_session(&request) && service.sessions().await >= app.config.mcp.max_sessions {
        let message = format!("MCP server '{id}' has as many sessions as it may have; try again later");
        return Err(ApiError::too_many(message, std::time::Duration::from_secs(30)));
    }
    let session = request.headers().get(SESSION).cloned();
    let mut response = service.answer(request).await.map(Body::new).into_response();
    dress(response.headers_mut(), session);
    Ok(response)
}

/// A request of the older protocol without a session may be the first of one.
fn may_begin_session(request: &Request) -> bool {
    let headers = request.headers();
    let version = headers.get(VERSION).and_then(|version| version.to_str().ok());
    request.method() == Method::POST
        && !headers.contains_key(SESSION)
        && version.is_none_or(|version| version < WITHOUT_SESSIONS)
}

/// Tells proxies to pass a stream on as it comes, and the client which session it is.
fn dress(headers: &mut HeaderMap, session: Option<HeaderValue>) {
    let is_stream =
        headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(EVENT_STREAM.as_bytes()));
    if !is_stream {
        return;
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Some(session) = session {
        headers.entry(SESSION).or_insert(session);
    }
}
