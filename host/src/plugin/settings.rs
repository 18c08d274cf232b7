//! What the plugin layer must be told: where plugins are, what they may use, how long things may take.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

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
    /// Where it runs; what its directory says, if absent.
    pub isolation: Option<Isolation>,
    /// The whole environment of its process, if it has one.
    pub env: BTreeMap<String, String>,
    /// What its process may use, if it has one.
    pub limits: ProcessLimits,
}

impl Default for PluginOptions {
    fn default() -> Self {
        Self {
            config: Value::Object(serde_json::Map::new()),
            isolation: None,
            env: BTreeMap::new(),
            limits: ProcessLimits::default(),
        }
    }
}

/// What a plugin's own process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of memory of its own: what is allocated, not what is mapped from files.
    pub memory: u64,
    /// Descriptors that are open at once.
    pub open_files: u64,
    /// Processor time of one process, after which it is ended and another started.
    pub cpu: Option<Duration>,
    /// Whether it may start further processes.
    pub processes: bool,
    /// Thousandths of a processor that all its processes may use together, if they have a control group.
    pub cpus: Option<u32>,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self { memory: 2 << 30, open_files: 1024, cpu: None, processes: false, cpus: None }
    }
}

/// Whom plugins' processes run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// As the operator wrote it.
    pub name: String,
    /// The user's number.
    pub user: u32,
    /// The number of the user's group.
    pub group: u32,
}

/// When a plugin's process that crashed is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSettings {
    /// Time before the second restart in a row, doubled with each further one. The first is at once.
    pub delay: Duration,
    /// Longest time between two.
    pub longest_delay: Duration,
    /// Who lives for this long begins a new row.
    pub settled: Duration,
    /// So many crashes within [`RestartSettings::window`] end the restarts for a while.
    pub crashes: usize,
    /// See [`RestartSettings::crashes`].
    pub window: Duration,
    /// How long that while is.
    pub rest: Duration,
    /// How long a call waits for a restart.
    pub patience: Duration,
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(30),
            settled: Duration::from_secs(10),
            crashes: 5,
            window: Duration::from_secs(60),
            rest: Duration::from_secs(30),
            patience: Duration::from_secs(5),
        }
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
    /// Those of them whose plugins run in processes of their own unless their options say otherwise.
    pub isolated_directories: Vec<PathBuf>,
    /// Whom processes that map plugins run as, the probe's among them; as the host if absent.
    pub isolated_user: Option<Account>,
    /// The control group in which those processes get groups of their own; none if absent.
    pub isolated_cgroup: Option<PathBuf>,
    /// The host's data directory; copies and state are kept in its `plugins`.
    pub data: PathBuf,
    /// The executable that understands `probe` and `plugin-runner`: the host itself.
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
    /// When processes of plugins that crashed are started again.
    pub restart: RestartSettings,
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
            isolated_directories: Vec::new(),
            isolated_user: None,
            isolated_cgroup: None,
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
            restart: RestartSettings::default(),
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

    /// Returns where the plugin with this name and this file runs.
    #[must_use]
    pub fn isolation(&self, name: &str, file: &Path) -> Isolation {
        let of_directory = || {
            let isolated = file.parent().is_some_and(|parent| self.isolated_directories.iter().any(|it| it == parent));
            if isolated { Isolation::Process } else { Isolation::Inline }
        };
        self.plugins.get(name).and_then(|options| options.isolation).unwrap_or_else(of_directory)
    }
}
