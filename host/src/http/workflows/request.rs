//! What callers send about workflows and their runs.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// How workflows are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ListQuery {
    /// Leaves out what is large.
    #[serde(default)]
    pub(super) partial: Option<String>,
}

/// Which run is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RunQuery {
    /// The run.
    pub(super) run_id: String,
}

/// Which run is meant, if one is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct MaybeRunQuery {
    /// The run; made up if absent.
    #[serde(default)]
    pub(super) run_id: Option<String>,
}

/// From where on a stream is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ObserveQuery {
    /// The run.
    pub(super) run_id: String,
    /// How many chunks are left out.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub(super) offset: Option<u64>,
}

/// A run that is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct CreateRequest {
    /// Whom it is for.
    pub(super) resource_id: Option<String>,
    /// No scorers run; there are none.
    pub(super) disable_scorers: Option<bool>,
}

/// A run that is begun.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct StartRequest {
    /// Whom it is for.
    pub(super) resource_id: Option<String>,
    /// Its input.
    pub(super) input_data: Option<Value>,
    /// The state it begins with.
    pub(super) initial_state: Option<Value>,
    /// Passed to its steps.
    pub(super) request_context: Map<String, Value>,
    /// How the run is traced.
    pub(super) tracing_options: Map<String, Value>,
    /// Stops it after each step.
    pub(super) per_step: Option<bool>,
    /// Whether the stream ends when the run waits for somebody; it does if absent.
    pub(super) close_on_suspend: Option<bool>,
}

/// An answer to a run that waits.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct ResumeRequest {
    /// The run, if the query does not name it.
    pub(super) run_id: Option<String>,
    /// The step: an id, ids joined by dots, or ids from the outermost workflow on.
    #[schemars(with = "Option<Value>")]
    pub(super) step: Option<StepName>,
    /// The label it waits under, instead of a step.
    pub(super) label: Option<String>,
    /// The answer.
    pub(super) resume_data: Option<Value>,
    /// Passed to its steps from now on.
    pub(super) request_context: Map<String, Value>,
    /// The item of an array that is answered.
    pub(super) for_each_index: Option<u32>,
}

/// A step's name in one of two forms.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::http) enum StepName {
    /// Ids joined by dots.
    Joined(String),
    /// Ids from the outermost workflow on.
    Parts(Vec<String>),
}

impl StepName {
    pub(super) fn joined(self) -> String {
        match self {
            Self::Joined(name) => name,
            Self::Parts(parts) => parts.join("."),
        }
    }
}

/// Where to go back to in a run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct TravelRequest {
    /// The step to begin with again.
    #[schemars(with = "Option<Value>")]
    pub(super) step: Option<StepName>,
    /// What it gets instead of the result of the step before.
    pub(super) input_data: Option<Value>,
    /// The state it goes on with.
    pub(super) initial_state: Option<Value>,
    /// Results of earlier steps, by id: `{"output": ...}`.
    pub(super) context: Map<String, Value>,
    /// Passed to its steps.
    pub(super) request_context: Map<String, Value>,
}

/// A run that is to go on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::http) struct RestartRequest {
    /// Passed to its steps; a run goes on with what it was started with.
    pub(super) request_context: Map<String, Value>,
}

/// Nothing, or whatever a client sends along.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(in crate::http) struct NoRequest {}

/// Which runs are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RunsQuery {
    /// Made at this time or later.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub(super) from_date: Option<String>,
    /// Made at this time or earlier.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub(super) to_date: Option<String>,
    /// The page, from 0.
    #[serde(default)]
    #[schemars(extend("minimum" = 0))]
    pub(super) page: Option<i64>,
    /// How many on a page; all if absent.
    #[serde(default)]
    pub(super) per_page: Option<i64>,
    /// How many; `perPage` under another name.
    #[serde(default)]
    pub(super) limit: Option<i64>,
    /// After how many.
    #[serde(default)]
    #[schemars(extend("minimum" = 0))]
    pub(super) offset: Option<i64>,
    /// For whom.
    #[serde(default)]
    pub(super) resource_id: Option<String>,
    /// How they stand.
    #[serde(default)]
    #[schemars(schema_with = "status")]
    pub(super) status: Option<String>,
}

fn status(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["running", "waiting", "suspended", "success", "failed",
        "canceled", "pending", "bailed", "tripwire", "paused", "skipped"]})
}

/// What is wanted of a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RunPageQuery {
    /// Names of fields, with commas between them; all if absent.
    #[serde(default)]
    pub(super) fields: Option<String>,
    /// Whether steps of workflows inside are shown; they are if absent.
    #[serde(default)]
    pub(super) with_nested_workflows: Option<String>,
}
