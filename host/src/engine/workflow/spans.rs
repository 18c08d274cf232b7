//! The spans of runs of workflows: `workflow_run` above `workflow_step`, and in the step that
//! runs another workflow that one's `workflow_run`.
//!
//! A run may wait for days and go on in another process, so its root span is recorded when its
//! first drive ends, with how the run stood then. Later drives have a `workflow_run` of their own
//! in the same trace, below the root: a trace has one root. When a host dies, or lets go of a run,
//! before that, the root is begun again under the same name by whoever goes on with the run.

use serde_json::{Value, json};

use super::{
    execution::{Execution, RunEnd},
    interpreter::{Flow, Scope},
};
use crate::{
    observe::{
        attrs::span as attr,
        tracer::{ActiveSpan, Belonging, SpanContext},
    },
    types::{
        graph::Node,
        id,
        run::{RunError, RunStatus},
        span::SpanKind,
    },
};

impl Execution {
    /// Returns the span in which the host logs what happens in the run: its records say which it is.
    pub(super) fn log_span(&self) -> tracing::Span {
        let is_on = self.workflows.engine().recorder().is_on();
        tracing::info_span!(
            "run",
            run.id = &*self.run_id,
            trace.id = is_on.then_some(self.input.trace_id.as_str()),
            span.id = is_on.then_some(self.input.span_id.as_str()),
            resource.id = self.resource_id
        )
    }

    /// Begins the span of a drive.
    pub(super) fn begin_span(&self) -> ActiveSpan {
        let recorder = self.workflows.engine().recorder();
        let input = &self.input;
        if !recorder.is_on() || input.trace_id.is_empty() {
            return ActiveSpan::default();
        }
        let id = &self.program.root.id;
        let fresh;
        let (span_id, parent) = if input.is_traced {
            fresh = id::span();
            (&fresh, Some(input.span_id.as_str()))
        } else {
            (&input.span_id, input.trace.parent_id.as_deref())
        };
        let mut root = recorder.begin(SpanKind::WorkflowRun, name(id), &input.trace_id, span_id, parent);
        let ids = [("runId", Some(&*self.run_id)), ("resourceId", self.resource_id.as_deref())];
        root.belong(Belonging {
            run_id: Some(self.run_id.to_string()),
            resource_id: self.resource_id.clone(),
            metadata: ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.into()))).collect(),
            hide_input: input.trace.hide_input,
            hide_output: input.trace.hide_output,
            ..Belonging::default()
        });
        root.entity("workflow_run", id, id);
        root.with(|span| {
            span.metadata.extend(input.trace.metadata.clone());
            span.tags.clone_from(&input.trace.tags);
        });
        if root.records_content() && !input.request_context.is_empty() {
            root.with(|span| span.request_context = Some(input.request_context.clone().into()));
        }
        root.input(|| input.input.clone().unwrap_or_default());
        root
    }

    /// Ends the span of a drive; one that was broken off is begun again by who goes on.
    pub(super) fn end_span(&self, root: ActiveSpan, end: Option<&RunEnd>) {
        let Some(end) = end else {
            if !self.input.is_traced {
                root.forget();
            }
            return;
        };
        root.attribute(attr::STATUS, end.status.as_str());
        match (&end.outcome.error, &end.outcome.result) {
            (Some(error), _) => root.fail(short(error)),
            (None, Some(result)) => {
                root.output(|| result.clone());
                root.end();
            }
            (None, None) => root.end(),
        }
    }

    /// Begins the span of an execution of a node.
    pub(super) fn step_span(&self, node: &Node, scope: &Scope, input: &Value) -> ActiveSpan {
        let Some(within) = &scope.span else { return ActiveSpan::default() };
        let step = within.child(SpanKind::WorkflowStep, format!("workflow step: '{}'", node.name));
        step.entity("workflow_step", &node.name, &scope.entry.id);
        step.input(|| input.clone());
        step
    }

    /// Ends it as it went.
    pub(super) fn end_step(&self, step: ActiveSpan, node: &Node, scope: &Scope, flow: &Flow) {
        let Flow::Failed(error) = flow else { return end(step, flow, Value::Null) };
        let mut told = json!({
            "id": "WORKFLOW_STEP_INVOKE_FAILED",
            "details": {
                "workflowId": &*scope.entry.id,
                "runId": &*self.run_id,
                "stepId": format!("workflow.{}.step.{}", scope.entry.id, node.name),
            },
            "category": "USER",
            "domain": "MASTRA_WORKFLOW",
            "message": error.message,
            "name": error.name,
            // There is no stack to show: a plugin's does not cross.
            "stack": format!("{}: {}", error.name, error.message),
        });
        if !error.details.is_null() {
            told["cause"] = error.details.clone();
        }
        end(step, flow, told);
    }
}

/// Begins the span of a workflow that a step runs.
pub(super) fn begin_inner(within: Option<&SpanContext>, id: &str, input: &Value) -> ActiveSpan {
    let Some(within) = within else { return ActiveSpan::default() };
    let run = within.child(SpanKind::WorkflowRun, name(id));
    run.entity("workflow_run", id, id);
    run.input(|| input.clone());
    run
}

/// Ends it as it went.
pub(super) fn end_inner(run: ActiveSpan, flow: &Flow) {
    let error = if let Flow::Failed(error) = flow { short(error) } else { Value::Null };
    end(run, flow, error);
}

fn end(span: ActiveSpan, flow: &Flow, error: Value) {
    let status = match flow {
        Flow::Done(_) | Flow::Bailed(_) => RunStatus::Success,
        Flow::Failed(_) => RunStatus::Failed,
        Flow::Tripped(_) => RunStatus::Tripwire,
        Flow::Suspended => RunStatus::Suspended,
        Flow::Waiting(_) => RunStatus::Waiting,
        Flow::Paused => RunStatus::Paused,
        Flow::Canceled => RunStatus::Canceled,
        // Given up: it is begun again.
        Flow::Interrupted(_) | Flow::Lost(_) => return,
    };
    span.attribute(attr::STATUS, status.as_str());
    match flow {
        Flow::Done(output) | Flow::Bailed(output) => span.output(|| output.clone()),
        Flow::Failed(_) => return span.fail(error),
        _ => {}
    }
    span.end();
}

fn name(id: &str) -> String {
    format!("workflow run: '{id}'")
}

fn short(error: &RunError) -> Value {
    json!({"message": error.message, "name": error.name})
}
