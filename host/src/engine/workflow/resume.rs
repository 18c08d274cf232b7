//! Going on with a run that waits for somebody.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Program, RunHandle, Workflows, check, graph_of};
use crate::{
    engine::error::EngineError,
    store::{
        StoreError,
        runs::{Change, RunRow},
    },
    types::{
        graph::{Callee, Kind, Task},
        id::Millis,
        run::{RunStatus, StepRecord, StepStatus},
    },
};

/// An answer to a run that waits.
#[derive(Debug, Clone, Default)]
pub struct ResumeRequest {
    /// The workflow.
    pub workflow_id: String,
    /// The run.
    pub run_id: String,
    /// The step that is answered: ids from the outermost workflow on; not needed if one waits.
    pub step: Option<String>,
    /// The label that is answered, instead of a step.
    pub label: Option<String>,
    /// The item of an array that is answered; the first that waits if absent.
    pub item: Option<u32>,
    /// The answer.
    pub data: Option<Value>,
    /// Passed to its steps from now on; what it was started with if absent.
    pub request_context: Option<Map<String, Value>>,
}

impl Workflows {
    /// Goes on with a suspended run. The answer is on the disk when this returns.
    ///
    /// # Errors
    /// If there is no such run, it does not wait, or not for this; the answer does not fit;
    /// its workflow has changed; somebody else answered first; or the store fails.
    pub async fn resume(&self, request: ResumeRequest) -> Result<RunHandle, EngineError> {
        let mut row = self.row(&request.workflow_id, &request.run_id).await?;
        if !matches!(row.status, RunStatus::Suspended | RunStatus::Paused) {
            return Err(EngineError::NotSuspended("This workflow run was not suspended".to_owned()));
        }
        let program = self.program_of(&request.workflow_id, &row.run_id, &row.graph_hash)?;
        if *program.hash != *row.graph_hash {
            return Err(changed(&row));
        }
        let records = self.runs().records(&row.run_id).await?;
        let answered =
            if row.status == RunStatus::Paused { HashMap::new() } else { answer(&program, &records, &request)? };
        row.set_context(request.request_context);
        self.take_up(row, program, records, answered, &[]).await
    }

    /// Claims a run somebody asks to go on, changes its records and drives it.
    pub(super) async fn take_up(
        &self,
        row: RunRow,
        program: Program,
        mut records: HashMap<String, StepRecord>,
        changed: HashMap<String, StepRecord>,
        gone: &[String],
    ) -> Result<RunHandle, EngineError> {
        records.extend(changed.clone());
        let given: Vec<(&str, &StepRecord)> = changed.iter().map(|(path, record)| (path.as_str(), record)).collect();
        let change = Change { records: &given, gone, is_wanted: true, ..Change::default() };
        let run_id = row.run_id.clone();
        self.claim(row, program, records, change).await.map_err(|error| match error {
            StoreError::NotFound(_) => {
                EngineError::Conflict(format!("workflow run {run_id} was changed by somebody else at the same time"))
            }
            other => other.into(),
        })
    }
}

/// Says that a run cannot go on with what its workflow is now.
pub(super) fn changed(row: &RunRow) -> EngineError {
    EngineError::Conflict(format!(
        "workflow {} has changed since run {} was begun: load the former build to go on with it, or begin a new run",
        row.workflow_id, row.run_id
    ))
}

/// Returns the records of a run's steps that wait themselves, not through a step inside, and
/// that something waits for: a workflow inside may be over though one of its steps asked.
pub(super) fn waiting(records: &HashMap<String, StepRecord>) -> Vec<(&String, &StepRecord)> {
    let suspended = |record: &StepRecord| record.status == StepStatus::Suspended;
    let is_inside =
        |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']));
    let is_over = |record: &StepRecord| matches!(record.status, StepStatus::Success | StepStatus::Failed);
    let mut waiting: Vec<_> = records.iter().filter(|(_, record)| suspended(record)).collect();
    waiting.retain(|(path, _)| {
        !records.iter().any(|(other, record)| {
            (suspended(record) && is_inside(other, path)) || (is_over(record) && is_inside(path, other))
        })
    });
    waiting.sort_by_key(|(_, record)| (record.order, record.item));
    waiting
}

/// Returns the records an answer changes: the step's, and those of what it is in.
fn answer(
    program: &Program,
    records: &HashMap<String, StepRecord>,
    request: &ResumeRequest,
) -> Result<HashMap<String, StepRecord>, EngineError> {
    let waiting = waiting(records);
    if waiting.is_empty() {
        // It was parked by the host, not by a step.
        return Ok(HashMap::new());
    }
    let mut steps: Vec<&str> = waiting.iter().map(|(_, record)| record.step.as_str()).collect();
    steps.dedup();
    let listed = || steps.iter().map(|step| format!("[{}]", step.replace('.', ", "))).collect::<Vec<_>>().join(", ");
    let fits = |record: &StepRecord| match (&request.label, &request.step) {
        (Some(label), _) => record.resume_labels.contains(label),
        // A workflow stands for the step that waits in it.
        (None, Some(step)) => {
            record.step == *step || record.step.strip_prefix(step.as_str()).is_some_and(|rest| rest.starts_with('.'))
        }
        (None, None) => true,
    };
    let wanted: Vec<_> = waiting
        .iter()
        .filter(|(_, record)| fits(record))
        .filter(|(_, record)| request.item.is_none() || record.item == request.item)
        .collect();
    let Some((path, record)) = wanted.first() else {
        let named = request.label.as_ref().or(request.step.as_ref()).map_or("", String::as_str);
        let what = if request.label.is_some() { "label" } else { "step" };
        return Err(EngineError::NotSuspended(format!(
            "This workflow {what} \"{named}\" was not suspended. Available suspended steps: {}",
            listed()
        )));
    };
    if wanted.iter().any(|(_, other)| other.step != record.step) {
        return Err(EngineError::NotSuspended(format!(
            "Multiple suspended steps found: {}. Please specify which step to resume using the \"step\" parameter.",
            listed()
        )));
    }
    let data = request.data.clone();
    check(task_at(program, path).and_then(|task| task.resume.as_ref()), "resume data", data.as_ref())?;
    let now = Millis::now().0;
    let mut answered = HashMap::new();
    for (outer, record) in records {
        let is_outer = path.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']));
        if outer == *path || is_outer {
            let record = StepRecord {
                answered: true,
                resume_payload: data.clone().or(Some(Value::Null)),
                resumed_at: Some(now),
                ..record.clone()
            };
            answered.insert(outer.clone(), record);
        }
    }
    Ok(answered)
}

/// Finds what is called at a path.
pub(super) fn task_at<'a>(program: &'a Program, path: &str) -> Option<&'a Task> {
    let mut workflow: Option<String> = None;
    let mut found = None;
    for part in path.split('.') {
        let key = part.split(['#', '[']).next().unwrap_or(part);
        let graph = graph_of(program, workflow.as_deref())?;
        let mut task = None;
        graph.visit(&mut |node| {
            if &*node.key == key
                && let Kind::Task(it) = &node.kind
            {
                task = Some(&**it);
            }
        });
        if let Some(Callee::Workflow(id)) = task.map(|task| &task.callee) {
            workflow = Some(id.to_string());
        }
        found = task;
    }
    found
}
