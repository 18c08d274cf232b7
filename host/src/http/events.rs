//! `GET /events`: what happens in the host, as it happens, as server-sent events.
//!
//! Every event is `id: EPOCH-NUMBER`, `event: KIND` and one JSON object as `data`. A comment
//! comes when a reader is let in and whenever nothing else came for a while; it has an id as
//! well, so that a reader who sees few events comes back to the right place.
//!
//! The last event, `error`, comes if the token a reader has shown lets nobody in any more.
//!
//! A reader has one piece of the stream under way at most: the next one is made once the socket
//! has taken it. One who does not read costs that piece, and later a `gap`.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    error::{ApiError, Invalid},
    extract::Query,
    lapse::{self, Farewell},
    sse,
};
use crate::{
    app::AppState,
    observe::events::{Batch, EventFilter, EventId, From, Gap, Published, Subscription},
    types::{
        event::{EventField, EventKind},
        id::Millis,
        log::Level,
    },
};

/// How long nothing comes before a comment does, if the reader does not say.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The header browsers send when they come back.
const LAST_EVENT_ID: &str = "last-event-id";

/// Which events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventsQuery {
    /// Kinds of events, several times or with commas between them; all if there is none: `run`,
    /// `step`, `message`, `span`, `log`, `plugin`.
    #[serde(default)]
    kind: Vec<String>,
    /// Those of a run.
    #[serde(default)]
    run_id: Option<String>,
    /// Those of a thread.
    #[serde(default)]
    thread_id: Option<String>,
    /// A plugin's.
    #[serde(default)]
    plugin: Option<String>,
    /// Those that matter at least so much.
    #[serde(default)]
    level: Option<LeastLevel>,
    /// The event after which to go on, for clients that cannot send the header `Last-Event-ID`.
    #[serde(default)]
    last_event_id: Option<String>,
    /// After how many seconds without an event a comment comes, from 1 to 60; 15 if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60))]
    heartbeat: Option<u32>,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LeastLevel {
    /// Whatever it is.
    Debug,
    /// The day's story.
    Info,
    /// Degraded, but carried on.
    Warn,
    /// Something failed.
    Error,
    /// The end.
    Fatal,
}

/// Streams what happens.
pub(super) async fn watch(
    State(app): State<AppState>,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    let filter = filter(&query)?;
    let heartbeat = query.heartbeat.map_or(HEARTBEAT, |seconds| Duration::from_secs(seconds.into()));
    let header = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or_default());
    let from = from(header.or(query.last_event_id.as_deref()));
    let subscription = app.observe.recorder().events().subscribe(filter, from);
    let frames = stream::unfold(Reader::new(subscription, heartbeat), Reader::next);
    let frames = sse::events(frames.take_until(app.tasks.token().cancelled_owned()));
    Ok((Extension(farewell()), frames).into_response())
}

fn filter(query: &EventsQuery) -> Result<EventFilter, ApiError> {
    let names = query.kind.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty());
    let kinds = names.map(|name| {
        EventKind::parse(name).ok_or_else(|| {
            let known = EventKind::ALL.map(EventKind::as_str).join(", ");
            ApiError::invalid_field(Invalid::Query, "kind", format!("There is no kind `{name}`; there are {known}"))
        })
    });
    let level = query.level.map(|level| match level {
        LeastLevel::Debug => Level::Debug,
        LeastLevel::Info => Level::Info,
        LeastLevel::Warn => Level::Warn,
        LeastLevel::Error => Level::Error,
        LeastLevel::Fatal => Level::Fatal,
    });
    Ok(EventFilter {
        kinds: kinds.collect::<Result<_, _>>()?,
        run_id: query.run_id.clone(),
        thread_id: query.thread_id.clone(),
        plugin: query.plugin.clone(),
        level,
    })
}

/// Returns where a reader begins who has seen the event of this id.
fn from(last: Option<&str>) -> From {
    match last.filter(|last| !last.is_empty()) {
        None => From::Now,
        // An id nobody reads was another host's: a browser that is refused would not come back.
        Some(last) => EventId::parse(last).map_or(From::Oldest, From::After),
    }
}

/// Who reads, and what was sent.
struct Reader {
    subscription: Subscription,
    heartbeat: Duration,
    /// Its permit is with what the socket has not taken.
    socket: Arc<Semaphore>,
    is_new: bool,
}

/// A piece of the stream; gone once the socket has taken it.
struct Piece {
    bytes: Vec<u8>,
    _socket: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reader {
    fn new(subscription: Subscription, heartbeat: Duration) -> Self {
        Self { subscription, heartbeat, socket: Arc::new(Semaphore::new(1)), is_new: true }
    }

    async fn next(mut self) -> Option<(Bytes, Self)> {
        let socket = Arc::clone(&self.socket).acquire_owned().await.ok()?;
        let bytes = if std::mem::take(&mut self.is_new) {
            comment(self.subscription.place())
        } else {
            match tokio::time::timeout(self.heartbeat, self.subscription.next()).await {
                Ok(batch) => frames(&batch, self.subscription.place()),
                Err(_) => comment(self.subscription.place()),
            }
        };
        self.subscription.sent(bytes.len());
        Some((Bytes::from_owner(Piece { bytes, _socket: socket }), self))
    }
}

fn comment(place: EventId) -> Vec<u8> {
    format!(": here\nid: {place}\n\n").into_bytes()
}

fn frames(batch: &Batch, place: EventId) -> Vec<u8> {
    let mut frames = Vec::new();
    if let Some(gap) = batch.gap {
        // Its place is before what follows.
        let number = batch.events.first().map_or(place.number, |published| published.number - 1);
        frames.extend(gap_frame(gap, EventId { number, ..place }));
    }
    for published in &batch.events {
        frames.extend_from_slice(published.words(|published| frame(published, place.epoch)));
    }
    frames
}

fn farewell() -> Farewell {
    let data = json!({"kind": "error", "type": "lapsed", "message": lapse::SENTENCE});
    Farewell(format!("event: error\ndata: {data}\n\n").into())
}

fn gap_frame(gap: Gap, id: EventId) -> Vec<u8> {
    let (what, missed) = match gap {
        Gap::Missed(missed) => ("missed", Value::from(missed)),
        Gap::Restarted => ("restarted", Value::Null),
    };
    let data = json!({"kind": "gap", "type": what, "time": Millis::now().iso(), "missed": missed});
    format!("id: {id}\nevent: gap\ndata: {data}\n\n").into_bytes()
}

fn frame(published: &Published, epoch: u64) -> Bytes {
    let event = &published.event;
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
    put("kind", event.kind.as_str().into());
    put("type", event.what.into());
    put("time", event.time.iso().into());
    put("level", event.level.as_str().into());
    for (name, id) in [("runId", &event.run_id), ("threadId", &event.thread_id), ("plugin", &event.plugin)] {
        if let Some(id) = id {
            put(name, Value::from(&**id));
        }
    }
    for (name, value) in &event.fields {
        let value = match value {
            EventField::Word(word) => Value::from(*word),
            EventField::Text(text) => Value::from(&**text),
            EventField::Number(number) => Value::from(*number),
        };
        put(name, value);
    }
    let id = EventId { epoch, number: published.number };
    Bytes::from(format!("id: {id}\nevent: {}\ndata: {}\n\n", event.kind.as_str(), Value::Object(data)))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{observe::events::Events, types::event::Event};

    fn reader(events: &Events) -> Reader {
        Reader::new(events.subscribe(EventFilter::default(), From::Now), HEARTBEAT)
    }

    #[tokio::test]
    async fn nothing_is_made_before_the_socket_has_taken_what_was() {
        let events = Events::default();
        let mut frames = Box::pin(stream::unfold(reader(&events), Reader::next));
        let first = frames.next().await.unwrap();
        events.publish(|| Event::now(EventKind::Run, "began").run(Some("r")));
        assert!(frames.next().now_or_never().is_none(), "the first piece is under way");
        drop(first);
        let second = frames.next().await.unwrap();
        assert!(second.starts_with(b"id: "), "{second:?}");
    }

    #[tokio::test]
    async fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let events = Events::default();
        let mut subscription = events.subscribe(EventFilter::default(), From::Now);
        events.publish(|| {
            Event::now(EventKind::Log, "written").at(Millis(0)).text("message", "two\nlines").number("n", 7)
        });
        let batch = subscription.next().await;
        let text = String::from_utf8(frames(&batch, subscription.place())).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1..],
            [
                "event: log",
                r#"data: {"kind":"log","type":"written","time":"1970-01-01T00:00:00.000Z","level":"info","message":"two\nlines","n":7}"#,
                ""
            ]
        );
    }

    #[test]
    fn an_id_that_cannot_be_read_is_of_another_host() {
        assert_eq!(from(None), From::Now);
        assert_eq!(from(Some("")), From::Now);
        assert_eq!(from(Some("5-7")), From::After(EventId { epoch: 5, number: 7 }));
        assert_eq!(from(Some("what")), From::Oldest);
    }
}
