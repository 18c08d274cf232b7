//! The long-lived parts of a host, built once in the order they need each other, and ended
//! in the opposite one.

use std::{
    io,
    ops::Deref,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hotbay_plugin::{Error, chat, error::code};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    auth::{Auth, AuthError},
    config::{self, Config},
    engine::{
        Engine, Holder,
        error::EngineError,
        workflow::{WorkflowSettings, Workflows},
    },
    idle,
    limits::Limits,
    mcp::Mcp,
    model::{self, ModelError, catalog::Models},
    observe::{
        self, Observe, Recorder,
        otlp::export::{self, Exported},
    },
    plugin::{Plugins, Spawner, error::LoadError, settings::Account},
    plugin_events,
    services::{AskAgent, Recall, Services},
    sources::Sources,
    store::{self, Store, StoreError, StoreSettings},
    tasks::Tasks,
    types::id,
    vector::Vectors,
};

/// How long runs may take to end once they are told to.
const RUNS: Duration = Duration::from_secs(2);
/// How long calls of plugins may, after that.
const CALLS: Duration = Duration::from_secs(1);
/// How long one plugin's shutdown may take when the whole host ends.
const PLUGIN_SHUTDOWN: Duration = Duration::from_secs(2);
/// How long the last spans may take to a collector.
const EXPORT: Duration = Duration::from_secs(1);

/// How long connecting to a collector may take.
const COLLECTOR: Duration = Duration::from_secs(5);

/// What handlers share: all of [`App`].
///
/// By a type that says nothing of it. The compiler asks of each handler, and of each type axum puts around
/// it, whether what it shares can be sent, and to find that out of everything in a host takes it a while.
#[derive(Clone)]
pub struct AppState(Arc<dyn Deref<Target = App> + Send + Sync>);

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

/// The long-lived parts of a host.
pub struct App {
    /// The settings.
    pub config: Config,
    /// How much is asked of the host.
    pub limits: Arc<Limits>,
    /// Starts, streams and cancels runs.
    pub engine: Engine,
    /// Runs of workflows.
    pub workflows: Workflows,
    /// Clients of MCP.
    pub mcp: Mcp,
    /// Third-party MCP servers.
    pub sources: Sources,
    /// All plugins.
    pub plugins: Plugins,
    /// All models, plugins' apart.
    pub models: Arc<Models>,
    /// All vector stores.
    pub vectors: Vectors,
    /// What outlives the process.
    pub store: Store,
    /// Who callers are.
    pub auth: Auth,
    /// What happened.
    pub observe: Observe,
    /// What became of what is sent to a collector.
    pub exported: Arc<Exported>,
    /// What plugins may ask of the host.
    pub services: Arc<Services>,
    /// Runs and streams. They are told to end before plugins are.
    pub tasks: Tasks,
    /// What plugins and the store need: watching, draining, writing. Ends last.
    background: Tasks,
    /// Sends to a collector; ends when nothing more is recorded of runs and plugins.
    exporter: Tasks,
}

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}; name another with --data", path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Plugins that run as another user could read what is stored.
    #[error("{} is open to other users, so plugins that run as `{user}` could read what is stored; close it: chmod 700 {}", path.display(), path.display())]
    Open {
        /// The data directory.
        path: PathBuf,
        /// The other user.
        user: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be told who callers are.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The host's own executable, which it starts as a probe, cannot be found.
    #[error("cannot find the host's own executable: {0}")]
    Executable(io::Error),
    /// There is no HTTP client for the collector.
    #[error("cannot send to the collector of OpenTelemetry: {0}")]
    Export(ModelError),
    /// The plugin layer cannot start. A plugin that does not load is no reason.
    #[error("cannot start the plugin layer: {0}")]
    Plugins(#[from] LoadError),
}

impl App {
    /// Builds everything and loads the plugins.
    ///
    /// # Errors
    ///
    /// If a directory cannot be used; plugins that do not load are listed, not an error.
    pub async fn start(config: Config) -> Result<AppState, StartError> {
        let data = config.data.clone();
        if let Err(source) = store::make_directory(&data) {
            return Err(StartError::Data { path: data, source });
        }
        if let Some(account) = &config.isolated_user {
            keep_out(&data, account)?;
        }
        let executable = std::env::current_exe().map_err(StartError::Executable)?;
        let (tasks, background) = (Tasks::default(), Tasks::default());
        let store = open_store(&config, &background).await?;
        let auth = Auth::start(&config.auth, store.clone(), config::variable).await?;
        if auth.is_required() && !auth.can_let_anybody_in() {
            tracing::warn!("nobody is let in yet: make a token with `hotbay token new NAME --role admin`");
        }
        let callers = auth.clone();
        background.spawn("auth", |cancel| callers.keep(cancel));
        let observe = Observe::start(&config.record, &config.data.join("observe"), &background);
        observe::layer::connect(observe.recorder());
        let owner = host_id(&config.data)?;
        let (open, open_store, open_owner) = (observe.clone(), store.clone(), owner.as_str().into());
        background.spawn("observe-open-spans", |cancel| open.keep_open_spans(open_store, open_owner, cancel));
        let exporter = Tasks::default();
        let exported = export(&config, &owner, observe.recorder(), &exporter)?;
        let models = Arc::new(Models::new(config.providers.clone(), config::variable));
        // Plugins need the services when they open, the services need plugins when they are
        // asked for one, so these are connected once both are there.
        let services = Arc::new(Services::new(&config, Arc::clone(&models)));
        let plugins = Plugins::start(
            config.plugin_settings(executable),
            Arc::<Services>::clone(&services),
            spawner(&background),
            observe.recorder().clone(),
        )
        .await?;
        let events = observe.recorder().events();
        let waking = events.clone();
        background.spawn("events", |cancel| waking.wake_readers(cancel));
        let (telling, changes) = (events.clone(), plugins.subscribe());
        background.spawn("plugin-events", |cancel| plugin_events::tell(plugins.clone(), changes, telling, cancel));
        let holder = Holder { owner, lease: config.deadlines.lease };
        let name = holder.owner.clone();
        let engine = Engine::new(
            Arc::clone(plugins.registry()),
            Arc::clone(&models),
            store.clone(),
            config.memory.clone(),
            tasks.clone(),
            holder.clone(),
            observe.recorder().clone(),
        );
        engine.release().await;
        services.connect(Arc::clone(plugins.registry()), ask_agent(&engine), recall(&engine));
        let settings = WorkflowSettings {
            owner: holder.owner,
            lease: holder.lease,
            cancel_grace: config.deadlines.cancel_grace,
            concurrency: config.workflows.clone(),
        };
        let workflows = Workflows::new(engine.clone(), &store, tasks.clone(), settings);
        workflows.release().await?;
        engine.connect(workflows.clone());
        let keeper = workflows.clone();
        background.spawn("workflow-keeper", |cancel| keeper.keep(cancel));
        let others = workflows.clone();
        background.spawn("workflow-others", |cancel| others.watch_others(cancel));
        let semantic = engine.memory().semantic().clone();
        background.spawn("memory-embeddings", |cancel| semantic.keep(cancel));
        let clock = workflows.clone();
        background.spawn("workflow-schedules", |cancel| clock.keep_time(cancel));
        let vectors = Vectors::new(Arc::clone(plugins.registry()));
        let sources = Sources::start(&config.mcp_servers, &name, &tasks);
        engine.connect_sources(sources.clone());
        let mcp = Mcp::new(engine.clone(), config.mcp.clone(), config.body_limit, tasks.clone(), &config.data)
            .map_err(|source| StartError::Data { path: config.data.clone(), source })?;
        let watched = mcp.clone();
        background.spawn("mcp-changes", |cancel| watched.watch(cancel));
        let limits = Arc::new(Limits::new(&config.limits, config.body_limit));
        Ok(AppState(Arc::new(Box::new(Self {
            config,
            limits,
            engine,
            workflows,
            mcp,
            sources,
            plugins,
            models,
            vectors,
            store,
            auth,
            observe,
            exported,
            services,
            tasks,
            background,
            exporter,
        }))))
    }

    /// Has memory given back, from now on, whenever nothing goes on.
    pub(crate) fn give_memory_back_when_idle(&self) {
        let (observe, plugins) = (self.observe.clone(), self.plugins.clone());
        let give_back = plugins.give_back();
        let activity = move || observe.statistics().records.load(Ordering::Relaxed) + plugins.calls();
        self.background.spawn("idle", |cancel| idle::keep(activity, give_back, cancel));
    }

    /// Ends everything, runs first, then plugins. Returns within ten seconds.
    ///
    /// The server has stopped accepting before.
    pub async fn shut_down(&self) {
        self.tasks.shut_down(RUNS).await;
        if let Err(error) = self.workflows.release().await {
            tracing::warn!(%error, "leases end by themselves, for they cannot be given back");
        }
        self.engine.release().await;
        let ended = tokio::time::timeout(CALLS + PLUGIN_SHUTDOWN, self.plugins.shutdown(CALLS)).await;
        if ended.is_err() {
            tracing::warn!("plugins did not shut down in time and are left behind");
        }
        self.exporter.shut_down(EXPORT).await;
        self.background.shut_down(Duration::from_millis(500)).await;
        self.store.close().await;
    }
}

/// Refuses a data directory into which another user could look.
fn keep_out(data: &Path, account: &Account) -> Result<(), StartError> {
    let facts = std::fs::metadata(data).map_err(|source| StartError::Data { path: data.to_owned(), source })?;
    if facts.mode() & 0o077 == 0 && facts.uid() != account.user {
        return Ok(());
    }
    Err(StartError::Open { path: data.to_owned(), user: account.name.clone() })
}

async fn open_store(config: &Config, background: &Tasks) -> Result<Store, StoreError> {
    let settings = StoreSettings {
        data: config.data.clone(),
        url: config.database_url.clone(),
        fault: config::variable("HOTBAY_TEST_FAULT"),
    };
    let (store, writer) = Store::open(&settings).await?;
    if let Some(writer) = writer {
        background.spawn("store-writer", |cancel| writer.run(cancel));
    }
    Ok(store)
}

/// Begins to send spans to a collector, if one is named.
fn export(config: &Config, host: &str, recorder: &Recorder, tasks: &Tasks) -> Result<Arc<Exported>, StartError> {
    if config.otlp.endpoint.is_none() {
        return Ok(Arc::default());
    }
    // A client of its own: what waits for a slow collector must not wait before a model's answer.
    let client = model::http_client(COLLECTOR).map_err(StartError::Export)?;
    Ok(export::start(&config.otlp, client, host, recorder, tasks))
}

/// Returns the name this host keeps for as long as its data directory lives.
fn host_id(data: &Path) -> Result<String, StartError> {
    let path = data.join("host-id");
    let failed = |source| StartError::Data { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => {
            let id = id::fresh();
            std::fs::write(&path, &id).map_err(failed)?;
            Ok(id)
        }
    }
}

/// Lets the plugin layer start tasks.
fn spawner(tasks: &Tasks) -> Spawner {
    let tasks = tasks.clone();
    Arc::new(move |name, task| {
        tasks.spawn(name, |cancel| async move {
            cancel.run_until_cancelled(task).await;
        });
    })
}

/// Lets plugins read conversations.
fn recall(engine: &Engine) -> Recall {
    let memory = engine.memory().clone();
    Arc::new(move |thread, last| {
        let memory = memory.clone();
        Box::pin(async move {
            let messages = memory.last(&thread, last).await.map_err(|error| {
                tracing::warn!(%error, "a plugin cannot read a conversation");
                Error::with_code(code::UNAVAILABLE, "the host's store cannot be read").retryable()
            })?;
            Ok(serde_json::to_value(messages)?)
        })
    })
}

/// What a plugin sends to ask an agent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AgentRequest {
    messages: Vec<chat::Message>,
    options: Map<String, Value>,
}

/// Lets plugins ask agents.
fn ask_agent(engine: &Engine) -> AskAgent {
    let engine = engine.clone();
    Arc::new(move |id, request, origin| {
        let engine = engine.clone();
        Box::pin(async move {
            let request: AgentRequest = serde_json::from_value(request)?;
            let answer = engine.ask(id, request.messages, request.options, origin.as_ref()).await;
            let answer = answer.map_err(|error| match error {
                EngineError::UnknownAgent(_) => Error::with_code(code::NOT_FOUND, error.to_string()),
                error => Error::new(error.to_string()),
            })?;
            Ok(serde_json::to_value(answer)?)
        })
    })
}
