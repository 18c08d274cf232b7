//! Runs that wait for somebody.
//!
//! Kept in memory, the oldest dropped first when there are too many. The durable home of
//! suspended runs is the store's; this is the seam it takes over.

use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    Plan,
    error::EngineError,
    turn::{Turn, Waiting},
};
use crate::types::schema::Schema;

/// Most runs that may wait at once. A suspended run is a few kilobytes.
const MAX_SUSPENDED: usize = 10_000;

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
}

/// The runs put aside, oldest first.
#[derive(Default)]
pub(super) struct SuspendedRuns {
    // Held for a lookup; never across an await.
    runs: Mutex<IndexMap<String, Suspended>>,
}

impl SuspendedRuns {
    /// Puts a run aside.
    pub(super) fn put(&self, turn: Turn, plan: Plan) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= MAX_SUSPENDED
            && let Some((run, _)) = runs.shift_remove_index(0)
        {
            tracing::warn!(run.id = run, "too many suspended runs: the oldest was dropped and cannot be resumed");
        }
        runs.insert(turn.run_id.clone(), Suspended { turn, plan });
    }

    /// Takes a run back if the decision fits it.
    pub(super) fn take(
        &self,
        agent_id: &str,
        run_id: &str,
        tool_call_id: Option<&str>,
        decision: &Decision,
    ) -> Result<Suspended, EngineError> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || EngineError::UnknownRun(run_id.to_owned());
        let run = runs.get(run_id).filter(|run| run.turn.agent_id == agent_id).ok_or_else(unknown)?;
        let suspension = run.turn.suspension.as_ref().ok_or_else(unknown)?;
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
        runs.shift_remove(run_id).ok_or_else(unknown)
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
