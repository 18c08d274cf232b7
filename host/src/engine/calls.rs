//! The tools a step calls: run side by side, each a span, and what the model is told of them.

use futures::future::{BoxFuture, join_all};
use hotbay_plugin::manifest::CallMeta;
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    agent_loop::Run,
    error::EngineError,
    event::{Observer, RunEvent, Unobserved},
    options::{RunOptions, RunRequest},
    spans,
    tool_call::{self, Outcome},
    toolbox::{Kind, Offered},
    turn::{ToolCall, Turn},
};
use crate::{
    services::Origin,
    types::message::{Message, Role, ToolState},
};

impl Run {
    /// Runs the tools the last step called.
    pub(super) async fn run_tools<O: Observer>(&mut self, observer: &mut O) -> Tools {
        let Some(step) = self.turn.steps.last() else { return Tools::None };
        let calls = step.calls.clone();
        if calls.is_empty() {
            return Tools::None;
        }
        let outcomes = join_all(calls.iter().map(|call| self.run_tool(call, None))).await;
        let mut waiting = None;
        let mut is_complete = true;
        for (call, outcome) in calls.iter().zip(outcomes) {
            match outcome {
                Ran::Outcome(Outcome::Suspended(pause)) => {
                    waiting.get_or_insert_with(|| self.waits_for_tool(call, pause));
                }
                Ran::NeedsApproval => {
                    waiting.get_or_insert_with(|| Self::waits_for_approval(call));
                }
                Ran::ByClient => is_complete = false,
                Ran::Outcome(outcome) => self.note(call, outcome, observer),
            }
        }
        self.end_step();
        if let Some(suspension) = waiting {
            self.suspend(suspension);
            return Tools::Waiting;
        }
        if is_complete { Tools::Answered } else { Tools::None }
    }

    pub(super) async fn run_tool(&self, call: &ToolCall, answer: Option<Answer>) -> Ran {
        let offered = self.toolbox.get(&call.name);
        let needs_approval = match offered.map(|tool| &tool.kind) {
            Some(Kind::Client(_)) => return Ran::ByClient,
            Some(Kind::Plugin(entry)) => entry.manifest.require_approval || self.plan.options.require_approval,
            Some(Kind::Agent(_) | Kind::Workflow(_) | Kind::Source(_)) => self.plan.options.require_approval,
            Some(Kind::Notes(_)) | None => false,
        };
        if needs_approval && answer.is_none() {
            return Ran::NeedsApproval;
        }
        let span = self.spans.tool(call, offered);
        let origin = self.origin().within(&span);
        let log = spans::log_within(origin.span.as_ref());
        let outcome = match offered {
            Some(tool) => self.call_tool(tool, call, answer, origin).instrument(log).await,
            None => Outcome::Failed(self.toolbox.missing(&call.name)),
        };
        spans::called(span, &outcome);
        Ran::Outcome(outcome)
    }

    async fn call_tool(&self, tool: &Offered, call: &ToolCall, answer: Option<Answer>, origin: Origin) -> Outcome {
        match &tool.kind {
            Kind::Client(_) => Outcome::Failed("the caller runs this tool".to_owned()),
            Kind::Plugin(entry) => {
                let meta = CallMeta {
                    tool_call_id: Some(call.id.clone()),
                    idempotency_key: Some(self.call_key(call)),
                    resume_data: answer.map(|answer| answer.data).filter(|data| !data.is_null()),
                    ..self.meta()
                };
                tool_call::for_model(entry, &call.args, meta, origin).await
            }
            Kind::Source(tool) => match tool.call(&call.args).await {
                Ok(value) => Outcome::Answered(value),
                Err(reason) => Outcome::Failed(reason),
            },
            Kind::Notes(_) => self.note_down(&call.args).await,
            Kind::Agent(agent) => self.ask_agent(&agent.manifest.id, &call.args, &origin).await,
            Kind::Workflow(entry) => self.call_workflow(entry, call, answer, &origin).await,
        }
    }

    /// Returns what names a call among all there ever are, and stays when the call is made again
    /// because the host died. A caller may use the ids of a run and of a trace twice, some models
    /// those of calls.
    pub(super) fn call_key(&self, call: &ToolCall) -> String {
        let Turn { trace_id, span_id, steps, .. } = &self.turn;
        format!("{trace_id}/{span_id}/{}/{}", steps.len(), call.id)
    }

    async fn ask_agent(&self, id: &str, args: &Value, origin: &Origin) -> Outcome {
        let Some(prompt) = args.get("prompt").and_then(Value::as_str) else {
            return Outcome::Failed("give the agent a `prompt`, a string".to_owned());
        };
        let request = RunRequest {
            agent_id: id.to_owned(),
            input: vec![Message::of_text(Role::User, prompt)],
            options: RunOptions { request_context: self.plan.options.request_context.clone(), ..RunOptions::default() },
            ..RunRequest::default()
        };
        let run = match Box::pin(self.engine.prepare_for(request, &origin.deeper())).await {
            Ok(run) => run,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        match text_of(run).await {
            Ok(text) => Outcome::Answered(json!({ "text": text })),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Writes a tool's answer into the turn and tells the observer.
    pub(super) fn note<O: Observer>(&mut self, call: &ToolCall, outcome: Outcome, observer: &mut O) {
        let (state, event) = match &outcome {
            Outcome::Answered(value) => {
                (ToolState::Answered(value.clone()), RunEvent::ToolResult { call, result: value })
            }
            Outcome::Failed(message) => (ToolState::Failed(message.clone()), RunEvent::ToolError { call, message }),
            Outcome::Suspended(_) => return,
        };
        self.spans.chunks.result(call, matches!(outcome, Outcome::Failed(_)));
        if let Some(part) = self.turn.tool_part(&call.id) {
            part.state = state;
        }
        observer.on(&self.turn, event);
    }

    pub(super) fn end_step(&mut self) {
        let mark = self.turn.mark();
        if let Some(step) = self.turn.steps.last_mut() {
            step.end = mark;
        }
    }
}

/// Drives a run for its text alone. Boxed, for a run may drive another.
fn text_of(mut run: Run) -> BoxFuture<'static, Result<String, EngineError>> {
    Box::pin(async move {
        run.drive(&mut Unobserved).await?;
        Ok(run.turn.text())
    })
}

/// What the tools of a step came to.
pub(super) enum Tools {
    /// There is nothing to tell the model: no calls, or calls the caller runs.
    None,
    /// All have answered.
    Answered,
    /// The run waits.
    Waiting,
}

/// What a call that waited is resumed with.
pub(super) struct Answer {
    /// What somebody said, null for an approval.
    pub(super) data: Value,
    /// To which of the tool's questions.
    pub(super) mark: Option<u64>,
}

/// What one tool came to.
pub(super) enum Ran {
    Outcome(Outcome),
    NeedsApproval,
    ByClient,
}
