//! A server that speaks whatever a model provider may say, well or badly.
//!
//! Owns the script: each request gets the next [`Reply`], piece by piece. Pauses are
//! gates a test opens, never sleeps. Although it is named after OpenAI's wire it answers
//! on any path, so other wires are served with [`Reply::raw`].

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};

/// A running fake; it stops when it is dropped.
pub struct OpenAiFake {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// A request the fake got.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The client's end of the connection.
    pub peer: SocketAddr,
    /// The path with the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, `Null` if it is not JSON.
    pub body: Value,
}

/// What one request is answered with.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Vec<Piece>,
    never_begins: bool,
}

/// A step of a reply's body.
#[derive(Debug, Clone)]
enum Piece {
    /// Sent as one chunk.
    Bytes(Bytes),
    /// Goes on when the test says so.
    Gate(Arc<Notify>),
    /// Never goes on.
    Stall,
    /// The connection is cut in the middle of the body.
    Cut,
}

struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    requests: watch::Sender<Vec<Recorded>>,
    /// How many replies ended, by their end or because the client went away.
    ended: watch::Sender<usize>,
    /// How many chunks were handed to the connection.
    sent: watch::Sender<usize>,
}

/// Counts a reply as ended when nobody holds it any longer.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}

impl OpenAiFake {
    /// Starts a fake that gives these replies in turn.
    ///
    /// # Panics
    /// Panics if it cannot listen on the loopback address.
    #[expect(clippy::disallowed_methods, reason = "the fake is its task's owner and ends it when dropped")]
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("the loopback address is there");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies.into_iter().collect()),
            requests: watch::Sender::new(Vec::new()),
            ended: watch::Sender::new(0),
            sent: watch::Sender::new(0),
        });
        let app = Router::new()
            .fallback(answer)
            .with_state(shared.clone())
            .into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("serving does not fail");
        });
        Self { address, shared, server }
    }

    /// Returns the address up to and with `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns what was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub async fn asked(&self, count: usize) {
        let mut requests = self.shared.requests.subscribe();
        drop(requests.wait_for(|requests| requests.len() >= count).await);
    }

    /// Waits until so many replies ended, by their end or because the client went away.
    pub async fn ended(&self, count: usize) {
        let mut ended = self.shared.ended.subscribe();
        drop(ended.wait_for(|ended| *ended >= count).await);
    }

    /// Watches how many chunks were handed to connections.
    #[must_use]
    pub fn sent(&self) -> watch::Receiver<usize> {
        self.shared.sent.subscribe()
    }
}

impl Drop for OpenAiFake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Reply {
    /// Returns a well-formed stream of these chunks with `[DONE]` at its end.
    #[must_use]
    pub fn chunks(chunks: impl IntoIterator<Item = Value>) -> Self {
        chunks.into_iter().fold(Self::stream(), Self::chunk).text("data: [DONE]\n\n")
    }

    /// Returns a well-formed answer that says this text.
    #[must_use]
    pub fn says(text: &str) -> Self {
        Self::chunks([delta(json!({ "content": text })), finish("stop")])
    }

    /// Returns an event stream without events.
    #[must_use]
    pub fn stream() -> Self {
        Self { status: 200, headers: Vec::new(), pieces: Vec::new(), never_begins: false }
            .header("content-type", "text/event-stream")
    }

    /// Returns a JSON document.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, "application/json", body.to_string())
    }

    /// Returns any bytes.
    #[must_use]
    pub fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), pieces: vec![Piece::Bytes(body.into())], never_begins: false }
            .header("content-type", content_type)
    }

    /// Returns a reply of which not even the head comes.
    #[must_use]
    pub fn silence() -> Self {
        Self { never_begins: true, ..Self::stream() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds an event with this document.
    #[must_use]
    pub fn chunk(self, chunk: Value) -> Self {
        self.text(format!("data: {chunk}\n\n"))
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn text(mut self, bytes: impl Into<Bytes>) -> Self {
        self.pieces.push(Piece::Bytes(bytes.into()));
        self
    }

    /// Waits here until the gate is notified.
    #[must_use]
    pub fn gate(mut self, gate: &Arc<Notify>) -> Self {
        self.pieces.push(Piece::Gate(gate.clone()));
        self
    }

    /// Says no more from here, but keeps the connection.
    #[must_use]
    pub fn stall(mut self) -> Self {
        self.pieces.push(Piece::Stall);
        self
    }

    /// Cuts the connection here.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.pieces.push(Piece::Cut);
        self
    }

    /// Sends everything in chunks of so many bytes, also through the middle of a letter.
    #[must_use]
    pub fn split(mut self, size: usize) -> Self {
        let cut_up = |piece: Piece| match piece {
            Piece::Bytes(bytes) => {
                bytes.chunks(size).map(|part| Piece::Bytes(Bytes::copy_from_slice(part))).collect::<Vec<_>>()
            }
            other => vec![other],
        };
        self.pieces = self.pieces.into_iter().flat_map(cut_up).collect();
        self
    }
}

/// Returns a chunk that adds this to the answer.
#[must_use]
pub fn delta(delta: Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": null }],
    })
}

/// Returns the chunk that says why the answer ended.
#[must_use]
pub fn finish(reason: &str) -> Value {
    let mut chunk = delta(json!({}));
    chunk["choices"][0]["finish_reason"] = reason.into();
    chunk
}

/// Returns the chunk with the usage.
#[must_use]
pub fn usage(usage: Value) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage })
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let ending = Ending(shared.clone());
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let recorded = Recorded {
        peer,
        path: head.uri.to_string(),
        headers: head.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    shared.requests.send_modify(|requests| requests.push(recorded));
    let reply = shared.replies.lock().expect("nobody panics with the lock").pop_front();
    let reply = reply.unwrap_or_else(|| Reply::raw(501, "text/plain", "the fake has no reply left"));
    if reply.never_begins {
        return Box::pin(silence(ending)).await;
    }
    let mut response = Response::new(Body::from_stream(body_of(reply.pieces, ending)));
    *response.status_mut() = StatusCode::from_u16(reply.status).expect("replies have valid statuses");
    for (name, value) in reply.headers {
        let name = name.parse::<axum::http::HeaderName>().expect("replies have valid headers");
        response.headers_mut().insert(name, value.parse().expect("replies have valid headers"));
    }
    response
}

/// Waits until the client goes away, which drops it.
async fn silence(_ending: Ending) -> Response {
    let never: Infallible = std::future::pending().await;
    match never {}
}

fn body_of(pieces: Vec<Piece>, ending: Ending) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold((VecDeque::from(pieces), ending), |(mut pieces, ending)| async move {
        loop {
            match pieces.pop_front()? {
                Piece::Bytes(bytes) => {
                    ending.0.sent.send_modify(|sent| *sent += 1);
                    return Some((Ok(bytes), (pieces, ending)));
                }
                Piece::Gate(gate) => gate.notified().await,
                Piece::Stall => std::future::pending().await,
                // The chunk before it is still on its way: yield so that it leaves first.
                Piece::Cut => {
                    tokio::task::yield_now().await;
                    return Some((Err(io::Error::other("cut")), (pieces, ending)));
                }
            }
        }
    })
    .boxed()
}
