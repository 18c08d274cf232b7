//! Frames to the host, and the requests whose answers come back.

use std::{
    collections::HashMap,
    io::Write,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::LEFT_ALONE;
use crate::plugin::{
    frames::{self, Ended, Kind, WINDOW},
    process,
};

/// The way to the host.
pub(super) struct Connection {
    // Held while one frame is written. The host always reads, so this does not take long.
    socket: Mutex<UnixStream>,
    /// Requests the host has not answered. Held for one line.
    requests: Mutex<HashMap<u64, Waiting>>,
    next: AtomicU64,
}

struct Waiting {
    answer: oneshot::Sender<Ended>,
    /// Absent if nobody reads chunks. The host sends no more than fit.
    chunks: Option<mpsc::Sender<Bytes>>,
}

/// A request under way; dropping it gives it up.
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) answer: oneshot::Receiver<Ended>,
    connection: Arc<Connection>,
}

impl Connection {
    pub(super) fn new(socket: UnixStream) -> Arc<Self> {
        Arc::new(Self { socket: Mutex::new(socket), requests: Mutex::default(), next: AtomicU64::new(1) })
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame. If the host is gone the process ends.
    pub(super) fn write(&self, frame: &[u8]) {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.write_all(frame).is_err() {
            process::leave(LEFT_ALONE);
        }
    }

    /// Returns an id no other request or span of this process has.
    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits for the answer of a request that is about to be sent; its chunks go to the receiver.
    pub(super) fn expect(self: &Arc<Self>, streams: bool) -> (Request, Option<mpsc::Receiver<Bytes>>) {
        let id = self.next();
        let (give, answer) = oneshot::channel();
        let (chunks, receiver) = if streams {
            let (sender, receiver) = mpsc::channel(WINDOW);
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        self.requests().insert(id, Waiting { answer: give, chunks });
        (Request { id, answer, connection: Arc::clone(self) }, receiver)
    }

    /// Hands an answer over.
    pub(super) fn answered(&self, request: u64, ended: Ended) {
        let waiting = self.requests().remove(&request);
        if let Some(Waiting { answer, chunks }) = waiting {
            // The end of the stream is the end of the sender.
            drop(chunks);
            // The plugin may have given it up meanwhile.
            drop(answer.send(ended));
        }
    }

    /// Hands a chunk over. There is room: the host counts.
    pub(super) fn chunk(&self, request: u64, chunk: Bytes) {
        if let Some(Waiting { chunks: Some(chunks), .. }) = self.requests().get(&request) {
            drop(chunks.try_send(chunk));
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let waiting = self.connection.requests().remove(&self.id);
        if waiting.is_some() {
            self.connection.write(&frames::frame(Kind::GiveUp, self.id, &[]));
        }
    }
}
