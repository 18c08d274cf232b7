//! What operators see of a plugin: states, generations, errors.

use std::{fmt, path::PathBuf};

use hotbay_plugin::manifest::{Build, Manifest};
use serde::{Deserialize, Serialize};

/// What a generation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum GenerationState {
    /// It takes calls.
    Serving,
    /// Another took its place; its calls go on.
    Draining,
    /// A cancelled call does not return.
    Stuck,
    /// It was shut down. Its image stays mapped.
    Retired,
}

impl GenerationState {
    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stuck => "stuck",
            Self::Retired => "retired",
        }
    }
}

/// What a plugin is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginState {
    /// Its current generation takes calls.
    Serving,
    /// It was taken out and its last calls go on.
    Draining,
    /// Its file never loaded, see the error.
    Refused,
    /// An operator turned it off.
    Disabled,
    /// A cancelled call does not return; reload it.
    Stuck,
    /// Its file is gone.
    Retired,
    /// It loaded once; now nothing of it serves, see the error.
    Failed,
}

impl PluginState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Serving, Self::Draining, Self::Refused, Self::Disabled, Self::Stuck, Self::Retired, Self::Failed];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Refused => "refused",
            Self::Disabled => "disabled",
            Self::Stuck => "stuck",
            Self::Retired => "retired",
            Self::Failed => "failed",
        }
    }
}

/// Latencies of calls, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyMs {
    /// Half of the calls were not slower.
    pub p50: f64,
    /// 99 of 100 calls were not slower.
    pub p99: f64,
}

/// Names of what a plugin offers, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Tools.
    pub tools: Vec<String>,
    /// Agents.
    pub agents: Vec<String>,
    /// Workflows.
    pub workflows: Vec<String>,
    /// Vector stores.
    pub vector_stores: Vec<String>,
    /// Chat models.
    pub models: Vec<String>,
    /// Embedding models.
    pub embedders: Vec<String>,
    /// MCP servers.
    pub mcp_servers: Vec<String>,
}

impl From<&Manifest> for Capabilities {
    fn from(manifest: &Manifest) -> Self {
        Self {
            tools: manifest.tools.iter().map(|tool| tool.id.clone()).collect(),
            agents: manifest.agents.iter().map(|agent| agent.id.clone()).collect(),
            workflows: manifest.workflows.iter().map(|workflow| workflow.id.clone()).collect(),
            vector_stores: manifest.vector_stores.iter().map(|store| store.name.clone()).collect(),
            models: manifest.models.iter().map(|model| model.id.clone()).collect(),
            embedders: manifest.embedders.iter().map(|embedder| embedder.id.clone()).collect(),
            mcp_servers: manifest.mcp_servers.iter().map(|server| server.id.clone()).collect(),
        }
    }
}

/// One generation of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationStatus {
    /// Counts the plugin's generations from 1.
    pub number: u64,
    /// BLAKE3 of its file.
    pub hash: String,
    /// The plugin's version.
    pub version: String,
    /// What it is doing.
    pub state: GenerationState,
    /// When it was opened (RFC 3339).
    pub loaded_at: String,
    /// Calls that have finished.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// How long calls took.
    pub latency_ms: LatencyMs,
    /// How it was built.
    pub build: Build,
    /// Length of its file in bytes.
    pub size: u64,
    /// Who vouches for it, if anybody was asked when it was loaded.
    pub trust: Option<PluginTrust>,
}

/// Who vouches for a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum PluginTrust {
    /// The operator, who listed its hash.
    Hash,
    /// Whoever has a key.
    Signature {
        /// The key's number.
        key_id: String,
        /// What the operator calls the key.
        key_name: Option<String>,
        /// What the signer says about the build; signed as well.
        comment: String,
    },
}

impl fmt::Display for PluginTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash => f.write_str("its hash is listed"),
            Self::Signature { key_id, key_name: Some(name), comment } => {
                write!(f, "signed by {name} ({key_id}): {comment}")
            }
            Self::Signature { key_id, key_name: None, comment } => write!(f, "signed by {key_id}: {comment}"),
        }
    }
}

/// Why the last attempt to load a file failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginFailure {
    /// The code, `E_...`.
    pub code: String,
    /// One sentence: what is wrong and what to do.
    pub message: String,
    /// The file.
    pub file: PathBuf,
    /// When (RFC 3339).
    pub at: String,
}

/// How the trial of a build stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryState {
    /// For the next build of the plugin's file.
    Waiting,
    /// It gets a share of the calls.
    Trying,
    /// It serves alone.
    Promoted,
    /// It did worse than the old one, which serves alone.
    RolledBack,
    /// Somebody or something else ended it; the old one serves alone.
    Aborted,
}

impl CanaryState {
    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Trying => "trying",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled-back",
            Self::Aborted => "aborted",
        }
    }
}

/// The trial of a build, or the last one there was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanaryStatus {
    /// How it stands.
    pub state: CanaryState,
    /// The share of calls the build gets.
    pub percent: f64,
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// Calls that are needed to judge it.
    pub min_calls: u64,
    /// The number of its generation.
    pub generation: Option<u64>,
    /// BLAKE3 of its file.
    pub hash: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// When it began, or was asked for while it waits (RFC 3339).
    pub since: String,
    /// When it is decided at the latest (RFC 3339).
    pub until: Option<String>,
    /// Why it ended.
    pub reason: Option<String>,
    /// What the build did.
    pub new: Option<CanarySide>,
    /// What the old build did meanwhile.
    pub old: Option<CanarySide>,
}

/// What one of two builds that are compared did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CanarySide {
    /// Calls that ended, or nobody waited for any more.
    pub calls: u64,
    /// Those that failed, or nobody waited for any more.
    pub failed: u64,
    /// 95 of 100 calls were not slower, in milliseconds.
    pub p95_ms: f64,
}

/// What of a plugin stays in the host's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedImages {
    /// Different builds of it.
    pub count: usize,
    /// The length of their files.
    pub bytes: u64,
}

/// Whether a plugin's process that crashes is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// It is.
    #[default]
    Closed,
    /// It crashed too often; it is not for a while, and calls fail at once.
    Open,
    /// It was started again after that while; if it crashes before it has answered a call, it is not.
    HalfOpen,
}

impl BreakerState {
    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// How a plugin's own process fares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessStatus {
    /// Its id, absent while there is none.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// How often it crashed, or did not start.
    pub crashes: u64,
    /// Whether it is started again when it crashes.
    pub breaker: BreakerState,
    /// How it crashed last.
    pub last_crash: Option<String>,
}

/// What is counted of one plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginNumbers {
    /// Its name; the file's name if it never loaded.
    pub name: String,
    /// What it is doing.
    pub state: PluginState,
    /// Calls that have finished, of all its generations.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// Generations that were opened since the host started.
    pub opened: u64,
    /// Generations that serve, or have not shut down.
    pub alive: u64,
    /// Crashes of its processes.
    pub crashes: u64,
    /// Whether its process is started again when it crashes.
    pub breaker: BreakerState,
    /// How long calls of the generation that serves took.
    pub latency_ms: LatencyMs,
    /// What stays in memory.
    pub mapped: MappedImages,
    /// The build that is tried.
    pub canary: Option<CanaryStatus>,
    /// Builds that were rolled back by themselves.
    pub rolled_back: u64,
}

/// Everything about one plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    /// Its name; the file's name if it never loaded.
    pub name: String,
    /// The version that serves, or the last that did.
    pub version: String,
    /// What it is doing.
    pub state: PluginState,
    /// Where it was loaded from.
    pub file: PathBuf,
    /// Where its code runs, `inline` or `process`.
    pub isolation: String,
    /// How its process fares, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessStatus>,
    /// What it offers.
    pub capabilities: Capabilities,
    /// The number of the generation that serves.
    pub generation: Option<u64>,
    /// Its generations, newest first.
    pub generations: Vec<GenerationStatus>,
    /// Why the last attempt to load it failed, until one succeeds.
    pub last_error: Option<PluginFailure>,
    /// What stays in memory.
    pub mapped: MappedImages,
    /// The build that is tried beside the one that serves, or was last.
    pub canary: Option<CanaryStatus>,
}
