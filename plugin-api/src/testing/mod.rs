//! Runs a plugin's capabilities in process, for unit tests.
//!
//! Nothing here is a shortcut: the plugin is opened and called through the same guards
//! and adapters a real host meets; only the dylib is missing. [`TestHost`] plays the
//! host. All functions block until the call has ended, so plain `#[test]` functions do.
//!
//! ```
//! use hotbay_plugin::{prelude::*, testing::call_tool};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Sum {
//!     a: i64,
//!     b: i64,
//! }
//!
//! /// Adds two numbers.
//! #[tool(untyped_output)]
//! async fn add(sum: Sum) -> Result<i64> {
//!     Ok(sum.a + sum.b)
//! }
//!
//! # fn main() -> Result<()> {
//! assert_eq!(call_tool(add, &json!({ "a": 1, "b": 2 }))?, json!(3));
//! # Ok(())
//! # }
//! ```

mod host;
pub mod random_filters;
mod store;
pub mod store_contract;
mod workflow;

use std::{future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use host::{LogRecord, SpanRecord, TestHost};
pub use store::TestStore;
pub use workflow::{TestRun, WorkflowOutcome};

use crate::{
    Completion, Error, MemoryMessage, Plugin, Remembered, Result, Tool,
    abi::{
        AbiResult, CallCtx, PluginBox, Reply, SinkArc,
        abi_stable::std_types::{ROption, RVec},
        async_ffi::FfiFuture,
        reply_kind,
    },
    chat::ChatRequest,
    ctx,
    error::code,
    manifest::{CallMeta, Manifest},
    processor::{self, Processed},
    wire,
};

/// Calls a tool of a plugin that has nothing else, on a host that offers nothing.
///
/// # Errors
/// What the tool fails with.
pub fn call_tool(tool: impl Fn() -> Tool, input: &(impl Serialize + ?Sized)) -> Result<Outcome> {
    let id = tool().id();
    TestHost::new().open(Plugin::new("test", "0.0.0").tool(tool), &json!({}))?.tool(id).run(input)
}

impl TestHost {
    /// Opens a plugin with a configuration, e.g. `host.open(plugin(), &json!({}))`.
    ///
    /// # Errors
    /// What opening it fails with, first of all a configuration that does not fit.
    pub fn open(&self, plugin: Plugin, config: &Value) -> Result<TestPlugin> {
        let manifest = crate::guard::catch(|| plugin.manifest())?;
        let config = serde_json::to_vec(config)?;
        let opened = crate::guard::catch(|| plugin.open_on(self.handle(), &config)).and_then(|opened| opened)?;
        Ok(TestPlugin { manifest, plugin: opened, host: self.clone() })
    }
}

impl Plugin {
    /// Opens the plugin and returns it as a host sees it, for tests of the boundary itself.
    #[doc(hidden)]
    pub fn open_in_process(self, host: &TestHost) -> Result<PluginBox> {
        self.open_on(host.handle(), b"{}")
    }
}

/// An open plugin.
pub struct TestPlugin {
    manifest: Manifest,
    plugin: PluginBox,
    host: TestHost,
}

impl TestPlugin {
    /// Returns what the plugin says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Begins a call of a tool.
    pub fn tool(&self, id: &str) -> TestCall<'_> {
        let tool = self.plugin.tool(id.into());
        TestCall::new(move |ctx, input| Ok(accept(tool)?.call(ctx, input)))
    }

    /// Begins a turn of an agent that runs itself; the input is an [`crate::AgentRun`].
    pub fn agent(&self, id: &str) -> TestCall<'_> {
        let agent = self.plugin.agent(id.into());
        TestCall::new(move |ctx, input| Ok(accept(agent)?.run(ctx, input)))
    }

    /// Begins a run of a whole workflow.
    pub fn workflow(&self, id: &str) -> TestRun<'_> {
        TestRun::new(self, id)
    }

    /// Begins a call of the code of one node of a workflow: a step, a condition, a mapping, a computed wait.
    pub fn workflow_node(&self, workflow: &str, node: &str) -> TestCall<'_> {
        let (workflow, node) = (self.plugin.workflow(workflow.into()), node.to_owned());
        TestCall::new(move |ctx, input| Ok(accept(workflow)?.call(ctx, node.into(), input)))
    }

    /// Begins a call of a chat model; the input is a [`ChatRequest`].
    pub fn model(&self, id: &str) -> TestCall<'_> {
        let model = self.plugin.model(id.into());
        TestCall::new(move |ctx, input| Ok(accept(model)?.chat(ctx, input)))
    }

    /// Asks a chat model and puts its answer together.
    ///
    /// # Errors
    /// What the model fails with, or says broke off.
    pub fn chat(&self, id: &str, request: &ChatRequest) -> Result<Completion> {
        let outcome = self.model(id).run(request)?;
        let mut completion = Completion::default();
        for chunk in outcome.chunks {
            completion.add(wire::from_value(chunk, "stream part")?)?;
        }
        Ok(completion)
    }

    /// Lets an embedder embed texts.
    ///
    /// # Errors
    /// What the embedder fails with.
    pub fn embed(&self, id: &str, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let embedder = accept(self.plugin.embedder(id.into()))?;
        let texts = serde_json::to_vec(texts)?;
        let embeddings = accept(block_on(embedder.embed(call_ctx(&CallMeta::default(), None)?, texts.into()))?)?;
        let length = usize::try_from(embeddings.dimension)?;
        Ok(embeddings.values.chunks_exact(length.max(1)).map(<[f32]>::to_vec).collect())
    }

    /// Sends messages through a memory processor.
    ///
    /// # Errors
    /// What the processor fails with.
    pub fn memory_processor(&self, name: &str, remembered: &Remembered) -> Result<Vec<MemoryMessage>> {
        let service = self.plugin.service(processor::KIND.into(), name.into());
        let start = |ctx, input| Ok(accept(service)?.call(ctx, processor::PROCESS.into(), input));
        let processed: Processed = TestCall::new(start).run(remembered)?.value()?;
        Ok(processed.messages)
    }

    /// Returns a vector store.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` if the plugin has none of this name.
    pub fn vector_store(&self, name: &str) -> Result<TestStore> {
        accept(self.plugin.vector_store(name.into())).map(TestStore::new)
    }

    /// Shuts the plugin down.
    ///
    /// # Errors
    /// What its `shutdown` function fails with.
    pub fn shutdown(self) -> Result<()> {
        accept(block_on(self.plugin.shutdown(5_000))?)
    }
}

impl std::fmt::Debug for TestPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestPlugin").field("name", &self.manifest.name).finish_non_exhaustive()
    }
}

type Start<'a> = Box<dyn FnOnce(CallCtx, RVec<u8>) -> Result<FfiFuture<AbiResult<Reply>>> + 'a>;

/// A call that has not been made yet.
#[must_use = "the call is made by `run`"]
pub struct TestCall<'a> {
    start: Start<'a>,
    meta: CallMeta,
}

impl<'a> TestCall<'a> {
    fn new(start: impl FnOnce(CallCtx, RVec<u8>) -> Result<FfiFuture<AbiResult<Reply>>> + 'a) -> Self {
        Self { start: Box::new(start), meta: CallMeta::default() }
    }

    /// Sets everything the host says about the call.
    pub fn meta(self, meta: CallMeta) -> Self {
        Self { meta, ..self }
    }

    /// Resumes a call that had suspended.
    pub fn resume(mut self, data: Value) -> Self {
        self.meta.resume_data = Some(data);
        self
    }

    /// Says what the call had suspended with.
    pub fn suspend_payload(mut self, payload: Value) -> Self {
        self.meta.suspend_payload = Some(payload);
        self
    }

    /// Says which attempt it is; 1 if not set.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.meta.attempt = Some(attempt);
        self
    }

    /// Makes the call and waits for its end.
    ///
    /// # Errors
    /// What the call fails with; `E_DEADLINE` if it takes over 10 seconds.
    pub fn run(self, input: &(impl Serialize + ?Sized)) -> Result<Outcome> {
        let input = serde_json::to_vec(input)?;
        let (sink, mut chunks) = ctx::channel();
        let mut future = (self.start)(call_ctx(&self.meta, Some(sink))?, input.into())?;
        block_on(async move {
            let mut seen = Vec::new();
            let reply = loop {
                tokio::select! {
                    reply = &mut future => break accept(reply)?,
                    Some(chunk) = chunks.recv() => seen.push(wire::from_slice(&chunk, "chunk")?),
                }
            };
            while let Ok(chunk) = chunks.try_recv() {
                seen.push(wire::from_slice(&chunk, "chunk")?);
            }
            let body = wire::from_slice(&reply.body, "reply")?;
            let end = match reply.kind {
                reply_kind::SUSPENDED => End::Suspended(body),
                reply_kind::BAILED => End::Bailed(body),
                reply_kind::TRIPWIRE => End::Tripped(body),
                _ => End::Value(body),
            };
            Ok(Outcome { end, chunks: seen, resume_labels: labels(&reply.meta_json)? })
        })?
    }
}

impl std::fmt::Debug for TestCall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestCall").field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// How a call ended, and what it streamed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The chunks it sent, in order.
    pub chunks: Vec<Value>,
    /// The labels it suspended under.
    pub resume_labels: Vec<String>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// With a value.
    Value(Value),
    /// Suspended, with this payload.
    Suspended(Value),
    /// Left the workflow, with this result.
    Bailed(Value),
    /// Stopped the workflow: `{"reason", "retry"?, "metadata"?}`.
    Tripped(Value),
}

impl Outcome {
    /// Returns the value of a call that has ended with one, typed.
    ///
    /// # Errors
    /// If the call suspended, bailed out or hit a tripwire, or the value does not fit `T`.
    pub fn value<T: DeserializeOwned>(self) -> Result<T> {
        match self.end {
            End::Value(value) => wire::from_value(value, "value"),
            End::Suspended(payload) => Err(Error::new(format!("the call suspended with {payload}"))),
            End::Bailed(result) => Err(Error::new(format!("the call bailed out with {result}"))),
            End::Tripped(reason) => Err(Error::new(format!("the call hit a tripwire: {reason}"))),
        }
    }
}

/// Compares the value of a call that has ended with one.
impl PartialEq<Value> for Outcome {
    fn eq(&self, other: &Value) -> bool {
        matches!(&self.end, End::Value(value) if value == other)
    }
}

/// The longest a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(10);

fn accept<T>(result: AbiResult<T>) -> Result<T> {
    result.into_result().map_err(Error::from)
}

fn labels(meta: &[u8]) -> Result<Vec<String>> {
    #[derive(serde::Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Meta {
        resume_labels: Vec<String>,
    }
    let meta: Meta = if meta.is_empty() { Meta::default() } else { wire::from_slice(meta, "reply meta")? };
    Ok(meta.resume_labels)
}

fn call_ctx(meta: &CallMeta, sink: Option<SinkArc>) -> Result<CallCtx> {
    let sink = match sink {
        Some(sink) => ROption::RSome(sink),
        None => ROption::RNone,
    };
    Ok(CallCtx { call_id: 1, deadline_ms: 0, sink, meta_json: serde_json::to_vec(meta)?.into() })
}

/// Waits for a future on a thread of its own, so that tests within a runtime may call it too.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await }).map_err(|_| {
                Error::with_code(code::DEADLINE, format!("the call did not end within {} s", PATIENCE.as_secs()))
            })
        });
        waiting.join().unwrap_or_else(|_| Err(Error::with_code(code::PANIC, "waiting for the call panicked")))
    })
}
