//! A run that is looked at: its graph, and what is known of the chosen step.

use ratatui::layout::Size;
use serde_json::{Value, json};

use crate::{
    json::{self, Json},
    parts::{
        cursor::Cursor,
        graph::{Graph, Place as GraphPlace},
        tree::Tree,
    },
    store::Store,
    want::{Query, Want},
};

/// A run that is looked at.
#[derive(Debug)]
pub(super) struct OpenRun {
    pub(super) workflow: String,
    pub(super) run: String,
    pub(super) graph: Graph,
    pub(super) place: GraphPlace,
    /// What is known of the chosen step.
    pub(super) step: Value,
    pub(super) tree: Tree,
    /// Which answers those were made of.
    version: (u64, u64),
    /// Which step.
    shown: Option<String>,
    /// What is searched in it.
    pub(super) search: String,
    /// What happened to it, instead of its graph.
    pub(super) events: Option<Cursor>,
}

impl OpenRun {
    pub(super) fn new(workflow: String, run: String) -> Self {
        Self {
            workflow,
            run,
            graph: Graph::default(),
            place: GraphPlace::default(),
            step: Value::Null,
            tree: Tree::new(&Value::Null),
            version: (0, 0),
            shown: None,
            search: String::new(),
            events: None,
        }
    }

    pub(super) fn want(&self) -> Want {
        Want::Run { workflow: self.workflow.clone(), run: self.run.clone() }
    }

    /// What was written while it ran.
    pub(super) fn of_log(&self) -> Want {
        Want::Logs { query: Query::default().with("runId", self.run.as_str()), page: 0 }
    }

    pub(super) fn of_workflow(&self) -> Want {
        Want::Workflow(self.workflow.clone())
    }

    /// Makes graph and step anew of what is known. What is drawn is the record's, never a guess.
    pub(super) fn settle(&mut self, store: &Store, size: Size) {
        let (run, workflow) = (self.want(), self.of_workflow());
        let version = (store.version(&run), store.version(&workflow));
        let record = store.value(&run);
        if version != self.version {
            let stored = record.at("serializedStepGraph");
            let graph = if stored.is_array() { stored } else { store.value(&workflow).at("stepGraph") };
            self.graph = Graph::of(graph, record.at("steps"));
            if self.place.selected.as_deref().is_none_or(|id| self.graph.node(id).is_none()) {
                self.place.selected = self.graph.notable().map(|node| node.id.clone());
            }
        }
        self.graph.settle(&mut self.place, size);
        if version != self.version || self.shown != self.place.selected {
            let is_same = self.shown == self.place.selected && version.0 != 0 && self.version.0 != 0;
            self.step = step_record(record, self.place.selected.as_deref());
            if is_same {
                self.tree.renew(&self.step);
            } else {
                self.tree = Tree::new(&self.step);
            }
            self.shown.clone_from(&self.place.selected);
        }
        self.version = version;
    }

    /// Returns the steps that wait for somebody, as the server names them.
    pub(super) fn waiting(&self, store: &Store) -> Vec<String> {
        let record = store.value(&self.want());
        let steps = record.members("steps");
        steps.filter(|(_, step)| step.text("status") == "suspended").map(|(id, _)| id.to_owned()).collect()
    }

    /// Returns the schema of what the step wants to be told.
    pub(super) fn resume_schema(&self, store: &Store, step: &str) -> Value {
        let workflow = store.value(&self.of_workflow());
        let all = workflow.at("allSteps");
        let last = step.rsplit('.').next().unwrap_or(step);
        let of = |id: &str| all.get(id).map(|step| json::schema(step.at("resumeSchema")));
        of(step).filter(|schema| !schema.is_null()).or_else(|| of(last)).unwrap_or(Value::Null)
    }
}

/// Returns what a step that waits says of itself, in words.
pub(super) fn asked(payload: &Value) -> String {
    let words: Vec<&str> = payload.members("").filter_map(|(_, value)| value.as_str()).collect();
    if words.is_empty() { json::brief(payload) } else { words.join("  ") }
}

/// Returns what a run's record has of a step; of the whole run if none is chosen.
fn step_record(record: &Value, step: Option<&str>) -> Value {
    match step {
        Some(id) => match record.at("steps").get(id) {
            Some(step) => step.clone(),
            None => json!({"status": "pending"}),
        },
        None => {
            let names = ["status", "payload", "result", "error", "state", "createdAt", "updatedAt", "resourceId"];
            let known = names.iter().filter_map(|name| Some(((*name).to_owned(), record.get(*name)?.clone())));
            Value::Object(known.collect())
        }
    }
}
