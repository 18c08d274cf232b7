//! One opened image of a plugin, numbered: what it is, who uses it, how its calls went.
//!
//! A generation lives from its `open` until it is retired. Calls and pins are counted
//! here; what a call does inside the plugin is behind [`Instance`], and when a
//! generation begins to serve or to drain is the supervisor's decision.

mod statistics;

use std::{
    future::Future,
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, SystemTime},
};

use hotbay_plugin::{error::code, manifest::Manifest};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use statistics::Counts;
use statistics::Ended;
pub use statistics::{Latency, Statistics};

use super::{
    call::{Call, CallError, Instance, Reply, Target},
    in_flight::{InFlight, InFlightGuard, close_when_idle},
    services::HostHandle,
};
use crate::types::{
    map::QuickMap,
    plugin::{GenerationState, ProcessStatus},
};

/// What a generation is, before it is opened.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// Counts the plugin's generations from 1.
    pub number: u64,
    /// BLAKE3 of the file, lower-case hex.
    pub hash: Arc<str>,
    /// The file it was loaded from.
    pub file: PathBuf,
    /// The file's length in bytes.
    pub size: u64,
    /// What it says about itself.
    pub manifest: Arc<Manifest>,
}

/// One opened image of a plugin.
pub struct Generation {
    identity: Identity,
    loaded_at: SystemTime,
    state: AtomicU8,
    instance: Arc<dyn Instance>,
    host: Option<HostHandle>,
    /// Registry entries and runs that may still call it.
    pins: Arc<InFlight>,
    /// Calls, until nothing of them is left in the plugin.
    calls: Arc<InFlight>,
    /// Those of them, and pins, that stream: they may take longer to drain.
    streams: Arc<InFlight>,
    /// Ends the calls that drained for too long.
    cancel: CancellationToken,
    statistics: Statistics,
    /// Deadlines of tools that have their own.
    tool_deadlines: QuickMap<Arc<str>, Duration>,
    call_deadline: Duration,
    retired_at: OnceLock<SystemTime>,
}

/// How long a generation may take to retire.
#[derive(Debug, Clone, Copy)]
pub struct DrainDeadlines {
    /// For calls.
    pub calls: Duration,
    /// For calls that stream.
    pub streams: Duration,
    /// For the plugin's own shutdown.
    pub shutdown: Duration,
}

/// Cancelled calls get this long to be dropped before the plugin is shut down under them.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

impl Generation {
    /// Takes an open plugin; it serves from now on.
    pub(crate) fn new(
        identity: Identity,
        instance: Arc<dyn Instance>,
        host: Option<HostHandle>,
        call_deadline: Duration,
    ) -> Self {
        let tool_deadlines = identity
            .manifest
            .tools
            .iter()
            .filter_map(|tool| Some((Arc::from(tool.id.as_str()), Duration::from_millis(tool.timeout_ms?))))
            .collect();
        Self {
            identity,
            loaded_at: SystemTime::now(),
            state: AtomicU8::new(GenerationState::Serving as u8),
            instance,
            host,
            pins: Arc::default(),
            calls: Arc::default(),
            streams: Arc::default(),
            cancel: CancellationToken::new(),
            statistics: Statistics::default(),
            tool_deadlines,
            call_deadline,
            retired_at: OnceLock::new(),
        }
    }

    /// Makes a generation from any instance; for tests of what calls plugins.
    #[must_use]
    pub fn with_instance(identity: Identity, instance: Arc<dyn Instance>) -> Arc<Self> {
        Arc::new(Self::new(identity, instance, None, Duration::from_secs(60)))
    }

    /// Returns the plugin's name.
    #[must_use]
    pub fn plugin(&self) -> &Arc<str> {
        &self.identity.plugin
    }

    /// Returns its number among the plugin's generations.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.identity.number
    }

    /// Returns what it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns what it says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.identity.manifest
    }

    /// Returns when it was opened.
    #[must_use]
    pub fn loaded_at(&self) -> SystemTime {
        self.loaded_at
    }

    /// Returns when it was retired.
    #[must_use]
    pub fn retired_at(&self) -> Option<SystemTime> {
        self.retired_at.get().copied()
    }

    /// Returns how its calls went.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Returns how many calls are in the plugin.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.calls.count()
    }

    /// Returns how its own process fares, if it has one.
    #[must_use]
    pub fn process(&self) -> Option<ProcessStatus> {
        self.instance.process()
    }

    /// Returns what it is doing.
    #[must_use]
    pub fn state(&self) -> GenerationState {
        match self.state.load(Ordering::Acquire) {
            state if state == GenerationState::Retired as u8 => GenerationState::Retired,
            _ if self.instance.is_stuck() => GenerationState::Stuck,
            state if state == GenerationState::Draining as u8 => GenerationState::Draining,
            _ => GenerationState::Serving,
        }
    }

    /// Whether a cancelled call does not return.
    pub(crate) fn is_stuck(&self) -> bool {
        self.instance.is_stuck()
    }

    /// Keeps it from being retired while a run may still call it; `None` if it is retired.
    #[must_use]
    pub fn pin(self: &Arc<Self>) -> Option<GenerationPin> {
        Some(GenerationPin { _pin: self.pins.enter()?, _stream: None, generation: Arc::clone(self) })
    }

    /// Pins it for a run that streams, which may take longer to drain.
    #[must_use]
    pub fn pin_stream(self: &Arc<Self>) -> Option<GenerationPin> {
        Some(GenerationPin {
            _pin: self.pins.enter()?,
            _stream: Some(self.streams.enter()?),
            generation: Arc::clone(self),
        })
    }

    /// Calls the plugin. Counted from now on; nothing runs before the first poll, and dropping
    /// the future cancels the call.
    ///
    /// The deadline is the call's, else the tool's, else the host's; agents and models have
    /// none of the host's, since they may stream for as long as somebody reads.
    pub fn call(
        self: &Arc<Self>,
        target: Target,
        mut call: Call,
    ) -> impl Future<Output = Result<Reply, CallError>> + Send + 'static + use<> {
        let admitted = self.calls.enter();
        let stream = if call.sink.is_some() { self.streams.enter() } else { None };
        let generation = Arc::clone(self);
        async move {
            let _stream = stream;
            let Some(guard) = admitted else { return Err(generation.refusal()) };
            if generation.instance.is_stuck() {
                return Err(generation.stuck());
            }
            call.deadline = call.deadline.or_else(|| generation.deadline(&target));
            let began = Instant::now();
            let awaited = Awaited { statistics: &generation.statistics, is_over: false };
            let result = generation.run(target, call, guard, began).await;
            awaited.over(began.elapsed(), &result);
            result
        }
    }

    async fn run(&self, target: Target, call: Call, guard: InFlightGuard, began: Instant) -> Result<Reply, CallError> {
        let deadline = call.deadline;
        let answer = self.instance.call(target, call, guard);
        let timed_out = async {
            match deadline {
                Some(deadline) => {
                    match began.checked_add(deadline) {
                        Some(end) => tokio::time::sleep_until(end).await,
                        None => std::future::pending().await,
                    }
                    deadline
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            result = answer => result,
            deadline = timed_out => Err(CallError::TimedOut { plugin: Arc::clone(self.plugin()), deadline }),
            () = self.cancel.cancelled() => Err(CallError::Cancelled { plugin: Arc::clone(self.plugin()) }),
        }
    }

    fn deadline(&self, target: &Target) -> Option<Duration> {
        match target {
            Target::Tool(id) => Some(self.tool_deadlines.get(id).copied().unwrap_or(self.call_deadline)),
            Target::Agent(_) | Target::Model(_) => None,
            Target::Workflow { .. } | Target::VectorStore { .. } | Target::Embedder(_) | Target::Service { .. } => {
                Some(self.call_deadline)
            }
        }
    }

    fn refusal(&self) -> CallError {
        let reason = format!("generation {} was retired; try again", self.number());
        CallError::Unavailable { plugin: Arc::clone(self.plugin()), reason }
    }

    fn stuck(&self) -> CallError {
        let reason = String::from("an earlier call was cancelled and still blocks its thread; reload the plugin");
        CallError::Unavailable { plugin: Arc::clone(self.plugin()), reason }
    }

    /// Waits until nobody uses it, cancels who takes too long, and shuts the plugin down.
    pub(crate) async fn retire(&self, deadlines: DrainDeadlines) {
        let draining = GenerationState::Draining as u8;
        let serving = GenerationState::Serving as u8;
        if self.state.compare_exchange(serving, draining, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let began = Instant::now();
        if tokio::time::timeout(deadlines.calls, self.unused()).await.is_err() {
            let left = deadlines.streams.saturating_sub(began.elapsed());
            if self.streams.count() > 0 {
                drop(tokio::time::timeout(left, self.streams.idle()).await);
            }
            self.close();
            if self.calls.count() > 0 {
                tracing::warn!(
                    plugin.name = %self.plugin(),
                    plugin.generation = self.number(),
                    calls = self.calls.count(),
                    "cancelling calls of a retiring generation that did not end in time"
                );
            }
            self.cancel.cancel();
            drop(tokio::time::timeout(CANCEL_GRACE, self.calls.idle()).await);
        }
        self.instance.shutdown(deadlines.shutdown).await;
        if let Some(host) = &self.host {
            host.revoke();
        }
        let _already = self.retired_at.set(SystemTime::now());
        self.state.store(GenerationState::Retired as u8, Ordering::Release);
    }

    fn close(&self) {
        self.pins.close();
        self.streams.close();
        self.calls.close();
    }

    /// Resolves once it is closed with nobody inside.
    async fn unused(&self) {
        // Whoever holds a pin can call; a call may go on when its pin is gone.
        close_when_idle(&self.pins, &self.calls).await;
        self.streams.close();
    }
}

/// A call somebody waits for.
struct Awaited<'a> {
    statistics: &'a Statistics,
    is_over: bool,
}

impl Awaited<'_> {
    fn over(mut self, after: Duration, result: &Result<Reply, CallError>) {
        self.is_over = true;
        let ended = match result {
            Ok(_) => Ended::Well,
            Err(CallError::Failed { code: code::INPUT, .. }) => Ended::Mistaken,
            Err(_) => Ended::Badly,
        };
        self.statistics.record(after, ended);
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.statistics.abandon();
        }
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("plugin", &self.identity.plugin)
            .field("number", &self.identity.number)
            .finish_non_exhaustive()
    }
}

/// A handle on a generation that keeps it from being retired, until the drain's deadline.
#[derive(Debug)]
pub struct GenerationPin {
    generation: Arc<Generation>,
    _pin: InFlightGuard,
    _stream: Option<InFlightGuard>,
}

impl Clone for GenerationPin {
    fn clone(&self) -> Self {
        Self { generation: Arc::clone(&self.generation), _pin: self._pin.clone(), _stream: self._stream.clone() }
    }
}

impl Deref for GenerationPin {
    type Target = Arc<Generation>;

    fn deref(&self) -> &Self::Target {
        &self.generation
    }
}
