//! What is counted since the start, for Prometheus.
//!
//! Written by hand, not with the crate `prometheus`: most numbers are there already, in the
//! plugin layer, the store and the recorder, and are read when somebody asks, which the
//! crate has as a trait with descriptions and protobuf values made for each of them; its
//! registry would be one for the process, where tests have several hosts in one. What is left
//! is a few counters and the text, which is what [`Text`] is.
//!
//! Labels are bounded: route templates, names of agents, workflows, tools and models, and of
//! those so many of each kind as [`Counters`] has room for.

mod counters;
mod histogram;
mod text;

use std::time::Instant;

pub use counters::Counters;
pub use histogram::Histogram;
pub use text::{Kind, Text};

use crate::types::id::Millis;

/// What runs, steps, tools and models are counted by, and how long things took.
#[derive(Debug)]
pub struct Metrics {
    /// When the host started, to tell how long it is up.
    pub started: Instant,
    /// The same on the clock people read.
    pub started_at: Millis,
    /// Runs that ended or wait, by `kind`, `name` and `outcome`.
    pub runs: Counters<3>,
    /// How long runs of agents took, from their beginning or resumption to their end or wait.
    pub agent_runs: Histogram,
    /// The same of workflows.
    pub workflow_runs: Histogram,
    /// Steps that ended, by `kind`, the `name` of their agent or workflow, and `outcome`.
    pub steps: Counters<3>,
    /// Calls of tools by models and by clients, by `tool` and `outcome`.
    pub tool_calls: Counters<2>,
    /// Tokens, by `model` and `direction`.
    pub tokens: Counters<2>,
    /// What the index of logs and traces took.
    pub index: IndexTimes,
}

/// How long the index takes; whoever works on it records it here.
#[derive(Debug, Default)]
pub struct IndexTimes {
    /// To write what came in to the write-ahead log and sync it.
    pub append: Histogram,
    /// To commit what came in.
    pub commit: Histogram,
    /// To answer a question.
    pub search: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            started_at: Millis::now(),
            runs: Counters::new(["kind", "name", "outcome"]),
            agent_runs: Histogram::default(),
            workflow_runs: Histogram::default(),
            steps: Counters::new(["kind", "name", "outcome"]),
            tool_calls: Counters::new(["tool", "outcome"]),
            tokens: Counters::new(["model", "direction"]),
            index: IndexTimes::default(),
        }
    }
}

impl Metrics {
    /// Writes them.
    pub fn write(&self, text: &mut Text) {
        text.counters("hotbay_runs_total", "Runs that ended or wait for somebody.", &self.runs);
        text.family("hotbay_run_duration_seconds", Kind::Histogram, "From a run's beginning to its end or wait.");
        text.histogram("hotbay_run_duration_seconds", &[("kind", "agent")], &self.agent_runs);
        text.histogram("hotbay_run_duration_seconds", &[("kind", "workflow")], &self.workflow_runs);
        text.counters("hotbay_steps_total", "Steps of workflows and turns of models that ended.", &self.steps);
        text.counters("hotbay_tool_calls_total", "Calls of tools by models and clients that ended.", &self.tool_calls);
        text.counters("hotbay_model_tokens_total", "Tokens models were given and gave.", &self.tokens);
        text.family("hotbay_index_duration_seconds", Kind::Histogram, "What the index of logs and traces took.");
        let index = [("append", &self.index.append), ("commit", &self.index.commit), ("search", &self.index.search)];
        for (operation, histogram) in index {
            text.histogram("hotbay_index_duration_seconds", &[("operation", operation)], histogram);
        }
    }
}
