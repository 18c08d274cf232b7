//! A plugin in a process of its own, as the rest of the host sees it: an [`Instance`] like any other.
//!
//! [`ProcessInstance`] hands calls to the process that runs. `keeper` keeps one running: it starts
//! the first, and another when it crashes, as `policy` says. `child` is the operating system's side,
//! `link` the connection, `incoming` and `outbox` its two halves, `requests` what the plugin asks of
//! the host. What goes on in the process is [`super::runner`]'s.

mod child;
mod incoming;
mod keeper;
mod link;
mod outbox;
mod policy;
mod requests;
mod session;

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    bridge::{deadline_ms, next_call},
    call::{Call, CallError, ChunkSender, Instance, Reply, Target},
    control_group::ControlGroups,
    error::LoadError,
    frames::{self, Called, Kind, MAX_BODY, WINDOW},
    in_flight::InFlightGuard,
    services::HostHandle,
    settings::{Account, ProcessLimits, RestartSettings},
    supervisor::{PluginEvent, Spawner},
};
use crate::types::plugin::ProcessStatus;
pub(crate) use child::Program;
use link::{Link, News, Pending, room};
use policy::Policy;
use session::Session;

/// How a plugin's process is started.
pub(crate) struct Launch {
    /// The host itself, which understands `plugin-runner`.
    pub(crate) program: Arc<Program>,
    /// The private copy.
    pub(crate) file: PathBuf,
    /// The plugin's name.
    pub(crate) plugin: Arc<str>,
    /// The generation's number.
    pub(crate) generation: u64,
    /// The plugin's configuration.
    pub(crate) config: Value,
    /// The process's environment, all of it.
    pub(crate) env: BTreeMap<String, String>,
    /// What it may use.
    pub(crate) limits: ProcessLimits,
    /// Whom it runs as, if not as the host does.
    pub(crate) account: Option<Account>,
    /// Where it gets a group of its own.
    pub(crate) groups: Option<Arc<ControlGroups>>,
    /// Where it works; made if it is not there.
    pub(crate) directory: PathBuf,
    /// Tools whose calls may be repeated.
    pub(crate) idempotent: HashSet<String>,
    /// How long opening the plugin may take.
    pub(crate) open_deadline: Duration,
    /// How long a call that was given up may stay before the process is killed.
    pub(crate) stuck_grace: Duration,
    /// When it is started again.
    pub(crate) restart: RestartSettings,
}

/// A plugin that runs in processes of its own, one after the other.
pub(crate) struct ProcessInstance {
    shared: Arc<Shared>,
}

struct Shared {
    launch: Arc<Launch>,
    host: HostHandle,
    phase: watch::Sender<Phase>,
    /// Nothing is started again from now on.
    closing: CancellationToken,
    /// How long the plugin's shutdown may take, once it is `closing`. Held for one line.
    shutdown_deadline: Mutex<Duration>,
    /// Held for a few lines.
    record: Mutex<Record>,
    events: broadcast::Sender<PluginEvent>,
}

/// Where calls go.
#[derive(Clone)]
enum Phase {
    /// Into this process.
    Serving(Arc<Link>),
    /// Nowhere yet: it crashed and is started again.
    Starting,
    /// Nowhere: it crashed too often. It is tried again then.
    Resting(Instant),
    /// Nowhere any more.
    Closed,
}

/// What is remembered over all processes.
struct Record {
    policy: Policy,
    restarts: u64,
    crashes: u64,
    last_crash: Option<String>,
}

/// Longer than ending a process takes that does not want to.
const KILL_GRACE: Duration = Duration::from_secs(3);

impl ProcessInstance {
    /// Starts the first process and opens the plugin in it.
    pub(crate) async fn start(
        launch: Launch,
        host: HostHandle,
        events: broadcast::Sender<PluginEvent>,
        spawner: &Spawner,
    ) -> Result<Self, LoadError> {
        let launch = Arc::new(launch);
        let session = Session::open(Arc::clone(&launch), host.clone()).await?;
        let policy = Policy::new(launch.restart);
        let shared = Arc::new(Shared {
            launch,
            host,
            phase: watch::Sender::new(Phase::Serving(Arc::clone(session.link()))),
            closing: CancellationToken::new(),
            shutdown_deadline: Mutex::default(),
            record: Mutex::new(Record { policy, restarts: 0, crashes: 0, last_crash: None }),
            events,
        });
        spawner("plugin-process", Box::pin(keeper::keep(Arc::clone(&shared), session)));
        Ok(Self { shared })
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, reason: String) -> CallError {
        CallError::Unavailable { plugin: Arc::clone(&self.launch.plugin), reason }
    }

    /// Returns where calls go, if that is known without waiting.
    fn look(&self, phase: &Phase) -> Option<Result<Arc<Link>, CallError>> {
        match phase {
            Phase::Serving(link) => Some(Ok(Arc::clone(link))),
            Phase::Starting => None,
            Phase::Resting(until) => {
                let seconds = until.saturating_duration_since(Instant::now()).as_secs() + 1;
                let name = &self.launch.plugin;
                Some(Err(self.unavailable(format!(
                    "its process crashed too often; it is started again in {seconds} s, or by `hotbay plugin reload {name}`"
                ))))
            }
            Phase::Closed => Some(Err(self.unavailable(String::from("it was shut down; try again")))),
        }
    }

    /// Returns the process that runs, or the next one if it is being started.
    async fn link(&self) -> Result<Arc<Link>, CallError> {
        let found = self.look(&self.phase.borrow());
        if let Some(found) = found {
            return found;
        }
        let mut phase = self.phase.subscribe();
        let wait = async {
            loop {
                let found = self.look(&phase.borrow_and_update());
                if let Some(found) = found {
                    return found;
                }
                if phase.changed().await.is_err() {
                    return Err(self.unavailable(String::from("it was shut down; try again")));
                }
            }
        };
        let waited = tokio::time::timeout(self.launch.restart.patience, wait).await;
        waited.unwrap_or_else(|_| {
            Err(self.unavailable(String::from("its process crashed and is being started again; try again")))
        })
    }

    async fn call(&self, target: Target, call: Call, mut guard: InFlightGuard) -> Result<Reply, CallError> {
        let Call { body, vectors, meta, deadline, sink, context } = call;
        let idempotent = matches!(&target, Target::Tool(id) if self.launch.idempotent.contains(&**id));
        let called = Called {
            target,
            deadline_ms: deadline_ms(deadline),
            streams: sink.is_some(),
            body: Bytes::from(body),
            vectors,
            meta: Bytes::from(meta),
        };
        let id = next_call();
        let frame = called.frame(id).map_err(|length| CallError::Failed {
            plugin: Arc::clone(&self.launch.plugin),
            code: hotbay_plugin::error::code::INPUT,
            message: format!("the call has {length} bytes, more than the {MAX_BODY} a plugin's process takes"),
            retryable: false,
            detail: Value::Null,
        })?;
        drop(called);
        let mut known = self.host.calls().enter(id, context);
        let (give, news) = mpsc::channel(room(sink.is_some()));
        let link = loop {
            let link = self.link().await?;
            match link.enter(id, Pending { news: give.clone(), idempotent, guard, known }) {
                Ok(()) => break link,
                // It was lost since, and what is there now is another.
                Err(pending) => (guard, known) = (pending.guard, pending.known),
            }
        };
        drop(give);
        let mut waiting = Waiting { link, id, is_sent: false, is_over: false };
        waiting.link.send(frame).await;
        waiting.is_sent = true;
        let end = waiting.listen(news, sink).await;
        waiting.is_over = true;
        match end {
            Some(News::Ended(ended)) => ended.0.map_err(|failure| failure.told(Arc::clone(&self.launch.plugin))),
            Some(News::Lost(error)) => Err(error),
            Some(News::Chunk(_)) | None => Err(CallError::Cancelled { plugin: Arc::clone(&self.launch.plugin) }),
        }
    }
}

/// A call that is under way; dropping it cancels the call.
struct Waiting {
    link: Arc<Link>,
    id: u64,
    is_sent: bool,
    is_over: bool,
}

impl Waiting {
    /// Hands chunks on until the end comes. The process gets credit for what the reader has taken.
    async fn listen(&self, mut news: mpsc::Receiver<News>, mut sink: Option<ChunkSender>) -> Option<News> {
        if sink.is_none() {
            return self.link.answer(&mut news).await;
        }
        let mut owed = 0;
        loop {
            let closed = async {
                match &sink {
                    Some(sink) => sink.closed().await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                biased;
                next = news.recv() => next,
                () = closed => {
                    self.close(&mut sink);
                    continue;
                }
            };
            let Some(News::Chunk(chunk)) = next else { return next };
            let Some(reader) = &sink else { continue };
            if reader.send(chunk).await.is_err() {
                self.close(&mut sink);
                continue;
            }
            owed += 1;
            // Not for each: a frame costs the process more than a chunk's place.
            if owed as usize >= WINDOW / 4 {
                self.link.push(frames::frame(Kind::Credit, self.id, &u32::to_le_bytes(owed)));
                owed = 0;
            }
        }
    }

    fn close(&self, sink: &mut Option<ChunkSender>) {
        *sink = None;
        self.link.push(frames::frame(Kind::Closed, self.id, &[]));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match (self.is_over, self.is_sent) {
            (true, _) => {}
            (false, true) => self.link.give_up(self.id),
            (false, false) => self.link.forget(self.id),
        }
    }
}

impl Instance for ProcessInstance {
    fn call(&self, target: Target, call: Call, guard: InFlightGuard) -> BoxFuture<'static, Result<Reply, CallError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.call(target, call, guard).await })
    }

    fn shutdown(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            *shared.shutdown_deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
            shared.closing.cancel();
            let mut phase = shared.phase.subscribe();
            let closed = phase.wait_for(|phase| matches!(phase, Phase::Closed));
            if tokio::time::timeout(deadline + KILL_GRACE, closed).await.is_err() {
                tracing::warn!(plugin.name = %shared.launch.plugin, "a plugin's process cannot be ended");
            }
        })
    }

    fn process(&self) -> Option<ProcessStatus> {
        let (pid, answered) = match &*self.shared.phase.borrow() {
            Phase::Serving(link) => (Some(link.pid), link.answered()),
            Phase::Starting | Phase::Resting(_) | Phase::Closed => (None, 0),
        };
        let record = self.shared.record();
        Some(ProcessStatus {
            pid,
            restarts: record.restarts,
            crashes: record.crashes,
            breaker: record.policy.state(answered),
            last_crash: record.last_crash.clone(),
        })
    }
}
