//! A whole plugin: what it offers, how it opens, how it ends.
//!
//! `plugin!` writes the calls to [`Plugin`]'s builder; [`crate::export`] puts the result
//! behind the root module, [`crate::testing`] opens it in process.

use std::{any::Any, collections::HashSet, future::Future, pin::Pin, sync::Arc};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Agent, Ctx, Embedder, Error, McpServer, MemoryProcessor, Model, Result, Tool, VectorStore, Workflow,
    abi::{HostArc, Plugin_TO, PluginBox, abi_stable::sabi_trait::TD_Opaque},
    error::code,
    guard,
    instance::Instance,
    manifest::{Build, Manifest},
    opened::Opened,
    panic_hook, schema,
    vector_store::StoreEntry,
    wire,
};

type Anything = Box<dyn Any + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type OpenCode = Arc<dyn Fn(Ctx) -> BoxFuture<Result<Anything>> + Send + Sync>;
type ShutdownCode = Arc<dyn Fn(Ctx) -> BoxFuture<Result<()>> + Send + Sync>;

/// A plugin as `plugin!` puts it together.
#[derive(Clone)]
#[must_use]
pub struct Plugin {
    name: String,
    version: String,
    description: String,
    build: Build,
    config: Option<Config>,
    open: Option<OpenCode>,
    pub(crate) shutdown: Option<ShutdownCode>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) models: Vec<Model>,
    pub(crate) embedders: Vec<Embedder>,
    pub(crate) workflows: Vec<Workflow>,
    pub(crate) vector_stores: Vec<StoreEntry>,
    pub(crate) memory_processors: Vec<MemoryProcessor>,
    pub(crate) mcp_servers: Vec<McpServer>,
}

#[derive(Clone, Copy)]
struct Config {
    schema: fn() -> serde_json::Value,
    parse: fn(&[u8]) -> Result<Anything>,
}

impl Plugin {
    /// Returns a plugin that offers nothing yet.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            description: String::new(),
            build: Build::default(),
            config: None,
            open: None,
            shutdown: None,
            tools: Vec::new(),
            agents: Vec::new(),
            models: Vec::new(),
            embedders: Vec::new(),
            workflows: Vec::new(),
            vector_stores: Vec::new(),
            memory_processors: Vec::new(),
            mcp_servers: Vec::new(),
        }
    }

    /// Says in one line what the plugin is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Notes how the plugin's crate is built; only its own code can tell.
    #[doc(hidden)]
    pub fn built(mut self, profile: &str, panic: &str) -> Self {
        self.build = Build {
            sdk: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: env!("HOTBAY_RUSTC").to_owned(),
            profile: profile.to_owned(),
            panic: panic.to_owned(),
            target: env!("HOTBAY_TARGET").to_owned(),
        };
        self
    }

    /// Offers a tool.
    pub fn tool(mut self, tool: impl Fn() -> Tool) -> Self {
        self.tools.push(tool());
        self
    }

    /// Offers an agent.
    pub fn agent(mut self, agent: impl Fn() -> Agent) -> Self {
        self.agents.push(agent());
        self
    }

    /// Offers a chat model.
    pub fn model(mut self, model: impl Fn() -> Model) -> Self {
        self.models.push(model());
        self
    }

    /// Offers an embedder.
    pub fn embedder(mut self, embedder: impl Fn() -> Embedder) -> Self {
        self.embedders.push(embedder());
        self
    }

    /// Offers a workflow.
    pub fn workflow(mut self, workflow: impl Fn() -> Workflow) -> Self {
        self.workflows.push(workflow());
        self
    }

    /// Offers a vector store.
    pub fn vector_store<S: VectorStore>(mut self) -> Self {
        self.vector_stores.push(StoreEntry::of::<S>());
        self
    }

    /// Offers a memory processor.
    pub fn memory_processor(mut self, processor: impl Fn() -> MemoryProcessor) -> Self {
        self.memory_processors.push(processor());
        self
    }

    /// Offers a group of capabilities to MCP clients.
    pub fn mcp_server(mut self, server: impl Fn() -> McpServer) -> Self {
        self.mcp_servers.push(server());
        self
    }

    /// Takes a configuration of type `C`; an absent one is parsed from `{}`.
    pub fn config<C: DeserializeOwned + JsonSchema + Send + Sync + 'static>(mut self) -> Self {
        self.config = Some(Config { schema: schema::input::<C>, parse: parse_config::<C> });
        self
    }

    /// Runs `code` when the plugin is opened and keeps what it makes, see [`Ctx::state`].
    #[doc(hidden)]
    pub fn open<F, S>(mut self, code: impl Fn(Ctx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<S>> + Send + 'static,
        S: Send + Sync + 'static,
    {
        self.open = Some(Arc::new(move |ctx| {
            let future = code(ctx);
            Box::pin(async move { Ok(Box::new(future.await?) as Anything) })
        }));
        self
    }

    /// Runs `code` before the plugin ends.
    #[doc(hidden)]
    pub fn shutdown<F>(mut self, code: impl Fn(Ctx) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.shutdown = Some(Arc::new(move |ctx| Box::pin(code(ctx))));
        self
    }

    /// Returns the plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the host is told about the plugin.
    ///
    /// # Panics
    /// If two capabilities of a kind share a name.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        self.assert_unique("tools", self.tools.iter().map(Tool::id));
        self.assert_unique("agents", self.agents.iter().map(Agent::id));
        self.assert_unique("models", self.models.iter().map(Model::id));
        self.assert_unique("embedders", self.embedders.iter().map(Embedder::id));
        self.assert_unique("workflows", self.workflows.iter().map(Workflow::id));
        self.assert_unique("vector stores", self.vector_stores.iter().map(StoreEntry::name));
        self.assert_unique("memory processors", self.memory_processors.iter().map(MemoryProcessor::name));
        Manifest {
            name: self.name.clone(),
            version: self.version.clone(),
            description: self.description.clone(),
            build: self.build.clone(),
            config_schema: self.config.map(|config| (config.schema)()),
            tools: self.tools.iter().map(Tool::manifest).collect(),
            agents: self.agents.iter().map(|agent| agent.manifest().clone()).collect(),
            workflows: self.workflows.iter().map(Workflow::manifest).collect(),
            vector_stores: self.vector_stores.iter().map(StoreEntry::manifest).collect(),
            models: self.models.iter().map(|model| model.manifest().clone()).collect(),
            embedders: self.embedders.iter().map(|embedder| embedder.manifest().clone()).collect(),
            mcp_servers: self.mcp_servers.iter().map(|server| server.manifest().clone()).collect(),
            services: {
                let processors = self.memory_processors.iter().map(MemoryProcessor::manifest);
                processors.chain(self.mcp_servers.iter().filter_map(McpServer::service)).collect()
            },
            error: None,
        }
    }

    fn assert_unique<'a>(&self, what: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = HashSet::new();
        for name in names {
            assert!(seen.insert(name), "plugin `{}` has two {what} with the id `{name}`: rename one", self.name);
        }
    }

    /// Opens the plugin with its configuration.
    pub(crate) fn open_on(self, host: HostArc, config: &[u8]) -> Result<PluginBox> {
        panic_hook::install();
        let config = match self.config {
            Some(expected) => (expected.parse)(config)?,
            None => Box::new(()),
        };
        let opened = Arc::new(Opened::new(&self.name, host, config));
        if let Some(code) = &self.open {
            let state = run_open(&opened, code)?;
            opened.set_state(state);
        }
        Ok(Plugin_TO::from_value(Instance::new(self, opened), TD_Opaque))
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}

fn parse_config<C: DeserializeOwned + Send + Sync + 'static>(config: &[u8]) -> Result<Anything> {
    let config = if config.is_empty() || config == b"null" { b"{}" } else { config };
    let config: C = wire::from_slice(config, "configuration").map_err(|error| Error { code: code::CONFIG, ..error })?;
    Ok(Box::new(config))
}

/// Runs the author's `open` to its end on a thread of its own: the caller's may belong
/// to a runtime, in which blocking on another one is not allowed.
fn run_open(opened: &Arc<Opened>, open: &OpenCode) -> Result<Anything> {
    let handle = opened.runtime().handle()?;
    let ctx = Ctx::outside(Arc::clone(opened));
    std::thread::scope(|scope| {
        let work = || guard::catch(|| handle.block_on(open(ctx))).and_then(|result| result);
        let thread = std::thread::Builder::new().name(format!("{}-open", opened.name())).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(Error::with_code(code::PANIC, "opening the plugin panicked")))
    })
}
