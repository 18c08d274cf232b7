//! What a process asks of the host, and the streams of these requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hotbay_plugin::{Error, error::code};
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};

use super::link::Link;
use crate::plugin::{
    bridge::Failure,
    call::{Reply, ReplyKind},
    frames::{self, Asked, Ended, Garbage, Kind, MAX_BODY, WINDOW},
    services::HostHandle,
};

/// Requests of one process that go on at once; further ones fail.
const MAX_REQUESTS: usize = 1024;

/// Requests that go on, by the process's ids.
#[derive(Default)]
pub(super) struct Requests {
    // Held for a few lines.
    running: Mutex<HashMap<u64, Running>>,
}

struct Running {
    task: AbortHandle,
    /// Chunks the process has room for.
    credit: Arc<Semaphore>,
}

impl Requests {
    fn running(&self) -> MutexGuard<'_, HashMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request.
    pub(super) fn begin(
        self: &Arc<Self>,
        link: &Arc<Link>,
        host: &HostHandle,
        id: u64,
        body: Bytes,
    ) -> Result<(), Garbage> {
        let asked = Asked::read(body)?;
        // Held until the task is in: it takes itself out when it ends.
        let mut running = self.running();
        if running.contains_key(&id) {
            return Err(Garbage::new(format!("request {id} goes on already")));
        }
        if running.len() >= MAX_REQUESTS {
            let error =
                Error::with_code(code::UNAVAILABLE, "the plugin has too many requests under way; wait for some");
            link.push(Ended(Err(Failure::Plugin(error.retryable()))).frame(Kind::Answer, id));
            return Ok(());
        }
        let credit = Arc::new(Semaphore::new(WINDOW));
        let work = perform(Arc::clone(link), host.clone(), id, asked, Arc::clone(&credit));
        let requests = Arc::clone(self);
        let work = async move {
            work.await;
            requests.running().remove(&id);
        };
        running.insert(id, Running { task: host.spawn(work), credit });
        Ok(())
    }

    /// The process does not wait for it any more.
    pub(super) fn give_up(&self, id: u64) {
        if let Some(request) = self.running().remove(&id) {
            request.task.abort();
        }
    }

    /// The process has taken a chunk. More credit than there are chunks on the way is of no use to it.
    pub(super) fn credit(&self, id: u64) {
        if let Some(request) = self.running().get(&id)
            && request.credit.available_permits() < WINDOW
        {
            request.credit.add_permits(1);
        }
    }

    /// The process reads no further chunks.
    pub(super) fn closed(&self, id: u64) {
        if let Some(request) = self.running().get(&id) {
            request.credit.close();
        }
    }

    /// Ends all.
    pub(super) fn end_all(&self) {
        let all = std::mem::take(&mut *self.running());
        all.into_values().for_each(|request| request.task.abort());
    }
}

async fn perform(link: Arc<Link>, host: HostHandle, id: u64, asked: Asked, credit: Arc<Semaphore>) {
    let Asked { call, streams, op, body } = asked;
    let (sender, receiver) = if streams {
        let (sender, receiver) = mpsc::channel(WINDOW);
        (Some(sender), Some(receiver))
    } else {
        (None, None)
    };
    let request = host.begin(call, &op, body.into(), sender);
    let forward = async {
        let Some(mut chunks) = receiver else { return };
        while let Some(chunk) = chunks.recv().await {
            let Ok(permit) = credit.acquire().await else { return };
            permit.forget();
            if chunk.len() > MAX_BODY {
                tracing::warn!(op, bytes = chunk.len(), "a chunk for a plugin is too long and left out");
                continue;
            }
            link.send(frames::frame(Kind::RequestChunk, id, &chunk)).await;
        }
    };
    // The answer is the end of the stream, so every chunk is sent before.
    let (answer, ()) = tokio::join!(request.finish(), forward);
    let answer = answer
        .map(|body| Reply { kind: ReplyKind::Value, body, meta: Vec::new(), vectors: Vec::new() })
        .map_err(Failure::Plugin);
    link.send(Ended(answer).frame(Kind::Answer, id)).await;
}
