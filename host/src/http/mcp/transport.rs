//! Streamable HTTP: both generations of the protocol at one address.
//!
//! The protocol itself is spoken by [`crate::mcp::Service`]; here requests come in, and what it refuses
//! is put into the protocol's own words by [`super::refusal`].

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::Full;
use serde_json::Value;

use super::{guard, refusal, unknown_server};
use crate::{
    app::AppState,
    http::{error::ApiError, extract::PathId, sse::EVENT_STREAM},
};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The first version without sessions.
const WITHOUT_SESSIONS: &str = "2026-07-28";
/// The first version whose streams begin with an event that says nothing, to come back to.
const WITH_PRIMING: &str = "2025-11-25";
/// What a client speaks that does not say.
const UNSAID: &str = "2025-03-26";

/// Speaks MCP with a client.
pub(in crate::http) async fn speak(
    State(app): State<AppState>,
    PathId(id): PathId,
    request: Request,
) -> Result<Response, ApiError> {
    guard::check(&app.config, request.headers())?;
    let service = app.mcp.service(&id).ok_or_else(|| unknown_server(&id))?;
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, app.config.body_limit).await else {
        return Ok(refusal::too_large());
    };
    let (method, session) = (parts.method.clone(), parts.headers.get(SESSION).cloned());
    let primes = *version(&parts, &body) >= *WITH_PRIMING;
    let is_first = may_begin_session(&parts);
    let request = http::Request::from_parts(parts, Full::new(body.clone()));
    let response = if is_first {
        let answer = service.answer_first(request, app.config.mcp.max_sessions).await;
        answer.ok_or_else(|| {
            let message = format!("MCP server '{id}' has as many sessions as it may have; try again later");
            ApiError::too_many(message, Duration::from_secs(30))
        })?
    } else {
        service.answer(request).await
    };
    let response = response.map(Body::new);
    let mut response = response.into_response();
    if response.status() == StatusCode::ACCEPTED {
        let status = if method == Method::DELETE { StatusCode::OK } else { StatusCode::ACCEPTED };
        response = (status, "").into_response();
    } else if is_a(response.headers(), EVENT_STREAM) {
        dress(response.headers_mut(), session);
        if !primes {
            response = without_priming(response);
        }
    } else if !response.status().is_success() && !is_a(response.headers(), "application/json") {
        response = refusal::of(response, &method, &body).await;
    }
    Ok(response)
}

/// A request of the older protocol without a session may be the first of one.
fn may_begin_session(request: &Parts) -> bool {
    let version = request.headers.get(VERSION).and_then(|version| version.to_str().ok());
    request.method == Method::POST
        && !request.headers.contains_key(SESSION)
        && version.is_none_or(|version| version < WITHOUT_SESSIONS)
}

/// Returns the version a request speaks. Only the first one of a session says so in its body.
fn version(request: &Parts, body: &[u8]) -> Box<str> {
    if let Some(version) = request.headers.get(VERSION) {
        return version.to_str().unwrap_or(UNSAID).into();
    }
    let message: Value = match request.headers.get(SESSION) {
        None => serde_json::from_slice(body).unwrap_or_default(),
        Some(_) => Value::Null,
    };
    message["params"]["protocolVersion"].as_str().unwrap_or(UNSAID).into()
}

fn is_a(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(media_type.as_bytes()))
}

/// Tells proxies to pass a stream on as it comes, and the client which session it is.
fn dress(headers: &mut HeaderMap, session: Option<HeaderValue>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    if let Some(session) = session {
        headers.entry(SESSION).or_insert(session);
    }
}

/// Leaves out the event that says nothing: a client that does not know it takes it for a message.
fn without_priming(response: Response) -> Response {
    response.map(|body| {
        let mut is_first = true;
        let frames = body.into_data_stream().map(move |frame| {
            let was_first = std::mem::take(&mut is_first);
            frame.map(|frame| if was_first { cut(&frame) } else { frame })
        });
        Body::from_stream(frames)
    })
}

/// Cuts an event without data off the beginning.
fn cut(frame: &Bytes) -> Bytes {
    let Some(end) = frame.windows(2).position(|pair| pair == b"\n\n") else { return frame.clone() };
    let event = frame.slice(..end);
    let says_nothing = event
        .split(|byte| *byte == b'\n')
        .all(|line| !line.starts_with(b"data:") || line[b"data:".len()..].trim_ascii().is_empty());
    let is_comment = event.starts_with(b":");
    if says_nothing && !is_comment { frame.slice(end + 2..) } else { frame.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frame: &'static str, expected: &str) {
        assert_eq!(cut(&Bytes::from_static(frame.as_bytes())), expected.as_bytes());
    }

    #[test]
    fn only_an_event_that_says_nothing_is_cut_off() {
        check("id: 0\nretry: 3000\ndata: \n\n", "");
        check("id: 0\nretry: 3000\ndata:\n\nid: 1\ndata: {}\n\n", "id: 1\ndata: {}\n\n");
        check("id: 1\ndata: {}\n\n", "id: 1\ndata: {}\n\n");
        check(": alive\n\n", ": alive\n\n");
        check("data: cut o", "data: cut o");
    }
}
