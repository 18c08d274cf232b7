//! From the bytes of an answer to its events.
//!
//! Owns the framing: server-sent events, or one JSON document from a server that does
//! not stream. Errors inside the answer become failures here.

use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde::Deserialize;
use serde_json::Value;
use sse_stream::SseStream;

use crate::model::{
    ModelError,
    retry::Failure,
    transport::{Destination, excerpt},
};

/// An answer in one document is not longer.
const LONGEST_DOCUMENT: usize = 64 << 20;

/// One event of an answer.
#[derive(Debug)]
pub(super) enum Event {
    /// A piece of the answer.
    Chunk(Box<Chunk>),
    /// The server says that this was all.
    Done,
}

/// The events of one answer; ends after a failure.
pub(super) type Events = BoxStream<'static, Result<Event, Failure>>;

/// A `chat.completion.chunk`, or a whole `chat.completion`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    /// The server's name for the answer.
    pub(super) id: Option<String>,
    /// Seconds since 1970; some servers send a fraction.
    pub(super) created: Option<f64>,
    /// The model that answers.
    pub(super) model: Option<String>,
    /// Empty in the chunk with the usage.
    pub(super) choices: Option<Vec<Choice>>,
    /// In the last chunk, in every chunk, or `null`.
    pub(super) usage: Option<Usage>,
}

/// One of the answers; we only ask for one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    /// What a stream adds.
    pub(super) delta: Option<Delta>,
    /// The same, whole, from a server that does not stream.
    pub(super) message: Option<Delta>,
    /// Why it ended.
    pub(super) finish_reason: Option<String>,
}

/// What a chunk adds to the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    /// A text, or a list of parts.
    pub(super) content: Value,
    /// vLLM and llama.cpp call it so,
    pub(super) reasoning_content: Option<String>,
    /// Ollama and some hosted providers so.
    pub(super) reasoning: Option<String>,
    /// Why the model will not answer.
    pub(super) refusal: Option<String>,
    /// Pieces of calls.
    pub(super) tool_calls: Option<Vec<CallDelta>>,
}

/// What a chunk adds to a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallDelta {
    /// Which call of the answer; some servers leave it out.
    pub(super) index: Option<u64>,
    /// In the call's first piece, if anywhere.
    pub(super) id: Option<String>,
    /// Name and arguments.
    pub(super) function: Option<FunctionDelta>,
}

/// What a chunk adds to a call's name and arguments.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionDelta {
    /// In the call's first piece.
    pub(super) name: Option<String>,
    /// JSON text, in pieces; an object from some servers.
    pub(super) arguments: Value,
}

/// What the answer cost. Counts are read leniently: a server's oddity here must not
/// cost the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) prompt_tokens: Value,
    pub(super) completion_tokens: Value,
    pub(super) total_tokens: Value,
    pub(super) prompt_tokens_details: Value,
    pub(super) completion_tokens_details: Value,
    pub(super) prompt_cache_hit_tokens: Value,
}

/// Recognises by the first byte whether the answer streams: what servers say in
/// `content-type` is less reliable.
pub(super) async fn read(
    to: Destination,
    mut chunks: BoxStream<'static, Result<Bytes, ModelError>>,
) -> Result<Events, Failure> {
    let mut head = BytesMut::new();
    loop {
        match head.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[') => return document(&to, head, chunks).await,
            Some(_) => break,
            None => match chunks.next().await {
                Some(Ok(chunk)) => head.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(lost_before_first_event(error)),
                None => return Err(Failure::passing(to.broken_off("it was empty"))),
            },
        }
    }
    // An event is only complete with the empty line after it, which some servers
    // leave out at the end.
    let end = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    let bytes = stream::iter([Ok(head.freeze())]).chain(chunks).chain(end).boxed();
    let sse = SseStream::from_bytes_stream(bytes).boxed();
    Ok(stream::unfold(Some(sse), move |state| {
        let to = to.clone();
        async move {
            let mut sse = state?;
            loop {
                let event = match sse.next().await? {
                    Ok(event) => event,
                    Err(error) => return Some((Err(unreadable(&to, error)), None)),
                };
                // A keep-alive may be an event without content.
                let Some(data) = event.data.filter(|data| !data.trim().is_empty()) else { continue };
                if data.trim() == "[DONE]" {
                    // The end of the body is usually there already; reading it lets
                    // the connection be used again.
                    drop(futures::FutureExt::now_or_never(sse.next()));
                    return Some((Ok(Event::Done), None));
                }
                return Some(match event_of(&to, &data) {
                    Ok(chunk) => (Ok(chunk), Some(sse)),
                    Err(failure) => (Err(failure), None),
                });
            }
        }
    })
    .boxed())
}

/// Reads an answer that came in one piece.
async fn document(
    to: &Destination,
    mut body: BytesMut,
    mut chunks: BoxStream<'static, Result<Bytes, ModelError>>,
) -> Result<Events, Failure> {
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(lost_before_first_event)?);
        if body.len() > LONGEST_DOCUMENT {
            return Err(Failure::last(to.garbled("a document without end")));
        }
    }
    let text = std::str::from_utf8(&body)
        .map_err(|error| Failure::last(to.garbled(format_args!("a document that is not text: {error}"))))?;
    let chunk = event_of(to, text)?;
    Ok(stream::iter([Ok(chunk), Ok(Event::Done)]).boxed())
}

/// Reads one JSON document of an answer.
fn event_of(to: &Destination, data: &str) -> Result<Event, Failure> {
    let odd = |error: serde_json::Error| {
        Failure::last(to.garbled(format_args!("what is not a chat completion ({error}): {}", excerpt(data))))
    };
    let document: Value = serde_json::from_str(data).map_err(odd)?;
    if let Some(error) = document.get("error").filter(|error| !error.is_null()) {
        return Err(to.error_document(error));
    }
    let is_completion = ["choices", "usage", "id"].iter().any(|field| document.get(field).is_some());
    if !is_completion {
        // vLLM and others: {"object":"error","message":...,"code":...}
        if document.get("message").is_some() {
            return Err(to.error_document(&document));
        }
        return Err(Failure::last(to.garbled(format_args!("what is not a chat completion: {}", excerpt(data)))));
    }
    Ok(Event::Chunk(Box::new(serde_json::from_value(document).map_err(odd)?)))
}

/// Says what an error below the events means.
fn unreadable(to: &Destination, error: sse_stream::Error) -> Failure {
    match error {
        sse_stream::Error::Body(error) => match error.downcast::<ModelError>() {
            Ok(error) => lost_before_first_event(*error),
            Err(error) => Failure::last(to.broken_off(&error.to_string())),
        },
        error => Failure::last(to.garbled(format_args!("what is not an event stream: {error}"))),
    }
}

/// A connection that was lost may hold next time; a limit that was passed would be
/// passed again.
fn lost_before_first_event(error: ModelError) -> Failure {
    if matches!(error, ModelError::Unavailable { .. }) { Failure::passing(error) } else { Failure::last(error) }
}
