//! A call into a plugin, free of ABI types: what is called, with what, and what came back.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::in_flight::InFlightGuard;
use crate::{observe::tracer::SpanContext, types::plugin::ProcessStatus};

/// What a call is made for, as far as the plugin layer needs to know: it is handed back with
/// each request the plugin makes meanwhile.
pub trait CallContext: Any + Send + Sync {
    /// Returns the span the call is part of.
    fn span(&self) -> Option<&SpanContext>;
}

impl fmt::Debug for dyn CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext").field("span", &self.span()).finish_non_exhaustive()
    }
}

/// What a call is addressed to inside one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A tool, by id.
    Tool(Arc<str>),
    /// An agent's own code, by id.
    Agent(Arc<str>),
    /// A node of a workflow.
    Workflow {
        /// The workflow's id.
        id: Arc<str>,
        /// The node's id in its graph.
        node: Arc<str>,
    },
    /// An operation of a vector store.
    VectorStore {
        /// The store's name.
        name: Arc<str>,
        /// The operation.
        op: Arc<str>,
    },
    /// A chat model, by `provider/model`.
    Model(Arc<str>),
    /// An embedder, by `provider/model`.
    Embedder(Arc<str>),
    /// An operation of a capability of another kind.
    Service {
        /// The kind.
        kind: Arc<str>,
        /// Its name among its kind.
        name: Arc<str>,
        /// The operation.
        op: Arc<str>,
    },
}

/// Chunks a call streams. Bounded by the receiver's maker: when it is full the plugin
/// waits, when the receiver is dropped the plugin is told that nobody listens.
pub type ChunkSender = mpsc::Sender<Bytes>;

/// One call.
#[derive(Debug, Default)]
pub struct Call {
    /// A JSON document, passed through unparsed.
    pub body: Vec<u8>,
    /// Rows of vectors, for vector stores.
    pub vectors: Vec<f32>,
    /// [`hotbay_plugin::manifest::CallMeta`] as JSON, or empty.
    pub meta: Vec<u8>,
    /// The longest the call may take; the manifest's, else the host's default if absent.
    pub deadline: Option<Duration>,
    /// Where its chunks go, if anybody listens.
    pub sink: Option<ChunkSender>,
    /// Handed back as [`super::services::Requester::context`] with each request the plugin makes during the call.
    pub context: Option<Arc<dyn CallContext>>,
}

/// How a call ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// With a value.
    Value,
    /// Suspended; the body is the payload.
    Suspended,
    /// Left the workflow early; the body is its result.
    Bailed,
    /// Tripped: the workflow is ended on purpose; the body says why.
    Tripped,
}

/// What came back, copied into the host's memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// How it ended.
    pub kind: ReplyKind,
    /// A JSON document.
    pub body: Vec<u8>,
    /// A JSON object about the answer, or empty.
    pub meta: Vec<u8>,
    /// Rows of vectors (vector stores, embedders).
    pub vectors: Vec<f32>,
}

/// How a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The plugin's code returned an error.
    #[error("{message}")]
    Failed {
        /// The plugin.
        plugin: Arc<str>,
        /// One of `hotbay_plugin::error::code`.
        code: u32,
        /// The plugin's sentence.
        message: String,
        /// The plugin says the same call may succeed later.
        retryable: bool,
        /// More, as JSON, or `Null`.
        detail: serde_json::Value,
    },
    /// The plugin's code panicked.
    #[error("plugin `{plugin}` panicked: {message}")]
    Panicked {
        /// The plugin.
        plugin: Arc<str>,
        /// The panic's message.
        message: String,
    },
    /// It took longer than it may.
    #[error("plugin `{plugin}` did not answer within {} ms", deadline.as_millis())]
    TimedOut {
        /// The plugin.
        plugin: Arc<str>,
        /// What it had.
        deadline: Duration,
    },
    /// The generation was retired while the call ran.
    #[error("the call was cancelled because plugin `{plugin}` was retired")]
    Cancelled {
        /// The plugin.
        plugin: Arc<str>,
    },
    /// The generation takes no calls: it has calls that never returned, or it was retired.
    #[error("plugin `{plugin}` takes no calls: {reason}")]
    Unavailable {
        /// The plugin.
        plugin: Arc<str>,
        /// Why, and what to do.
        reason: String,
    },
    /// The plugin's own process ended while the call was in it.
    #[error("plugin `{plugin}` crashed ({how})")]
    Crashed {
        /// The plugin.
        plugin: Arc<str>,
        /// How it ended.
        how: Arc<str>,
        /// Repeating the call does no harm, or another call was what ended the process.
        retryable: bool,
    },
    /// The plugin does not have what was asked for.
    #[error("plugin `{plugin}` has no {what}")]
    Unsupported {
        /// The plugin.
        plugin: Arc<str>,
        /// What was asked for.
        what: String,
    },
}

impl CallError {
    /// Whether the same call may succeed later, perhaps on another generation.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Failed { retryable, .. } | Self::Crashed { retryable, .. } => *retryable,
            Self::Cancelled { .. } | Self::Unavailable { .. } => true,
            Self::Panicked { .. } | Self::TimedOut { .. } | Self::Unsupported { .. } => false,
        }
    }

    /// Returns the error's code in logs and in the API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed { code, .. } => hotbay_plugin::error::code::name(*code),
            Self::Panicked { .. } => "E_PANIC",
            Self::TimedOut { .. } => "E_DEADLINE",
            Self::Cancelled { .. } => "E_CANCELLED",
            Self::Unavailable { .. } => "E_UNAVAILABLE",
            Self::Crashed { .. } => "E_PLUGIN_CRASHED",
            Self::Unsupported { .. } => "E_UNSUPPORTED",
        }
    }
}

/// One open plugin, whichever way it is isolated. The engine sees only this.
///
/// Futures are `'static` and may be polled on any thread; dropping one cancels the call.
pub trait Instance: Send + Sync {
    /// Starts a call and keeps `guard` until nothing of it is left in the plugin, which
    /// may be later than the end of the future: a cancelled poll may still be running.
    /// Nothing runs before the first poll.
    fn call(&self, target: Target, call: Call, guard: InFlightGuard) -> BoxFuture<'static, Result<Reply, CallError>>;
    /// Ends what the plugin has running; returns when it has, or after `deadline`.
    fn shutdown(&self, deadline: Duration) -> BoxFuture<'static, ()>;

    /// Whether a cancelled call does not return, so that the plugin should get no more.
    fn is_stuck(&self) -> bool {
        false
    }

    /// Returns how the plugin's own process fares, if it has one.
    fn process(&self) -> Option<ProcessStatus> {
        None
    }
}
