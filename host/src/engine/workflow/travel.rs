//! Going back in a run: from an earlier step on, with other data; and going on with one
//! that was left.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{RunHandle, Workflows, resume};
use crate::{
    engine::error::EngineError,
    types::{
        graph::Node,
        id::Millis,
        run::{RunStatus, StepRecord, StepStatus},
    },
};

/// Where to go back to in a run.
#[derive(Debug, Clone, Default)]
pub struct TravelRequest {
    /// The workflow.
    pub workflow_id: String,
    /// The run.
    pub run_id: String,
    /// The step to begin with again: ids from the outermost workflow on.
    pub step: String,
    /// What that step gets instead of the result of the one before.
    pub input: Option<Value>,
    /// Results of earlier steps, by id, instead of what they came to.
    pub context: Map<String, Value>,
    /// The state it goes on with.
    pub state: Option<Value>,
    /// Passed to its steps; what it was started with if absent.
    pub request_context: Option<Map<String, Value>>,
}

impl Workflows {
    /// Lets a run that was left go on; `None` if it is over or waits for somebody.
    ///
    /// # Errors
    /// If there is no such run, it is running, its workflow has changed, or the store fails.
    pub async fn restart(&self, workflow_id: &str, run_id: &str) -> Result<Option<RunHandle>, EngineError> {
        let row = self.row(workflow_id, run_id).await?;
        let is_parked = row.outcome.parked.is_some();
        if row.status.is_over() || (row.status == RunStatus::Suspended && !is_parked) {
            return Ok(None);
        }
        if self.active().contains_key(run_id) || row.lease_until > Millis::now().0 {
            return Err(EngineError::Conflict(format!("workflow run {run_id} is running")));
        }
        let program = self.program_of(workflow_id, run_id, &row.graph_hash)?;
        if *program.hash != *row.graph_hash {
            return Err(resume::changed(&row));
        }
        let records = self.runs().records(run_id).await?;
        self.take_up(row, program, records, HashMap::new(), &[]).await.map(Some)
    }

    /// Runs a run again from a step on.
    ///
    /// # Errors
    /// If there is no such run or step, it is running, its workflow has changed, or the store fails.
    pub async fn travel(&self, request: TravelRequest) -> Result<RunHandle, EngineError> {
        let mut row = self.row(&request.workflow_id, &request.run_id).await?;
        if self.active().contains_key(row.run_id.as_str()) || row.status == RunStatus::Running {
            return Err(EngineError::Conflict(format!("workflow run {} is running; cancel it first", row.run_id)));
        }
        let program = self.program_of(&request.workflow_id, &row.run_id, &row.graph_hash)?;
        if *program.hash != *row.graph_hash {
            return Err(resume::changed(&row));
        }
        let mut records = self.runs().records(&row.run_id).await?;
        let nodes = &program.root.graph.nodes;
        let (outer, inner) =
            request.step.split_once('.').map_or((&*request.step, None), |(outer, rest)| (outer, Some(rest)));
        let Some(place) = nodes.iter().position(|node| contains(node, outer)) else {
            return Err(EngineError::InvalidInput {
                message: format!("workflow {} has no step {}", request.workflow_id, request.step),
                issues: Vec::new(),
            });
        };
        let now = Millis::now().0;
        let mut changed: HashMap<String, StepRecord> = HashMap::new();
        for (id, result) in &request.context {
            changed.insert(id.clone(), given(records.get(id), id, result["output"].clone(), now));
        }
        if let Some(input) = &request.input {
            match place.checked_sub(1).and_then(|before| nodes.get(before)) {
                Some(before) => {
                    let key = before.key.to_string();
                    changed.insert(key.clone(), given(records.get(&key), &before.id, input.clone(), now));
                }
                None => row.input.input = Some(input.clone()),
            }
        }
        // What the step and all after it came to is forgotten; that they began is not.
        let later: Vec<&Node> = nodes.iter().skip(place).collect();
        let mut gone = Vec::new();
        for (path, record) in &records {
            let is_later = later.iter().any(|node| belongs(path, node));
            let is_kept_inside = inner.is_some_and(|inner| {
                path.strip_prefix(outer)
                    .and_then(|rest| rest.strip_prefix('.'))
                    .is_some_and(|rest| record.status == StepStatus::Success && !rest.starts_with(inner))
            });
            if is_later && !is_kept_inside && !changed.contains_key(path) {
                gone.push(path.clone());
            }
        }
        for path in &gone {
            if let Some(record) = records.remove(path) {
                let begun = StepRecord {
                    step: record.step,
                    status: StepStatus::Waiting,
                    order: record.order,
                    again: record.again + 1,
                    payload: record.payload,
                    started_at: now,
                    iteration: record.iteration,
                    item: record.item,
                    hidden: record.hidden,
                    ..StepRecord::default()
                };
                if !begun.hidden && begun.item.is_none() && begun.iteration.is_none() {
                    changed.insert(path.clone(), begun);
                }
            }
        }
        if let Some(state) = &request.state {
            row.state = Some(state.to_string());
        }
        row.set_context(request.request_context);
        self.take_up(row, program, records, changed, &gone).await
    }
}

/// Returns a record of a result that was given, not worked for.
fn given(former: Option<&StepRecord>, step: &str, output: Value, now: i64) -> StepRecord {
    StepRecord {
        step: step.to_owned(),
        status: StepStatus::Success,
        order: former.map_or(0, |former| former.order),
        again: former.map_or(0, |former| former.again),
        payload: former.and_then(|former| former.payload.clone()),
        output: Some(output),
        started_at: now,
        ended_at: Some(now),
        ..StepRecord::default()
    }
}

/// Whether a step of this id is the node, or in it.
fn contains(node: &Node, id: &str) -> bool {
    &*node.id == id || node.children().into_iter().any(|child| contains(child, id))
}

/// Whether what is at a path came of a node, or of one in it.
fn belongs(path: &str, node: &Node) -> bool {
    let is_own = |name: &str| {
        path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '#', '/']))
    };
    is_own(&node.key) || is_own(&node.id) || node.children().into_iter().any(|child| belongs(path, child))
}
