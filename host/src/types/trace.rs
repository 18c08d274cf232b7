//! What a caller says of the trace in which its run is recorded.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where a run belongs among traces, and what is noted on it. Kept with the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TraceOptions {
    /// The trace it is part of, 32 hex digits; one of its own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span that caused it, 16 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Noted on its first span.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What goes in is not recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hide_input: bool,
    /// What comes out is not recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hide_output: bool,
}

impl TraceOptions {
    /// Returns those of what a span caused.
    #[must_use]
    pub fn caused_by(trace_id: &str, span_id: &str) -> Self {
        Self { trace_id: Some(trace_id.to_owned()), parent_id: Some(span_id.to_owned()), ..Self::default() }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
