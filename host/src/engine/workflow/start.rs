//! Making and beginning runs.

use serde_json::{Map, Value};

use super::{Claimed, Program, RunHandle, Workflows, check, find};
use crate::{
    engine::error::EngineError,
    plugin::registry::{Route, WorkflowEntry},
    store::{
        StoreError,
        runs::{Lease, NewRun, RunRow},
    },
    types::{
        id::{self, Millis},
        run::{RunInput, RunStatus},
        trace::TraceOptions,
    },
};

/// A run, as it is asked for.
#[derive(Debug, Clone, Default)]
pub struct StartRequest {
    /// The workflow.
    pub workflow_id: String,
    /// Names the run; made up if absent.
    pub run_id: Option<String>,
    /// Whom it is for.
    pub resource_id: Option<String>,
    /// Its input.
    pub input: Option<Value>,
    /// The state it begins with.
    pub initial_state: Option<Value>,
    /// Passed to its steps.
    pub request_context: Map<String, Value>,
    /// Stops it after each step.
    pub per_step: bool,
    /// How many agents asked each other until one of them called it.
    pub depth: u32,
    /// What is done if there is a run of this id.
    pub mode: StartMode,
    /// Where it belongs among traces, and what is noted there.
    pub trace: TraceOptions,
}

/// What is done if there is a run of the id already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartMode {
    /// It is begun anew; what it came to before is gone.
    #[default]
    Anew,
    /// It must be there.
    Known,
    /// It must not have been begun.
    Fresh,
}

impl Workflows {
    /// Makes a run that is not begun, and returns its id; one that is there stays as it is.
    ///
    /// # Errors
    /// If there is no such workflow, or the store fails.
    pub async fn create(&self, mut request: StartRequest) -> Result<String, EngineError> {
        let run_id = request.run_id.unwrap_or_else(id::fresh);
        let program = self.program(&request.workflow_id, &run_id)?;
        request.workflow_id = program.root.id.to_string();
        self.store_graphs(&program).await?;
        let input = RunInput::default();
        let run = NewRun {
            run_id: &run_id,
            workflow_id: &request.workflow_id,
            resource_id: request.resource_id.as_deref(),
            graph_hash: &program.hash,
            input: &input,
            status: RunStatus::Pending,
            state: None,
        };
        match self.runs().insert(&run, Lease::NONE, Millis::now().0).await {
            Ok(()) | Err(StoreError::NotFound(_)) => Ok(run_id),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks what a run would be begun with.
    ///
    /// # Errors
    /// [`EngineError::Misfit`] if it does not fit; or there is no such workflow.
    pub fn check_start(&self, request: &StartRequest) -> Result<(), EngineError> {
        let engine = &self.shared.engine;
        let run_id = request.run_id.as_deref();
        let snapshot = run_id.map_or_else(|| engine.snapshot(), |run_id| engine.snapshot_for(&Route::of_run(run_id)));
        check_fits(&*find(&snapshot, &request.workflow_id)?, request)
    }

    /// Begins a run. It is on the disk when this returns and goes on whatever becomes of the caller.
    ///
    /// # Errors
    /// If what it is given does not fit, it may not be begun, too many wait already, or the
    /// store fails.
    pub async fn start(&self, mut request: StartRequest) -> Result<RunHandle, EngineError> {
        let run_id = request.run_id.clone().unwrap_or_else(id::fresh);
        let snapshot = self.shared.engine.snapshot_for(&Route::of_run(&run_id));
        let root = find(&snapshot, &request.workflow_id)?;
        check_fits(&root, &request)?;
        let program = Program::resolve(&snapshot, &root).map_err(EngineError::Definition)?;
        request.workflow_id = program.root.id.to_string();
        let before = match request.run_id {
            Some(_) => self.runs().get(&run_id).await?,
            None => None,
        };
        let before = self.admissible(&request, before)?;
        if request.resource_id.is_none() {
            request.resource_id = before.as_ref().and_then(|before| before.resource_id.clone());
        }
        let admission = self.shared.limits.admit(&program.root, &request)?;
        let is_queued = !admission.is_free();
        self.store_graphs(&program).await?;
        let input = RunInput {
            input: request.input,
            initial_state: request.initial_state,
            request_context: request.request_context,
            per_step: request.per_step,
            depth: request.depth,
            trace_id: request.trace.trace_id.clone().unwrap_or_else(id::trace),
            span_id: id::span(),
            trace: request.trace,
            is_traced: false,
        };
        let state = input.initial_state.as_ref().map(Value::to_string);
        let run = NewRun {
            run_id: &run_id,
            workflow_id: &request.workflow_id,
            resource_id: request.resource_id.as_deref(),
            graph_hash: &program.hash,
            input: &input,
            status: if is_queued { RunStatus::Pending } else { RunStatus::Running },
            state: state.as_deref(),
        };
        let now = Millis::now().0;
        let stored = match &before {
            None => self.runs().insert(&run, self.lease(), now).await.map(|()| 1),
            Some(before) => self.runs().overwrite(&run, before, self.lease(), now).await,
        };
        let fence = stored.map_err(|error| match error {
            StoreError::NotFound(_) => {
                EngineError::Conflict(format!("workflow run {run_id} was begun by somebody else at the same time"))
            }
            other => other.into(),
        })?;
        let claimed = Claimed {
            state: input.initial_state.clone(),
            run_id,
            resource_id: request.resource_id,
            program,
            input,
            records: std::collections::HashMap::new(),
            fence,
            chunks: 0,
            cancel_requested: false,
            is_queued,
            is_announced: true,
        };
        Ok(self.drive(claimed, admission))
    }

    /// Returns the run that is begun anew, if it may be.
    fn admissible(&self, request: &StartRequest, before: Option<RunRow>) -> Result<Option<RunRow>, EngineError> {
        let Some(before) = before else {
            return match request.mode {
                StartMode::Known => Err(EngineError::UnknownWorkflowRun),
                StartMode::Anew | StartMode::Fresh => Ok(None),
            };
        };
        let name = &before.run_id;
        if before.workflow_id != request.workflow_id {
            return Err(match request.mode {
                StartMode::Known => EngineError::UnknownWorkflowRun,
                StartMode::Anew | StartMode::Fresh => {
                    EngineError::Conflict(format!("run {name} is one of workflow {}", before.workflow_id))
                }
            });
        }
        let is_elsewhere = before.owner != self.shared.settings.owner && before.lease_until > Millis::now().0;
        if is_elsewhere || self.active().contains_key(name.as_str()) {
            return Err(EngineError::Conflict(format!("workflow run {name} is running")));
        }
        if request.mode == StartMode::Fresh && before.status != RunStatus::Pending {
            return Err(EngineError::Conflict(format!(
                "Workflow run {name} already finished with status \"{}\". Use /observe to read its stream back, or stream a new runId.",
                before.status.as_str()
            )));
        }
        Ok(Some(before))
    }
}

/// Checks what a run of a workflow is begun with.
fn check_fits(entry: &WorkflowEntry, request: &StartRequest) -> Result<(), EngineError> {
    check(entry.graph.input.as_ref(), "input data", request.input.as_ref())?;
    check(entry.graph.state.as_ref(), "initial data", Some(&state_of(request.initial_state.clone())))
}

/// A run without a state has an empty one.
fn state_of(state: Option<Value>) -> Value {
    state.unwrap_or_else(|| Value::Object(Map::new()))
}
