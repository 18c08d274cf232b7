//! Server-sent events: the headers of a stream. What the events are is their maker's affair.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header;

/// The content type of server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Answers with a stream of events, each item one or more whole frames.
///
/// The stream is dropped when the client goes away.
pub(super) fn events(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx would hold frames back until its buffer is full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(frames.map(Ok::<_, std::convert::Infallible>))).into_response()
}
