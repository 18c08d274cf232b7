//! Runs as clients know them: what a start answers, what a run's page shows, what lists hold.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::graph::{Nested, step_graph};
use crate::{
    engine::workflow::{Graphs, RunEnd},
    store::runs::RunRow,
    types::{
        graph::{Graph, Kind, Node},
        id::Millis,
        run::{RunError, RunInput, RunOutcome, RunStatus, StepRecord, StepStatus},
    },
};

/// A run's records and the graph they belong to.
pub(super) struct Shown<'a> {
    pub(super) run_id: &'a str,
    pub(super) graph: &'a Graph,
    pub(super) nested: &'a Nested<'a>,
    pub(super) records: &'a HashMap<String, StepRecord>,
}

/// Returns what starting or resuming a run answers once it is over or waits.
pub(super) fn answer(shown: &Shown<'_>, input: &RunInput, end: &RunEnd) -> Value {
    let path = shown.execution_path();
    let mut steps = shown.steps(false);
    shorten(&mut steps, &path, input.input.as_ref());
    let mut all = Map::new();
    all.insert("input".to_owned(), input.input.clone().unwrap_or(Value::Null));
    all.append(&mut steps);
    let mut answer = Map::new();
    answer.insert("status".to_owned(), end.status.as_str().into());
    answer.insert("steps".to_owned(), all.into());
    answer.insert("input".to_owned(), input.input.clone().unwrap_or(Value::Null));
    answer.insert("stepExecutionPath".to_owned(), path.into());
    add_outcome(&mut answer, &end.outcome);
    if end.status == RunStatus::Suspended {
        let waiting = shown.waiting();
        let paths: Vec<Value> =
            waiting.iter().map(|record| record.step.split('.').map(Value::from).collect()).collect();
        let mut payloads = Map::new();
        for record in &waiting {
            let outer = record.step.split('.').next().unwrap_or(&record.step);
            let payload = record.suspend_payload.clone().unwrap_or_else(|| json!({}));
            payloads.entry(outer.to_owned()).or_insert(payload);
        }
        answer.insert("suspended".to_owned(), paths.into());
        answer.insert("suspendPayload".to_owned(), payloads.into());
    }
    answer.insert("runId".to_owned(), shown.run_id.into());
    answer.insert("traceId".to_owned(), input.trace_id.as_str().into());
    answer.insert("spanId".to_owned(), input.span_id.as_str().into());
    answer.into()
}

/// Returns a run's page. `fields` are those that are wanted, all if absent.
pub(super) fn page(shown: &Shown<'_>, row: &RunRow, is_nested: bool, fields: Option<&[&str]>) -> Value {
    let mut page = row_head(row);
    let mut rest = Map::new();
    add_outcome(&mut rest, &row.outcome);
    if let Some(input) = &row.input.input {
        rest.insert("payload".to_owned(), input.clone());
    }
    rest.insert("steps".to_owned(), shown.steps(is_nested).into());
    rest.extend(shown.places(row.status));
    rest.insert("serializedStepGraph".to_owned(), step_graph(shown.graph, shown.nested).into());
    if let Some(state) = row.state.as_deref().and_then(|state| serde_json::from_str::<Value>(state).ok())
        && fields.is_some_and(|fields| fields.contains(&"state"))
    {
        rest.insert("state".to_owned(), state);
    }
    match fields {
        None => page.append(&mut rest),
        Some(fields) => page.extend(rest.into_iter().filter(|(key, _)| fields.contains(&key.as_str()))),
    }
    page.into()
}

/// Returns an entry of a list of runs.
pub(super) fn listed(shown: &Shown<'_>, row: &RunRow) -> Value {
    let mut context = Map::new();
    if let Some(input) = &row.input.input {
        context.insert("input".to_owned(), input.clone());
    }
    context.extend(shown.steps(false));
    let mut snapshot = Map::new();
    snapshot.insert("runId".to_owned(), row.run_id.as_str().into());
    snapshot.insert("status".to_owned(), row.status.as_str().into());
    snapshot.insert("value".to_owned(), state_of(row));
    snapshot.insert("context".to_owned(), context.into());
    snapshot.insert("serializedStepGraph".to_owned(), step_graph(shown.graph, shown.nested).into());
    snapshot.extend(shown.places(row.status));
    let is_begun = row.status != RunStatus::Pending;
    snapshot.insert("activePaths".to_owned(), if is_begun { shown.last_place() } else { json!([]) });
    if is_begun {
        snapshot.insert("stepExecutionPath".to_owned(), shown.execution_path().into());
        snapshot.insert("requestContext".to_owned(), row.input.request_context.clone().into());
    }
    add_outcome(&mut snapshot, &row.outcome);
    snapshot.insert("timestamp".to_owned(), row.updated_at.into());
    let mut entry = row_head(row);
    entry.shift_remove("status");
    entry.insert("snapshot".to_owned(), snapshot.into());
    entry.into()
}

/// Returns a finished run as it is when somebody restarts it: nothing is done again.
pub(super) fn restarted(shown: &Shown<'_>, row: &RunRow) -> Value {
    let mut steps = Map::new();
    steps.insert("input".to_owned(), row.input.input.clone().unwrap_or(Value::Null));
    steps.extend(shown.steps(false));
    let mut answer = Map::new();
    answer.insert("steps".to_owned(), steps.into());
    answer.insert("input".to_owned(), row.input.input.clone().unwrap_or(Value::Null));
    answer.insert("runId".to_owned(), row.run_id.as_str().into());
    answer.insert("stepExecutionPath".to_owned(), shown.execution_path().into());
    answer.insert("resumeLabels".to_owned(), shown.labels());
    answer.insert("status".to_owned(), row.status.as_str().into());
    add_outcome(&mut answer, &row.outcome);
    answer.into()
}

/// Returns a step's error.
pub(super) fn error(error: &RunError) -> Value {
    let mut shown = json!({"message": error.message, "name": error.name});
    if !error.details.is_null() {
        shown["details"] = error.details.clone();
    }
    shown
}

/// Returns the graphs of the workflows inside a run's.
pub(super) fn nested_of(graphs: &Graphs) -> Nested<'_> {
    graphs.nested.iter().map(|(id, graph)| (id.as_str(), &**graph)).collect()
}

fn row_head(row: &RunRow) -> Map<String, Value> {
    let mut head = Map::new();
    head.insert("runId".to_owned(), row.run_id.as_str().into());
    head.insert("workflowName".to_owned(), row.workflow_id.as_str().into());
    head.insert("resourceId".to_owned(), row.resource_id.as_deref().into());
    head.insert("createdAt".to_owned(), Millis(row.created_at).iso().into());
    head.insert("updatedAt".to_owned(), Millis(row.updated_at).iso().into());
    head.insert("status".to_owned(), row.status.as_str().into());
    head
}

fn state_of(row: &RunRow) -> Value {
    row.state.as_deref().and_then(|state| serde_json::from_str(state).ok()).unwrap_or_else(|| json!({}))
}

fn add_outcome(object: &mut Map<String, Value>, outcome: &RunOutcome) {
    if let Some(result) = &outcome.result {
        object.insert("result".to_owned(), result.clone());
    }
    if let Some(failed) = &outcome.error {
        object.insert("error".to_owned(), error(failed));
    }
    if let Some(tripwire) = &outcome.tripwire {
        object.insert("tripwire".to_owned(), tripwire.clone());
    }
    if let Some(parked) = &outcome.parked {
        object.insert("parked".to_owned(), json!({ "reason": parked }));
    }
}

/// Leaves out inputs that are the result of the step before, as clients expect.
fn shorten(steps: &mut Map<String, Value>, path: &[String], input: Option<&Value>) {
    for name in path {
        let Some(last) = path.iter().rposition(|step| step == name) else { continue };
        let before = match last.checked_sub(1).and_then(|before| path.get(before)) {
            Some(before) => steps.get(before).and_then(|step| step.get("output")).cloned(),
            None => input.cloned(),
        };
        if let Some(Value::Object(step)) = steps.get_mut(name)
            && step.get("payload") == before.as_ref()
        {
            step.shift_remove("payload");
        }
    }
}

impl Shown<'_> {
    /// Returns what clients see of the steps, by name; with `is_nested` those of workflows inside, too.
    fn steps(&self, is_nested: bool) -> Map<String, Value> {
        let mut shown: Vec<(&String, &StepRecord)> = Vec::new();
        for (path, record) in self.records {
            let is_seen = !record.hidden && record.item.is_none() && !is_in_item(path);
            if !is_seen || (!is_nested && path.contains('.')) || is_mark(record) {
                continue;
            }
            // Of a loop the last repetition counts.
            match shown.iter_mut().find(|(_, other)| other.step == record.step) {
                Some(other) if other.1.order < record.order => *other = (path, record),
                Some(_) => {}
                None => shown.push((path, record)),
            }
        }
        shown.sort_by_key(|(_, record)| record.order);
        shown.into_iter().map(|(path, record)| (record.step.clone(), self.step(path, record, is_nested))).collect()
    }

    fn step(&self, path: &str, record: &StepRecord, is_nested: bool) -> Value {
        let mut step = step(record);
        if record.status == StepStatus::Suspended {
            if let Some(meta) = self.suspend_meta(path) {
                if !step["suspendPayload"].is_object() {
                    step["suspendPayload"] = json!({});
                }
                step["suspendPayload"]["__workflow_meta"] = meta;
            }
            // Beside its own steps a workflow inside is shown as one that goes on.
            let is_outer =
                self.records.keys().any(|inner| inner.strip_prefix(path).is_some_and(|it| it.starts_with('.')));
            if is_nested && is_outer {
                step["status"] = "running".into();
            }
        }
        step
    }

    /// Returns what is said about where inside a node the run waits.
    fn suspend_meta(&self, path: &str) -> Option<Value> {
        let inner = self.waiting_inside(path)?;
        if let Some(item) = inner.1.item {
            let mut items: Vec<&StepRecord> = self
                .records
                .iter()
                .filter(|(other, record)| {
                    record.item.is_some()
                        && other.strip_prefix(path).is_some_and(|it| it.starts_with('[') && !it.contains('.'))
                })
                .map(|(_, record)| record)
                .collect();
            items.sort_by_key(|record| record.item);
            let output: Vec<Value> = items.into_iter().map(step).collect();
            return Some(json!({"foreachIndex": item, "foreachOutput": output, "resumeLabels": self.labels()}));
        }
        let outer = self.records.get(path)?;
        let rest = inner.1.step.strip_prefix(&outer.step)?.trim_start_matches('.');
        Some(json!({"runId": self.run_id, "path": rest.split('.').collect::<Vec<_>>()}))
    }

    fn waiting_inside(&self, path: &str) -> Option<(&String, &StepRecord)> {
        let is_inside = |inner: &str| inner.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']));
        self.records
            .iter()
            .filter(|(inner, record)| record.status == StepStatus::Suspended && is_inside(inner))
            .min_by_key(|(inner, record)| (std::cmp::Reverse(inner.matches(['.', '[']).count()), record.order))
    }

    /// Returns the steps that wait for somebody themselves, in order; of a foreach the whole.
    fn waiting(&self) -> Vec<&StepRecord> {
        let mut waiting: Vec<&StepRecord> = self
            .records
            .iter()
            .filter(|(path, record)| {
                record.status == StepStatus::Suspended
                    && !self.records.iter().any(|(inner, record)| {
                        record.status == StepStatus::Suspended
                            && inner.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
                    })
            })
            .map(|(_, record)| record)
            .collect();
        waiting.sort_by_key(|record| record.order);
        waiting.dedup_by(|one, two| one.step == two.step);
        waiting
    }

    /// Returns the names of what ran one after another, in order.
    pub(super) fn execution_path(&self) -> Vec<String> {
        let mut path = Vec::new();
        let mut again: Vec<(&str, u32)> = Vec::new();
        for node in &self.graph.nodes {
            let is_alone = matches!(node.kind, Kind::Task(_) | Kind::Map | Kind::Sleep(_));
            if is_alone && let Some(record) = self.records.get(&*node.key) {
                path.push(record.step.clone());
                again.push((&record.step, record.again));
            }
        }
        let most = again.iter().map(|(_, again)| *again).max().unwrap_or(0);
        for round in 1..=most {
            path.extend(again.iter().filter(|(_, again)| *again >= round).map(|(step, _)| (*step).to_owned()));
        }
        path
    }

    fn labels(&self) -> Value {
        let mut labels = Map::new();
        for record in self.records.values().filter(|record| record.status == StepStatus::Suspended) {
            for label in &record.resume_labels {
                let mut place = json!({ "stepId": record.step });
                if let Some(item) = record.item {
                    place["foreachIndex"] = item.into();
                }
                labels.insert(label.clone(), place);
            }
        }
        labels.into()
    }

    /// Returns where in the graph the run is, and where it waits.
    fn places(&self, status: RunStatus) -> Map<String, Value> {
        let mut active = Map::new();
        let mut suspended = Map::new();
        let mut waiting = Map::new();
        let mut place = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            place.push(index);
            self.visit(node, &mut place, &mut |name, record, place| {
                let (list, is_shown) = match record.status {
                    StepStatus::Running => (&mut active, !status.is_over() && status != RunStatus::Suspended),
                    StepStatus::Suspended => (&mut suspended, true),
                    StepStatus::Waiting => (&mut waiting, record.wake_at.is_some()),
                    StepStatus::Success | StepStatus::Failed | StepStatus::Bailed => return,
                };
                if is_shown {
                    list.insert(name.to_owned(), place.to_vec().into());
                }
            });
            place.pop();
        }
        let mut places = Map::new();
        places.insert("activeStepsPath".to_owned(), active.into());
        places.insert("suspendedPaths".to_owned(), suspended.into());
        places.insert("resumeLabels".to_owned(), self.labels());
        places.insert("waitingPaths".to_owned(), waiting.into());
        places
    }

    fn visit(&self, node: &Node, place: &mut Vec<usize>, see: &mut impl FnMut(&str, &StepRecord, &[usize])) {
        let latest = self
            .records
            .iter()
            .filter(|(path, record)| {
                !record.hidden && record.item.is_none() && path.split('#').next() == Some(&*node.key)
            })
            .max_by_key(|(_, record)| record.order);
        if let Some((_, record)) = latest {
            see(&record.step, record, place);
        }
        match &node.kind {
            Kind::Parallel(_) | Kind::Branch(_) => {
                for (index, child) in node.children().into_iter().enumerate() {
                    place.push(index);
                    self.visit(child, place, see);
                    place.pop();
                }
            }
            // The one node inside stands for the whole.
            Kind::Loop { body, .. } | Kind::Foreach { body, .. } => self.visit(body, place, see),
            Kind::Task(_) | Kind::Map | Kind::Sleep(_) => {}
        }
    }

    /// Returns the place of the last node that was begun.
    fn last_place(&self) -> Value {
        let mut last = 0;
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let mut is_begun = false;
            self.visit(node, &mut vec![index], &mut |_, _, _| is_begun = true);
            if is_begun {
                last = index;
            }
        }
        json!([last])
    }
}

/// Whether a record stands for a step that is to be run again, and says nothing yet.
fn is_mark(record: &StepRecord) -> bool {
    record.status == StepStatus::Waiting && record.wake_at.is_none()
}

/// Whether something is inside an item of an array.
fn is_in_item(path: &str) -> bool {
    path.contains('[')
}

/// Returns what one execution came to.
pub(super) fn step(record: &StepRecord) -> Value {
    let mut step = Map::new();
    if let Some(payload) = &record.payload {
        step.insert("payload".to_owned(), payload.clone());
    }
    step.insert("startedAt".to_owned(), record.started_at.into());
    step.insert("status".to_owned(), record.status.as_str().into());
    if let Some(payload) = &record.resume_payload {
        step.insert("resumePayload".to_owned(), payload.clone());
    }
    if let Some(at) = record.resumed_at {
        step.insert("resumedAt".to_owned(), at.into());
    }
    if let Some(payload) = &record.suspend_payload {
        step.insert("suspendPayload".to_owned(), payload.clone());
    }
    if let Some(at) = record.suspended_at {
        step.insert("suspendedAt".to_owned(), at.into());
    }
    if let Some(output) = &record.output {
        step.insert("output".to_owned(), output.clone());
    }
    if let Some(failed) = &record.error {
        step.insert("error".to_owned(), error(failed));
    }
    if let Some(at) = record.ended_at {
        step.insert("endedAt".to_owned(), at.into());
    }
    if let Some(iteration) = record.iteration {
        step.insert("metadata".to_owned(), json!({ "iterationCount": iteration }));
    }
    step.into()
}
