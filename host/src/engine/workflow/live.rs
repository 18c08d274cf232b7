//! A run of a workflow, as those who watch the host see it: live events and numbers.
//!
//! It is told what the run's stream says, when that may be seen: what an event tells of a
//! result is on the disk.

use std::time::{Duration, Instant};

use super::Claimed;
use crate::{
    engine::Engine,
    observe::Recorder,
    store::runs::RunRow,
    types::{
        event::{Event, EventKind},
        log::Level,
        run::{RunChunk, RunStatus, StepRecord},
    },
};

/// Tells everybody of a run this host drives.
pub(super) struct RunTold {
    recorder: Recorder,
    run_id: String,
    workflow: String,
    plugin: String,
    began: Instant,
    /// Nothing was told of it before.
    is_new: bool,
}

impl RunTold {
    pub(super) fn new(engine: &Engine, run: &Claimed) -> Self {
        let root = &run.program.root;
        Self {
            recorder: engine.shared.recorder.clone(),
            run_id: run.run_id.clone(),
            workflow: root.id.to_string(),
            plugin: root.generation.plugin().to_string(),
            began: Instant::now(),
            is_new: run.chunks == 0,
        }
    }

    /// Tells of a chunk of the run's stream.
    pub(super) fn on(&self, chunk: &RunChunk) {
        self.count(chunk);
        self.recorder.events().publish(|| self.event_of(chunk));
    }

    fn count(&self, chunk: &RunChunk) {
        let metrics = self.recorder.metrics();
        match chunk {
            RunChunk::StepResult(record) => {
                metrics.steps.add(["workflow", &self.workflow, record.status.as_str()], 1);
            }
            RunChunk::Finish { status, .. } => {
                metrics.runs.add(["workflow", &self.workflow, status.as_str()], 1);
                metrics.workflow_runs.record(self.began.elapsed());
            }
            _ => {}
        }
    }

    fn event_of(&self, chunk: &RunChunk) -> Event {
        match chunk {
            RunChunk::Start => self.event(EventKind::Run, if self.is_new { "began" } else { "resumed" }),
            RunChunk::StepStart(record) => self.step("step-began", record),
            RunChunk::StepResult(record) => {
                let outcome = record.status.as_str();
                let level = if record.error.is_some() { Level::Error } else { Level::Info };
                let took = record.ended_at.map(|ended| ended.saturating_sub(record.started_at).max(0).unsigned_abs());
                self.step("step-ended", record).level(level).word("status", outcome).number("durationMs", took)
            }
            RunChunk::StepSuspended(record) => self.step("step-suspended", record),
            RunChunk::StepWaiting(record) => {
                let wake_at = record.wake_at.and_then(|at| u64::try_from(at).ok());
                self.step("step-waiting", record).number("wakeAt", wake_at)
            }
            RunChunk::Progress { step, completed, total, index, status, .. } => self
                .event(EventKind::Step, "step-progress")
                .text("step", step)
                .word("status", status.as_str())
                .number("index", *index)
                .number("completed", *completed)
                .number("total", *total),
            RunChunk::Output { step, .. } => self.event(EventKind::Step, "step-wrote").text("step", step),
            RunChunk::Canceled => self.event(EventKind::Run, "canceled"),
            RunChunk::Finish { status, .. } => {
                ended(self.event(EventKind::Run, end(*status)), *status, Some(self.began.elapsed()))
            }
        }
    }

    fn event(&self, kind: EventKind, what: &'static str) -> Event {
        event(kind, what, &self.run_id, &self.workflow).plugin(Some(&self.plugin))
    }

    fn step(&self, what: &'static str, record: &StepRecord) -> Event {
        let several = |count: u32| (count > 1).then_some(u64::from(count));
        self.event(EventKind::Step, what)
            .text("step", &record.step)
            .number("attempt", several(record.attempt))
            .number("iteration", record.iteration.map(u64::from))
    }
}

/// Tells that a run nobody drives stands so from now on.
pub(super) fn settled(engine: &Engine, row: &RunRow, status: RunStatus) {
    let recorder = &engine.shared.recorder;
    recorder.metrics().runs.add(["workflow", &row.workflow_id, status.as_str()], 1);
    recorder
        .events()
        .publish(|| ended(event(EventKind::Run, end(status), &row.run_id, &row.workflow_id), status, None));
}

fn event(kind: EventKind, what: &'static str, run_id: &str, workflow: &str) -> Event {
    Event::now(kind, what).run(Some(run_id)).text("workflowId", workflow)
}

fn end(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Suspended | RunStatus::Paused => "suspended",
        _ => "ended",
    }
}

fn ended(event: Event, status: RunStatus, took: Option<Duration>) -> Event {
    let level = if status == RunStatus::Failed { Level::Error } else { Level::Info };
    event
        .level(level)
        .word("status", status.as_str())
        .number("durationMs", took.and_then(|took| u64::try_from(took.as_millis()).ok()))
}
