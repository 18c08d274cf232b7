//! Server-sent events: the headers of a stream. What the events are is their maker's affair.

use std::convert::Infallible;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::header;
use tracing::Span;

/// The content type of server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Answers with a stream of events, each item one or more whole frames.
///
/// The stream is dropped when the client goes away. What happens in it happens in the span
/// of its request.
pub(super) fn events(frames: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx would hold frames back until its buffer is full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let (mut frames, span) = (Box::pin(frames), Span::current());
    let frames = stream::poll_fn(move |context| span.in_scope(|| frames.as_mut().poll_next(context)));
    (headers, Body::from_stream(frames.map(Ok::<_, Infallible>))).into_response()
}
