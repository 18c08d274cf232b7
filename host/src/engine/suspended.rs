//! Runs that wait for somebody. They are rows of the store and nothing else: they cost no
//! memory, outlive the process, and any host on the same store can go on with them.

use serde_json::Value;

use super::{
    Plan,
    claim::{Claim, Holder},
    error::EngineError,
    snapshot,
    turn::{Suspension, Turn, Waiting},
};
use crate::{
    store::{Store, StoreError, SuspendedRow},
    tasks::Tasks,
    types::schema::Schema,
};

/// What somebody decided about a waiting call.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It may run.
    Approve,
    /// It may not.
    Decline {
        /// Why, for the model.
        reason: Option<String>,
    },
    /// What the tool waits for.
    Resume(Value),
}

/// A run put aside.
pub(super) struct Suspended {
    pub(super) turn: Turn,
    pub(super) plan: Plan,
    row: SuspendedRow,
}

/// A run that goes on, and what was decided about the call it waited for.
pub(super) struct Resumed {
    pub(super) suspension: Suspension,
    pub(super) decision: Decision,
    pub(super) claim: Claim,
}

/// Returns the row that puts a run aside; `None` if it does not wait.
pub(super) fn row(turn: &Turn, plan: &Plan) -> Option<SuspendedRow> {
    let state = snapshot::write(turn, plan)?;
    Some(SuspendedRow::new(turn.run_id.clone(), turn.agent_id.clone(), state))
}

impl Suspended {
    /// Returns whom a run belongs to, if to anybody.
    pub(super) async fn owner(store: &Store, agent_id: &str, run_id: &str) -> Result<Option<String>, EngineError> {
        let row = store.suspended().get(run_id).await?.filter(|row| row.agent_id == agent_id);
        let row = row.ok_or_else(|| EngineError::UnknownRun(run_id.to_owned()))?;
        Ok(snapshot::read(&row.state)?.0.resource_id)
    }

    /// Finds a run if the decision fits it; it stays where it is.
    pub(super) async fn find(
        store: &Store,
        agent_id: &str,
        run_id: &str,
        tool_call_id: Option<&str>,
        decision: &Decision,
    ) -> Result<Self, EngineError> {
        let unknown = || EngineError::UnknownRun(run_id.to_owned());
        let row = store.suspended().get(run_id).await?;
        let row = row.filter(|row| row.agent_id == agent_id && !row.is_claimed()).ok_or_else(unknown)?;
        let (turn, plan) = snapshot::read(&row.state)?;
        let suspension = turn.suspension.as_ref().ok_or_else(unknown)?;
        if let Some(id) = tool_call_id
            && id != suspension.call.id
        {
            return Err(EngineError::NotSuspended(format!(
                "run `{run_id}` does not wait for tool call `{id}` but for `{}`",
                suspension.call.id
            )));
        }
        match (&suspension.reason, decision) {
            (Waiting::Approval, Decision::Approve | Decision::Decline { .. }) => {}
            (_, Decision::Resume(data)) => check(&suspension.resume_schema, data)?,
            (Waiting::Tool(_), Decision::Approve | Decision::Decline { .. }) => {
                return Err(EngineError::NotSuspended(format!(
                    "tool call `{}` of run `{run_id}` waits for data, not for approval: resume it with resumeData",
                    suspension.call.id
                )));
            }
        }
        Ok(Self { turn, plan, row })
    }

    /// Claims the run. Of several who found it, exactly one gets it.
    pub(super) async fn claim(
        self,
        store: &Store,
        tasks: &Tasks,
        holder: &Holder,
    ) -> Result<(Turn, Plan, Claim), EngineError> {
        let Self { turn, plan, row } = self;
        let run_id = row.run_id.clone();
        match Claim::take(store, tasks, holder, row).await {
            Ok(claim) => Ok((turn, plan, claim)),
            Err(StoreError::NotFound(_)) => Err(EngineError::UnknownRun(run_id)),
            Err(error) => Err(error.into()),
        }
    }
}

fn check(schema: &Value, data: &Value) -> Result<(), EngineError> {
    let Ok(schema) = Schema::compile(schema.clone()) else { return Ok(()) };
    let issues = schema.issues(data);
    if issues.is_empty() {
        return Ok(());
    }
    Err(EngineError::InvalidInput { message: "Invalid resume data".to_owned(), issues })
}
