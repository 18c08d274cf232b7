//! Calls in the plugin's process: each is a future on the pool until it has answered or is dropped.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    time::Duration,
};

use async_task::Task;
use bytes::Bytes;
use futures::FutureExt;
use hotbay_plugin::{
    Error,
    abi::{
        CallCtx, ChunkSink, ChunkSink_TO, SinkArc,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RArc, ROption, RSlice, RVec},
        },
        async_ffi::{FfiFuture, FutureExt as _},
        push,
    },
    error::code,
};
use tokio::sync::Semaphore;

use super::connection::Connection;
use crate::plugin::{
    bridge::{Answer, Components, Failure},
    frames::{self, Called, Ended, Garbage, Kind, MAX_BODY, Spoken, WINDOW},
    pool::{Lane, PluginPool, Stopped, panic_message},
};

/// Everything that is called in this process.
pub(super) struct Calls {
    pub(super) connection: Arc<Connection>,
    pub(super) pool: PluginPool,
    pub(super) lane: Arc<Lane>,
    /// Set once the plugin is open; the host calls nothing before.
    components: OnceLock<Mutex<Option<Arc<Components>>>>,
    /// Held for a few lines, and while one is started.
    running: Mutex<HashMap<u64, Running>>,
}

struct Running {
    /// Dropping it cancels the call.
    task: Task<Result<(), Stopped>>,
    /// Chunks the host has room for, if anybody reads them.
    credit: Option<Arc<Semaphore>>,
}

impl Calls {
    pub(super) fn new(connection: Arc<Connection>, pool: PluginPool, lane: Arc<Lane>) -> Arc<Self> {
        Arc::new(Self { connection, pool, lane, components: OnceLock::new(), running: Mutex::default() })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the open plugin.
    pub(super) fn serve(&self, components: Components) {
        // There is one opening in the life of the process.
        let _first = self.components.set(Mutex::new(Some(Arc::new(components))));
    }

    fn components(&self) -> Option<Arc<Components>> {
        self.components.get()?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a call.
    pub(super) fn begin(self: &Arc<Self>, id: u64, body: Bytes) -> Result<(), Garbage> {
        let Called { target, deadline_ms, streams, body, vectors, meta } = Called::read(body)?;
        let mut answering = Answering { calls: Arc::clone(self), id, is_answered: false };
        let Some(components) = self.components() else {
            let error = Error::with_code(code::UNAVAILABLE, "the plugin was shut down");
            answering.answer(Err(Failure::Plugin(error.retryable())));
            return Ok(());
        };
        let credit = streams.then(|| Arc::new(Semaphore::new(WINDOW)));
        let sink = credit.as_ref().map(|credit| {
            let sink = Sink { connection: Arc::clone(&self.connection), id, credit: Arc::clone(credit) };
            ChunkSink_TO::from_ptr(RArc::new(sink), TD_Opaque)
        });
        let blocking = components.is_blocking(&target);
        let work =
            async move {
                let ctx = CallCtx {
                    call_id: id,
                    deadline_ms,
                    sink: sink.map_or(ROption::RNone, ROption::<SinkArc>::RSome),
                    meta_json: RVec::from(meta.to_vec()),
                };
                // Boxed so that it is gone before its answer is sent: then nothing of the call is left.
                let call = Box::pin(components.run(target, ctx, body.to_vec(), vectors));
                let answer = AssertUnwindSafe(call).catch_unwind().await;
                answering.answer(answer.unwrap_or_else(|panic| {
                    Err(Failure::Plugin(Error::with_code(code::PANIC, panic_message(&*panic))))
                }));
            };
        // Held until the task is in: it takes itself out.
        let mut running = self.running();
        let task = self.pool.spawn(&self.lane, id, blocking, work);
        running.insert(id, Running { task, credit });
        Ok(())
    }

    /// Drops a call; one that has answered already is not there any more.
    pub(super) fn cancel(&self, id: u64) {
        let running = self.running().remove(&id);
        if let Some(Running { task, credit }) = running {
            if let Some(credit) = credit {
                credit.close();
            }
            drop(task);
        }
    }

    /// The host has taken chunks of a call's stream.
    pub(super) fn credit(&self, id: u64, chunks: usize) {
        if let Some(Running { credit: Some(credit), .. }) = self.running().get(&id) {
            credit.add_permits(chunks.min(WINDOW));
        }
    }

    /// Nobody reads a call's stream any more.
    pub(super) fn closed(&self, id: u64) {
        if let Some(Running { credit: Some(credit), .. }) = self.running().get(&id) {
            credit.close();
        }
    }

    /// Ends what the plugin has running; returns when it has, or after `deadline`.
    pub(super) fn shut_down(&self, deadline: Duration) {
        let components = self.components.get().and_then(|it| it.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(components) = components else { return };
        // The host has cancelled them, or has lost patience.
        let left = std::mem::take(&mut *self.running());
        drop(left);
        let (done, ended) = mpsc::sync_channel(1);
        let work = async move {
            let ended = AssertUnwindSafe(components.shut_down(deadline)).catch_unwind().await;
            // Dropped here, on the pool, since it is the plugin's code.
            drop(components);
            let ended = ended.unwrap_or_else(|panic| Err(Error::new(panic_message(&*panic))));
            // Nobody may be waiting any more.
            drop(done.send(ended));
        };
        self.pool.spawn(&self.lane, 0, true, work).detach();
        if let Ok(Err(error)) = ended.recv_timeout(deadline) {
            let spoken = Spoken {
                level: 40,
                target: String::from("runner"),
                message: format!("the plugin's shutdown failed: {}", error.message),
                fields: Bytes::new(),
            };
            self.connection.write(&spoken.frame(0));
        }
    }
}

/// What is owed to the host for a call: an answer, or the news that nothing is left of it.
struct Answering {
    calls: Arc<Calls>,
    id: u64,
    is_answered: bool,
}

impl Answering {
    fn answer(&mut self, answer: Answer) {
        self.is_answered = true;
        let running = self.calls.running().remove(&self.id);
        if let Some(running) = running {
            // It runs this very line; what is left of it is its end.
            running.task.detach();
        }
        self.calls.connection.write(&Ended(answer).frame(Kind::Reply, self.id));
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.is_answered {
            self.calls.connection.write(&frames::frame(Kind::Gone, self.id, &[]));
        }
    }
}

/// The stream of one call, as the plugin writes to it.
#[derive(Clone)]
struct Sink {
    connection: Arc<Connection>,
    id: u64,
    credit: Arc<Semaphore>,
}

impl ChunkSink for Sink {
    fn push(&self, chunk: RSlice<'_, u8>) -> u8 {
        let Ok(permit) = self.credit.try_acquire() else {
            return if self.credit.is_closed() { push::CLOSED } else { push::FULL };
        };
        permit.forget();
        if chunk.len() > MAX_BODY {
            // There is no way to send it, now or later.
            self.credit.close();
            return push::CLOSED;
        }
        self.connection.write(&frames::frame(Kind::Chunk, self.id, chunk.as_slice()));
        push::OK
    }

    fn ready(&self) -> FfiFuture<bool> {
        let credit = Arc::clone(&self.credit);
        // The permit goes back at once: the plugin pushes, it does not hold places.
        async move { credit.acquire().await.is_ok() }.into_ffi()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_plugin_may_send_as_many_chunks_as_the_host_has_room_for() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let credit = Arc::new(Semaphore::new(WINDOW));
        let sink = Sink { connection: Connection::new(ours), id: 1, credit: Arc::clone(&credit) };
        let push = || sink.push(RSlice::from_slice(b"1"));
        let sent = (0..WINDOW * 2).filter(|_| push() == push::OK).count();
        assert_eq!((sent, push()), (WINDOW, push::FULL));
        credit.add_permits(1);
        assert_eq!((push(), push()), (push::OK, push::FULL));
        credit.close();
        assert_eq!(push(), push::CLOSED);
    }
}
