//! What the plugin layer must be told: where plugins are, what they may use, how long things may take.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::trust::TrustSettings;

/// Where a plugin's code runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In the host's process.
    #[default]
    Inline,
    /// In a process of its own.
    Process,
}

impl Isolation {
    /// Returns the name used in the configuration and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Process => "process",
        }
    }
}

/// What the operator sets for one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginOptions {
    /// Its configuration, validated against the plugin's schema.
    pub config: Value,
    /// Where it runs.
    pub isolation: Isolation,
}

impl Default for PluginOptions {
    fn default() -> Self {
        Self { config: Value::Object(serde_json::Map::new()), isolation: Isolation::Inline }
    }
}

/// How plugin directories are watched.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// Whether changes are picked up at all.
    pub enabled: bool,
    /// Whether the system's file events are used; polling goes on without them.
    pub events: bool,
    /// Quiet time after the last event before the directories are read.
    pub debounce: Duration,
    /// A changed file must keep its size and time for two of these before it is loaded.
    pub settle: Duration,
    /// How often the directories are read without any event.
    pub poll: Duration,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            events: true,
            debounce: Duration::from_millis(200),
            settle: Duration::from_millis(100),
            poll: Duration::from_secs(5),
        }
    }
}

/// How a build is tried beside the one that serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanaryPlan {
    /// The share of calls it gets, above 0 and at most 100.
    pub percent: f64,
    /// For how long.
    pub time: Duration,
    /// Calls that are needed to judge it.
    pub min_calls: u64,
}

impl Default for CanaryPlan {
    fn default() -> Self {
        Self { percent: 10.0, time: Duration::from_secs(300), min_calls: 20 }
    }
}

/// Everything the plugin layer is told at the start.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// Directories whose shared libraries are loaded, first one wins a conflict.
    pub directories: Vec<PathBuf>,
    /// The host's data directory; copies and state are kept in its `plugins`.
    pub data: PathBuf,
    /// The executable that understands `probe FILE`: the host itself.
    pub probe_exe: PathBuf,
    /// Options by the plugin's name.
    pub plugins: BTreeMap<String, PluginOptions>,
    /// Who has to vouch for a file.
    pub trust: TrustSettings,
    /// Whether files owned by other users than the host's and root are loaded.
    pub any_owner: bool,
    /// Largest file that is loaded.
    pub max_file_bytes: u64,
    /// How many different builds of one plugin may be mapped in the life of the host.
    pub max_generations: usize,
    /// How long the probe child may take.
    pub probe_deadline: Duration,
    /// How long a plugin's `open` may take.
    pub open_deadline: Duration,
    /// How long calls of a retiring generation may go on.
    pub drain_deadline: Duration,
    /// The same, for calls that stream.
    pub stream_drain_deadline: Duration,
    /// How long a plugin's `shutdown` may take.
    pub shutdown_deadline: Duration,
    /// How long a call may take that says nothing about it.
    pub call_deadline: Duration,
    /// How long a cancelled call may go on blocking its thread before its plugin counts as stuck.
    pub stuck_grace: Duration,
    /// For how long after a swap a build that fails far more than the one before is taken back.
    pub swap_guard: Option<Duration>,
    /// How often builds are looked at that are tried or guarded.
    pub judge_every: Duration,
    /// How directories are watched.
    pub watch: WatchSettings,
}

impl PluginSettings {
    /// Returns the defaults for these directories.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>, data: PathBuf, probe_exe: PathBuf) -> Self {
        Self {
            directories,
            data,
            probe_exe,
            plugins: BTreeMap::new(),
            trust: TrustSettings::default(),
            any_owner: false,
            max_file_bytes: 1 << 30,
            max_generations: 64,
            probe_deadline: Duration::from_secs(5),
            open_deadline: Duration::from_secs(10),
            drain_deadline: Duration::from_secs(30),
            stream_drain_deadline: Duration::from_secs(600),
            shutdown_deadline: Duration::from_secs(5),
            call_deadline: Duration::from_secs(60),
            stuck_grace: Duration::from_secs(2),
            swap_guard: Some(Duration::from_secs(120)),
            judge_every: Duration::from_secs(1),
            watch: WatchSettings::default(),
        }
    }

    /// Returns the options of the plugin with this name.
    #[must_use]
    pub fn options(&self, name: &str) -> PluginOptions {
        self.plugins.get(name).cloned().unwrap_or_default()
    }
}
