//! The engine: starts, resumes and drives runs, whoever asks for them.
//!
//! [`Engine`] is the only door: HTTP, plugins and later MCP and the console go through
//! it. A [`Run`] is prepared first, so that what the caller got wrong is known before
//! anything starts, and then driven to its end by [`Run::drive`]; dropping it ends it.
//! Knows no wire shape; what happens is told to an [`event::Observer`].
//!
//! Read next: `agent_loop`, what a run does.

mod agent_loop;
mod answer;
pub mod error;
pub mod event;
pub mod options;
mod prompt;
mod structured;
mod suspended;
mod tool_call;
mod toolbox;
pub mod turn;
mod waiting;
pub mod workflow;

use std::sync::Arc;

use hotbay_plugin::{AgentAnswer, chat};
use serde_json::{Map, Value};

use crate::{
    model::catalog::Models,
    plugin::registry::{AgentEntry, Registry, Snapshot},
    services::Origin,
};
pub use agent_loop::Run;
use error::EngineError;
use options::{RunOptions, RunRequest};
pub use suspended::Decision;
use suspended::{Suspended, SuspendedRuns};
pub use tool_call::ToolAnswer;
use turn::Turn;

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
    suspended: SuspendedRuns,
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
    /// Returns an engine over what plugins offer and the models the host knows.
    #[must_use]
    pub fn new(registry: Arc<Registry>, models: Arc<Models>) -> Self {
        Self { shared: Arc::new(Shared { registry, models, suspended: SuspendedRuns::default() }) }
    }

    /// Returns everything that can be called now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.registry.snapshot()
    }

    /// Returns a receiver that sees the version of each new snapshot.
    #[must_use]
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.registry.subscribe()
    }

    /// Prepares a run of an agent; nothing happens before it is driven.
    ///
    /// # Errors
    /// If there is no such agent.
    pub fn prepare(&self, request: RunRequest) -> Result<Run, EngineError> {
        self.prepare_for(request, &Origin { snapshot: self.snapshot(), depth: 0, step: None })
    }

    fn prepare_for(&self, request: RunRequest, origin: &Origin) -> Result<Run, EngineError> {
        let Origin { snapshot, depth, .. } = origin.clone();
        if depth > MAX_DEPTH {
            return Err(EngineError::TooDeep(MAX_DEPTH));
        }
        let agent = find_agent(&snapshot, &request.agent_id)?;
        let RunRequest { agent_id, input, context, system, instructions, mut options } = request;
        options.apply_defaults(&agent.manifest.default_options);
        let model = options.model.clone().unwrap_or_else(|| agent.manifest.model.clone());
        let mut turn = Turn::new(agent_id, model, options.run_id.clone());
        turn.thread_id.clone_from(&options.thread_id);
        turn.resource_id.clone_from(&options.resource_id);
        turn.input = context;
        turn.input.extend(input);
        for message in &mut turn.input {
            message.thread_id.clone_from(&turn.thread_id);
            message.resource_id.clone_from(&turn.resource_id);
        }
        let plan = Plan { system, instructions, options, depth };
        Ok(Run::new(self.clone(), snapshot, agent, plan, turn, None))
    }

    /// Prepares the rest of a suspended run. The run is taken out of the suspended ones.
    ///
    /// # Errors
    /// If there is no such run, its agent is gone, it waits for another call, or `decision`
    /// does not fit what it waits for; it then stays suspended.
    pub fn resume(
        &self,
        agent_id: &str,
        run_id: &str,
        tool_call_id: Option<&str>,
        decision: Decision,
    ) -> Result<Run, EngineError> {
        let snapshot = self.snapshot();
        let agent = find_agent(&snapshot, agent_id)?;
        let Suspended { mut turn, plan } = self.shared.suspended.take(agent_id, run_id, tool_call_id, &decision)?;
        let suspension = turn.suspension.clone();
        turn.resume();
        Ok(Run::new(self.clone(), snapshot, agent, plan, turn, suspension.map(|it| (it, decision))))
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
    ) -> Result<ToolAnswer, EngineError> {
        let snapshot = self.snapshot();
        let entry = snapshot.tools.get(tool).ok_or_else(|| EngineError::UnknownTool(tool.to_owned()))?;
        let origin = Origin { snapshot: Arc::clone(&snapshot), depth: 0, step: None };
        tool_call::execute(entry, data, request_context, run_id, origin).await
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
        let mut run = match origin {
            Some(origin) => self.prepare_for(request, &origin.deeper())?,
            None => self.prepare(request)?,
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
}

fn find_agent(snapshot: &Snapshot, id: &str) -> Result<Arc<AgentEntry>, EngineError> {
    snapshot.agents.get(id).cloned().ok_or_else(|| EngineError::UnknownAgent(id.to_owned()))
}
