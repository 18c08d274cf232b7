//! A run of an agent, as those who watch the host see it: live events and numbers.
//!
//! Stands between the run and its observer, sees what that sees, and knows the end of a run
//! that has none because its caller went away.

use std::{sync::Arc, time::Instant};

use super::{
    agent_loop::Run,
    error::EngineError,
    event::{Observer, RunEvent},
    turn::{ToolCall, Turn, Waiting},
};
use crate::{
    observe::Recorder,
    plugin::registry::{Snapshot, ToolEntry},
    types::{
        event::{Event, EventKind},
        log::Level,
    },
};

/// An observer that tells everybody, and then the one it was given.
pub(super) struct Told<'a, O> {
    observer: &'a mut O,
    recorder: Recorder,
    snapshot: Arc<Snapshot>,
    plugin: Arc<str>,
    agent: String,
    run_id: String,
    thread_id: Option<String>,
    began: Instant,
    /// Steps of the model that were told of.
    steps: usize,
    error: Option<String>,
    /// It has said that it ended or waits.
    is_over: bool,
}

impl<'a, O: Observer> Told<'a, O> {
    /// Tells that the run begins, or goes on.
    pub(super) fn begin(run: &Run, plugin: &Arc<str>, observer: &'a mut O) -> Self {
        let turn = &run.turn;
        let told = Self {
            observer,
            recorder: run.engine.shared.recorder.clone(),
            snapshot: Arc::clone(&run.snapshot),
            plugin: Arc::clone(plugin),
            agent: turn.agent_id.clone(),
            run_id: turn.run_id.clone(),
            thread_id: turn.thread_id.clone(),
            began: Instant::now(),
            steps: turn.steps.len(),
            error: None,
            is_over: false,
        };
        let what = if turn.resumed { "resumed" } else { "began" };
        told.publish(|told| told.event(EventKind::Run, what).text("traceId", &turn.trace_id));
        told
    }

    fn publish(&self, make: impl FnOnce(&Self) -> Event) {
        self.recorder.events().publish(|| make(self));
    }

    fn end(&mut self, what: &'static str, outcome: &'static str, detail: Option<(&'static str, &str)>) {
        self.is_over = true;
        let elapsed = self.began.elapsed();
        let metrics = self.recorder.metrics();
        metrics.runs.add(["agent", &self.agent, outcome], 1);
        metrics.agent_runs.record(elapsed);
        self.publish(|told| {
            told.event(EventKind::Run, what)
                .level(if outcome == "failed" { Level::Error } else { Level::Info })
                .word("status", outcome)
                .number("durationMs", u64::try_from(elapsed.as_millis()).ok())
                .maybe(detail.map_or("", |(name, _)| name), detail.map(|(_, text)| text))
        });
    }

    fn step_ended(&mut self, turn: &Turn) {
        let Some(step) = turn.steps.last().filter(|_| turn.steps.len() > self.steps) else { return };
        self.steps = turn.steps.len();
        let outcome = if self.error.is_some() { "failed" } else { "success" };
        let metrics = self.recorder.metrics();
        metrics.steps.add(["model", &self.agent, outcome], 1);
        let usage = step.usage.unwrap_or_default();
        for (direction, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            if let Some(tokens) = tokens {
                metrics.tokens.add([&turn.model, direction], tokens);
            }
        }
        self.publish(|told| {
            told.event(EventKind::Step, "model-ended")
                .level(if told.error.is_some() { Level::Error } else { Level::Info })
                .text("model", &turn.model)
                .number("step", turn.steps.len() as u64)
                .word("status", outcome)
                .number("inputTokens", usage.input_tokens)
                .number("outputTokens", usage.output_tokens)
        });
    }

    fn tool(&self, what: &'static str, call: &ToolCall) -> Event {
        let plugin = self.snapshot.tools.get(call.name.as_str()).map(|tool| tool.generation.plugin());
        let event = self.event(EventKind::Step, what).text("tool", &call.name).text("toolCallId", &call.id);
        if let Some(plugin) = plugin { event.plugin(Some(plugin)) } else { event }
    }

    fn tool_ended(&self, call: &ToolCall, outcome: &'static str) {
        // A model makes names up; what the host has no tool for is one name.
        let name = if call.foreign { "other" } else { &call.name };
        self.recorder.metrics().tool_calls.add([name, outcome], 1);
        let level = if outcome == "failed" { Level::Warn } else { Level::Info };
        self.publish(|told| told.tool("tool-ended", call).level(level).word("status", outcome));
    }
}

impl<O: Observer> Observer for Told<'_, O> {
    fn on(&mut self, turn: &Turn, event: RunEvent<'_>) {
        match &event {
            RunEvent::StepStart { .. } => {
                self.publish(|told| {
                    told.event(EventKind::Step, "model-began")
                        .text("model", &turn.model)
                        .number("step", turn.steps.len() as u64 + 1)
                });
            }
            RunEvent::ToolCall(call) => self.publish(|told| told.tool("tool-called", call)),
            RunEvent::ToolResult { call, .. } => self.tool_ended(call, "success"),
            RunEvent::ToolError { call, .. } => self.tool_ended(call, "failed"),
            RunEvent::ToolDenied { call, .. } => self.tool_ended(call, "denied"),
            RunEvent::Error(error) => self.error = Some(self.words(error)),
            RunEvent::StepFinish { .. } => self.step_ended(turn),
            RunEvent::Suspended(suspension) => {
                self.step_ended(turn);
                let reason = match suspension.reason {
                    Waiting::Approval => "approval",
                    Waiting::Tool(_) => "tool",
                };
                self.end("suspended", "suspended", Some(("waitsFor", reason)));
            }
            RunEvent::Finish => {
                let error = self.error.take();
                let outcome = if error.is_some() { "failed" } else { "success" };
                self.end("ended", outcome, error.as_deref().map(|error| ("error", error)));
            }
            _ => {}
        }
        self.observer.on(turn, event);
    }

    async fn ready(&mut self) {
        self.observer.ready().await;
    }
}

impl<O> Told<'_, O> {
    fn event(&self, kind: EventKind, what: &'static str) -> Event {
        Event::now(kind, what)
            .run(Some(&self.run_id))
            .thread(self.thread_id.as_deref())
            .plugin(Some(&self.plugin))
            .text("agentId", &self.agent)
    }

    /// Returns what may be said of an error: its text may quote what a model said.
    fn words(&self, error: &EngineError) -> String {
        if self.recorder.records_content() { error.to_string() } else { "the run failed".to_owned() }
    }
}

impl<O> Drop for Told<'_, O> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // Nobody waits for it any more.
        self.recorder.metrics().runs.add(["agent", &self.agent, "canceled"], 1);
        self.recorder.metrics().agent_runs.record(self.began.elapsed());
        self.recorder.events().publish(|| self.event(EventKind::Run, "ended").word("status", "canceled"));
    }
}

/// Tells of a call of a tool by itself, outside any agent.
pub(super) struct ToolTold<'a> {
    recorder: &'a Recorder,
    tool: &'a ToolEntry,
    run_id: Option<String>,
    /// When it was called, if anybody listens.
    began: Option<Instant>,
}

impl<'a> ToolTold<'a> {
    /// Tells that it is called.
    pub(super) fn begin(recorder: &'a Recorder, tool: &'a ToolEntry, run_id: Option<&str>) -> Self {
        let began = recorder.events().is_heard().then(Instant::now);
        let told = Self { recorder, tool, run_id: run_id.map(str::to_owned), began };
        recorder.events().publish(|| told.event("tool-called"));
        told
    }

    /// Tells how it ended.
    pub(super) fn end(self, is_ok: bool) {
        let (outcome, level) = if is_ok { ("success", Level::Info) } else { ("failed", Level::Warn) };
        self.recorder.metrics().tool_calls.add([&self.tool.id, outcome], 1);
        self.recorder.events().publish(|| {
            self.event("tool-ended")
                .level(level)
                .word("status", outcome)
                .number("durationMs", self.began.and_then(|began| u64::try_from(began.elapsed().as_millis()).ok()))
        });
    }

    fn event(&self, what: &'static str) -> Event {
        Event::now(EventKind::Step, what)
            .run(self.run_id.as_deref())
            .plugin(Some(self.tool.generation.plugin()))
            .text("tool", &self.tool.id)
    }
}
