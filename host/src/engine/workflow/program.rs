//! What a run executes: a workflow and those it runs inside, as one moment's registry has them.

use std::{collections::HashMap, sync::Arc};

use hotbay_plugin::manifest::WorkflowManifest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    plugin::{
        generation::GenerationPin,
        registry::{Snapshot, WorkflowEntry},
    },
    types::graph::Graph,
};

/// Most workflows one run may execute, itself included.
const MAX_WORKFLOWS: usize = 64;

/// A workflow and all it runs inside. Pins their generations, so a swap changes nothing of a run.
#[derive(Clone)]
pub struct Program {
    /// The workflow.
    pub root: Arc<WorkflowEntry>,
    /// Those it runs inside, by id.
    pub nested: Arc<HashMap<Arc<str>, Arc<WorkflowEntry>>>,
    /// Names the structure of them all.
    pub hash: Arc<str>,
    // A run is a stream of calls: it may take longer to drain than one call.
    _pins: Arc<Vec<GenerationPin>>,
}

/// The graphs of a program as they are stored, for runs that outlive their plugin.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StoredGraphs {
    /// The workflow.
    #[serde(default)]
    pub id: String,
    /// The graph of the workflow.
    pub graph: Value,
    /// Those of the workflows inside, by id.
    #[serde(default)]
    pub nested: HashMap<String, Value>,
}

impl Program {
    /// Resolves a workflow of a snapshot.
    ///
    /// # Errors
    /// One sentence if something it names is missing, or it runs inside itself.
    pub(super) fn resolve(snapshot: &Snapshot, root: &Arc<WorkflowEntry>) -> Result<Self, String> {
        let mut nested: HashMap<Arc<str>, Arc<WorkflowEntry>> = HashMap::new();
        let mut open = vec![(Arc::clone(root), vec![Arc::clone(&root.id)])];
        while let Some((entry, way)) = open.pop() {
            for id in entry.graph.nested() {
                if way.contains(&id) {
                    return Err(format!("workflow `{}` runs inside itself: {} -> {id}", root.id, way.join(" -> ")));
                }
                let Some(inner) = snapshot.workflows.get(&*id) else {
                    return Err(format!("workflow `{}` needs the workflow `{id}`, which no plugin offers", entry.id));
                };
                if nested.len() >= MAX_WORKFLOWS {
                    return Err(format!("workflow `{}` needs more than {MAX_WORKFLOWS} others", root.id));
                }
                let way = way.iter().chain([&id]).cloned().collect();
                nested.insert(Arc::clone(&id), Arc::clone(inner));
                open.push((Arc::clone(inner), way));
            }
        }
        let hash = if nested.is_empty() {
            root.graph.hash.as_str().into()
        } else {
            let mut parts: Vec<String> =
                nested.iter().map(|(id, entry)| format!("{id}={}", entry.graph.hash)).collect();
            parts.sort_unstable();
            parts.push(root.graph.hash.clone());
            blake3::hash(parts.join("\n").as_bytes()).to_hex().as_str().into()
        };
        let pins = nested.values().chain([root]).filter_map(|entry| entry.generation.pin_stream()).collect();
        Ok(Self { root: Arc::clone(root), nested: Arc::new(nested), hash, _pins: Arc::new(pins) })
    }

    /// Returns its graphs in the form in which they are stored.
    pub(super) fn stored(&self) -> String {
        let nested = self.nested.iter().map(|(id, entry)| (id.to_string(), entry.manifest.graph.clone())).collect();
        let graphs = StoredGraphs { id: self.root.id.to_string(), graph: self.root.manifest.graph.clone(), nested };
        serde_json::to_string(&graphs).unwrap_or_default()
    }
}

/// The graphs of a run, wherever they come from.
#[derive(Debug)]
pub struct Graphs {
    /// The graph of the workflow.
    pub root: Arc<Graph>,
    /// Those of the workflows inside, by id.
    pub nested: HashMap<String, Arc<Graph>>,
}

impl Graphs {
    /// Reads what was stored.
    pub(super) fn of_stored(text: &str) -> Result<Self, String> {
        let stored: StoredGraphs = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let read = |id: String, graph: Value| {
            Graph::read(&WorkflowManifest { id, graph, ..WorkflowManifest::default() }).map(Arc::new)
        };
        Ok(Self {
            root: read(stored.id, stored.graph)?,
            nested: stored
                .nested
                .into_iter()
                .map(|(id, graph)| Ok((id.clone(), read(id, graph)?)))
                .collect::<Result<_, String>>()?,
        })
    }
}
