//! The connection to one process: calls that are in it, what it asks for, frames in and out.
//!
//! Reading never waits for anybody but the socket: a reader of chunks that is slow has its own
//! small buffer, which the process may not fill beyond its credit. So a process always gets rid of
//! what it has to say, and what one call does holds up no other.

use std::{
    collections::HashMap,
    io,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hotbay_plugin::abi::{
    HostApi,
    abi_stable::std_types::{RSlice, RStr},
    span_op,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

use super::{incoming::Incoming, outbox::Outbox, requests::Requests};
use crate::plugin::{
    call::CallError,
    error::{LoadCode, LoadError},
    frames::{self, Ended, Frame, Garbage, Kind, OpeningFailed, Span, Spoken, WINDOW},
    in_flight::InFlightGuard,
    services::{Entered, HostHandle},
};

/// Spans a process may have open; the host's own limit is per generation.
const MAX_SPANS: usize = 4096;

/// One connection. What is in it fails when it is lost.
pub(super) struct Link {
    /// The process.
    pub(super) pid: u32,
    socket: Arc<UnixStream>,
    outbox: Outbox,
    incoming: Incoming,
    /// What who looked for an answer has found instead. Held for one line.
    found: Mutex<Option<Fault>>,
    /// It has.
    has_found: Notify,
    /// Calls by id; `None` once it is lost. Held for a few lines.
    calls: Mutex<Option<HashMap<u64, Pending>>>,
    /// Calls that were given up, and until when they must be gone. Held for a few lines.
    given_up: Mutex<Vec<(Instant, u64)>>,
    /// There is a further one.
    gave_up: Notify,
    grace: Duration,
    requests: Arc<Requests>,
    host: HostHandle,
    /// The host's ids of spans by the process's. Held for one line.
    spans: Mutex<HashMap<u64, u64>>,
    /// Told once how opening went.
    opening: Mutex<Option<oneshot::Sender<Result<(), LoadError>>>>,
    /// The process says that the plugin has shut down.
    pub(super) down: Notify,
    answered: AtomicU64,
}

/// A call that is in the process, or may be.
pub(super) struct Pending {
    /// Who waits.
    pub(super) news: mpsc::Sender<News>,
    /// Repeating it does no harm.
    pub(super) idempotent: bool,
    /// Dropped when nothing of the call is left in the process.
    pub(super) guard: InFlightGuard,
    /// As long as the process may refer to it.
    pub(super) known: Option<Entered>,
}

/// What a caller hears. There is room for every chunk the process has credit for, and for the end.
pub(super) enum News {
    /// A chunk of its stream.
    Chunk(Bytes),
    /// The end.
    Ended(Ended),
    /// The process is gone.
    Lost(CallError),
}

/// How much news there may be: all chunks of a window, one more that was on its way, the end.
pub(super) const fn room(streams: bool) -> usize {
    if streams { WINDOW + 2 } else { 1 }
}

/// Why a connection does not go on.
#[derive(Debug)]
pub(super) enum Fault {
    /// The process closed it.
    Closed,
    /// The process said what makes no sense.
    Garbage(Garbage),
    /// A call that was given up is still in the process.
    Stuck,
    /// The socket failed.
    Io(io::Error),
}

impl Fault {
    /// The other end is closed as well if it was closed with something in it, or is written to.
    pub(super) fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl Link {
    /// Takes a connection over. Within a runtime.
    pub(super) fn new(
        pid: u32,
        socket: UnixStream,
        host: HostHandle,
        grace: Duration,
        opening: oneshot::Sender<Result<(), LoadError>>,
    ) -> io::Result<Arc<Self>> {
        socket.set_nonblocking(true)?;
        let socket = Arc::new(socket);
        Ok(Arc::new(Self {
            pid,
            incoming: Incoming::new(Arc::clone(&socket))?,
            socket,
            outbox: Outbox::default(),
            found: Mutex::default(),
            has_found: Notify::new(),
            calls: Mutex::new(Some(HashMap::new())),
            given_up: Mutex::default(),
            gave_up: Notify::new(),
            grace,
            requests: Arc::default(),
            host,
            spans: Mutex::default(),
            opening: Mutex::new(Some(opening)),
            down: Notify::new(),
            answered: AtomicU64::new(0),
        }))
    }

    fn calls(&self) -> MutexGuard<'_, Option<HashMap<u64, Pending>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given_up(&self) -> MutexGuard<'_, Vec<(Instant, u64)>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many calls it has answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Takes a call in, unless the connection is lost.
    pub(super) fn enter(&self, call: u64, pending: Pending) -> Result<(), Pending> {
        match &mut *self.calls() {
            Some(calls) => {
                calls.insert(call, pending);
                Ok(())
            }
            None => Err(pending),
        }
    }

    /// Sends a frame when there is room for it.
    pub(super) async fn send(&self, frame: Vec<u8>) {
        self.outbox.send(&self.socket, frame).await;
    }

    /// Sends a short frame without waiting.
    pub(super) fn push(&self, frame: Vec<u8>) {
        self.outbox.push(&self.socket, frame);
    }

    /// Takes note that nobody waits for a call any more.
    pub(super) fn give_up(&self, call: u64) {
        let is_in = self.calls().as_ref().is_some_and(|calls| calls.contains_key(&call));
        if is_in {
            self.push(frames::frame(Kind::Cancel, call, &[]));
            self.given_up().push((Instant::now() + self.grace, call));
            self.gave_up.notify_one();
        }
    }

    /// Takes a call out of which the process never heard.
    pub(super) fn forget(&self, call: u64) {
        let pending = self.calls().as_mut().and_then(|calls| calls.remove(&call));
        drop(pending);
    }

    /// Reads and writes until the connection does not go on. May be dropped and called again.
    pub(super) async fn serve(self: &Arc<Self>) -> Fault {
        tokio::select! {
            biased;
            fault = self.read() => fault,
            fault = self.found() => fault,
            error = self.outbox.flush(&self.socket) => Fault::of(error),
            () = self.watch() => Fault::Stuck,
        }
    }

    async fn read(self: &Arc<Self>) -> Fault {
        loop {
            match self.read_once() {
                // A process that never stops talking shares the thread with others.
                Ok(true) => tokio::task::consume_budget().await,
                Ok(false) => {
                    if let Err(error) = self.incoming.told().await {
                        return Fault::of(error);
                    }
                }
                Err(fault) => return fault,
            }
        }
    }

    fn read_once(self: &Arc<Self>) -> Result<bool, Fault> {
        self.incoming.read(|frame| self.take(frame))
    }

    async fn found(&self) -> Fault {
        loop {
            let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
            match found {
                Some(fault) => return fault,
                None => self.has_found.notified().await,
            }
        }
    }

    /// Waits for the answer of a call without chunks that was sent just now.
    pub(super) async fn answer(self: &Arc<Self>, news: &mut mpsc::Receiver<News>) -> Option<News> {
        let is_alone = self.calls().as_ref().is_some_and(|calls| calls.len() == 1);
        // Where there are more the next answer is most likely another's.
        if !is_alone {
            return news.recv().await;
        }
        let began = Instant::now();
        let mut found = None;
        let looked = self.incoming.look(
            || self.read_once(),
            || {
                found = news.try_recv().ok();
                found.is_some()
            },
        );
        if let Err(fault) = looked {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            self.has_found.notify_one();
        }
        let found = match found {
            Some(found) => Some(found),
            None => news.recv().await,
        };
        self.incoming.note(began.elapsed());
        found
    }

    /// Returns when a call that was given up is not gone in time.
    async fn watch(&self) {
        loop {
            let next = self.given_up().iter().map(|(due, _)| *due).min();
            match next {
                None => self.gave_up.notified().await,
                Some(due) => tokio::time::sleep_until(due).await,
            }
            let now = Instant::now();
            let due: Vec<_> = self.given_up().extract_if(.., |(due, _)| *due <= now).collect();
            let calls = self.calls();
            if due.iter().any(|(_, call)| calls.as_ref().is_some_and(|calls| calls.contains_key(call))) {
                return;
            }
        }
    }

    fn take(self: &Arc<Self>, frame: Frame) -> Result<(), Garbage> {
        let Frame { kind, id, body } = frame;
        match kind {
            Kind::Reply => self.ended(id, Ended::read(body)?),
            Kind::Chunk => self.chunk(id, body),
            Kind::Gone => self.gone(id),
            Kind::Request => self.requests.begin(self, &self.host, id, body),
            Kind::GiveUp => {
                self.requests.give_up(id);
                Ok(())
            }
            Kind::RequestCredit => {
                self.requests.credit(id);
                Ok(())
            }
            Kind::RequestClosed => {
                self.requests.closed(id);
                Ok(())
            }
            Kind::Log => {
                let Spoken { level, target, message, fields } = Spoken::read(body)?;
                let (target, message) = (RStr::from_str(&target), RStr::from_str(&message));
                self.host.log(id, level, target, message, RSlice::from_slice(&fields));
                Ok(())
            }
            Kind::Span => {
                self.span(id, &Span::read(body)?);
                Ok(())
            }
            Kind::Opened => self.opened(Ok(())),
            Kind::Refused => {
                let OpeningFailed { code, message } = OpeningFailed::read(&body)?;
                self.opened(Err(LoadError::new(LoadCode::from_name(&code).unwrap_or(LoadCode::OpenFailed), message)))
            }
            Kind::Down => {
                self.down.notify_one();
                Ok(())
            }
            Kind::Open
            | Kind::Call
            | Kind::Cancel
            | Kind::Credit
            | Kind::Closed
            | Kind::Answer
            | Kind::Shutdown
            | Kind::RequestChunk => Err(Garbage::new(format!("{kind:?} is for a plugin's process, not from it"))),
        }
    }

    fn opened(&self, how: Result<(), LoadError>) -> Result<(), Garbage> {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let opening = opening.ok_or_else(|| Garbage::new("it opened the plugin twice"))?;
        // Whoever waited may have lost patience.
        drop(opening.send(how));
        Ok(())
    }

    fn remove(&self, call: u64) -> Result<Pending, Garbage> {
        let pending = self.calls().as_mut().and_then(|calls| calls.remove(&call));
        pending.ok_or_else(|| Garbage::new(format!("call {call} is not in it")))
    }

    fn ended(&self, call: u64, ended: Ended) -> Result<(), Garbage> {
        let Pending { news, guard, known, .. } = self.remove(call)?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        // Before the caller hears of it: then nothing of the call is left.
        drop((guard, known));
        // Nobody may be waiting any more.
        drop(news.try_send(News::Ended(ended)));
        Ok(())
    }

    fn gone(&self, call: u64) -> Result<(), Garbage> {
        self.remove(call).map(drop)
    }

    fn chunk(&self, call: u64, chunk: Bytes) -> Result<(), Garbage> {
        let mut calls = self.calls();
        let pending = calls.as_mut().and_then(|calls| calls.get_mut(&call));
        let pending = pending.ok_or_else(|| Garbage::new(format!("call {call} is not in it")))?;
        match pending.news.try_send(News::Chunk(chunk)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(Garbage::new(format!("call {call} sends more chunks than it may")))
            }
        }
    }

    fn span(&self, call: u64, said: &Span) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if said.op == span_op::OPEN && spans.len() >= MAX_SPANS {
            return;
        }
        let known = spans.get(&said.span).copied();
        let opens = said.op == span_op::OPEN;
        let Some(span) = known.or(opens.then_some(0)) else { return };
        let (name, fields) = (RStr::from_str(&said.name), RSlice::from_slice(&said.fields));
        let answer = HostApi::span(&self.host, call, said.op, span, name, fields);
        match said.op {
            span_op::OPEN if answer != 0 => {
                spans.insert(said.opens, answer);
            }
            span_op::CLOSE => {
                spans.remove(&said.span);
            }
            _ => {}
        }
    }

    /// Fails what is in it and takes nothing more. `harmless` says that no call of these is to blame.
    pub(super) fn lose(&self, error: impl Fn(bool) -> CallError) {
        self.outbox.close();
        self.requests.end_all();
        let calls = self.calls().take().unwrap_or_default();
        for (_, Pending { news, idempotent, guard, known }) in calls {
            drop((guard, known));
            // If there is no room the caller has not read what came before; it then finds the
            // end of the news, which says the same.
            drop(news.try_send(News::Lost(error(idempotent))));
        }
        let spans = std::mem::take(&mut *self.spans.lock().unwrap_or_else(PoisonError::into_inner));
        for span in spans.into_values() {
            HostApi::span(&self.host, 0, span_op::CLOSE, span, RStr::from_str(""), RSlice::EMPTY);
        }
    }
}
