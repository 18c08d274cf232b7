//! A run that stands for one call of an agent's tool.
//!
//! Its id is the call's. A call that is made again, because the host died or the agent's run was
//! resumed, finds the run it had begun instead of beginning another.

use serde_json::Value;

use super::{
    ResumeRequest, RunEnd, StartMode, StartRequest, Workflows,
    resume::{task_at, waiting},
};
use crate::{engine::error::EngineError, types::run::RunStatus};

/// How the run of a call ended, or what it waits for.
pub(in crate::engine) struct Called {
    pub(in crate::engine) end: RunEnd,
    /// What it asks, if one of its steps waits for somebody.
    pub(in crate::engine) question: Option<Question>,
}

/// What a run asks of somebody.
pub(in crate::engine) struct Question {
    pub(in crate::engine) payload: Value,
    /// JSON Schema of the answer, if it has one.
    pub(in crate::engine) schema: Option<Value>,
    /// Names the question among all the run ever asks.
    pub(in crate::engine) mark: u64,
}

/// What somebody answered, and to which question.
pub(in crate::engine) struct Reply {
    pub(in crate::engine) data: Value,
    pub(in crate::engine) mark: u64,
}

impl Workflows {
    /// Begins the run of a call, or goes on with the one there is, and waits until it is over or
    /// waits for somebody. It goes on whatever becomes of the caller.
    ///
    /// # Errors
    /// If what it is given does not fit, or the store fails.
    pub(in crate::engine) async fn call(
        &self,
        run_id: &str,
        request: StartRequest,
        reply: Option<Reply>,
    ) -> Result<Called, EngineError> {
        let workflow_id = request.workflow_id.clone();
        let end = match self.runs().get(run_id).await? {
            None => {
                let request = StartRequest { run_id: Some(run_id.to_owned()), mode: StartMode::Fresh, ..request };
                self.start(request).await?.end().await?
            }
            Some(row) => match reply {
                // The fence changes whenever the run goes on: an older answer was to something else.
                Some(reply) if row.status == RunStatus::Suspended && row.fence == reply.mark => {
                    let records = self.runs().records(run_id).await?;
                    let asked = waiting(&records).first().map(|(_, record)| (record.step.clone(), record.item));
                    let (step, item) = asked.map_or((None, None), |(step, item)| (Some(step), item));
                    let data = Some(reply.data);
                    let run_id = run_id.to_owned();
                    let request = ResumeRequest {
                        workflow_id: workflow_id.clone(),
                        run_id,
                        step,
                        item,
                        data,
                        ..ResumeRequest::default()
                    };
                    self.resume(request).await?.end().await?
                }
                _ => self.settled(&workflow_id, run_id, &self.shared.tasks.token()).await?,
            },
        };
        let question = match end.status {
            RunStatus::Suspended => self.question(&workflow_id, run_id, &end).await?,
            _ => None,
        };
        Ok(Called { end, question })
    }

    async fn question(&self, workflow_id: &str, run_id: &str, end: &RunEnd) -> Result<Option<Question>, EngineError> {
        let Some((path, record)) = waiting(&end.records).first().copied() else { return Ok(None) };
        let row = self.row(workflow_id, run_id).await?;
        let program = self.program_of(workflow_id, run_id, &row.graph_hash)?;
        let schema = task_at(&program, path).and_then(|task| task.resume.as_ref());
        Ok(Some(Question {
            payload: record.suspend_payload.clone().unwrap_or_default(),
            schema: schema.map(|schema| schema.source.clone()),
            mark: row.fence,
        }))
    }
}
