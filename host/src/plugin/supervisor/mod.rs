//! Decides which generation of which plugin serves: load, swap, retire, roll back, turn off and on.
//!
//! Operations on one file take turns; those on different files run side by side. Every
//! change becomes visible by one store in the [`Registry`], and whatever fails before it
//! leaves the old generation serving and is recorded. Noticing that files changed is
//! [`super::watcher`]'s.

mod canary;
mod judge;
mod ledger;
mod load;
mod load_span;
mod open;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use tokio::sync::broadcast;

use super::{
    error::{LoadCode, LoadError},
    generation::{DrainDeadlines, Generation},
    intake::Intake,
    isolated::Program,
    pool::PluginPool,
    process,
    registry::Registry,
    services::HostServices,
    settings::PluginSettings,
    state::{KeptState, StateFile},
};
use crate::{
    observe::Recorder,
    types::plugin::{CanaryState, GenerationState, PluginNumbers, PluginStatus},
};
use ledger::Ledger;
use load_span::LoadSpan;

/// Starts a named background task.
pub type Spawner = Arc<dyn Fn(&'static str, BoxFuture<'static, ()>) + Send + Sync>;

/// Something that happened to a plugin.
#[derive(Debug, Clone)]
pub struct PluginEvent {
    /// The plugin's name, or its file's if it never loaded.
    pub plugin: String,
    /// What happened.
    pub change: PluginChange,
}

/// What happened to a plugin.
#[derive(Debug, Clone)]
pub enum PluginChange {
    /// A generation serves.
    Serving {
        /// Its number.
        generation: u64,
    },
    /// A load failed; a generation that served before still does.
    Failed {
        /// Why.
        error: LoadError,
    },
    /// Its own process crashed.
    Crashed {
        /// The generation's number.
        generation: u64,
        /// How the process ended.
        how: String,
    },
    /// It was taken out.
    Removed,
    /// An operator turned it off.
    Disabled,
    /// A build is tried beside the one that serves, or is no longer.
    Canary {
        /// How it stands.
        state: CanaryState,
        /// The generation that is tried, if there is one yet.
        generation: Option<u64>,
        /// Why it ended.
        reason: String,
    },
    /// A generation that was swapped in failed too much; the former build serves again.
    RolledBack {
        /// Its number.
        generation: u64,
        /// How it failed.
        reason: String,
    },
    /// A generation that serves no longer has shut down, or does not end.
    Retired {
        /// Its number.
        generation: u64,
        /// How it stands.
        state: GenerationState,
    },
}

/// Why a file is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It appeared or changed; nothing happens if its bytes did not.
    Changed,
    /// An operator asked; a fresh generation is wanted in any case.
    Asked,
    /// An operator asked to have it tried beside what serves.
    Tried,
}

/// The owner of all plugins.
pub(crate) struct Supervisor {
    /// For tasks that look after plugins.
    me: Weak<Self>,
    pub(crate) settings: PluginSettings,
    intake: Arc<Intake>,
    /// What runs isolated plugins.
    program: Arc<Program>,
    pool: Arc<PluginPool>,
    services: Arc<dyn HostServices>,
    registry: Arc<Registry>,
    spawner: Spawner,
    recorder: Recorder,
    events: broadcast::Sender<PluginEvent>,
    state_file: StateFile,
    /// Everything known about plugins. Held for a few lines, never across an await.
    ledger: Mutex<Ledger>,
    /// One turn-taking lock for each file. The map's own lock is held for one line.
    turns: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
    /// Held while the state file is written, so that writes keep their order.
    state_turn: tokio::sync::Mutex<()>,
}

/// Events a slow listener may be behind before it misses some.
const EVENTS: usize = 256;
/// Locks of files nobody works on are forgotten when there are this many.
const IDLE_TURNS: usize = 256;
/// Copies that were not used for this long are deleted at the start.
const UNUSED_COPIES: Duration = Duration::from_secs(24 * 3600);

impl Supervisor {
    /// Makes the directories and threads; loads nothing yet.
    pub(crate) fn new(
        settings: PluginSettings,
        services: Arc<dyn HostServices>,
        spawner: Spawner,
        recorder: Recorder,
    ) -> Result<Arc<Self>, LoadError> {
        let intake = Intake::new(&settings)?;
        let state_file = StateFile::new(intake.directory());
        let kept =
            state_file.read().map_err(|error| LoadError::io("read the plugin state in", intake.directory(), &error))?;
        let pool = PluginPool::start(settings.stuck_grace)
            .map_err(|error| LoadError::new(LoadCode::Io, format!("cannot start threads for plugins: {error}")))?;
        Ok(Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            program: Arc::new(Program::at(&settings.probe_exe)),
            settings,
            intake: Arc::new(intake),
            pool: Arc::new(pool),
            services,
            registry: Arc::default(),
            spawner,
            recorder,
            events: broadcast::Sender::new(EVENTS),
            state_file,
            ledger: Mutex::new(Ledger::new(kept)),
            turns: Mutex::default(),
            state_turn: tokio::sync::Mutex::default(),
        }))
    }

    /// Gives back the memory that loading needed for a moment, in the background.
    fn return_memory(&self) {
        let work = async { drop(tokio::task::spawn_blocking(process::return_free_memory).await) };
        self.spawn("plugin-memory", Box::pin(work));
    }

    /// Returns the directory of the copies that are mapped.
    pub(crate) fn copies(&self) -> &Path {
        self.intake.directory()
    }

    /// Deletes old copies of plugins that are no longer there, in the background.
    pub(crate) fn tidy_up(&self) {
        let intake = Arc::clone(&self.intake);
        let work = async move {
            let tidied = tokio::task::spawn_blocking(move || intake.delete_unused(UNUSED_COPIES)).await;
            if let Ok(Err(error)) = tidied {
                tracing::warn!(%error, "cannot delete old copies of plugins");
            }
        };
        self.spawn("plugin-tidy", Box::pin(work));
    }

    /// Returns what can be called.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Returns a receiver of what happens to plugins.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<PluginEvent> {
        self.events.subscribe()
    }

    /// Starts a background task.
    pub(crate) fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        (self.spawner)(name, task);
    }

    /// Returns everything about every plugin, by name.
    pub(crate) fn list(&self) -> Vec<PluginStatus> {
        self.ledger().list(&self.intake, &self.settings)
    }

    /// Returns what is counted of every plugin, by name.
    pub(crate) fn numbers(&self) -> Vec<PluginNumbers> {
        self.ledger().numbers(&self.intake)
    }

    /// Takes note that a file is gone and retires its plugin.
    pub(crate) async fn file_removed(&self, file: &Path) {
        let turn = self.turn(file);
        let _turn = turn.lock().await;
        if file.exists() {
            return;
        }
        let retired = self.ledger().file_removed(&self.registry, file);
        if let Some(generation) = retired.first() {
            tracing::info!(plugin.name = %generation.plugin(), file = %file.display(), "the plugin's file is gone, retiring it");
            self.tell(generation.plugin(), PluginChange::Removed);
            self.remember(generation.plugin()).await;
        }
        for generation in retired {
            self.retire(generation);
        }
    }

    /// Loads a plugin's file again, as a fresh generation.
    pub(crate) async fn reload(&self, name: &str) -> Result<(), LoadError> {
        let file = self.ledger().file_of_enabled(name)?;
        self.load(&file, Why::Asked).await
    }

    /// Opens the build that served before the current one.
    pub(crate) async fn roll_back(&self, name: &str) -> Result<(), LoadError> {
        let file = self.ledger().file_of_enabled(name)?;
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        let (hash, number) = self.ledger().previous(name)?;
        self.go_back(&file, &hash, number).await.inspect_err(|error| self.failed(&file, error.clone()))
    }

    /// Lets a build serve that this host has loaded before.
    async fn go_back(&self, file: &Path, hash: &str, number: u64) -> Result<(), LoadError> {
        let span = LoadSpan::begin(&self.recorder, file);
        let result = async {
            // It was trusted when it was loaded; whether it still is counts.
            let staged = self.intake.stage_kept(hash).await?;
            self.ledger().vouch(&staged);
            let build = self.build(file, &staged).await?;
            let prepared = self.open(file, build, number, None).await?;
            span.opened(&prepared.generation);
            self.commit(file, prepared)?;
            Ok(staged.probed.manifest.name.clone())
        };
        let result = result.await;
        span.end(result.as_ref().map(drop));
        self.remember(&result?).await;
        Ok(())
    }

    /// Retires a plugin and does not load it until it is enabled, also after a restart.
    pub(crate) async fn disable(&self, name: &str) -> Result<(), LoadError> {
        let file = self.ledger().file_of(name)?;
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        self.keep_state(|kept| kept.disabled.insert(name.to_owned())).await?;
        let retired = self.ledger().disable(&self.registry, name);
        self.tell(name, PluginChange::Disabled);
        self.remember(name).await;
        for generation in retired {
            self.retire(generation);
        }
        Ok(())
    }

    /// Loads a disabled plugin again.
    pub(crate) async fn enable(&self, name: &str) -> Result<(), LoadError> {
        let file = self.ledger().file_of(name)?;
        if !self.ledger().is_disabled(name) {
            return Err(LoadError::new(
                LoadCode::State,
                format!("plugin `{name}` is not disabled; there is nothing to do"),
            ));
        }
        self.keep_state(|kept| kept.disabled.remove(name)).await?;
        self.load(&file, Why::Asked).await
    }

    /// Retires everything; returns when it is done or the deadlines are over.
    pub(crate) async fn shut_down(&self, deadlines: DrainDeadlines) {
        let all = self.ledger().remove_all(&self.registry);
        join_all(all.iter().map(|generation| generation.retire(deadlines))).await;
    }

    fn retire(&self, generation: Arc<Generation>) {
        let deadlines = DrainDeadlines {
            calls: self.settings.drain_deadline,
            streams: self.settings.stream_drain_deadline,
            shutdown: self.settings.shutdown_deadline,
        };
        let events = self.events.clone();
        let retire = async move {
            generation.retire(deadlines).await;
            let change = PluginChange::Retired { generation: generation.number(), state: generation.state() };
            drop(events.send(PluginEvent { plugin: generation.plugin().to_string(), change }));
        };
        self.spawn("plugin-drain", Box::pin(retire));
    }

    fn failed(&self, file: &Path, error: LoadError) {
        tracing::warn!(file = %file.display(), code = %error.code, error = %error, "a plugin file was refused");
        let plugin = self.ledger().failed(file, &error);
        self.tell(&plugin, PluginChange::Failed { error });
    }

    fn tell(&self, plugin: &str, change: PluginChange) {
        // Nobody listening is fine.
        drop(self.events.send(PluginEvent { plugin: plugin.to_owned(), change }));
    }

    /// Has the next start of the host take the build that serves now, if it is not the file's, and try the next
    /// one, if that is waited for.
    async fn remember(&self, name: &str) {
        let kept = self.keep_state(|kept| {
            let (held, awaited) = {
                let ledger = self.ledger();
                (ledger.held(name), ledger.awaited(name))
            };
            match held {
                Some(held) => drop(kept.held.insert(name.to_owned(), held)),
                None => drop(kept.held.remove(name)),
            }
            match awaited {
                Some(awaited) => drop(kept.canaries.insert(name.to_owned(), awaited)),
                None => drop(kept.canaries.remove(name)),
            }
        });
        if let Err(error) = kept.await {
            tracing::warn!(plugin.name = name, %error, "a restart of the host will serve the plugin's file, and try nothing");
        }
    }

    async fn keep_state<T>(&self, change: impl FnOnce(&mut KeptState) -> T) -> Result<(), LoadError> {
        let _turn = self.state_turn.lock().await;
        let before = self.ledger().kept().clone();
        let mut kept = before.clone();
        change(&mut kept);
        if kept == before {
            return Ok(());
        }
        let (file, copy) = (self.state_file.clone(), kept.clone());
        let written = tokio::task::spawn_blocking(move || file.write(&copy)).await;
        match written {
            Ok(Ok(())) => {
                self.ledger().set_kept(kept);
                Ok(())
            }
            Ok(Err(error)) => Err(LoadError::io("write the plugin state in", self.intake.directory(), &error)),
            Err(_) => Err(LoadError::new(LoadCode::Io, "writing the plugin state was interrupted, try again")),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, file: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= IDLE_TURNS {
            // Nobody else has a handle on these, so nobody waits for them.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(file.to_owned()).or_default())
    }
}
