//! The graph's own code: conditions, mappings and waits.

use std::sync::Arc;

use hotbay_plugin::manifest::CallMeta;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    execution::Execution,
    interpreter::{Flow, Repetition, Scope},
    journal::Standing,
};
use crate::{
    plugin::call::{CallError, ReplyKind, Target},
    types::{
        graph::{Node, Wait},
        id::Millis,
        json,
        run::{RunChunk, RunError, StepRecord, StepStatus},
    },
};

impl Execution {
    /// Changes the value between two nodes.
    pub(super) async fn map(&self, node: &Node, scope: &Scope, input: Value) -> Flow {
        let path = Repetition::default().path(scope, node);
        if let Some(StepRecord { status: StepStatus::Success, output, .. }) = self.journal.get(&path) {
            return Flow::Done(output.unwrap_or(Value::Null));
        }
        if self.cancel.is_cancelled() {
            return Flow::Canceled;
        }
        let record = self.journal.begin(&path, &format!("{}{}", scope.steps, node.name), &input);
        self.journal.feed.push(RunChunk::StepStart(record.clone()));
        let span = self.step_span(node, scope, &input);
        let flow = match self.run_code(&node.id, &path, &scope.within(&span), &input).await {
            Ok(output) => self.end_done(&path, record, output, scope).await,
            Err(flow) => self.end_other(&path, record, flow, true).await,
        };
        self.end_step(span, node, scope, &flow);
        flow
    }

    /// Asks whether a condition holds. The answer is stored, so that it stays what it was.
    pub(super) async fn condition(
        &self,
        condition: &str,
        path: String,
        scope: &Scope,
        input: &Value,
    ) -> Result<bool, Flow> {
        if let Some(record) = self.journal.get(&path) {
            return Ok(record.output == Some(Value::Bool(true)));
        }
        let holds = match self.run_code(condition, &path, scope, input).await? {
            Value::Bool(holds) => holds,
            other => {
                return Err(Flow::Failed(RunError::new(format!(
                    "condition `{condition}` answered {other}, not a boolean"
                ))));
            }
        };
        let mut record = self.journal.begin(&path, condition, &Value::Null);
        record.status = StepStatus::Success;
        record.output = Some(holds.into());
        record.hidden = true;
        // Stored with whatever comes next: until then it may as well be asked again.
        self.journal.put(&path, record, None);
        Ok(holds)
    }

    /// Waits.
    pub(super) async fn sleep(&self, node: &Node, wait: &Wait, scope: &Scope, input: Value) -> Flow {
        let path = Repetition::default().path(scope, node);
        let former = self.journal.get(&path);
        let record = match former {
            Some(StepRecord { status: StepStatus::Success, .. }) => return Flow::Done(input),
            Some(record) if record.wake_at.is_some() => record,
            _ => {
                if self.cancel.is_cancelled() {
                    return Flow::Canceled;
                }
                let at = match self.end_of_wait(node, wait, &path, scope, &input).await {
                    Ok(at) => at,
                    Err(flow) => return flow,
                };
                let mut record = self.journal.begin(&path, &format!("{}{}", scope.steps, node.name), &input);
                record.status = StepStatus::Waiting;
                record.wake_at = Some(at);
                // Nothing is called.
                record.call_id.clear();
                let chunk = RunChunk::StepWaiting(record.clone());
                self.journal.put(&path, record.clone(), Some(chunk));
                let standing = Standing { wake_at: Some(Some(at)), ..Standing::default() };
                if let Err(lost) = self.journal.commit(standing).await {
                    return lost.into();
                }
                record
            }
        };
        let at = record.wake_at.unwrap_or_default();
        match self.wait_until(at).await {
            None => self.end_done(&path, record, input, scope).await,
            Some(flow) => flow,
        }
    }

    async fn end_of_wait(
        &self,
        node: &Node,
        wait: &Wait,
        path: &str,
        scope: &Scope,
        input: &Value,
    ) -> Result<i64, Flow> {
        let after = |millis: i64| Millis::now().0.saturating_add(millis.max(0));
        let point = |text: &str| {
            let parsed: Result<Timestamp, _> = text.parse();
            parsed.map(Timestamp::as_millisecond).map_err(|error| {
                Flow::Failed(RunError::new(format!("`{}` waits until `{text}`, which is no time: {error}", node.id)))
            })
        };
        match wait {
            Wait::For(duration) => Ok(after(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))),
            Wait::Until(text) => point(text),
            Wait::ComputedFor => match self.run_code(&node.id, path, scope, input).await?.as_f64() {
                Some(millis) => Ok(after(millis as i64)),
                None => Err(Flow::Failed(RunError::new(format!("`{}` did not say how long it waits", node.id)))),
            },
            Wait::ComputedUntil => match self.run_code(&node.id, path, scope, input).await? {
                Value::String(text) => point(&text),
                _ => Err(Flow::Failed(RunError::new(format!("`{}` did not say until when it waits", node.id)))),
            },
        }
    }

    /// Calls code that belongs to the graph and returns its value.
    async fn run_code(&self, node: &str, path: &str, scope: &Scope, input: &Value) -> Result<Value, Flow> {
        let meta = CallMeta {
            run_id: Some(self.run_id.to_string()),
            resource_id: self.resource_id.clone(),
            idempotency_key: Some(format!("{}/{path}", self.run_id)),
            request_context: self.input.request_context.clone(),
            ..CallMeta::default()
        };
        let target = Target::Workflow { id: Arc::clone(&scope.entry.id), node: node.into() };
        let context = self.context(path, scope, 1, input);
        match self.call_node(target, scope, input, &meta, context, None, node).await {
            Ok(reply) if reply.kind == ReplyKind::Value => Ok(json::read(&reply.body).unwrap_or(Value::Null)),
            Ok(_) => Err(Flow::Failed(RunError::new(format!("`{node}` can only give a value: it is no step")))),
            Err(error @ (CallError::Cancelled { .. } | CallError::Unavailable { .. })) => {
                Err(Flow::Interrupted(error.to_string()))
            }
            Err(error) => Err(Flow::Failed(RunError::new(error.to_string()))),
        }
    }
}
