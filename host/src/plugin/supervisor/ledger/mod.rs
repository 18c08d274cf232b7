//! What is known about each plugin and each file, and who owns which name.

mod canary;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use hotbay_plugin::manifest::Manifest;
use jiff::Timestamp;

use super::{LoadCode, LoadError, Why};
use crate::{
    plugin::{
        generation::Generation,
        intake::{Intake, Staged},
        registry::{Offer, Offers, Registry},
        settings::{CanaryPlan, PluginSettings},
        state::KeptState,
    },
    types::plugin::{
        CanaryState, Capabilities, GenerationState, GenerationStatus, MappedImages, PluginFailure, PluginNumbers,
        PluginState, PluginStatus, PluginTrust,
    },
};
use canary::Canary;
pub(super) use canary::Verdict;

/// Retired generations that are still listed and can be rolled back to.
const KEPT_GENERATIONS: usize = 64;

/// All records.
pub(super) struct Ledger {
    offers: Offers,
    plugins: BTreeMap<Arc<str>, Record>,
    /// Files that no plugin could be made of.
    refused: BTreeMap<PathBuf, PluginFailure>,
    /// Who vouched for each build when it was loaded last, by hash.
    vouched: HashMap<Arc<str>, PluginTrust>,
    kept: KeptState,
}

/// One plugin.
struct Record {
    file: PathBuf,
    /// The bytes of the file that were opened last, whether they serve or were rolled back from.
    file_hash: Option<Arc<str>>,
    current: Option<Arc<Generation>>,
    /// Oldest first, the current one among them.
    generations: Vec<Arc<Generation>>,
    /// Hashes of the builds that served alone, the last one at the end.
    served: Vec<Arc<str>>,
    /// The build that is tried, or was last.
    canary: Option<Canary>,
    /// Its file's build is tried as soon as the one serves that is waited with.
    is_next: bool,
    /// Builds that were taken back by themselves.
    rolled_back: u64,
    last_number: u64,
    /// Calls, failed calls, and crashes, of generations that are no longer listed.
    forgotten: (u64, u64, u64),
    /// A load that has its number and is not committed.
    is_loading: bool,
    failure: Option<PluginFailure>,
    manifest: Arc<Manifest>,
}

/// What to do with a staged file.
pub(super) enum Decision {
    /// Open it under this number.
    Open { number: u64 },
    /// Open it under this number and try it beside the one that serves.
    Try { number: u64, plan: CanaryPlan },
    /// Open the build with this hash in its place: it was decided on before the host started.
    Hold { number: u64, serves: String },
    /// The file has the bytes again that serve; what is tried is not wanted any more.
    Back,
    /// These bytes serve already.
    Unchanged,
    /// An operator turned the plugin off.
    Disabled,
}

impl Ledger {
    pub(super) fn new(kept: KeptState) -> Self {
        Self {
            offers: Offers::default(),
            plugins: BTreeMap::new(),
            refused: BTreeMap::new(),
            vouched: HashMap::new(),
            kept,
        }
    }

    pub(super) fn kept(&self) -> &KeptState {
        &self.kept
    }

    pub(super) fn set_kept(&mut self, kept: KeptState) {
        self.kept = kept;
    }

    pub(super) fn is_disabled(&self, name: &str) -> bool {
        self.kept.disabled.contains(name)
    }

    /// Notes who vouches for a build.
    pub(super) fn vouch(&mut self, staged: &Staged) {
        match &staged.trust {
            Some(trust) => drop(self.vouched.insert(Arc::clone(&staged.hash), trust.clone())),
            None => drop(self.vouched.remove(&staged.hash)),
        }
    }

    /// Returns who vouches for a build.
    pub(super) fn trust(&self, hash: &str) -> Option<&PluginTrust> {
        self.vouched.get(hash)
    }

    /// Gives the file its plugin's name and a number, unless the name is another file's.
    pub(super) fn reserve(&mut self, file: &Path, staged: &Staged, why: Why) -> Result<Decision, LoadError> {
        self.vouch(staged);
        let manifest = Arc::clone(&staged.probed.manifest);
        let name: Arc<str> = manifest.name.as_str().into();
        let is_disabled = self.is_disabled(&name);
        let awaited = self.kept.canaries.get(&*name);
        let record = self
            .plugins
            .entry(Arc::clone(&name))
            .or_insert_with(|| Record { canary: awaited.and_then(Canary::again), ..Record::new(file, &manifest) });
        if record.file != file {
            if record.is_taken(is_disabled) && record.file.exists() {
                return Err(LoadError::new(
                    LoadCode::Conflict,
                    format!(
                        "{} and {} both are plugin `{name}`; remove one of them, or rename its crate",
                        record.file.display(),
                        file.display()
                    ),
                ));
            }
            // The file was renamed; the plugin goes with it.
            record.file = file.to_owned();
        }
        self.refused.remove(file);
        if is_disabled {
            record.manifest = manifest;
            return Ok(Decision::Disabled);
        }
        let same = record.current.is_some() && record.file_hash.as_ref() == Some(&staged.hash);
        if same && why == Why::Changed {
            // Why it was rolled back is to be read until there is another.
            record.failure.take_if(|failure| failure.code != LoadCode::RolledBack.as_str());
            return Ok(Decision::Unchanged);
        }
        let serves = record.current.as_ref().is_some_and(|current| current.identity().hash == staged.hash);
        if serves && why == Why::Changed && record.trial().is_some() {
            record.file_hash = Some(Arc::clone(&staged.hash));
            return Ok(Decision::Back);
        }
        record.is_loading = true;
        record.last_number += 1;
        let number = record.last_number;
        if let Some(plan) = record.plan().filter(|_| why != Why::Asked) {
            return Ok(Decision::Try { number, plan });
        }
        if why == Why::Changed && record.current.is_none() {
            if let Some(held) = self.kept.held.get(&*name).filter(|held| held.file == *staged.hash) {
                return Ok(Decision::Hold { number, serves: held.serves.clone() });
            }
            // It came while nobody watched.
            let before = awaited.filter(|awaited| record.is_waited_for() && awaited.serves != *staged.hash);
            if let Some(awaited) = before {
                record.is_next = true;
                return Ok(Decision::Hold { number, serves: awaited.serves.clone() });
            }
        }
        Ok(Decision::Open { number })
    }

    /// Makes a generation serve; returns those that are to be retired.
    pub(super) fn commit(
        &mut self,
        registry: &Registry,
        file: &Path,
        generation: &Arc<Generation>,
        offer: Offer,
        file_hash: Option<Arc<str>>,
    ) -> Result<Vec<Arc<Generation>>, LoadError> {
        let name = generation.plugin();
        let mut retired: Vec<_> = self.offers.put(registry, name, offer)?.into_iter().collect();
        if let Some(record) = self.plugins.get_mut(name) {
            record.is_loading = false;
            record.failure = None;
            record.file_hash = file_hash.or_else(|| record.file_hash.take());
            record.add(generation);
            record.serve(generation);
        }
        // The file may have held a plugin of another name before.
        let others = self.plugins.iter_mut().filter(|(other, record)| *other != name && record.file == file);
        let others: Vec<Arc<str>> = others.map(|(other, _)| Arc::clone(other)).collect();
        retired.extend(others.iter().flat_map(|other| self.take_out(registry, other)));
        Ok(retired)
    }

    /// Records a failure with the plugin that owns the file, and returns the plugin's name.
    pub(super) fn failed(&mut self, file: &Path, error: &LoadError) -> String {
        if let Some((name, record)) = self.plugins.iter_mut().find(|(_, record)| record.file == file) {
            record.is_loading = false;
            record.fail(error);
            return name.to_string();
        }
        self.refused.insert(file.to_owned(), failure(file, error));
        stem(file)
    }

    /// Forgets a file; returns the generations that are to be retired.
    pub(super) fn file_removed(&mut self, registry: &Registry, file: &Path) -> Vec<Arc<Generation>> {
        self.refused.remove(file);
        let found = self.plugins.iter().find(|(_, record)| record.file == file);
        let Some(name) = found.map(|(name, _)| Arc::clone(name)) else { return Vec::new() };
        let retired = self.take_out(registry, &name);
        if let Some(record) = self.plugins.get_mut(&name) {
            record.file_hash = None;
            record.failure = None;
            if record.generations.is_empty() && !self.kept.disabled.contains(&*name) {
                self.plugins.remove(&name);
            }
        }
        retired
    }

    /// Takes a plugin out, with the build that is tried; returns what is to be retired.
    fn take_out(&mut self, registry: &Registry, name: &str) -> Vec<Arc<Generation>> {
        let tried = self.end_canary(registry, name, CanaryState::Aborted, "the plugin does not serve any more");
        if let Some(record) = self.plugins.get_mut(name) {
            record.current = None;
        }
        self.offers.remove(registry, name).into_iter().chain(tried).collect()
    }

    pub(super) fn disable(&mut self, registry: &Registry, name: &str) -> Vec<Arc<Generation>> {
        if let Some(record) = self.plugins.get_mut(name) {
            record.failure = None;
        }
        self.take_out(registry, name)
    }

    pub(super) fn remove_all(&mut self, registry: &Registry) -> Vec<Arc<Generation>> {
        let names: Vec<Arc<str>> = self.plugins.keys().cloned().collect();
        names.iter().flat_map(|name| self.take_out(registry, name)).collect()
    }

    /// Notes which bytes the plugin's file has.
    pub(super) fn note_file(&mut self, name: &str, hash: &Arc<str>) -> Option<Arc<str>> {
        self.plugins.get_mut(name)?.file_hash.replace(Arc::clone(hash))
    }

    /// Returns the hash to roll back to and the number the new generation gets.
    pub(super) fn previous(&mut self, name: &str) -> Result<(Arc<str>, u64), LoadError> {
        let record = self.plugins.get_mut(name).ok_or_else(|| unknown(name))?;
        let serving = record.current.as_ref().map(|generation| Arc::clone(&generation.identity().hash));
        let earlier = record.served.iter().rev().find(|hash| Some(*hash) != serving.as_ref());
        let hash = earlier.cloned().ok_or_else(|| {
            LoadError::new(
                LoadCode::State,
                format!("plugin `{name}` has no earlier build in this host; load one first"),
            )
        })?;
        record.is_loading = true;
        record.last_number += 1;
        Ok((hash, record.last_number))
    }

    pub(super) fn file_of(&self, name: &str) -> Result<PathBuf, LoadError> {
        if let Some(record) = self.plugins.get(name) {
            return Ok(record.file.clone());
        }
        self.refused.keys().find(|file| stem(file) == name).cloned().ok_or_else(|| unknown(name))
    }

    pub(super) fn file_of_enabled(&self, name: &str) -> Result<PathBuf, LoadError> {
        let file = self.file_of(name)?;
        if self.is_disabled(name) {
            return Err(LoadError::new(LoadCode::State, format!("plugin `{name}` is disabled; enable it first")));
        }
        Ok(file)
    }

    pub(super) fn list(&self, intake: &Intake, settings: &PluginSettings) -> Vec<PluginStatus> {
        let known = self.plugins.iter().map(|(name, record)| {
            let (count, bytes) = intake.usage(name);
            record.status(name, self, MappedImages { count, bytes }, settings)
        });
        let refused = self.refused.iter().map(|(file, failure)| PluginStatus {
            name: stem(file),
            version: String::new(),
            state: PluginState::Refused,
            file: file.clone(),
            isolation: settings.isolation(&stem(file), file).as_str().to_owned(),
            process: None,
            capabilities: Capabilities::default(),
            generation: None,
            generations: Vec::new(),
            last_error: Some(failure.clone()),
            mapped: MappedImages::default(),
            canary: None,
        });
        let mut all: Vec<_> = known.chain(refused).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl Ledger {
    /// Returns what is counted of each plugin, by name. Files that were refused have no numbers.
    pub(super) fn numbers(&self, intake: &Intake) -> Vec<PluginNumbers> {
        let numbers = self.plugins.iter().map(|(name, record)| {
            let (count, bytes) = intake.usage(name);
            record.numbers(name, self.is_disabled(name), MappedImages { count, bytes })
        });
        numbers.collect()
    }
}

impl Record {
    fn new(file: &Path, manifest: &Arc<Manifest>) -> Self {
        Self {
            file: file.to_owned(),
            file_hash: None,
            current: None,
            generations: Vec::new(),
            served: Vec::new(),
            canary: None,
            is_next: false,
            rolled_back: 0,
            last_number: 0,
            forgotten: (0, 0, 0),
            is_loading: false,
            failure: None,
            manifest: Arc::clone(manifest),
        }
    }

    /// Lists a generation.
    fn add(&mut self, generation: &Arc<Generation>) {
        self.generations.push(Arc::clone(generation));
        if self.generations.len() > KEPT_GENERATIONS {
            // The oldest; it may only be draining still, which goes on without being listed.
            let oldest = self.generations.remove(0);
            self.forgotten.0 += oldest.statistics().calls();
            self.forgotten.1 += oldest.statistics().errors();
            self.forgotten.2 += oldest.process().unwrap_or_default().crashes;
        }
    }

    /// Notes that a listed generation serves alone.
    fn serve(&mut self, generation: &Arc<Generation>) {
        self.manifest = Arc::clone(generation.manifest());
        self.served.push(Arc::clone(&generation.identity().hash));
        if self.served.len() > KEPT_GENERATIONS {
            self.served.remove(0);
        }
        self.current = Some(Arc::clone(generation));
    }

    fn fail(&mut self, error: &LoadError) {
        self.failure = Some(failure(&self.file, error));
    }

    /// Whether the name is in use, so that another file cannot have it.
    fn is_taken(&self, is_disabled: bool) -> bool {
        self.current.is_some() || self.is_loading || is_disabled
    }

    fn state(&self, is_disabled: bool) -> PluginState {
        let draining = self.generations.last().is_some_and(|last| last.state() != GenerationState::Retired);
        match &self.current {
            _ if is_disabled => PluginState::Disabled,
            Some(current) if current.state() == GenerationState::Stuck => PluginState::Stuck,
            Some(_) => PluginState::Serving,
            None if self.generations.is_empty() => PluginState::Refused,
            None if self.failure.is_some() => PluginState::Failed,
            None if draining => PluginState::Draining,
            None => PluginState::Retired,
        }
    }

    fn numbers(&self, name: &str, is_disabled: bool, mapped: MappedImages) -> PluginNumbers {
        let sum = |count: fn(&Generation) -> u64| self.generations.iter().map(|it| count(it)).sum::<u64>();
        PluginNumbers {
            name: name.to_owned(),
            state: self.state(is_disabled),
            calls: self.forgotten.0 + sum(|it| it.statistics().calls()),
            errors: self.forgotten.1 + sum(|it| it.statistics().errors()),
            in_flight: sum(Generation::in_flight),
            opened: self.last_number,
            alive: sum(|it| u64::from(it.state() != GenerationState::Retired)),
            crashes: self.forgotten.2 + sum(|it| it.process().unwrap_or_default().crashes),
            breaker: self.current.as_ref().and_then(|it| it.process()).unwrap_or_default().breaker,
            latency_ms: self.current.as_ref().map(|it| it.statistics().latency()).unwrap_or_default(),
            mapped,
            canary: self.trial().is_some().then(|| self.canary.as_ref().map(Canary::status)).flatten(),
            rolled_back: self.rolled_back,
        }
    }

    fn status(&self, name: &str, ledger: &Ledger, mapped: MappedImages, settings: &PluginSettings) -> PluginStatus {
        let status_of = |generation: &Arc<Generation>| {
            generation_status(generation, ledger.trust(&generation.identity().hash).cloned())
        };
        PluginStatus {
            name: name.to_owned(),
            version: self.manifest.version.clone(),
            state: self.state(ledger.is_disabled(name)),
            file: self.file.clone(),
            isolation: settings.isolation(name, &self.file).as_str().to_owned(),
            process: self.current.as_ref().and_then(|generation| generation.process()),
            capabilities: Capabilities::from(&*self.manifest),
            generation: self.current.as_ref().map(|generation| generation.number()),
            generations: self.generations.iter().rev().map(status_of).collect(),
            last_error: self.failure.clone(),
            mapped,
            canary: self.canary.as_ref().map(Canary::status),
        }
    }
}

fn generation_status(generation: &Generation, trust: Option<PluginTrust>) -> GenerationStatus {
    let statistics = generation.statistics();
    GenerationStatus {
        number: generation.number(),
        hash: generation.identity().hash.to_string(),
        version: generation.manifest().version.clone(),
        state: generation.state(),
        loaded_at: time_text(generation.loaded_at()),
        calls: statistics.calls(),
        errors: statistics.errors(),
        in_flight: generation.in_flight(),
        latency_ms: statistics.latency(),
        build: generation.manifest().build.clone(),
        size: generation.identity().size,
        trust,
    }
}

fn failure(file: &Path, error: &LoadError) -> PluginFailure {
    PluginFailure {
        code: error.code.as_str().to_owned(),
        message: error.message.clone(),
        file: file.to_owned(),
        at: time_text(SystemTime::now()),
    }
}

fn unknown(name: &str) -> LoadError {
    LoadError::new(
        LoadCode::Unknown,
        format!("there is no plugin `{name}`; `hotbay plugin list` shows those there are"),
    )
}

/// Names a file that has no plugin's name.
fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn time_text(time: SystemTime) -> String {
    // Out of range only if the system's clock is off by thousands of years.
    Timestamp::try_from(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}
