//! A run of a workflow: what it was asked, what its steps came to, what its stream says.
//!
//! The names of states and of a record's fields are those clients know; how they are put
//! together for a client is `http`'s. The serialised forms are what the store keeps, so
//! fields are only ever added, with a default.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::trace::TraceOptions;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Made, not started; or waiting for its turn.
    Pending,
    /// Going on.
    Running,
    /// Waits for a time.
    Waiting,
    /// Waits for somebody.
    Suspended,
    /// Stopped after one step, as it was asked.
    Paused,
    /// Ended well.
    Success,
    /// Ended with an error.
    Failed,
    /// Somebody ended it.
    Canceled,
    /// Something tripped: it was ended on purpose, with a reason.
    Tripwire,
}

impl RunStatus {
    /// All of them, in the order of the API's description.
    pub const ALL: [Self; 9] = [
        Self::Running,
        Self::Waiting,
        Self::Suspended,
        Self::Success,
        Self::Failed,
        Self::Canceled,
        Self::Pending,
        Self::Tripwire,
        Self::Paused,
    ];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Paused => "paused",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Tripwire => "tripwire",
        }
    }

    /// Returns the status of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether nothing more will happen by itself or by anybody's answer.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled | Self::Tripwire)
    }
}

/// How one execution of a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// It runs.
    #[default]
    Running,
    /// It waits for a time: it sleeps, or is to be tried again.
    Waiting,
    /// It waits for somebody.
    Suspended,
    /// It gave a result.
    Success,
    /// It failed for good.
    Failed,
    /// It left the workflow; said in streams alone, its record is one of a success.
    Bailed,
}

impl StepStatus {
    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Bailed => "bailed",
        }
    }
}

/// Why a step or a run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunError {
    /// A sentence.
    pub message: String,
    /// The error's kind.
    pub name: String,
    /// More, `Null` if there is none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

impl RunError {
    /// Returns an error of no particular kind.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), name: "Error".to_owned(), details: Value::Null }
    }
}

/// What one execution of a node came to so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// The node's id, nested workflows' before it: `inner.ask`.
    pub step: String,
    /// How it stands.
    pub status: StepStatus,
    /// Counts the run's executions in the order in which they began.
    pub order: u64,
    /// How often it was begun again by going back in the run.
    #[serde(skip_serializing_if = "is_zero")]
    pub again: u32,
    /// Names this execution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub call_id: String,
    /// Its input.
    pub payload: Option<Value>,
    /// Its result.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// It left the workflow with its result.
    #[serde(skip_serializing_if = "is_false")]
    pub bailed: bool,
    /// Why it tripped, if that is how it failed.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub tripwire: Option<Value>,
    /// When it began; all times are milliseconds since 1970.
    pub started_at: i64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// When it began to wait for somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<i64>,
    /// What it told who is to answer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub suspend_payload: Option<Value>,
    /// Which step of a workflow inside it waits, by its id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_inside: Option<String>,
    /// Names under which it can be resumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resume_labels: Vec<String>,
    /// When it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<i64>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub resume_payload: Option<Value>,
    /// It has an answer it has not seen yet.
    #[serde(skip_serializing_if = "is_false")]
    pub answered: bool,
    /// Attempts that were begun and, but for the last, failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// When it goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<i64>,
    /// Which repetition of a loop it is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iteration: Option<u32>,
    /// Which item of an array it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<u32>,
    /// It is a condition's answer, which no client is shown.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
}

/// What a run was started with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInput {
    /// The input; absent until it is started.
    #[serde(deserialize_with = "present")]
    pub input: Option<Value>,
    /// The state it begins with.
    #[serde(deserialize_with = "present")]
    pub initial_state: Option<Value>,
    /// Values the caller passed along.
    pub request_context: Map<String, Value>,
    /// Stop after each step.
    pub per_step: bool,
    /// How many agents asked each other until one of them called it.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// Names its trace, 32 hex digits.
    pub trace_id: String,
    /// Names its root span, 16 hex digits.
    pub span_id: String,
    /// Where that belongs among traces, and what is noted there.
    #[serde(skip_serializing_if = "TraceOptions::is_empty")]
    pub trace: TraceOptions,
    /// The root span is recorded: what goes on from now on is below it.
    #[serde(skip_serializing_if = "is_false")]
    pub is_traced: bool,
}

/// How a run ended, or why it does not go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOutcome {
    /// Its result.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// What tripped: `reason`, and whatever came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripwire: Option<Value>,
    /// Why it was parked, if no step asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
}

/// Something a run's stream says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum RunChunk {
    /// The run begins, or goes on after a resumption.
    Start,
    /// A node begins.
    StepStart(StepRecord),
    /// A node ended.
    StepResult(StepRecord),
    /// A node waits for somebody.
    StepSuspended(StepRecord),
    /// A node waits for a time.
    StepWaiting(StepRecord),
    /// An item of an array is done.
    Progress {
        /// The node.
        step: String,
        /// Items done so far.
        completed: u64,
        /// Items in all.
        total: u64,
        /// The item.
        index: u64,
        /// How it ended.
        status: StepStatus,
        /// Its result.
        output: Option<Value>,
    },
    /// A node wrote something.
    Output {
        /// The node.
        step: String,
        /// What.
        output: Value,
    },
    /// Somebody ended the run.
    Canceled,
    /// The run is over, or waits.
    Finish {
        /// How it stands.
        status: RunStatus,
        /// What came of it.
        outcome: RunOutcome,
    },
}

/// Tells a value that is `null` from one that is absent.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_survive_being_stored() {
        let record = StepRecord {
            step: "a".into(),
            status: StepStatus::Success,
            payload: Some(json!({"x": 1})),
            output: Some(Value::Null),
            ..StepRecord::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<StepRecord>(&text).unwrap(), record);
        // A result that is null is a result all the same.
        assert!(text.contains(r#""output":null"#), "{text}");
    }

    #[test]
    fn every_status_has_its_name() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::of(status.as_str()), Some(status));
        }
        assert_eq!(RunStatus::of("bogus"), None);
    }
}
