//! What the host offers a plugin: log, spans and requests by name.
//!
//! One handle for each generation, revoked when it is retired. A plugin may call it
//! from any of its threads; nothing here blocks, and a request's work runs on the
//! host's own runtime. What the requests do is behind [`HostServices`].

mod spans;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use hotbay_plugin::{
    Error,
    abi::{
        AbiResult, HostApi, HostApi_TO, HostArc, SinkArc,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RArc, ROption, RResult, RSlice, RStr, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
        push,
    },
    error::code,
};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};

use spans::OpenSpans;
pub(crate) use spans::{CallTable, Entered};

use super::{
    call::{CallContext, ChunkSender},
    pool::{Lane, PluginPool},
};

/// Chunks on their way into a plugin; a plugin that reads slowly slows the request, not the host.
const CHUNKS: usize = 32;
/// Longest text of one log record; what is longer is cut.
pub(crate) const MAX_MESSAGE: usize = 16 << 10;

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Requester {
    /// The plugin.
    pub plugin: Arc<str>,
    /// Its generation.
    pub generation: u64,
    /// The call the request belongs to, 0 outside a call.
    pub call: u64,
    /// What [`super::call::Call::context`] of that call was.
    pub context: Option<Arc<dyn CallContext>>,
}

/// Answers plugins' requests.
#[async_trait]
pub trait HostServices: Send + Sync {
    /// Performs `op`. `body` and the answer are JSON documents; chunks go to `sink`, if the
    /// plugin listens. An op that is not known is [`code::UNSUPPORTED`].
    ///
    /// Runs on the host's runtime; dropped when the plugin gives the request up.
    async fn request(
        &self,
        caller: Requester,
        op: &str,
        body: Vec<u8>,
        sink: Option<ChunkSender>,
    ) -> Result<Vec<u8>, Error>;
}

/// The host as one generation sees it.
#[derive(Clone)]
pub(crate) struct HostHandle {
    shared: Arc<Shared>,
}

struct Shared {
    plugin: Arc<str>,
    generation: u64,
    revoked: AtomicBool,
    services: Arc<dyn HostServices>,
    runtime: Handle,
    pool: Arc<PluginPool>,
    lane: Arc<Lane>,
    calls: Arc<CallTable>,
    spans: OpenSpans,
}

impl HostHandle {
    /// Makes the handle of a generation that is about to be opened.
    pub(crate) fn new(
        plugin: Arc<str>,
        generation: u64,
        services: Arc<dyn HostServices>,
        pool: Arc<PluginPool>,
        lane: Arc<Lane>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                plugin,
                generation,
                revoked: AtomicBool::new(false),
                services,
                runtime: Handle::current(),
                pool,
                lane,
                calls: Arc::default(),
                spans: OpenSpans::default(),
            }),
        }
    }

    /// Returns the form in which it crosses into the plugin.
    pub(crate) fn to_abi(&self) -> HostArc {
        HostApi_TO::from_ptr(RArc::new(self.clone()), TD_Opaque)
    }

    /// Returns the table of calls that requests, logs and spans refer to.
    pub(crate) fn calls(&self) -> &Arc<CallTable> {
        &self.shared.calls
    }

    /// Takes everything back: requests fail from now on, logs and spans are dropped.
    pub(crate) fn revoke(&self) {
        self.shared.revoked.store(true, Ordering::Release);
        self.shared.spans.close_all();
    }

    /// Runs the host's part of something the plugin asks for.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.shared.runtime.spawn(work).abort_handle()
    }

    fn is_revoked(&self) -> bool {
        self.shared.revoked.load(Ordering::Acquire)
    }

    fn write_log(&self, call: u64, level: u8, target: &str, message: &str, fields: &str) {
        let shared = &self.shared;
        let message = cut(message);
        let fields = cut(fields);
        let _entered = shared.calls.span(call).map(tracing::Span::entered);
        macro_rules! record {
            ($level:ident) => {
                tracing::event!(
                    target: "plugin",
                    tracing::Level::$level,
                    plugin.name = %shared.plugin,
                    plugin.generation = shared.generation,
                    plugin.target = target,
                    plugin.fields = fields,
                    "{message}"
                )
            };
        }
        match level {
            0..=10 => record!(TRACE),
            11..=20 => record!(DEBUG),
            21..=30 => record!(INFO),
            31..=40 => record!(WARN),
            _ => record!(ERROR),
        }
    }

    /// Begins a request of the plugin; dropping what is returned ends it.
    pub(crate) fn begin(&self, call: u64, op: &str, body: Vec<u8>, chunks: Option<ChunkSender>) -> Request {
        let shared = &self.shared;
        let caller = Requester {
            plugin: Arc::clone(&shared.plugin),
            generation: shared.generation,
            call,
            context: shared.calls.context(call),
        };
        let (services, op) = (Arc::clone(&shared.services), op.to_owned());
        let parent = shared.calls.span(call).unwrap_or_else(tracing::Span::none);
        let is_revoked = self.is_revoked();
        let work = async move {
            if is_revoked {
                return Err(Error::with_code(code::REVOKED, "this generation of the plugin was retired"));
            }
            services.request(caller, &op, body, chunks).await
        };
        Request { work: shared.runtime.spawn(tracing::Instrument::instrument(work, parent)), forward: None }
    }

    fn begin_in_process(&self, call: u64, op: &str, body: Vec<u8>, sink: Option<SinkArc>) -> Request {
        let Some(sink) = sink else { return self.begin(call, op, body, None) };
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let mut request = self.begin(call, op, body, Some(sender));
        // The sink is the plugin's code, so it is filled from the plugin's threads.
        request.forward = Some(self.shared.pool.spawn(&self.shared.lane, call, false, forward(receiver, sink, || {})));
        request
    }
}

/// Moves chunks into the plugin until the request ends, and says when one was taken. Returns whether the
/// plugin still reads.
pub(crate) async fn forward(mut chunks: mpsc::Receiver<Bytes>, sink: SinkArc, taken: impl Fn()) -> bool {
    while let Some(chunk) = chunks.recv().await {
        loop {
            match sink.push(RSlice::from_slice(&chunk)) {
                push::OK => break,
                push::FULL if sink.ready().await => {}
                _ => return false,
            }
        }
        taken();
    }
    true
}

/// Cuts a text to what is kept of one.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default()
}

/// A request under way; dropping it ends the work.
pub(crate) struct Request {
    work: JoinHandle<Result<Vec<u8>, Error>>,
    forward: Option<async_task::Task<Result<bool, super::pool::Stopped>>>,
}

impl Request {
    /// Waits for its end.
    pub(crate) async fn finish(mut self) -> Result<Vec<u8>, Error> {
        let answer = (&mut self.work).await;
        // The answer is the end of the stream, so every chunk must be in the plugin's hands before.
        if let Some(forward) = self.forward.take() {
            drop(forward.await);
        }
        answer.unwrap_or_else(|stopped| {
            Err(if stopped.is_cancelled() {
                Error::with_code(code::CANCELLED, "the host is shutting down")
            } else {
                Error::new("the host failed to answer the request, its log says why")
            })
        })
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.work.abort();
    }
}

// A panic that reached the generated glue would end the process, hence the guards.
impl HostApi for HostHandle {
    fn log(&self, call: u64, level: u8, target: RStr<'_>, message: RStr<'_>, fields_json: RSlice<'_, u8>) {
        if self.is_revoked() {
            return;
        }
        let fields = String::from_utf8_lossy(fields_json.as_slice());
        let write = || self.write_log(call, level, target.as_str(), message.as_str(), &fields);
        drop(catch_unwind(AssertUnwindSafe(write)));
    }

    fn span(&self, call: u64, op: u8, span: u64, name: RStr<'_>, fields_json: RSlice<'_, u8>) -> u64 {
        if self.is_revoked() {
            return 0;
        }
        let shared = &self.shared;
        let fields = String::from_utf8_lossy(fields_json.as_slice());
        let apply = || {
            let within = shared.calls.context(call);
            let within = within.as_ref().and_then(|context| context.span());
            shared.spans.apply(op, span, name.as_str(), &fields, within, &shared.plugin)
        };
        catch_unwind(AssertUnwindSafe(apply)).unwrap_or(0)
    }

    fn request(
        &self,
        call: u64,
        op: RStr<'_>,
        body: RVec<u8>,
        sink: ROption<SinkArc>,
    ) -> FfiFuture<AbiResult<RVec<u8>>> {
        // Copied, so that nothing of the plugin's memory goes to the host's runtime.
        let (op, body) = (op.as_str().to_owned(), body.as_slice().to_vec());
        let host = self.clone();
        async move {
            match host.begin_in_process(call, &op, body, sink.into_option()).finish().await {
                Ok(answer) => RResult::ROk(answer.into()),
                Err(error) => RResult::RErr(error.into()),
            }
        }
        .into_ffi()
    }
}
