//! Plugins: from a file to a capability that can be called.
//!
//! [`Plugins`] is what the rest of the host sees. Inside, a file's way is
//! `watcher` (it appeared) -> `intake` (checks, private copy, `probe` in a child) ->
//! `loader` (mapped, layouts compared) -> `bridge` (opened) -> [`generation`] (counted,
//! can be called) -> [`registry`] (others find it), all directed by `supervisor`, which
//! also takes generations out again, and tries builds on a share of the calls. Who has to vouch
//! for a file is in [`trust`], what others could change in `ownership`. Plugin code runs on the threads of `pool` only.
//!
//! A plugin that is isolated is not mapped here: `isolated` starts a child which does that
//! ([`runner`]) and talks to it in `frames`. Which of the two it is, only `supervisor` knows. What such
//! a child may do is in `confine`, whom it runs as in [`account`], what all it starts may use together
//! in [`control_group`].
//!
//! Knows nothing of agents, runs or HTTP: a call is bytes in, bytes out ([`call`]), and what
//! a plugin asks of the host goes to [`services::HostServices`].

pub mod call;
pub mod generation;
pub mod registry;
pub mod services;
pub mod settings;

pub mod error;
pub mod in_flight;
pub mod layout;
pub mod probe;
pub mod trust;

pub mod account;
pub mod control_group;
pub mod runner;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

mod bridge;
mod confine;
mod elf;
mod frames;
mod intake;
mod isolated;
mod loader;
mod manifest;
mod ownership;
mod pool;
pub(crate) mod process;
mod state;
mod supervisor;
mod watcher;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::{
    observe::Recorder,
    types::plugin::{Capabilities, PluginNumbers, PluginStatus, PluginTrust},
};
use error::{LoadCode, LoadError};
use generation::DrainDeadlines;
pub(crate) use manifest::RESERVED_MCP_SERVERS;
use registry::Registry;
use services::HostServices;
use settings::{CanaryPlan, PluginSettings};
pub use supervisor::{PluginChange, PluginEvent, Spawner};
use supervisor::{Supervisor, Why};
use watcher::Watcher;

/// All plugins of a host. Cheap to clone.
#[derive(Clone)]
pub struct Plugins {
    supervisor: Arc<Supervisor>,
}

impl Plugins {
    /// Loads every plugin in the directories and begins to watch them. Loads are told to `recorder`.
    ///
    /// A file that does not load is in the list with its reason; it does not fail the start.
    ///
    /// # Errors
    ///
    /// If the data directory cannot be used, or threads cannot be started.
    pub async fn start(
        mut settings: PluginSettings,
        services: Arc<dyn HostServices>,
        spawner: Spawner,
        recorder: Recorder,
    ) -> Result<Self, LoadError> {
        for directory in settings.directories.iter_mut().chain(&mut settings.isolated_directories) {
            *directory =
                std::path::absolute(&*directory).map_err(|error| LoadError::io("resolve", directory, &error))?;
        }
        let directories = settings.directories.clone();
        let supervisor = Supervisor::new(settings, services, spawner, recorder)?;
        // Read before anything is loaded: what changes from now on is noticed as a change.
        let scan = tokio::task::spawn_blocking(move || watcher::scan(&directories))
            .await
            .map_err(|_| LoadError::new(LoadCode::Io, "reading the plugin directories was interrupted"))?;
        supervisor.load_all(scan.in_order(&supervisor.settings.directories)).await;
        supervisor.tidy_up();
        if supervisor.settings.watch.enabled {
            let watcher = Watcher::new(Arc::clone(&supervisor), scan);
            supervisor.spawn("plugin-watcher", Box::pin(watcher.run()));
        }
        Ok(Self { supervisor })
    }

    /// Returns what gives memory back that nothing needs now. It takes milliseconds.
    pub(crate) fn give_back(&self) -> impl Fn() + Clone + Send + use<> {
        let copies = self.supervisor.copies().to_owned();
        move || {
            process::return_memory_of_all();
            process::unmap_files(&copies);
        }
    }

    /// Returns how many calls have finished.
    pub(crate) fn calls(&self) -> u64 {
        self.supervisor.numbers().iter().map(|plugin| plugin.calls).sum()
    }

    /// Returns what can be called.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        self.supervisor.registry()
    }

    /// Returns a receiver of what happens to plugins from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<PluginEvent> {
        self.supervisor.subscribe()
    }

    /// Returns everything about every plugin and every refused file, by name.
    #[must_use]
    pub fn list(&self) -> Vec<PluginStatus> {
        self.supervisor.list()
    }

    /// Returns what is counted of every plugin, by name.
    #[must_use]
    pub fn numbers(&self) -> Vec<PluginNumbers> {
        self.supervisor.numbers()
    }

    /// Returns everything about one plugin.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<PluginStatus> {
        self.list().into_iter().find(|status| status.name == name)
    }

    /// Loads a plugin's file again, as a fresh generation, also if the file did not change.
    ///
    /// # Errors
    ///
    /// If the file does not load; the old generation then goes on serving.
    pub async fn reload(&self, name: &str) -> Result<(), LoadError> {
        self.supervisor.reload(name).await
    }

    /// Goes back to the build that served before the current one.
    ///
    /// # Errors
    ///
    /// If there was none, or it does not open again.
    pub async fn rollback(&self, name: &str) -> Result<(), LoadError> {
        self.supervisor.roll_back(name).await
    }

    /// Retires a plugin and remembers not to load it.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or this cannot be remembered.
    pub async fn disable(&self, name: &str) -> Result<(), LoadError> {
        self.supervisor.disable(name).await
    }

    /// Loads a disabled plugin again.
    ///
    /// # Errors
    ///
    /// If it is not disabled, or its file does not load.
    pub async fn enable(&self, name: &str) -> Result<(), LoadError> {
        self.supervisor.enable(name).await
    }

    /// Tries a build on a share of a plugin's calls: the one with this hash that was loaded before, else
    /// the file's if another one serves, else the next one the file has.
    ///
    /// # Errors
    ///
    /// If the plugin does not serve, a build of it is tried already, or the plan makes no sense.
    pub async fn canary(&self, name: &str, plan: CanaryPlan, build: Option<&str>) -> Result<(), LoadError> {
        self.supervisor.canary(name, plan, build).await
    }

    /// Lets the build that is tried serve alone.
    ///
    /// # Errors
    ///
    /// If none is tried.
    pub async fn promote(&self, name: &str) -> Result<(), LoadError> {
        self.supervisor.promote(name).await
    }

    /// Ends the trial of a build, or the wait for one; what served before serves alone.
    ///
    /// # Errors
    ///
    /// If none is tried or waited for.
    pub async fn abort(&self, name: &str) -> Result<(), LoadError> {
        self.supervisor.abort(name).await
    }

    /// Loads a file from anywhere.
    ///
    /// # Errors
    ///
    /// If the file does not load.
    pub async fn load_file(&self, path: &Path) -> Result<(), LoadError> {
        let path = std::path::absolute(path).map_err(|error| LoadError::io("resolve", path, &error))?;
        self.supervisor.load(&path, Why::Changed).await
    }

    /// Retires all plugins: calls get `deadline` to end, then each plugin its own to shut down.
    pub async fn shutdown(&self, deadline: Duration) {
        let shutdown = self.supervisor.settings.shutdown_deadline;
        self.supervisor.shut_down(DrainDeadlines { calls: deadline, streams: deadline, shutdown }).await;
    }
}

/// What `hotbay plugin check FILE` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The file.
    pub file: PathBuf,
    /// BLAKE3 of it, lower-case hex.
    pub hash: String,
    /// Its length in bytes.
    pub size: u64,
    /// The ABI it was built for, `major.minor`.
    pub abi: String,
    /// What it offers.
    pub capabilities: Capabilities,
    /// What it says about itself.
    pub manifest: hotbay_plugin::manifest::Manifest,
    /// Who vouches for it, if the host would ask.
    pub trust: Option<PluginTrust>,
}

/// Examines a file as a host would, up to the point where it would be mapped.
///
/// `settings` names the probe's executable and a data directory, which holds the copy afterwards.
///
/// # Errors
///
/// If a host would refuse the file.
pub async fn check_file(path: &Path, settings: &PluginSettings) -> Result<CheckReport, LoadError> {
    let intake = Arc::new(intake::Intake::new(settings)?);
    let absolute = std::path::absolute(path).map_err(|error| LoadError::io("resolve", path, &error))?;
    let staged = intake.stage(&absolute).await?;
    Ok(CheckReport {
        file: path.to_owned(),
        hash: staged.hash.to_string(),
        size: staged.size,
        abi: format!("{}.{}", hotbay_plugin::abi::ABI_MAJOR, staged.probed.abi_minor),
        capabilities: Capabilities::from(&*staged.probed.manifest),
        manifest: Arc::unwrap_or_clone(staged.probed.manifest),
        trust: staged.trust,
    })
}
