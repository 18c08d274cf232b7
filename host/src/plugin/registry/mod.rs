//! Names -> capabilities at one moment.
//!
//! A [`Snapshot`] never changes; a swap stores another. Whoever holds a snapshot, or an
//! entry of one, pins the generations in it, so what it found can still be called.
//! Which generations are in it is the supervisor's decision.

mod kept;
mod route;

use std::{borrow::Borrow, collections::BTreeMap, hash::Hash, sync::Arc};

use arc_swap::ArcSwap;
use hotbay_plugin::manifest::{
    AgentManifest, EmbedderManifest, McpServerManifest, ModelManifest, ServiceManifest, ToolManifest,
    VectorStoreManifest, WorkflowManifest,
};
use tokio::sync::watch;

pub use kept::Kept;
pub use route::Route;

use super::{
    error::{LoadCode, LoadError},
    generation::{Generation, GenerationPin},
};
use crate::types::{graph::Graph, map::QuickMap, schema::Schema};
use route::{Published, Share};

/// Most builds that are tried at once: each doubles the snapshots there are.
const MAX_TRIALS: usize = 3;

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
    index: QuickMap<K, usize>,
}

impl<T, K: Hash + Eq> Default for Names<T, K> {
    fn default() -> Self {
        Self { order: Vec::new(), index: QuickMap::default() }
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

    /// Adds those whose names are not there.
    fn add_missing(&mut self, entries: &[(K, Arc<T>)])
    where
        K: Clone,
    {
        for entry in entries {
            if !self.index.contains_key(&entry.0) {
                self.add(std::slice::from_ref(entry));
            }
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

    /// Returns a snapshot in which `tried` builds take the place of those that serve.
    fn build(version: u64, offers: &BTreeMap<Arc<str>, Offer>, tried: &[(&Arc<str>, &Offer)]) -> Self {
        let mut snapshot = Self { version, ..Self::default() };
        for (plugin, offer) in offers {
            match tried.iter().find(|(name, _)| *name == plugin) {
                None => snapshot.add(plugin, offer),
                Some((_, new)) => {
                    // Two instances over the same data would not see each other's writes.
                    snapshot.vector_stores.add(&offer.vector_stores);
                    snapshot.add(plugin, new);
                    // What only the old build has stays there for everybody until it is gone.
                    snapshot.add(plugin, offer);
                }
            }
        }
        snapshot
    }

    /// Adds what is not there.
    fn add(&mut self, plugin: &Arc<str>, offer: &Offer) {
        self.plugins.add_missing(&[(Arc::clone(plugin), Arc::clone(&offer.generation))]);
        self.tools.add_missing(&offer.tools);
        self.agents.add_missing(&offer.agents);
        self.workflows.add_missing(&offer.workflows);
        self.vector_stores.add_missing(&offer.vector_stores);
        self.models.add_missing(&offer.models);
        self.embedders.add_missing(&offer.embedders);
        self.mcp_servers.add_missing(&offer.mcp_servers);
        self.services.add_missing(&offer.services);
    }
}

/// The current snapshot, and the news that there is another.
pub struct Registry {
    current: ArcSwap<Published>,
    version: watch::Sender<u64>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { current: ArcSwap::default(), version: watch::Sender::new(0) }
    }
}

impl Registry {
    /// Returns what can be called now, for what belongs to no run; builds on trial are not in it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.current.load().without())
    }

    /// Returns what can be called now for what belongs together: a build on trial may be in it.
    #[must_use]
    pub fn snapshot_for(&self, route: &Route<'_>) -> Arc<Snapshot> {
        Arc::clone(self.current.load().find(route))
    }

    /// Returns what [`Registry::snapshot_for`] does, and after it what others may get now.
    #[must_use]
    pub fn snapshots_for(&self, route: &Route<'_>) -> Vec<Arc<Snapshot>> {
        let published = self.current.load();
        let first = published.find(route);
        let others = published.all().iter().filter(|other| !Arc::ptr_eq(first, other));
        [first].into_iter().chain(others).cloned().collect()
    }

    /// Returns a receiver that sees the version of each new snapshot.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// The writing side of a registry: the offers its next snapshots are made of. There is one.
#[derive(Default)]
pub(crate) struct Offers {
    by_plugin: BTreeMap<Arc<str>, Offer>,
    /// Builds on trial, by plugin.
    trials: BTreeMap<Arc<str>, Trial>,
}

/// A build that gets a share of the calls.
struct Trial {
    offer: Offer,
    share: Share,
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

    /// Lets a build of a plugin that serves have a share of its calls.
    pub(crate) fn try_out(
        &mut self,
        registry: &Registry,
        plugin: &Arc<str>,
        offer: Offer,
        percent: f64,
    ) -> Result<(), LoadError> {
        self.check_conflicts(plugin, &offer)?;
        if self.trials.len() >= MAX_TRIALS && !self.trials.contains_key(plugin) {
            let others: Vec<&str> = self.trials.keys().map(|name| &**name).collect();
            return Err(LoadError::new(
                LoadCode::State,
                format!("builds of {} are tried already, and no more at once; promote or abort one", others.join(", ")),
            ));
        }
        let share = Share::of(percent, fastrand::u64(..));
        self.trials.insert(Arc::clone(plugin), Trial { offer, share });
        self.publish(registry);
        Ok(())
    }

    /// Ends a trial; returns the build that was tried, which is to be retired.
    pub(crate) fn end_trial(&mut self, registry: &Registry, plugin: &str) -> Option<Arc<Generation>> {
        let trial = self.trials.remove(plugin)?;
        self.publish(registry);
        Some(Arc::clone(&trial.offer.generation))
    }

    /// Lets the build that was tried serve alone; returns the former one, which is to be retired.
    pub(crate) fn promote(&mut self, registry: &Registry, plugin: &Arc<str>) -> Option<Arc<Generation>> {
        let trial = self.trials.remove(plugin)?;
        let former = self.by_plugin.insert(Arc::clone(plugin), trial.offer);
        self.publish(registry);
        former.map(|offer| Arc::clone(&offer.generation))
    }

    fn publish(&self, registry: &Registry) {
        let version = registry.current.load().without().version + 1;
        let shares = self.trials.values().map(|trial| trial.share).collect();
        let sets = 0..1_usize << self.trials.len();
        let snapshots = sets.map(|set| {
            let trials = self.trials.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
            let tried: Vec<_> = trials.map(|(_, (plugin, trial))| (plugin, &trial.offer)).collect();
            Arc::new(Snapshot::build(version, &self.by_plugin, &tried))
        });
        registry.current.store(Arc::new(Published::new(shares, snapshots.collect())));
        registry.version.send_replace(version);
    }

    fn check_conflicts(&self, plugin: &Arc<str>, offer: &Offer) -> Result<(), LoadError> {
        let tried = self.trials.iter().map(|(owner, trial)| (owner, &trial.offer));
        for (owner, theirs) in self.by_plugin.iter().chain(tried) {
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
