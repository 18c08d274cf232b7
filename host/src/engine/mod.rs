//! The engine: starts, resumes and drives runs, whoever asks for them.
//!
//! [`Engine`] is the only door: HTTP, plugins and clients of MCP go through it. A [`Run`] is prepared first, so that what the caller got wrong is known before
//! anything starts, and then driven to its end by [`Run::drive`]; dropping it ends it.
//! Knows no wire shape; what happens is told to an [`event::Observer`].
//!
//! Read next: `agent_loop`, what a run does.

mod agent_loop;
mod answer;
mod calls;
mod claim;
pub mod direct;
pub mod error;
pub mod event;
mod keep;
mod live;
pub mod options;
mod prompt;
mod snapshot;
mod spans;
mod structured;
mod suspended;
mod tool_call;
mod toolbox;
pub mod turn;
mod waiting;
pub mod workflow;
mod workflow_tool;

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
};

use hotbay_plugin::{
    AgentAnswer,
    chat::{self, ChatRequest},
    manifest::AgentManifest,
};
use serde_json::{Map, Value};
use tracing::Instrument;

use crate::{
    memory::{
        Conversation, ConversationRequest, Memory,
        semantic::{RecallSettings, Semantic},
    },
    model::{Asked, catalog::Models},
    observe::{
        Recorder,
        tracer::{Belonging, SpanContext},
    },
    plugin::registry::{AgentEntry, Registry, Route, Snapshot},
    services::{Origin, span},
    sources::Sources,
    store::Store,
    tasks::Tasks,
    types::{id, json, span::SpanKind, trace::TraceOptions},
    vector::Vectors,
};
pub use agent_loop::Run;
use answer::Answer;
pub use claim::Holder;
use error::EngineError;
use options::{RunOptions, RunRequest};
use spans::{Chunks, RunSpans};
pub use suspended::Decision;
use suspended::{Resumed, Suspended};
pub use tool_call::ToolAnswer;
use toolbox::Toolbox;
use turn::{Step, Turn};
use workflow::Workflows;

/// How deep agents may ask agents.
const MAX_DEPTH: u32 = 8;

/// Starts and resumes runs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Arc<Registry>,
    models: Arc<Models>,
    memory: Memory,
    tasks: Tasks,
    holder: Holder,
    recorder: Recorder,
    /// Made from the engine, so connected once both are there.
    workflows: OnceLock<Workflows>,
    /// Third-party MCP servers, if there are any.
    sources: OnceLock<Sources>,
}

/// What a run was asked for, kept for as long as it may be resumed.
#[derive(Debug, Clone, Default)]
struct Plan {
    system: Vec<String>,
    instructions: Option<String>,
    options: RunOptions,
    depth: u32,
}

impl Engine {
    /// Returns an engine over what plugins offer, the models the host knows, and what is stored.
    /// Messages are found by their meaning with `recall`. What nobody waits for, such as a thread's
    /// title, is made by `tasks`; runs are resumed as
    /// `holder`'s. What happens is told to `recorder`.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        models: Arc<Models>,
        store: Store,
        recall: RecallSettings,
        tasks: Tasks,
        holder: Holder,
        recorder: Recorder,
    ) -> Self {
        let vectors = Vectors::new(Arc::clone(&registry));
        let semantic = Semantic::new(store.clone(), Arc::clone(&models), vectors, recall);
        Self {
            shared: Arc::new(Shared {
                registry,
                models,
                memory: Memory::new(store, semantic),
                tasks,
                holder,
                recorder,
                workflows: OnceLock::new(),
                sources: OnceLock::new(),
            }),
        }
    }

    /// Lets agents run workflows.
    pub fn connect(&self, workflows: Workflows) {
        if self.shared.workflows.set(workflows).is_err() {
            tracing::error!("workflows are connected already");
        }
    }

    /// Lets agents use tools of third-party MCP servers.
    pub fn connect_sources(&self, sources: Sources) {
        if self.shared.sources.set(sources).is_err() {
            tracing::error!("MCP servers are connected already");
        }
    }

    /// Returns the third-party MCP servers whose tools are used; none if they are not connected.
    #[must_use]
    pub fn sources(&self) -> Sources {
        self.shared.sources.get().cloned().unwrap_or_default()
    }

    /// Lets the runs this host was resuming wait again, for nobody goes on with them: a former
    /// process of it is dead, or this one ends.
    pub async fn release(&self) {
        let rows = self.shared.memory.store().suspended();
        if let Err(error) = rows.give_back_all(&self.shared.holder.owner).await {
            tracing::warn!(%error, "claims on resumed runs end by themselves, for they cannot be given back");
        }
    }

    /// Returns what agents remember.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    /// Returns everything that can be called now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.registry.snapshot()
    }

    /// Returns everything that can be called now for what belongs together.
    #[must_use]
    pub fn snapshot_for(&self, route: &Route<'_>) -> Arc<Snapshot> {
        self.shared.registry.snapshot_for(route)
    }

    /// Returns what [`Engine::snapshot_for`] does, and after it what others may get now.
    #[must_use]
    pub fn snapshots_for(&self, route: &Route<'_>) -> Vec<Arc<Snapshot>> {
        self.shared.registry.snapshots_for(route)
    }

    /// Returns a receiver that sees the version of each new snapshot.
    #[must_use]
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.registry.subscribe()
    }

    /// Prepares a run of an agent: reads what it remembers, and makes its thread if that is new.
    /// Nothing else happens before it is driven.
    ///
    /// # Errors
    /// If there is no such agent, or the thread is somebody else's.
    pub async fn prepare(&self, request: RunRequest) -> Result<Run, EngineError> {
        self.prepare_alone(request, None).await
    }

    /// Prepares a run that is part of no other.
    async fn prepare_alone(&self, request: RunRequest, span: Option<SpanContext>) -> Result<Run, EngineError> {
        // Named here, so that the rest of the run, should it wait, finds the same build.
        let made_up = request.options.run_id.is_none().then(id::fresh);
        let route = request.options.route(made_up.as_deref());
        let snapshot = self.snapshot_for(&route);
        self.prepare_named(request, &Origin { snapshot, depth: 0, step: None, span }, made_up).await
    }

    async fn prepare_for(&self, request: RunRequest, origin: &Origin) -> Result<Run, EngineError> {
        self.prepare_named(request, origin, None).await
    }

    /// Prepares a run; `made_up` is its id if the request has none.
    async fn prepare_named(
        &self,
        request: RunRequest,
        origin: &Origin,
        made_up: Option<String>,
    ) -> Result<Run, EngineError> {
        let Origin { snapshot, depth, .. } = origin.clone();
        if depth > MAX_DEPTH {
            return Err(EngineError::TooDeep(MAX_DEPTH));
        }
        let agent = find_agent(&snapshot, &request.agent_id)?;
        let RunRequest { agent_id, input, context, system, instructions, mut options } = request;
        options.apply_defaults(&agent.manifest.default_options);
        let model = options.model.clone().unwrap_or_else(|| agent.manifest.model.clone());
        let mut turn = Turn::new(agent_id, model, options.run_id.clone().or(made_up));
        turn.thread_id.clone_from(&options.thread_id);
        turn.resource_id.clone_from(&options.resource_id);
        turn.context = context.len();
        turn.input = input;
        let plan = Plan { system, instructions, options, depth };
        let mut spans = RunSpans::begin(&self.shared.recorder, origin.span.as_ref(), &mut turn, &agent.manifest, &plan);
        spans.given(&turn.input);
        let log = log_span(&turn, &spans);
        spans.log = Some(log.clone());
        let remembered = self.remember(&mut turn, &agent, &plan, &snapshot, &spans).instrument(log).await;
        let conversation = match remembered {
            Ok(conversation) => conversation,
            Err(error) => {
                spans.refuse(&error);
                return Err(error);
            }
        };
        turn.input.splice(0..0, context);
        for message in &mut turn.input {
            message.thread_id.clone_from(&turn.thread_id);
            message.resource_id.clone_from(&turn.resource_id);
        }
        Ok(Run::new(self.clone(), snapshot, agent, plan, turn, conversation, None, spans))
    }

    /// Reads what the agent remembers into the turn.
    async fn remember(
        &self,
        turn: &mut Turn,
        agent: &AgentEntry,
        plan: &Plan,
        snapshot: &Arc<Snapshot>,
        spans: &RunSpans,
    ) -> Result<Option<Conversation>, EngineError> {
        if agent.manifest.memory.is_none() {
            return Ok(None);
        }
        let recall = spans.recall(&turn.input, plan.instructions_of(&agent.manifest));
        let mut conversation = self.conversation(agent, &plan.options, false).await?;
        let Some(begun) = &mut conversation else {
            spans::recalled(recall, &[]);
            return Ok(None);
        };
        let remembered = self.shared.memory.recall(begun, &mut turn.input, &recall).await?;
        spans::recalled(recall, &remembered);
        let origin = Origin { snapshot: Arc::clone(snapshot), depth: plan.depth, step: None, span: spans.context() };
        turn.remembered = self.shared.memory.process(begun, remembered, &origin).await?;
        Ok(conversation)
    }

    /// Returns the run's part of its conversation, if its agent remembers and there is one.
    async fn conversation(
        &self,
        agent: &AgentEntry,
        options: &RunOptions,
        resumed: bool,
    ) -> Result<Option<Conversation>, EngineError> {
        let (Some(memory), Some(thread_id), Some(resource_id)) =
            (&agent.manifest.memory, &options.thread_id, &options.resource_id)
        else {
            return Ok(None);
        };
        let request = ConversationRequest {
            thread_id: thread_id.clone(),
            resource_id: resource_id.clone(),
            title: options.thread_title.clone(),
            metadata: options.thread_metadata.clone(),
            options: options.memory.clone(),
            read_only: options.read_only,
        };
        let conversation = if resumed {
            self.shared.memory.rejoin(memory, &request).await?
        } else {
            self.shared.memory.begin(memory, &request).await?
        };
        Ok(Some(conversation))
    }

    /// Returns whom a suspended run belongs to, if to anybody.
    ///
    /// # Errors
    /// If there is no such run, or the store fails.
    pub async fn owner_of_suspended(&self, agent_id: &str, run_id: &str) -> Result<Option<String>, EngineError> {
        Suspended::owner(self.shared.memory.store(), agent_id, run_id).await
    }

    /// Prepares the rest of a suspended run. Nobody else can resume it meanwhile; it is suspended
    /// no longer once what came of it is stored. If the rest is broken off before, by a crash or
    /// because the caller is gone, or fails and leaves nothing to store, the run waits as it did:
    /// resumed again, tools it had run are run again under the same tool call id.
    ///
    /// # Errors
    /// If there is no such run, its agent is gone, it waits for another call, or `decision`
    /// does not fit what it waits for; it then stays suspended.
    pub async fn resume(
        &self,
        agent_id: &str,
        run_id: &str,
        tool_call_id: Option<&str>,
        decision: Decision,
    ) -> Result<Run, EngineError> {
        // Whatever build it began on, the agent is there.
        let among = self.snapshots_for(&Route::of_run(run_id));
        let (snapshot, agent) = among
            .iter()
            .find_map(|snapshot| Some((Arc::clone(snapshot), find_agent(snapshot, agent_id).ok()?)))
            .ok_or_else(|| EngineError::UnknownAgent(agent_id.to_owned()))?;
        let store = self.shared.memory.store();
        let suspended = Suspended::find(store, agent_id, run_id, tool_call_id, &decision).await?;
        // Where the run began, as long as the same builds are compared.
        let began_on = self.snapshot_for(&suspended.plan.options.route(Some(run_id)));
        let (snapshot, agent) = match find_agent(&began_on, agent_id) {
            Ok(agent) => (began_on, agent),
            Err(_) => (snapshot, agent),
        };
        let mut options = suspended.plan.options.clone();
        options.thread_id.clone_from(&suspended.turn.thread_id);
        options.resource_id.clone_from(&suspended.turn.resource_id);
        let conversation = self.conversation(&agent, &options, true).await?;
        let (mut turn, plan, claim) = suspended.claim(store, &self.shared.tasks, &self.shared.holder).await?;
        let suspension = turn.suspension.clone();
        turn.resume();
        let resumed = suspension.map(|suspension| Resumed { suspension, decision, claim });
        let spans = RunSpans::begin(&self.shared.recorder, None, &mut turn, &agent.manifest, &plan);
        Ok(Run::new(self.clone(), snapshot, agent, plan, turn, conversation, resumed, spans))
    }

    /// Runs a tool by itself, outside any agent.
    ///
    /// # Errors
    /// If there is no such tool, or it fails.
    pub async fn execute_tool(
        &self,
        tool: &str,
        data: &Value,
        request_context: Map<String, Value>,
        run_id: Option<String>,
        trace: &TraceOptions,
    ) -> Result<ToolAnswer, EngineError> {
        let snapshot = self.snapshot_for(&Route { run: run_id.as_deref(), ..Route::default() });
        let entry = snapshot.tools.get(tool).ok_or_else(|| EngineError::UnknownTool(tool.to_owned()))?;
        let name = || span::tool_name(&entry.manifest.id);
        let mut span = self.shared.recorder.begin_for(trace, SpanKind::ToolCall, name);
        if let Some(run_id) = &run_id {
            let metadata = [("runId".to_owned(), run_id.as_str().into())].into_iter().collect();
            span.belong(Belonging { run_id: Some(run_id.clone()), metadata, ..Belonging::default() });
        }
        span::describe(&span, &entry.manifest, entry.generation.plugin(), None);
        span.input(|| data.clone());
        let origin = Origin { snapshot: Arc::clone(&snapshot), depth: 0, step: None, span: span.context() };
        let told = live::ToolTold::begin(&self.shared.recorder, entry, run_id.as_deref());
        let log = spans::log_of_tool(run_id.as_deref(), origin.span.as_ref());
        let answer = pin!(tool_call::execute(entry, data, request_context, run_id, origin));
        let answered = answer.instrument(log).await;
        told.end(answered.is_ok());
        match &answered {
            Ok(ToolAnswer::Value(text)) => span::answered(span, || json::read(text).unwrap_or_default()),
            Ok(ToolAnswer::Misfit(misfit)) => span::answered(span, || misfit.clone()),
            Err(error) => span::failed(span, &error.to_string()),
        }
        answered
    }

    /// Returns where what happens is recorded.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// Runs an agent for a plugin and returns what it answered. `origin` is what the plugin was
    /// called for, absent if it asks of its own accord.
    ///
    /// # Errors
    /// If there is no such agent, or the run fails or waits for somebody.
    pub async fn ask(
        &self,
        agent_id: String,
        messages: Vec<chat::Message>,
        options: Map<String, Value>,
        origin: Option<&Origin>,
    ) -> Result<AgentAnswer, EngineError> {
        let input = messages.into_iter().map(prompt::entry).collect();
        let mut request = RunRequest { agent_id, input, ..RunRequest::default() };
        request.options.apply_defaults(&options);
        if let Some(Value::Object(memory)) = options.get("memory") {
            request.options.converse(memory);
            if request.options.thread_id.is_some() && request.options.resource_id.is_none() {
                let message = "memory names a thread, so it needs a resource: whom the thread belongs to".to_owned();
                return Err(EngineError::InvalidInput { message, issues: Vec::new() });
            }
        }
        let mut run = match origin {
            Some(origin) => self.prepare_for(request, &origin.deeper()).await?,
            None => self.prepare(request).await?,
        };
        run.drive(&mut event::Unobserved).await?;
        if let Some(suspension) = &run.turn.suspension {
            return Err(EngineError::NotSuspended(format!(
                "run `{}` waits for a decision about tool call `{}`, which a plugin cannot give",
                run.turn.run_id, suspension.call.id
            )));
        }
        let mut answer = AgentAnswer::text(run.turn.text());
        answer.object.clone_from(&run.turn.object);
        answer.finish_reason = run.turn.steps.last().map(|step| step.finish).unwrap_or_default();
        answer.usage = run.turn.usage;
        Ok(answer)
    }

    /// Returns what a model says to a question, all of it.
    async fn text(&self, origin: &Origin, request: ChatRequest) -> Result<String, EngineError> {
        let model = request.model.clone();
        let asked = Asked::begin(origin.span.as_ref(), &request);
        let origin = Arc::new(origin.within(asked.span()));
        let answered = match self.shared.models.find(&origin.snapshot, &model, Some(Arc::clone(&origin) as _)) {
            Ok(model) => model.chat(request).await,
            Err(error) => Err(error),
        };
        let parts = asked.follow(answered)?;
        let mut aside = Turn::new(String::new(), model, None);
        let mut step = Step::default();
        let answer = Answer {
            turn: &mut aside,
            step: &mut step,
            toolbox: &Toolbox::default(),
            form: None,
            chunks: &mut Chunks::default(),
            observer: &mut event::Unobserved,
        };
        answer.read(parts).await?;
        Ok(step.text)
    }
}

impl Plan {
    /// Returns what the agent is told.
    fn instructions_of<'a>(&'a self, agent: &'a AgentManifest) -> &'a str {
        self.instructions.as_deref().unwrap_or(&agent.instructions)
    }
}

/// Returns the span in which the host logs what happens in a run: its records say which run it is.
fn log_span(turn: &Turn, spans: &RunSpans) -> tracing::Span {
    let context = spans.context();
    let span = context.as_ref();
    tracing::info_span!(
        "run",
        run.id = turn.run_id,
        trace.id = span.map(SpanContext::trace_id),
        span.id = span.map(SpanContext::span_id),
        thread.id = turn.thread_id,
        resource.id = turn.resource_id
    )
}

fn find_agent(snapshot: &Snapshot, id: &str) -> Result<Arc<AgentEntry>, EngineError> {
    snapshot.agents.get(id).cloned().ok_or_else(|| EngineError::UnknownAgent(id.to_owned()))
}
