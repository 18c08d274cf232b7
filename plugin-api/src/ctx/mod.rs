//! What a call knows and may ask for: the context every capability receives.
//!
//! [`Ctx`] is cheap to clone and may be kept by tasks and threads the call starts. Its
//! parts: `log` (log records, spans), `stream` (chunks to the caller), `services` (tools,
//! agents, keys and values, secrets), `chat` (asking models), `step` (workflow steps).

mod chat;
mod log;
mod services;
mod step;
mod stream;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tokio::sync::Notify;

pub use chat::{ChatCall, ChatStream, Completion, ModelHandle, RequestedCall};
pub use log::{Level, Span};
pub use step::TripwireOptions;
pub(crate) use stream::channel;

pub use services::{AgentHandle, Kv, ToolHandle};

use crate::{
    Error, Result,
    abi::{CallCtx, HostArc, SinkArc, abi_stable::std_types::RVec},
    error::code,
    manifest::CallMeta,
    opened::Opened,
    wire,
};

/// The context of one call.
#[derive(Clone)]
pub struct Ctx(Arc<Call>);

struct Call {
    plugin: Arc<Opened>,
    id: u64,
    deadline: Option<Instant>,
    sink: Option<SinkArc>,
    // Parsed when first asked for: most calls never look.
    meta_json: RVec<u8>,
    meta: OnceLock<CallMeta>,
    node: Option<NodeId>,
    is_cancelled: AtomicBool,
    cancelled: Notify,
}

/// Which node of which workflow runs.
pub(crate) struct NodeId {
    pub(crate) workflow: Arc<str>,
    pub(crate) id: Box<str>,
}

impl Ctx {
    /// Returns the context of a call the host makes.
    pub(crate) fn of_call(plugin: Arc<Opened>, call: CallCtx) -> Self {
        Self::of_node(plugin, call, None)
    }

    /// Returns the context of a call of a workflow's node.
    pub(crate) fn of_node(plugin: Arc<Opened>, call: CallCtx, node: Option<NodeId>) -> Self {
        // A deadline beyond what the clock can count is none.
        let deadline = match call.deadline_ms {
            0 => None,
            millis => Instant::now().checked_add(Duration::from_millis(millis)),
        };
        Self::assemble(plugin, call.call_id, deadline, call.sink.into_option(), call.meta_json, node)
    }

    /// Returns the context of what happens outside a call: opening, shutting down.
    pub(crate) fn outside(plugin: Arc<Opened>) -> Self {
        Self::assemble(plugin, 0, None, None, RVec::new(), None)
    }

    fn assemble(
        plugin: Arc<Opened>,
        id: u64,
        deadline: Option<Instant>,
        sink: Option<SinkArc>,
        meta_json: RVec<u8>,
        node: Option<NodeId>,
    ) -> Self {
        Self(Arc::new(Call {
            plugin,
            id,
            deadline,
            sink,
            meta_json,
            meta: OnceLock::new(),
            node,
            is_cancelled: AtomicBool::new(false),
            cancelled: Notify::new(),
        }))
    }

    /// Returns what the host says about the call: run, agent, thread, attempt, request context.
    #[must_use]
    pub fn meta(&self) -> &CallMeta {
        self.0.meta.get_or_init(|| {
            if self.0.meta_json.is_empty() {
                return CallMeta::default();
            }
            serde_json::from_slice(&self.0.meta_json).unwrap_or_default()
        })
    }

    /// Returns the run the call belongs to.
    #[must_use]
    pub fn run_id(&self) -> Option<&str> {
        self.meta().run_id.as_deref()
    }

    /// Returns 1 for the first attempt, 2 for the first repetition and so on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.meta().attempt.unwrap_or(1)
    }

    /// Returns a key that stays the same when the call is repeated, for outside effects that must happen once.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.meta().idempotency_key.as_deref()
    }

    /// Returns a value the caller passed along the request.
    ///
    /// # Errors
    /// [`code::INPUT`] if the value does not fit `T`.
    pub fn request_value<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        match self.meta().request_context.get(key) {
            None => Ok(None),
            Some(value) => wire::from_value(value.clone(), &format!("request context `{key}`")).map(Some),
        }
    }

    /// Returns the plugin's configuration, of the type named in `plugin!`.
    ///
    /// # Panics
    /// If `plugin!` names another type or none. The guard turns this into a failed call.
    #[must_use]
    pub fn config<C: 'static>(&self) -> &C {
        self.0.plugin.config()
    }

    /// Returns what the plugin's `open` function made.
    ///
    /// # Panics
    /// If `open` returns another type or is missing. The guard turns this into a failed call.
    #[must_use]
    pub fn state<S: 'static>(&self) -> &S {
        self.0.plugin.state()
    }

    /// Returns what is left of the time the call may take, `None` without a limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Says whether the caller has given the call up.
    ///
    /// The call's own future just ends; this is for the tasks and threads it has started.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Acquire)
    }

    /// Resolves when the caller gives the call up; never if the call ends by itself.
    pub async fn cancelled(&self) {
        let mut notified = std::pin::pin!(self.0.cancelled.notified());
        // Registered before the flag is read, so a cancellation in between is not missed.
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }

    /// Waits for `duration` on the plugin's own timer.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Runs blocking code on a thread that may block.
    ///
    /// A cancelled call stops waiting, but the code runs on; let it look at [`Ctx::is_cancelled`].
    ///
    /// # Errors
    /// Whatever `work` returns; [`code::PANIC`] if it panics.
    pub async fn blocking<T, W>(&self, work: W) -> Result<T>
    where
        W: FnOnce() -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let task = self.plugin().runtime().handle()?.spawn_blocking(move || crate::guard::catch(work));
        match task.await {
            Ok(result) => result.and_then(|result| result),
            Err(_) => Err(Error::with_code(code::CANCELLED, "the plugin is shutting down")),
        }
    }

    pub(crate) fn plugin(&self) -> &Arc<Opened> {
        &self.0.plugin
    }

    pub(crate) fn host(&self) -> &HostArc {
        self.0.plugin.host()
    }

    pub(crate) fn node(&self) -> Option<&NodeId> {
        self.0.node.as_ref()
    }

    pub(crate) fn call_id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn sink(&self) -> Option<&SinkArc> {
        self.0.sink.as_ref()
    }

    pub(crate) fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Release);
        self.0.cancelled.notify_waiters();
    }
}

impl std::fmt::Debug for Ctx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx").field("call_id", &self.0.id).field("meta", self.meta()).finish_non_exhaustive()
    }
}
