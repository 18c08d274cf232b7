//! The spans of runs of agents: which there are, and what each says.
//!
//! They stand as a tree in the run's trace:
//!
//! ```text
//! agent_run
//!   processor_run, memory_operation      what an agent with a memory does before and after
//!   model_generation
//!     model_step                         one turn of the loop
//!       model_inference                  the question to the model
//!         model_chunk                    what it streamed, a span a text or call
//!       tool_call                        what the call causes is below it: agents, workflows, models
//! ```
//!
//! A run that waited and is resumed goes on in the same trace, in an `agent_run` below the first
//! one, so that a trace has one root however often its run waits. The tool it waited for is
//! called directly below that span, for the step that asked is over.
//!
//! Names, attributes and documents are those clients know; [`form`] makes the documents. A host
//! that does not record makes none.

mod answer;
mod form;
mod memory;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use answer::Chunks;
use hotbay_plugin::{chat, manifest::AgentManifest};
pub(super) use memory::{recalled, saved};
use serde_json::{Map, Value, json};

use super::{
    Plan,
    error::EngineError,
    tool_call::Outcome,
    toolbox::{Kind, Offered, Toolbox},
    turn::{Step, ToolCall, Turn},
};
use crate::{
    observe::{
        Recorder,
        attrs::span as attr,
        tracer::{ActiveSpan, Belonging, SpanContext},
    },
    services::span,
    types::{
        id::{self, Millis},
        message::Message,
        span::SpanKind,
    },
};

/// The spans a run has open. One that is given up ends them from the innermost on.
#[derive(Default)]
pub(super) struct RunSpans {
    pub(super) chunks: Chunks,
    step: ActiveSpan,
    generation: ActiveSpan,
    root: ActiveSpan,
    /// In which the host logs what happens in the run, once there is one.
    pub(super) log: Option<tracing::Span>,
    /// Where what comes after the run's end belongs.
    context: Option<SpanContext>,
    request_context: Option<Arc<Value>>,
    /// When the model first said something.
    first: Option<Millis>,
}

impl RunSpans {
    /// Begins the span of a run, below `within` if something recorded asked for it, and lets
    /// the turn have its names.
    pub(super) fn begin(
        recorder: &Recorder,
        within: Option<&SpanContext>,
        turn: &mut Turn,
        agent: &AgentManifest,
        plan: &Plan,
    ) -> Self {
        let wanted = &plan.options.trace;
        if !turn.resumed
            && within.is_none()
            && let Some(trace_id) = &wanted.trace_id
        {
            turn.trace_id.clone_from(trace_id);
        }
        if !recorder.is_on() {
            return Self::default();
        }
        let name = format!("agent run: '{}'", agent.id);
        let mut root = match within {
            Some(within) => within.child(SpanKind::AgentRun, name),
            None if turn.resumed => {
                recorder.begin(SpanKind::AgentRun, name, &turn.trace_id, &id::span(), Some(&turn.span_id))
            }
            None => {
                let parent = wanted.parent_id.as_deref();
                recorder.begin(SpanKind::AgentRun, name, &turn.trace_id, &turn.span_id, parent)
            }
        };
        root.belong(Belonging {
            run_id: Some(turn.run_id.clone()),
            thread_id: turn.thread_id.clone(),
            resource_id: turn.resource_id.clone(),
            request_id: None,
            metadata: metadata(turn),
            hide_input: wanted.hide_input,
            hide_output: wanted.hide_output,
        });
        let context = root.context();
        if let Some(context) = context.as_ref().filter(|_| within.is_some() && !turn.resumed) {
            context.trace_id().clone_into(&mut turn.trace_id);
            context.span_id().clone_into(&mut turn.span_id);
        }
        root.entity("agent", &agent.id, &agent.name);
        let passed = &plan.options.request_context;
        let request_context = root.records_content().then(|| Arc::new(span::request_context(passed)));
        root.with(|span| {
            span.metadata.extend(wanted.metadata.clone());
            span.tags.clone_from(&wanted.tags);
            span.request_context = request_context.as_deref().cloned();
            if let Some(thread_id) = &turn.thread_id {
                span.attributes.insert(attr::CONVERSATION_ID.to_owned(), thread_id.as_str().into());
            }
        });
        Self { root, context, request_context, ..Self::default() }
    }

    /// Notes what the run was given: the conversation's new entries, as they came.
    pub(super) fn given(&self, input: &[Message]) {
        self.root.input(|| form::asked(input));
    }

    /// Notes what the agent is told and may call.
    pub(super) fn equip(&self, instructions: &str, toolbox: &Toolbox) {
        if !self.root.is_recording() {
            return;
        }
        if self.root.records_input() && !instructions.is_empty() {
            self.root.attribute(attr::INSTRUCTIONS, instructions);
        }
        self.root.attribute(attr::AVAILABLE_TOOLS, toolbox.names());
    }

    /// Returns where things belong that the run causes now.
    pub(super) fn context(&self) -> Option<SpanContext> {
        self.context.clone()
    }

    /// Returns where the model is asked.
    pub(super) fn question(&self) -> Option<SpanContext> {
        self.chunks.context().or_else(|| self.context())
    }

    /// Begins a step: the model is about to be asked this.
    pub(super) fn ask(&mut self, turn: &Turn, agent: &AgentManifest, question: &Question<'_>) {
        if !self.root.is_recording() {
            return;
        }
        let (provider, model) = turn.provider_and_model();
        let entity = |span: &ActiveSpan| span.entity("agent", &agent.id, &agent.name);
        if !self.generation.is_recording() {
            let generation = self.root.child(SpanKind::ModelGeneration, format!("llm: '{model}'"));
            entity(&generation);
            generation.attribute(attr::MODEL, model);
            generation.attribute(attr::PROVIDER, provider);
            generation.attribute("streaming", true);
            generation.attribute("parameters", json!(question.settings));
            if generation.records_input() {
                generation.attribute("tools", form::tools(question.toolbox));
            }
            generation.input(|| form::prompt(question.messages, turn));
            generation.with(|span| span.request_context = self.request_context.as_deref().cloned());
            self.generation = generation;
        }
        let index = turn.steps.len();
        let step = self.generation.child(SpanKind::ModelStep, format!("step: {index}"));
        entity(&step);
        step.with(|span| {
            let about = json!({"modelId": model, "modelVersion": "v2", "modelProvider": provider});
            span.metadata.insert("modelMetadata".to_owned(), about);
        });
        step.attribute("stepIndex", index);
        step.attribute("messageId", turn.message_id.as_str());
        step.input(|| form::flat(question.messages));
        let inference = step.child(SpanKind::ModelInference, format!("inference: {index}"));
        entity(&inference);
        inference.attribute("stepIndex", index);
        inference.attribute(attr::MODEL, model);
        inference.attribute(attr::PROVIDER, provider);
        inference.attribute("streaming", true);
        // The engine itself asks once; what a provider's adapter repeats is its own affair.
        let mut parameters = json!({"maxRetries": 0});
        if let (Value::Object(all), Value::Object(set)) = (&mut parameters, json!(question.settings)) {
            all.extend(set);
        }
        inference.attribute("parameters", parameters);
        inference.attribute(attr::AVAILABLE_TOOLS, question.toolbox.names());
        inference.attribute("toolChoice", form::choice(question.tool_choice));
        self.chunks = Chunks::new(inference, agent);
        self.step = step;
    }

    /// Ends the step: its tools have answered, or what they wait for is known.
    pub(super) fn end_step(&mut self, turn: &Turn, continued: bool) {
        if let Some(step) = turn.steps.last() {
            self.close_step(turn, step, continued, None);
        }
    }

    /// Ends what the run asked its model, if it did.
    pub(super) fn end_generation(&mut self, turn: &Turn) {
        let generation = std::mem::take(&mut self.generation);
        if !generation.is_recording() {
            return;
        }
        self.sum_up(&generation, turn);
        generation.end();
    }

    /// Ends the step and what the model was asked with an error.
    pub(super) fn fail(&mut self, turn: &Turn, error: &EngineError) {
        if !self.root.is_recording() {
            return;
        }
        let error = span::error(&error.to_string());
        if let Some(step) = turn.steps.last() {
            self.close_step(turn, step, false, Some(&error));
        }
        let generation = std::mem::take(&mut self.generation);
        if generation.is_recording() {
            self.sum_up(&generation, turn);
            generation.fail(error);
        }
    }

    /// Ends the run.
    pub(super) fn end(&mut self, turn: &Turn, error: Option<&EngineError>) {
        let root = std::mem::take(&mut self.root);
        if !root.is_recording() {
            return;
        }
        match error {
            Some(error) => root.fail(span::error(&error.to_string())),
            None => {
                if turn.suspension.is_some() {
                    root.attribute(attr::STATUS, "suspended");
                }
                root.output(|| {
                    let mut output = Map::new();
                    output.insert("text".to_owned(), turn.text().into());
                    if let Some(object) = &turn.object {
                        output.insert("object".to_owned(), object.clone());
                    }
                    output.insert("files".to_owned(), json!([]));
                    output.into()
                });
                root.end();
            }
        }
    }

    /// Ends a run that came to nothing before it was driven.
    pub(super) fn refuse(mut self, error: &EngineError) {
        std::mem::take(&mut self.root).fail(span::error(&error.to_string()));
    }

    /// Begins the call of a tool.
    pub(super) fn tool(&self, call: &ToolCall, offered: Option<&Offered>) -> ActiveSpan {
        let parent = if self.step.is_recording() { &self.step } else { &self.root };
        let is_foreign = matches!(offered.map(|offered| &offered.kind), Some(Kind::Source(_)));
        let kind = if is_foreign { SpanKind::McpToolCall } else { SpanKind::ToolCall };
        let tool = parent.child(kind, span::tool_name(&call.name));
        if !tool.is_recording() {
            return tool;
        }
        match offered.map(|offered| &offered.kind) {
            Some(Kind::Plugin(entry)) => {
                let id = Some(call.id.as_str());
                span::describe(&tool, &entry.manifest, entry.generation.plugin(), id);
            }
            Some(Kind::Agent(entry)) => {
                span::describe_tool(&tool, &call.name, &entry.manifest.description, Some(&call.id));
            }
            Some(Kind::Workflow(entry)) => {
                span::describe_tool(&tool, &call.name, &entry.manifest.description, Some(&call.id));
            }
            Some(Kind::Source(source)) => {
                span::describe_foreign(&tool, &call.name, source, Some(&call.id));
            }
            Some(Kind::Notes(spec) | Kind::Client(spec)) => {
                span::describe_tool(&tool, &call.name, &spec.description, Some(&call.id));
            }
            None => span::describe_tool(&tool, &call.name, "", Some(&call.id)),
        }
        tool.input(|| call.args.clone());
        tool.with(|span| span.request_context = self.request_context.as_deref().cloned());
        tool
    }

    fn close_step(&mut self, turn: &Turn, step: &Step, continued: bool, error: Option<&Value>) {
        self.first = self.first.or(self.chunks.first());
        let span = std::mem::take(&mut self.step);
        let inference = self.chunks.close();
        if !span.is_recording() {
            return;
        }
        let output = span
            .records_output()
            .then(|| form::object([("text", step.text.as_str().into()), ("toolCalls", form::calls(&step.calls))]));
        let (_, model) = turn.provider_and_model();
        for it in [&span, &inference] {
            if let Some(usage) = &step.usage {
                it.attribute(attr::USAGE, form::usage(usage));
            }
            it.attribute(attr::FINISH_REASON, json!(step.finish));
            it.attribute("warnings", step.warnings.clone());
        }
        span.attribute("isContinued", continued);
        if let Some(first) = self.chunks.first() {
            inference.attribute("completionStartTime", first.iso());
        }
        inference.attribute("responseModel", model);
        inference.with(|span| span.output.clone_from(&output));
        span.with(|span| span.output = output);
        match error {
            Some(error) => {
                inference.fail(error.clone());
                span.fail(error.clone());
            }
            None => {
                inference.end();
                span.end();
            }
        }
    }

    fn sum_up(&self, generation: &ActiveSpan, turn: &Turn) {
        if let Some(step) = turn.steps.last() {
            generation.attribute(attr::FINISH_REASON, json!(step.finish));
            generation.attribute("responseId", step.response.id.as_str());
        }
        generation.attribute("responseModel", turn.provider_and_model().1);
        if let Some(first) = self.first {
            generation.attribute("completionStartTime", first.iso());
        }
        generation.attribute(attr::USAGE, form::usage(&turn.usage));
        generation.output(|| form::generated(turn));
    }
}

/// Returns the span in which the host logs what happens within a span: none if that is not recorded.
pub(super) fn log_within(span: Option<&SpanContext>) -> tracing::Span {
    match span {
        Some(span) => tracing::info_span!("within", span.id = span.span_id()),
        None => tracing::Span::none(),
    }
}

/// Returns the span in which the host and the plugin log what happens in a tool that is run by itself: none
/// if it would say nothing of that.
pub(super) fn log_of_tool(run_id: Option<&str>, span: Option<&SpanContext>) -> tracing::Span {
    if run_id.is_none() && span.is_none() {
        return tracing::Span::none();
    }
    tracing::info_span!(
        "tool",
        run.id = run_id,
        trace.id = span.map(SpanContext::trace_id),
        span.id = span.map(SpanContext::span_id)
    )
}

/// Ends the call of a tool.
pub(super) fn called(span: ActiveSpan, outcome: &Outcome) {
    match outcome {
        Outcome::Answered(value) => span::answered(span, || value.clone()),
        Outcome::Failed(message) => span::failed(span, message),
        Outcome::Suspended(pause) => {
            span.attribute(attr::STATUS, "suspended");
            span.output(|| pause.payload.clone());
            span.end();
        }
    }
}

/// What a model is asked.
pub(super) struct Question<'a> {
    pub(super) messages: &'a [chat::Message],
    pub(super) settings: &'a chat::Settings,
    pub(super) tool_choice: &'a chat::ToolChoice,
    pub(super) toolbox: &'a Toolbox,
}

/// Returns what is noted on every span of a run.
fn metadata(turn: &Turn) -> Map<String, Value> {
    let ids = [
        ("runId", Some(&turn.run_id)),
        ("resourceId", turn.resource_id.as_ref()),
        ("threadId", turn.thread_id.as_ref()),
    ];
    ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.as_str().into()))).collect()
}
