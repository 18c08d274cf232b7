//! The shape of `hotbay.toml`.
//!
//! Plain settings are kept as they are written; [`super::parse`] gives them their types, the
//! same way as for flags and variables.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ConfigError, auth::AuthSection, limits::LimitSection, parse, trust::TrustSection};
use crate::{
    engine::workflow::ConcurrencySettings,
    memory::semantic::RecallSettings,
    model::catalog::{ProviderSettings, Secret},
    plugin::settings::{Isolation, PluginOptions, ProcessLimits},
    sources::settings::SourceSettings,
};

/// `hotbay.toml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<Scalar>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) prefix: Option<Scalar>,
    pub(super) data: Option<PathBuf>,
    pub(super) database_url: Option<Scalar>,
    pub(super) plugin_dirs: Option<Vec<PathBuf>>,
    pub(super) isolated_plugin_dirs: Option<Vec<PathBuf>>,
    pub(super) isolated_user: Option<Scalar>,
    pub(super) isolated_cgroup: Option<PathBuf>,
    pub(super) watch: Option<Scalar>,
    pub(super) body_limit: Option<Scalar>,
    pub(super) cors_origins: Option<Vec<String>>,
    pub(super) log: Option<Scalar>,
    pub(super) log_format: Option<Scalar>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) record: Option<Scalar>,
    pub(super) record_content: Option<Scalar>,
    pub(super) record_days: Option<Scalar>,
    pub(super) record_bytes: Option<Scalar>,
    pub(super) otlp_endpoint: Option<Scalar>,
    pub(super) otlp_headers: Option<Scalar>,
    pub(super) otlp_protocol: Option<Scalar>,
    pub(super) otlp_logs: Option<Scalar>,
    pub(super) mcp_server: Option<Scalar>,
    pub(super) mcp_hosts: Option<Scalar>,
    pub(super) mcp_origins: Option<Scalar>,
    pub(super) mcp_max_sessions: Option<Scalar>,
    pub(super) mcp_session_idle: Option<Scalar>,
    pub(super) run_deadline: Option<Scalar>,
    pub(super) call_deadline: Option<Scalar>,
    pub(super) open_deadline: Option<Scalar>,
    pub(super) drain_deadline: Option<Scalar>,
    pub(super) stream_drain_deadline: Option<Scalar>,
    pub(super) lease: Option<Scalar>,
    pub(super) cancel_grace: Option<Scalar>,
    pub(super) auth: AuthSection,
    pub(super) trusted_proxies: Option<Scalar>,
    pub(super) limits: LimitSection,
    pub(super) workflows: HashMap<String, ConcurrencySettings>,
    pub(super) mcp_servers: BTreeMap<String, SourceSettings>,
    pub(super) memory: RecallSettings,
    pub(super) providers: BTreeMap<String, ProviderSettings>,
    pub(super) swap_guard: Option<Scalar>,
    pub(super) trust: TrustSection,
    pub(super) plugins: BTreeMap<String, PluginSection>,
    pub(super) secrets: BTreeMap<String, SecretSource>,
    pub(super) system: SystemSettings,
}

/// `[system]` of the configuration: what clients are told the server is made of.
///
/// Names a client may compare; tools made for the reference server know only its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SystemSettings {
    /// What keeps threads, runs and workflows.
    pub storage_type: String,
    /// What keeps traces.
    pub observability_storage_type: String,
    /// Traces can be asked for; whether any are recorded, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observability_enabled: Option<bool>,
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self {
            storage_type: "InMemoryStore".to_owned(),
            observability_storage_type: "InMemoryStore".to_owned(),
            observability_enabled: None,
        }
    }
}

/// `[plugins.<name>]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PluginSection {
    config: Map<String, Value>,
    isolation: Option<Isolation>,
    env: BTreeMap<String, String>,
    limits: LimitsSection,
}

/// `[plugins.<name>.limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsSection {
    memory: Option<Scalar>,
    open_files: Option<u64>,
    cpu: Option<Scalar>,
    processes: Option<bool>,
    cpus: Option<f64>,
}

impl PluginSection {
    /// Returns the options; `place` says where one is of this name.
    pub(super) fn options(self, place: impl Fn(&str) -> String) -> Result<PluginOptions, ConfigError> {
        let LimitsSection { memory, open_files, cpu, processes, cpus } = self.limits;
        let defaults = ProcessLimits::default();
        let wrong = |name: &str, value: String, expected: &str| ConfigError::Setting {
            place: place(name),
            value,
            expected: expected.to_owned(),
        };
        if let Some(few) = open_files.filter(|files| *files < LEAST_FILES) {
            return Err(wrong("limits.open_files", few.to_string(), "at least 16"));
        }
        if let Some((name, _)) = self.env.iter().find(|(name, value)| !is_variable(name) || value.contains('\0')) {
            return Err(wrong(
                "env",
                name.clone(),
                "names of variables with their values, for example { LANG = \"C\" }",
            ));
        }
        if let Some(odd) = cpus.filter(|cpus| !(0.01..=1024.0).contains(cpus)) {
            return Err(wrong("limits.cpus", odd.to_string(), "a number of processors, for example 0.5"));
        }
        let read = |name: &str, value: &Scalar, expected: String| wrong(name, value.to_string(), &expected);
        let memory = match &memory {
            Some(value) => parse::bytes(&value.to_string())
                .ok()
                .filter(|bytes| *bytes >= LEAST_MEMORY)
                .map(|bytes| bytes as u64)
                .ok_or_else(|| read("limits.memory", value, "a size of at least 32MiB, for example 512MiB".into()))?,
            None => defaults.memory,
        };
        let cpu = match &cpu {
            Some(value) => {
                Some(parse::duration(&value.to_string()).map_err(|expected| read("limits.cpu", value, expected))?)
            }
            None => defaults.cpu,
        };
        let limits = ProcessLimits {
            memory,
            open_files: open_files.unwrap_or(defaults.open_files),
            cpu,
            processes: processes.unwrap_or(defaults.processes),
            cpus: cpus.map(|cpus| (cpus * 1000.0).round() as u32),
        };
        Ok(PluginOptions { config: Value::Object(self.config), isolation: self.isolation, env: self.env, limits })
    }
}

/// What a process needs to come up at all.
const LEAST_MEMORY: usize = 32 << 20;
const LEAST_FILES: u64 = 16;

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// A value that is no list and no table.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string, a number, or true or false")]
pub(super) enum Scalar {
    Text(String),
    Boolean(bool),
    Integer(i64),
    Number(f64),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
        }
    }
}

/// Where a secret for plugins is: `name = "value"` or `name = { env = "VARIABLE" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected the secret as a string, or { env = \"VARIABLE\" }")]
pub enum SecretSource {
    /// In the file itself.
    Value(Secret),
    /// In a variable of the environment, read when it is asked for.
    Variable(SecretVariable),
}

/// The variable a secret is in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretVariable {
    /// The variable's name.
    pub env: String,
}

impl SecretSource {
    pub(crate) fn redacted(&self) -> Value {
        match self {
            Self::Value(_) => "***".into(),
            Self::Variable(variable) => json!({ "env": variable.env }),
        }
    }
}

/// For whom the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON document a line.
    Json,
}
