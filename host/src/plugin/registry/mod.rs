//! Names -> capabilities at one moment.
//!
//! A [`Snapshot`] never changes; a swap stores another. Whoever holds a snapshot, or an
//! entry of one, pins the generations in it, so what it found can still be called.
//! Which generations are in it is the supervisor's decision.

mod kept;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::Arc,
};

use arc_swap::ArcSwap;
use hotbay_plugin::manifest::{
    AgentManifest, EmbedderManifest, McpServerManifest, ModelManifest, ServiceManifest, ToolManifest,
    VectorStoreManifest, WorkflowManifest,
};
use tokio::sync::watch;

pub use kept::Kept;

use super::{
    error::{LoadCode, LoadError},
    generation::{Generation, GenerationPin},
};
use crate::types::{graph::Graph, schema::Schema};

/// A capability and the generation that offers it.
#[derive(Debug, Clone)]
pub struct Entry<M> {
    /// What the plugin says about it.
    pub manifest: Arc<M>,
    /// Who offers it.
    pub generation: GenerationPin,
}

/// A tool; its schemas are compiled once.
#[derive(Debug)]
pub struct ToolEntry {
    /// What the plugin says about it.
    pub manifest: Arc<ToolManifest>,
    /// Its id, as [`super::call::Target::Tool`] wants it.
    pub id: Arc<str>,
    /// The schema of its input, absent if it takes anything.
    pub input: Option<Arc<Schema>>,
    /// The schema of its result, absent if it may be anything.
    pub output: Option<Arc<Schema>>,
    /// The schema of what it resumes with.
    pub resume: Option<Arc<Schema>>,
    /// Who offers it.
    pub generation: GenerationPin,
}

/// An agent.
pub type AgentEntry = Entry<AgentManifest>;
/// A workflow; its graph is read once.
#[derive(Debug)]
pub struct WorkflowEntry {
    /// What the plugin says about it.
    pub manifest: Arc<WorkflowManifest>,
    /// Its id, as [`super::call::Target::Workflow`] wants it.
    pub id: Arc<str>,
    /// Its graph.
    pub graph: Graph,
    /// Who offers it.
    pub generation: GenerationPin,
}
/// A vector store.
pub type VectorStoreEntry = Entry<VectorStoreManifest>;
/// A chat model.
pub type ModelEntry = Entry<ModelManifest>;
/// An embedding model.
pub type EmbedderEntry = Entry<EmbedderManifest>;
/// A group of capabilities for MCP clients.
pub type McpServerEntry = Entry<McpServerManifest>;
/// A capability of another kind.
pub type ServiceEntry = Entry<ServiceManifest>;

/// Entries of one kind by name, in order: plugins by name, then as the manifest has them.
#[derive(Debug)]
pub struct Names<T, K = Arc<str>> {
    order: Vec<Arc<T>>,
    index: HashMap<K, usize>,
}

impl<T, K: Hash + Eq> Default for Names<T, K> {
    fn default() -> Self {
        Self { order: Vec::new(), index: HashMap::new() }
    }
}

impl<T, K: Hash + Eq> Names<T, K> {
    /// Returns the entry with this name.
    #[must_use]
    pub fn get<Q>(&self, name: &Q) -> Option<&Arc<T>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.order.get(*self.index.get(name)?)
    }

    /// Returns all entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<T>> {
        self.order.iter()
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn add(&mut self, entries: &[(K, Arc<T>)])
    where
        K: Clone,
    {
        for (name, entry) in entries {
            self.index.insert(name.clone(), self.order.len());
            self.order.push(Arc::clone(entry));
        }
    }
}

impl<'a, T, K: Hash + Eq> IntoIterator for &'a Names<T, K> {
    type Item = &'a Arc<T>;
    type IntoIter = std::slice::Iter<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Everything that can be called, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Raised by one with each change.
    pub version: u64,
    /// The generations that serve, by plugin.
    pub plugins: Names<Generation>,
    /// Tools by id.
    pub tools: Names<ToolEntry>,
    /// Agents by id.
    pub agents: Names<AgentEntry>,
    /// Workflows by id.
    pub workflows: Names<WorkflowEntry>,
    /// Vector stores by name.
    pub vector_stores: Names<VectorStoreEntry>,
    /// Chat models by `provider/model`.
    pub models: Names<ModelEntry>,
    /// Embedding models by `provider/model`.
    pub embedders: Names<EmbedderEntry>,
    /// MCP servers by id.
    pub mcp_servers: Names<McpServerEntry>,
    /// Capabilities of other kinds, by kind and name.
    pub services: Names<ServiceEntry, (Arc<str>, Arc<str>)>,
    /// What was made of it.
    pub kept: Kept,
}

type Offered<T, K = Arc<str>> = Vec<(K, Arc<T>)>;

/// What one generation puts into a snapshot.
pub(crate) struct Offer {
    generation: GenerationPin,
    tools: Offered<ToolEntry>,
    agents: Offered<AgentEntry>,
    workflows: Offered<WorkflowEntry>,
    vector_stores: Offered<VectorStoreEntry>,
    models: Offered<ModelEntry>,
    embedders: Offered<EmbedderEntry>,
    mcp_servers: Offered<McpServerEntry>,
    services: Offered<ServiceEntry, (Arc<str>, Arc<str>)>,
}

impl Offer {
    /// Makes the entries of a generation that has just been opened.
    pub(crate) fn new(generation: &Arc<Generation>) -> Result<Self, LoadError> {
        let pin = generation.pin().ok_or_else(|| {
            LoadError::new(LoadCode::State, "the generation was retired before it could serve; load it again")
        })?;
        let manifest = Arc::clone(generation.manifest());
        let mut tools = Vec::with_capacity(manifest.tools.len());
        for tool in &manifest.tools {
            let id: Arc<str> = tool.id.as_str().into();
            let entry = ToolEntry {
                input: schema(&tool.id, Some(&tool.input_schema))?,
                output: schema(&tool.id, tool.output_schema.as_ref())?,
                resume: schema(&tool.id, tool.resume_schema.as_ref())?,
                manifest: Arc::new(tool.clone()),
                id: Arc::clone(&id),
                generation: pin.clone(),
            };
            tools.push((id, Arc::new(entry)));
        }
        let mut workflows = Vec::with_capacity(manifest.workflows.len());
        for workflow in &manifest.workflows {
            let id: Arc<str> = workflow.id.as_str().into();
            let graph = Graph::read(workflow).map_err(|error| {
                LoadError::new(LoadCode::Manifest, format!("workflow `{id}` cannot be run: {error}"))
            })?;
            let manifest = Arc::new(workflow.clone());
            workflows.push((Arc::clone(&id), Arc::new(WorkflowEntry { manifest, id, graph, generation: pin.clone() })));
        }
        Ok(Self {
            tools,
            agents: entries(&manifest.agents, |agent| agent.id.as_str().into(), &pin),
            workflows,
            vector_stores: entries(&manifest.vector_stores, |store| store.name.as_str().into(), &pin),
            models: entries(&manifest.models, |model| model.id.as_str().into(), &pin),
            embedders: entries(&manifest.embedders, |embedder| embedder.id.as_str().into(), &pin),
            mcp_servers: entries(&manifest.mcp_servers, |server| server.id.as_str().into(), &pin),
            services: entries(&manifest.services, |it| (it.kind.as_str().into(), it.name.as_str().into()), &pin),
            generation: pin,
        })
    }
}

fn entries<M: Clone, K>(manifests: &[M], name: impl Fn(&M) -> K, pin: &GenerationPin) -> Offered<Entry<M>, K> {
    let entry = |manifest: &M| Arc::new(Entry { manifest: Arc::new(manifest.clone()), generation: pin.clone() });
    manifests.iter().map(|manifest| (name(manifest), entry(manifest))).collect()
}

fn schema(tool: &str, source: Option<&serde_json::Value>) -> Result<Option<Arc<Schema>>, LoadError> {
    match source {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(source) => Schema::compile(source.clone()).map(|schema| Some(Arc::new(schema))).map_err(|error| {
            LoadError::new(LoadCode::Manifest, format!("a JSON Schema of tool `{tool}` does not compile: {error}"))
        }),
    }
}

impl Snapshot {
    /// Returns the workflow an MCP server offers under a key of its own.
    #[must_use]
    pub fn workflow_of_key(&self, key: &str) -> Option<&Arc<WorkflowEntry>> {
        let mut offered = self.mcp_servers.iter().flat_map(|server| &server.manifest.workflows);
        let id = &offered.find(|workflow| workflow.key == key)?.id;
        self.workflows.get(id.as_str())
    }

    fn build(version: u64, offers: &BTreeMap<Arc<str>, Offer>) -> Self {
        let mut snapshot = Self { version, ..Self::default() };
        for (plugin, offer) in offers {
            snapshot.plugins.add(&[(Arc::clone(plugin), Arc::clone(&offer.generation))]);
            snapshot.tools.add(&offer.tools);
            snapshot.agents.add(&offer.agents);
            snapshot.workflows.add(&offer.workflows);
            snapshot.vector_stores.add(&offer.vector_stores);
            snapshot.models.add(&offer.models);
            snapshot.embedders.add(&offer.embedders);
            snapshot.mcp_servers.add(&offer.mcp_servers);
            snapshot.services.add(&offer.services);
        }
        snapshot
    }
}

/// The current snapshot, and the news that there is another.
pub struct Registry {
    current: ArcSwap<Snapshot>,
    version: watch::Sender<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { current: ArcSwap::default(), version: watch::Sender::new(0) }
    }
}

impl Registry {
    /// Returns what can be called now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Returns a receiver that sees the version of each new snapshot.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// The writing side of a registry: the offers its next snapshot is made of. There is one.
#[derive(Default)]
pub(crate) struct Offers {
    by_plugin: BTreeMap<Arc<str>, Offer>,
}

impl Offers {
    /// Puts a plugin's offer in place of its former one, in one step, and returns the generation
    /// that is to be retired.
    ///
    /// The former one keeps serving if a name in the new one belongs to another plugin.
    pub(crate) fn put(
        &mut self,
        registry: &Registry,
        plugin: &Arc<str>,
        offer: Offer,
    ) -> Result<Option<Arc<Generation>>, LoadError> {
        self.check_conflicts(plugin, &offer)?;
        let former = self.by_plugin.insert(Arc::clone(plugin), offer);
        self.publish(registry);
        Ok(former.map(|offer| Arc::clone(&offer.generation)))
    }

    /// Takes a plugin out.
    pub(crate) fn remove(&mut self, registry: &Registry, plugin: &str) -> Option<Arc<Generation>> {
        let former = self.by_plugin.remove(plugin)?;
        self.publish(registry);
        Some(Arc::clone(&former.generation))
    }

    fn publish(&self, registry: &Registry) {
        let version = registry.current.load().version + 1;
        registry.current.store(Arc::new(Snapshot::build(version, &self.by_plugin)));
        registry.version.send_replace(version);
    }

    fn check_conflicts(&self, plugin: &Arc<str>, offer: &Offer) -> Result<(), LoadError> {
        for (owner, theirs) in &self.by_plugin {
            if owner == plugin {
                continue;
            }
            let shared = common("tool", &offer.tools, &theirs.tools)
                .or_else(|| common("agent", &offer.agents, &theirs.agents))
                .or_else(|| common("workflow", &offer.workflows, &theirs.workflows))
                .or_else(|| common("vector store", &offer.vector_stores, &theirs.vector_stores))
                .or_else(|| common("model", &offer.models, &theirs.models))
                .or_else(|| common("embedder", &offer.embedders, &theirs.embedders))
                .or_else(|| common("MCP server", &offer.mcp_servers, &theirs.mcp_servers));
            let service =
                offer.services.iter().find(|(name, _)| theirs.services.iter().any(|(other, _)| other == name));
            let shared = shared.or_else(|| service.map(|((kind, name), _)| format!("{kind} `{name}`")));
            if let Some(what) = shared {
                return Err(LoadError::new(
                    LoadCode::Conflict,
                    format!(
                        "plugin `{plugin}` offers the {what}, which plugin `{owner}` offers already; rename one of them"
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn common<T>(kind: &str, ours: &Offered<T>, theirs: &Offered<T>) -> Option<String> {
    let shared = ours.iter().find(|(name, _)| theirs.iter().any(|(other, _)| other == name))?;
    Some(format!("{kind} `{}`", shared.0))
}

#[cfg(test)]
mod tests;
