//! Every flag, variable and file setting, made into one typed [`Config`].
//!
//! The only reader of the environment. A setting is taken from the first of: its flag, its
//! variable (`HOTBAY_` and its name), the file, its default. What goes wrong says which
//! setting, where it was set and what was expected. Nothing else of the host reads any of these.

mod auth;
mod error;
mod file;
mod flags;
mod limits;
mod mcp;
mod otlp;
mod parse;
mod shown;
mod sources;
mod tls;
mod trust;

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

pub use error::ConfigError;
pub use file::{LogFormat, SecretSource, SystemSettings};
pub use flags::{Flags, TrustFlags};
pub use limits::{LimitFlags, LimitSettings, Network};
pub use mcp::McpSettings;
pub use otlp::{OtlpProtocol, OtlpSettings};
pub(crate) use parse::long_duration;
pub use tls::TlsSettings;

use crate::{
    auth::settings::AuthSettings,
    engine::workflow::ConcurrencySettings,
    memory::semantic::RecallSettings,
    model::catalog::ProviderSettings,
    plugin::{
        settings::{Account, PluginOptions, PluginSettings},
        trust::TrustSettings,
    },
    sources::settings::SourceSettings,
};
use file::{File, PluginSection};
use sources::Sources;

/// The configuration file, if it is there and no other is named.
pub const DEFAULT_FILE: &str = "hotbay.toml";

/// Everything the host is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Where the server listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// What TLS is spoken with; none is if absent.
    pub tls: Option<TlsSettings>,
    /// What every route begins with, `/api`; may be empty.
    pub prefix: String,
    /// Everything the host stores is in here.
    pub data: PathBuf,
    /// PostgreSQL's URL; the embedded database in `data` if absent. It may hold a password.
    pub database_url: Option<String>,
    /// Directories plugins are loaded from, the first one wins a conflict.
    pub plugin_dirs: Vec<PathBuf>,
    /// Further ones, whose plugins run in processes of their own unless their options say otherwise.
    pub isolated_plugin_dirs: Vec<PathBuf>,
    /// Whom processes that map plugins run as; as the host if absent.
    pub isolated_user: Option<Account>,
    /// The control group in which processes of plugins get their own.
    pub isolated_cgroup: Option<PathBuf>,
    /// Whether plugins, and what they are in, may belong to somebody else; set by `hotbay dev` alone.
    pub any_owner: bool,
    /// Whether those directories are watched.
    pub watch: bool,
    /// The longest body of a request, in bytes.
    pub body_limit: usize,
    /// Origins whose pages may call the API, `*` for all.
    pub cors_origins: Vec<String>,
    /// Who is let in.
    pub auth: AuthSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// What is kept of logs and traces.
    pub record: RecordSettings,
    /// What is sent to a collector of OpenTelemetry.
    pub otlp: OtlpSettings,
    /// What MCP clients are offered.
    pub mcp: McpSettings,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How much may be asked at once, and how slowly.
    pub limits: LimitSettings,
    /// Third-party MCP servers whose tools agents use, by name.
    pub mcp_servers: BTreeMap<String, SourceSettings>,
    /// What agents recall by meaning with.
    pub memory: RecallSettings,
    /// Model providers by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// For how long after a swap a build that fails far more than the one before is taken back.
    pub swap_guard: Option<Duration>,
    /// Who has to vouch for plugin files.
    pub trust: TrustSettings,
    /// Options of plugins by name.
    pub plugins: BTreeMap<String, PluginOptions>,
    /// How many runs of a workflow go on at once, by its id; `*` for those not named.
    pub workflows: HashMap<String, ConcurrencySettings>,
    /// Secrets plugins may ask for, by name.
    pub secrets: BTreeMap<String, SecretSource>,
    /// What clients are told the server is made of.
    pub system: SystemSettings,
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize)]
pub struct LogSettings {
    /// A level, or directives as `hotbay=debug,plugin=trace`.
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
    /// Whether colours may be used on a terminal.
    pub color: bool,
    /// A file that records are appended to as well, as JSON lines.
    pub file: Option<PathBuf>,
}

/// What is kept of logs and traces, to be found again.
#[derive(Debug, Clone, Serialize)]
pub struct RecordSettings {
    /// A level, or directives as [`LogSettings::filter`] has; `off` keeps neither logs nor traces.
    pub filter: String,
    /// Whether what goes into agents, models, tools and steps, and comes out, is kept.
    pub content: bool,
    /// How many days are kept, today not counted.
    pub days: u64,
    /// How many bytes are kept at most; the oldest days go first.
    pub bytes: u64,
}

impl RecordSettings {
    /// Whether anything is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.filter != "off"
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// One run of an agent.
    pub run: Duration,
    /// One call of a plugin that says nothing about it.
    pub call: Duration,
    /// A plugin's `open`.
    pub open: Duration,
    /// The calls of a generation that was replaced.
    pub drain: Duration,
    /// The same, for calls that stream.
    pub stream_drain: Duration,
    /// How long a run stays a host's without news of it.
    pub lease: Duration,
    /// How long a step may go on once somebody ended its run.
    pub cancel_grace: Duration,
}

impl Config {
    /// Reads the environment and the file and puts `flags` above them.
    ///
    /// # Errors
    ///
    /// The first setting that is wrong, or the file, if it cannot be read.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::load_with(flags, &variable)
    }

    /// As [`Config::load`], with another environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_with(flags: &Flags, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let (path, file) = read_file(flags, environment)?;
        let from = Sources { environment, file: path.as_deref() };
        let base = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let default_listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 4111));
        let seconds = Duration::from_secs;
        let data = from.path("data", flags.data.as_ref(), file.data.as_deref(), base, ".hotbay")?;
        let listen =
            from.pick("listen", flags.listen.as_ref(), file.listen.as_ref(), default_listen, parse::address)?;
        let deadlines = Deadlines {
            run: from.pick(
                "run_deadline",
                flags.run_deadline.as_ref(),
                file.run_deadline.as_ref(),
                seconds(600),
                parse::duration,
            )?,
            call: from.pick(
                "call_deadline",
                flags.call_deadline.as_ref(),
                file.call_deadline.as_ref(),
                seconds(60),
                parse::duration,
            )?,
            open: from.pick(
                "open_deadline",
                flags.open_deadline.as_ref(),
                file.open_deadline.as_ref(),
                seconds(10),
                parse::duration,
            )?,
            drain: from.pick(
                "drain_deadline",
                flags.drain_deadline.as_ref(),
                file.drain_deadline.as_ref(),
                seconds(30),
                parse::duration,
            )?,
            stream_drain: from.pick(
                "stream_drain_deadline",
                flags.stream_drain_deadline.as_ref(),
                file.stream_drain_deadline.as_ref(),
                seconds(600),
                parse::duration,
            )?,
            lease: from.pick("lease", flags.lease.as_ref(), file.lease.as_ref(), seconds(30), parse::lease)?,
            cancel_grace: from.pick(
                "cancel_grace",
                flags.cancel_grace.as_ref(),
                file.cancel_grace.as_ref(),
                seconds(30),
                parse::duration,
            )?,
        };
        let limits = LimitSettings::load(&from, flags, &file, listen.ip().is_loopback(), &deadlines)?;
        let config = Self {
            listen,
            tls: TlsSettings::load(&from, flags, &file, base)?,
            prefix: from.pick("prefix", flags.prefix.as_ref(), file.prefix.as_ref(), "/api".into(), parse::prefix)?,
            data: data.clone(),
            database_url: from.pick(
                "database_url",
                flags.database_url.as_ref(),
                file.database_url.as_ref(),
                None,
                parse::database_url,
            )?,
            plugin_dirs: from.plugin_dirs(flags, &file, base),
            isolated_plugin_dirs: from.directories(
                "isolated_plugins",
                &flags.isolated_plugins,
                file.isolated_plugin_dirs.as_deref(),
                base,
            ),
            isolated_user: from.pick(
                "isolated_user",
                flags.isolated_user.as_ref(),
                file.isolated_user.as_ref(),
                None,
                parse::account,
            )?,
            isolated_cgroup: from.optional_path(
                "isolated_cgroup",
                flags.isolated_cgroup.as_ref(),
                file.isolated_cgroup.as_deref(),
                base,
            ),
            any_owner: false,
            watch: from.pick("watch", flags.watch.as_ref(), file.watch.as_ref(), true, parse::boolean)?,
            body_limit: from.pick(
                "body_limit",
                flags.body_limit.as_ref(),
                file.body_limit.as_ref(),
                4_718_592,
                parse::bytes,
            )?,
            cors_origins: from.cors_origins(flags, &file)?,
            auth: auth::load(&from, flags, &file, base)?,
            log: LogSettings {
                filter: from.pick("log", flags.log.as_ref(), file.log.as_ref(), "info".into(), parse::log_filter)?,
                format: from.pick(
                    "log_format",
                    flags.log_format.as_ref(),
                    file.log_format.as_ref(),
                    LogFormat::Text,
                    parse::log_format,
                )?,
                // The convention: set and not empty, whatever the value.
                color: environment("NO_COLOR").is_none_or(|value| value.is_empty()),
                file: from.optional_path("log_file", flags.log_file.as_ref(), file.log_file.as_deref(), &data),
            },
            record: RecordSettings {
                filter: from.pick(
                    "record",
                    flags.record.as_ref(),
                    file.record.as_ref(),
                    "info".into(),
                    parse::log_filter,
                )?,
                content: from.pick(
                    "record_content",
                    flags.record_content.as_ref(),
                    file.record_content.as_ref(),
                    true,
                    parse::boolean,
                )?,
                days: from.pick(
                    "record_days",
                    flags.record_days.as_ref(),
                    file.record_days.as_ref(),
                    14,
                    parse::days,
                )?,
                bytes: from.pick(
                    "record_bytes",
                    flags.record_bytes.as_ref(),
                    file.record_bytes.as_ref(),
                    4 << 30,
                    |text| parse::bytes(text).map(|bytes| bytes as u64),
                )?,
            },
            otlp: OtlpSettings::load(&from, flags, &file)?,
            mcp: McpSettings::load(&from, flags, &file)?,
            swap_guard: from.pick(
                "swap_guard",
                flags.swap_guard.as_ref(),
                file.swap_guard.as_ref(),
                Some(seconds(120)),
                parse::time_or_off,
            )?,
            trust: TrustSettings::load(&from, flags, &file)?,
            deadlines,
            limits,
            mcp_servers: mcp::servers(&from, file.mcp_servers)?,
            memory: file.memory,
            providers: file.providers,
            plugins: plugins(&from, file.plugins)?,
            workflows: file.workflows,
            secrets: file.secrets,
            system: file.system,
            file: path,
        };
        config.check_reach()?;
        Ok(config)
    }

    /// Returns what the plugin layer is told. `executable` is the host itself, which it starts as a probe.
    #[must_use]
    pub fn plugin_settings(&self, executable: PathBuf) -> PluginSettings {
        let directories = self.plugin_dirs.iter().chain(&self.isolated_plugin_dirs).cloned().collect();
        let mut settings = PluginSettings::new(directories, self.data.clone(), executable);
        settings.isolated_directories.clone_from(&self.isolated_plugin_dirs);
        settings.isolated_user.clone_from(&self.isolated_user);
        settings.isolated_cgroup.clone_from(&self.isolated_cgroup);
        settings.plugins.clone_from(&self.plugins);
        settings.trust.clone_from(&self.trust);
        settings.any_owner = self.any_owner;
        settings.swap_guard = self.swap_guard;
        settings.watch.enabled = self.watch;
        settings.call_deadline = self.deadlines.call;
        settings.open_deadline = self.deadlines.open;
        settings.drain_deadline = self.deadlines.drain;
        settings.stream_drain_deadline = self.deadlines.stream_drain;
        settings
    }

    /// Refuses to be reachable from elsewhere unless callers are asked who they are.
    fn check_reach(&self) -> Result<(), ConfigError> {
        if self.listen.ip().is_loopback() || self.auth.is_required() {
            return Ok(());
        }
        Err(ConfigError::Exposed { listen: self.listen })
    }
}

/// Reads what is said of single plugins.
fn plugins(
    from: &Sources<'_>,
    sections: BTreeMap<String, PluginSection>,
) -> Result<BTreeMap<String, PluginOptions>, ConfigError> {
    let options = |(name, section): (String, PluginSection)| {
        let options = section.options(|setting| from.in_file(&format!("plugins.{name}.{setting}")))?;
        Ok((name, options))
    };
    sections.into_iter().map(options).collect()
}

/// Reads a time as settings have it.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    parse::duration(text)
}

/// Reads one variable of the environment; one that is not UTF-8 counts as not set.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the names of the variables that begin with one of these.
pub(crate) fn variables_beginning_with(prefixes: &[&str]) -> Vec<OsString> {
    let begins = |name: &OsString| prefixes.iter().any(|it| name.as_encoded_bytes().starts_with(it.as_bytes()));
    std::env::vars_os().map(|(name, _)| name).filter(begins).collect()
}

/// Finds the file and reads it. Only a file that is named must exist.
fn read_file(
    flags: &Flags,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Option<PathBuf>, File), ConfigError> {
    let named = flags.config.clone().or_else(|| environment("HOTBAY_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((None, File::default()));
        }
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    match toml::from_str(&text) {
        Ok(file) => Ok((Some(path), file)),
        Err(error) => Err(ConfigError::File { path, message: error.to_string().trim_end().to_owned() }),
    }
}

#[cfg(test)]
mod tests;
