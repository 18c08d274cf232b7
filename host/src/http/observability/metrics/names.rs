//! Which metrics there are, what spans they are counted from, and by what they are grouped.
//! The names are those Mastra's own metrics have.

use crate::{
    observe::{Counted, Measure, attrs::Key},
    types::span::{SpanKind, SpanStatus},
};

/// The label of lengths: whether it went well.
pub(super) const STATUS: &str = "status";

/// What can be told apart.
pub(super) const DISTINCT: [&str; 14] = [
    "entityType",
    "entityName",
    "parentEntityType",
    "parentEntityName",
    "rootEntityType",
    "rootEntityName",
    "name",
    "provider",
    "model",
    "environment",
    "executionSource",
    "serviceName",
    "threadId",
    "resourceId",
];

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metric {
    /// Its name.
    pub(super) name: &'static str,
    /// The spans it is counted from.
    pub(super) kinds: &'static [SpanKind],
    /// What of them.
    pub(super) measure: Measure,
}

/// All of them, in order.
pub(super) const METRICS: [Metric; 7] = [
    Metric { name: "mastra_agent_duration_ms", kinds: &[SpanKind::AgentRun], measure: Measure::Duration },
    Metric { name: "mastra_model_duration_ms", kinds: &[SpanKind::ModelGeneration], measure: Measure::Duration },
    Metric {
        name: "mastra_model_total_input_tokens",
        kinds: &[SpanKind::ModelGeneration],
        measure: Measure::InputTokens,
    },
    Metric {
        name: "mastra_model_total_output_tokens",
        kinds: &[SpanKind::ModelGeneration],
        measure: Measure::OutputTokens,
    },
    Metric { name: "mastra_processor_duration_ms", kinds: &[SpanKind::ProcessorRun], measure: Measure::Duration },
    Metric {
        name: "mastra_tool_duration_ms",
        kinds: &[SpanKind::ToolCall, SpanKind::McpToolCall],
        measure: Measure::Duration,
    },
    Metric { name: "mastra_workflow_duration_ms", kinds: &[SpanKind::WorkflowRun], measure: Measure::Duration },
];

impl Metric {
    /// Returns the metric of this name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        static ALL: [Metric; METRICS.len()] = METRICS;
        ALL.iter().find(|metric| metric.name == name)
    }

    /// Returns the value a span adds to it.
    #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 milliseconds or tokens nobody counts")]
    pub(super) fn value(&self, counted: &Counted) -> Option<f64> {
        let value = match self.measure {
            Measure::Duration => counted.duration,
            Measure::InputTokens => counted.input_tokens,
            Measure::OutputTokens => counted.output_tokens,
        };
        value.map(|value| value as f64)
    }

    /// Whether its values have the label that says whether it went well.
    pub(super) fn has_status(&self) -> bool {
        self.measure == Measure::Duration
    }
}

/// What values are grouped by, or told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Something known of the span.
    Key(Key),
    /// The metric's name.
    Name,
    /// The label that says whether it went well.
    Status,
    /// What nothing is known of: all values are alike in it.
    Unknown,
}

impl Column {
    /// Returns the column of this name.
    pub(super) fn find(name: &str) -> Self {
        match name {
            "name" => Self::Name,
            STATUS | "labels.status" => Self::Status,
            "entityType" => Self::Key(Key::EntityType),
            "entityId" => Self::Key(Key::EntityId),
            "entityName" => Self::Key(Key::EntityName),
            "provider" => Self::Key(Key::Provider),
            "model" => Self::Key(Key::Model),
            "environment" => Self::Key(Key::Environment),
            "serviceName" => Self::Key(Key::ServiceName),
            "threadId" => Self::Key(Key::ThreadId),
            "resourceId" => Self::Key(Key::ResourceId),
            "runId" => Self::Key(Key::RunId),
            "traceId" => Self::Key(Key::TraceId),
            "spanId" => Self::Key(Key::SpanId),
            "requestId" => Self::Key(Key::RequestId),
            "plugin" => Self::Key(Key::Plugin),
            _ => Self::Unknown,
        }
    }

    /// Returns what must be known of the span.
    pub(super) fn key(self) -> Option<Key> {
        match self {
            Self::Key(key) => Some(key),
            Self::Status => Some(Key::Status),
            Self::Name | Self::Unknown => None,
        }
    }

    /// Returns the value of a span of which this is known.
    pub(super) fn value(self, metric: &Metric, known: Option<&str>) -> Option<String> {
        match self {
            Self::Key(_) => known.map(str::to_owned),
            Self::Name => Some(metric.name.to_owned()),
            Self::Status => known.filter(|_| metric.has_status()).map(|status| label(status).to_owned()),
            Self::Unknown => None,
        }
    }
}

/// Returns how the label says how a span stands.
pub(super) fn label(status: &str) -> &str {
    if status == SpanStatus::Success.as_str() { "ok" } else { status }
}
