//! An open plugin in the host's own process: ABI values here, [`super::call`] types outside.
//!
//! Every touch of the plugin happens on the [`PluginPool`] or, while it is opened, on a
//! thread of its own. Whatever comes back is copied into the host's memory before the
//! call counts as over.

mod sink;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use async_task::Task;
use futures::future::BoxFuture;
use hotbay_plugin::{
    abi::{
        self, AbiError, AbiResult, AgentBox, CallCtx, EmbedderBox, HostArc, ModelBox, PluginBox, ServiceBox, ToolBox,
        VectorStoreBox, WorkflowBox,
        abi_stable::std_types::{ROption, RResult, RStr, RString, RVec},
    },
    error::code,
};

use super::{
    call::{Call, CallError, Instance, Reply, ReplyKind, Target},
    error::{LoadCode, LoadError},
    in_flight::InFlightGuard,
    loader::Image,
    pool::{Lane, PluginPool, Stopped},
    services::HostHandle,
};
use crate::types::map::QuickMap;

/// Names calls in the life of the process.
static NEXT_CALL: AtomicU64 = AtomicU64::new(1);

/// Returns a name for a call that no other call has in the life of the process.
pub(crate) fn next_call() -> u64 {
    NEXT_CALL.fetch_add(1, Ordering::Relaxed)
}

/// Returns a deadline as it crosses to the plugin, where 0 is none.
pub(crate) fn deadline_ms(deadline: Option<Duration>) -> u64 {
    deadline.map_or(0, |deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX).max(1))
}

/// What an open plugin handed out. The capabilities go before the plugin itself.
pub(crate) struct Components {
    tools: QuickMap<String, ToolPart>,
    agents: QuickMap<String, AgentBox>,
    workflows: QuickMap<String, WorkflowBox>,
    vector_stores: QuickMap<String, VectorStoreBox>,
    models: QuickMap<String, ModelBox>,
    embedders: QuickMap<String, EmbedderBox>,
    services: QuickMap<(String, String), ServiceBox>,
    plugin: PluginBox,
}

struct ToolPart {
    tool: ToolBox,
    blocking: bool,
}

impl Components {
    /// Opens a plugin and takes every capability its manifest names. May block.
    pub(crate) fn open(image: &Image, host: HostArc, config: Vec<u8>) -> Result<Self, LoadError> {
        let manifest = &image.manifest;
        let opened = (image.root.open())(host, config.into());
        let plugin = opened.into_result().map_err(|error| open_failed("it could not be opened", error))?;
        let mut parts = Self {
            tools: QuickMap::default(),
            agents: QuickMap::default(),
            workflows: QuickMap::default(),
            vector_stores: QuickMap::default(),
            models: QuickMap::default(),
            embedders: QuickMap::default(),
            services: QuickMap::default(),
            plugin,
        };
        let plugin = &parts.plugin;
        for tool in &manifest.tools {
            let part = ToolPart { tool: take("tool", &tool.id, plugin.tool(name(&tool.id)))?, blocking: tool.blocking };
            parts.tools.insert(tool.id.clone(), part);
        }
        for agent in manifest.agents.iter().filter(|agent| agent.custom_run) {
            parts.agents.insert(agent.id.clone(), take("agent", &agent.id, plugin.agent(name(&agent.id)))?);
        }
        for workflow in &manifest.workflows {
            let part = take("workflow", &workflow.id, plugin.workflow(name(&workflow.id)))?;
            parts.workflows.insert(workflow.id.clone(), part);
        }
        for store in &manifest.vector_stores {
            let part = take("vector store", &store.name, plugin.vector_store(name(&store.name)))?;
            parts.vector_stores.insert(store.name.clone(), part);
        }
        for model in &manifest.models {
            parts.models.insert(model.id.clone(), take("model", &model.id, plugin.model(name(&model.id)))?);
        }
        for embedder in &manifest.embedders {
            let part = take("embedder", &embedder.id, plugin.embedder(name(&embedder.id)))?;
            parts.embedders.insert(embedder.id.clone(), part);
        }
        for service in &manifest.services {
            let part = take("service", &service.name, plugin.service(name(&service.kind), name(&service.name)))?;
            parts.services.insert((service.kind.clone(), service.name.clone()), part);
        }
        Ok(parts)
    }

    /// Whether the call blocks its thread, as far as the manifest says.
    pub(crate) fn is_blocking(&self, target: &Target) -> bool {
        matches!(target, Target::Tool(id) if self.tools.get(&**id).is_some_and(|part| part.blocking))
    }

    /// Starts the plugin's future and drives it to the end.
    pub(crate) async fn run(&self, target: Target, ctx: CallCtx, body: Vec<u8>, vectors: Vec<f32>) -> Answer {
        let body = RVec::from(body);
        match target {
            Target::Tool(id) => match self.tools.get(&*id) {
                Some(part) => plain(part.tool.call(ctx, body).await),
                None => Err(missing("tool", &id)),
            },
            Target::Agent(id) => match self.agents.get(&*id) {
                Some(agent) => plain(agent.run(ctx, body).await),
                None => Err(missing("code for agent", &id)),
            },
            Target::Workflow { id, node } => match self.workflows.get(&*id) {
                Some(workflow) => plain(workflow.call(ctx, RString::from(&*node), body).await),
                None => Err(missing("workflow", &id)),
            },
            Target::VectorStore { name, op } => match self.vector_stores.get(&*name) {
                Some(store) => with_vectors(store.call(ctx, RString::from(&*op), body, RVec::from(vectors)).await),
                None => Err(missing("vector store", &name)),
            },
            Target::Model(id) => match self.models.get(&*id) {
                Some(model) => plain(model.chat(ctx, body).await),
                None => Err(missing("model", &id)),
            },
            Target::Embedder(id) => match self.embedders.get(&*id) {
                Some(embedder) => embeddings(embedder.embed(ctx, body).await),
                None => Err(missing("embedder", &id)),
            },
            Target::Service { kind, name, op } => match self.services.get(&(kind.to_string(), name.to_string())) {
                Some(service) => plain(service.call(ctx, RString::from(&*op), body).await),
                None => Err(missing(&kind, &name)),
            },
        }
    }

    /// Ends what the plugin has running. Nothing is called afterwards.
    pub(crate) async fn shut_down(&self, deadline: Duration) -> Result<(), hotbay_plugin::Error> {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.plugin.shutdown(deadline_ms).await.into_result().map_err(hotbay_plugin::Error::from)
    }
}

fn name(text: &str) -> RStr<'_> {
    RStr::from_str(text)
}

fn take<T>(kind: &str, name: &str, result: AbiResult<T>) -> Result<T, LoadError> {
    let what = format!("it did not hand out its {kind} `{name}`");
    result.into_result().map_err(|error| open_failed(&what, error))
}

fn open_failed(what: &str, error: AbiError) -> LoadError {
    let error = hotbay_plugin::Error::from(error);
    let code = if error.code == code::CONFIG { LoadCode::Config } else { LoadCode::OpenFailed };
    LoadError::new(code, format!("{what}: {}", error.message))
}

/// What a plugin's code came to, in the host's own values.
pub(crate) type Answer = Result<Reply, Failure>;

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The plugin's code says so, or panicked.
    Plugin(hotbay_plugin::Error),
    /// It does not have what was called.
    Missing(String),
}

impl Failure {
    /// Returns what the caller is told.
    pub(crate) fn told(self, plugin: Arc<str>) -> CallError {
        match self {
            Self::Missing(what) => CallError::Unsupported { plugin, what },
            Self::Plugin(error) if error.code == code::PANIC => CallError::Panicked { plugin, message: error.message },
            Self::Plugin(error) => CallError::Failed {
                plugin,
                code: error.code,
                message: error.message,
                retryable: error.retryable,
                detail: error.detail,
            },
        }
    }
}

fn missing(kind: &str, name: &str) -> Failure {
    Failure::Missing(format!("{kind} `{name}`"))
}

fn plain(result: AbiResult<abi::Reply>) -> Answer {
    match result {
        RResult::ROk(reply) => Ok(Reply {
            kind: match reply.kind {
                1 => ReplyKind::Suspended,
                2 => ReplyKind::Bailed,
                3 => ReplyKind::Tripped,
                _ => ReplyKind::Value,
            },
            body: reply.body.as_slice().to_vec(),
            meta: reply.meta_json.as_slice().to_vec(),
            vectors: Vec::new(),
        }),
        RResult::RErr(error) => Err(Failure::Plugin(error.into())),
    }
}

fn with_vectors(result: AbiResult<abi::VectorReply>) -> Answer {
    match result {
        RResult::ROk(reply) => Ok(Reply {
            kind: ReplyKind::Value,
            body: reply.body.as_slice().to_vec(),
            meta: Vec::new(),
            vectors: reply.vectors.as_slice().to_vec(),
        }),
        RResult::RErr(error) => Err(Failure::Plugin(error.into())),
    }
}

/// The length of a row goes where a plain reply has its body: as JSON.
fn embeddings(result: AbiResult<abi::Embeddings>) -> Answer {
    match result {
        RResult::ROk(reply) => Ok(Reply {
            kind: ReplyKind::Value,
            body: format!("{{\"dimension\":{}}}", reply.dimension).into_bytes(),
            meta: reply.meta_json.as_slice().to_vec(),
            vectors: reply.values.as_slice().to_vec(),
        }),
        RResult::RErr(error) => Err(Failure::Plugin(error.into())),
    }
}

/// A plugin that runs in this process.
pub(crate) struct InlineInstance {
    plugin: Arc<str>,
    /// `None` after the shutdown.
    components: ArcSwapOption<Components>,
    pool: Arc<PluginPool>,
    lane: Arc<Lane>,
    host: HostHandle,
}

impl InlineInstance {
    /// Takes an open plugin over.
    pub(crate) fn new(
        plugin: Arc<str>,
        components: Components,
        pool: Arc<PluginPool>,
        lane: Arc<Lane>,
        host: HostHandle,
    ) -> Self {
        Self { plugin, components: ArcSwapOption::from_pointee(components), pool, lane, host }
    }
}

/// A call on the pool; dropping it cancels the call and has an eye kept on it.
struct Running {
    task: Option<Task<Result<Answer, Stopped>>>,
    id: u64,
    pool: Arc<PluginPool>,
    lane: Arc<Lane>,
}

impl Running {
    async fn finish(mut self) -> Result<Answer, Stopped> {
        let Some(task) = self.task.as_mut() else {
            return Err(Stopped { message: String::from("the call was taken already") });
        };
        let answer = task.await;
        self.task = None;
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = self.task.take()
            && !task.is_finished()
        {
            drop(task);
            self.pool.give_up(&self.lane, self.id);
        }
    }
}

fn into_result(plugin: Arc<str>, answer: Result<Answer, Stopped>) -> Result<Reply, CallError> {
    match answer {
        Ok(answer) => answer.map_err(|failure| failure.told(plugin)),
        Err(stopped) => Err(CallError::Panicked { plugin, message: stopped.message }),
    }
}

impl Instance for InlineInstance {
    fn call(&self, target: Target, call: Call, guard: InFlightGuard) -> BoxFuture<'static, Result<Reply, CallError>> {
        let plugin = Arc::clone(&self.plugin);
        let Some(components) = self.components.load_full() else {
            return Box::pin(async move {
                Err(CallError::Unavailable { plugin, reason: String::from("it was shut down; try again") })
            });
        };
        if self.pool.refuses(&self.lane) {
            let reason = String::from("its earlier calls hold every thread; reload it");
            return Box::pin(async move { Err(CallError::Unavailable { plugin, reason }) });
        }
        let (pool, lane) = (Arc::clone(&self.pool), Arc::clone(&self.lane));
        let calls = Arc::clone(self.host.calls());
        Box::pin(async move {
            let id = next_call();
            let known = calls.enter(id, call.context);
            let blocking = components.is_blocking(&target);
            let (body, vectors, meta, deadline, sink) = (call.body, call.vectors, call.meta, call.deadline, call.sink);
            let work = async move {
                // Declared first, dropped last: the plugin's future is gone when the guard goes.
                let _guard = guard;
                let _known = known;
                let ctx = CallCtx {
                    call_id: id,
                    deadline_ms: deadline_ms(deadline),
                    sink: sink.map_or(ROption::RNone, |sink| ROption::RSome(sink::to_abi(sink))),
                    meta_json: RVec::from(meta),
                };
                components.run(target, ctx, body, vectors).await
            };
            let task = pool.spawn(&lane, id, blocking, work);
            let answer = Running { task: Some(task), id, pool, lane }.finish().await;
            into_result(plugin, answer)
        })
    }

    fn shutdown(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        let components = self.components.swap(None);
        let (pool, lane, plugin) = (Arc::clone(&self.pool), Arc::clone(&self.lane), Arc::clone(&self.plugin));
        Box::pin(async move {
            let Some(components) = components else { return };
            let work = async move {
                let ended = components.shut_down(deadline).await;
                // Dropped here, on the pool, since it is the plugin's code. A stuck call may hold
                // another handle; then nothing is dropped until it returns.
                drop(components);
                ended
            };
            let id = next_call();
            match tokio::time::timeout(deadline, pool.spawn(&lane, id, true, work)).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    tracing::warn!(plugin.name = %plugin, error = %error.message, "a plugin's shutdown failed");
                }
                Ok(Err(stopped)) => {
                    tracing::warn!(plugin.name = %plugin, error = %stopped.message, "a plugin's shutdown panicked");
                }
                Err(_) => {
                    tracing::warn!(plugin.name = %plugin, "a plugin's shutdown did not finish in time");
                }
            }
        })
    }

    fn is_stuck(&self) -> bool {
        self.lane.is_stuck()
    }
}
