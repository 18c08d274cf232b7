//! The flags every command with a configuration takes.
#![expect(clippy::doc_markdown, reason = "the sentences are the commands' help, where backticks would show")]

use std::path::PathBuf;

use clap::Args;

use super::limits::LimitFlags;

/// Settings given on the command line; what is absent is looked for elsewhere.
///
/// Values are kept as text and parsed with those of variables and of the file.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Configuration file [default: ./hotbay.toml if it is there] [env: HOTBAY_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Address and port to listen on, port 0 for any free one [default: 127.0.0.1:4111] [env: HOTBAY_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Certificate to speak TLS with, and those that vouch for it, as PEM; read again when it changes [default: no TLS] [env: HOTBAY_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, as PEM [env: HOTBAY_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// What every route begins with [default: /api] [env: HOTBAY_PREFIX]
    #[arg(long, value_name = "PATH")]
    pub prefix: Option<String>,
    /// Directory for everything that is stored [default: ./.hotbay] [env: HOTBAY_DATA]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// PostgreSQL to keep threads and runs in, postgres://user:password@host/name [default: a file in the data directory] [env: HOTBAY_DATABASE_URL]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Directory plugins are loaded from, may be repeated [default: ./plugins.d] [env: HOTBAY_PLUGINS]
    #[arg(long, value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
    /// Directory whose plugins run in processes of their own, may be repeated [default: none] [env: HOTBAY_ISOLATED_PLUGINS]
    #[arg(long, value_name = "DIR")]
    pub isolated_plugins: Vec<PathBuf>,
    /// User that processes of plugins run as, if the host is root [default: the host's] [env: HOTBAY_ISOLATED_USER]
    #[arg(long, value_name = "USER")]
    pub isolated_user: Option<String>,
    /// Control group (version 2) of the host's alone, in which processes of plugins get their own [default: none] [env: HOTBAY_ISOLATED_CGROUP]
    #[arg(long, value_name = "DIR")]
    pub isolated_cgroup: Option<PathBuf>,
    /// Whether plugin directories are watched [default: true] [env: HOTBAY_WATCH]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub watch: Option<String>,
    /// How long after a swap a build that fails far more than the one before is taken back, or off [default: 2m, off in hotbay dev] [env: HOTBAY_SWAP_GUARD]
    #[arg(long, value_name = "TIME")]
    pub swap_guard: Option<String>,
    /// Who has to vouch for plugin files
    #[command(flatten)]
    pub trust: TrustFlags,
    /// Longest request body, for example 10MiB [default: 4.5MiB] [env: HOTBAY_BODY_LIMIT]
    #[arg(long, value_name = "SIZE")]
    pub body_limit: Option<String>,
    /// Origin whose pages may call the API, may be repeated [default: *] [env: HOTBAY_CORS_ORIGINS]
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// Whether callers are asked who they are; needed to listen beyond this machine [default: false] [env: HOTBAY_AUTH]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub auth: Option<String>,
    /// Keys of an identity provider whose JWT are let in: the file or https:// URL of a JWKS document [env: HOTBAY_JWT_KEYS]
    #[arg(long, value_name = "FILE|URL")]
    pub jwt_keys: Option<String>,
    /// For whom its tokens must be made [env: HOTBAY_JWT_AUDIENCE]
    #[arg(long, value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// Who must have made them [default: anybody with the keys] [env: HOTBAY_JWT_ISSUER]
    #[arg(long, value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// What is logged: a level, or directives as hotbay=debug,plugin=trace [default: info] [env: HOTBAY_LOG]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How it is logged, text or json [default: text] [env: HOTBAY_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// File that log records are appended to as well, as JSON lines; one named in the file is in the data directory [env: HOTBAY_LOG_FILE]
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// What is kept of the log to be found again, as --log; off keeps neither logs nor traces [default: info] [env: HOTBAY_RECORD]
    #[arg(long, value_name = "FILTER")]
    pub record: Option<String>,
    /// Whether traces have what goes into agents, models, tools and steps, and comes out [default: true] [env: HOTBAY_RECORD_CONTENT]
    #[arg(long, value_name = "BOOL")]
    pub record_content: Option<String>,
    /// How many days of logs and traces are kept [default: 14] [env: HOTBAY_RECORD_DAYS]
    #[arg(long, value_name = "DAYS")]
    pub record_days: Option<String>,
    /// How many bytes of logs and traces are kept, the oldest days go first [default: 4GiB] [env: HOTBAY_RECORD_BYTES]
    #[arg(long, value_name = "BYTES")]
    pub record_bytes: Option<String>,
    /// Collector of OpenTelemetry that traces are sent to, for example http://127.0.0.1:4318 [default: none] [env: HOTBAY_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Headers it is sent, name=value,name=value; a key is better in the variable, where others do not see it [env: HOTBAY_OTLP_HEADERS]
    #[arg(long, value_name = "HEADERS")]
    pub otlp_headers: Option<String>,
    /// How it is written to, protobuf or json [default: protobuf] [env: HOTBAY_OTLP_PROTOCOL]
    #[arg(long, value_name = "ENCODING")]
    pub otlp_protocol: Option<String>,
    /// Whether it is sent the recorded log as well [default: false] [env: HOTBAY_OTLP_LOGS]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub otlp_logs: Option<String>,
    /// Id of the MCP server that offers everything, or none [default: hotbay] [env: HOTBAY_MCP_SERVER]
    #[arg(long, value_name = "ID")]
    pub mcp_server: Option<String>,
    /// Names MCP clients may call the host by, beside this machine's own, or * [default: none] [env: HOTBAY_MCP_HOSTS]
    #[arg(long, value_name = "NAMES")]
    pub mcp_hosts: Option<String>,
    /// Origins whose pages may speak MCP, beside those on this machine, or * [default: none] [env: HOTBAY_MCP_ORIGINS]
    #[arg(long, value_name = "ORIGINS")]
    pub mcp_origins: Option<String>,
    /// Most sessions of one MCP server [default: 256] [env: HOTBAY_MCP_MAX_SESSIONS]
    #[arg(long, value_name = "COUNT")]
    pub mcp_max_sessions: Option<String>,
    /// How long an MCP session lives without a message [default: 30m] [env: HOTBAY_MCP_SESSION_IDLE]
    #[arg(long, value_name = "TIME")]
    pub mcp_session_idle: Option<String>,
    /// Longest time of one run [default: 10m] [env: HOTBAY_RUN_DEADLINE]
    #[arg(long, value_name = "TIME")]
    pub run_deadline: Option<String>,
    /// Longest time of one plugin call [default: 60s] [env: HOTBAY_CALL_DEADLINE]
    #[arg(long, value_name = "TIME")]
    pub call_deadline: Option<String>,
    /// Longest time a plugin may take to open [default: 10s] [env: HOTBAY_OPEN_DEADLINE]
    #[arg(long, value_name = "TIME")]
    pub open_deadline: Option<String>,
    /// Longest time calls of a replaced plugin go on [default: 30s] [env: HOTBAY_DRAIN_DEADLINE]
    #[arg(long, value_name = "TIME")]
    pub drain_deadline: Option<String>,
    /// The same for those that stream, steps of workflows among them [default: 10m] [env: HOTBAY_STREAM_DRAIN_DEADLINE]
    #[arg(long, value_name = "TIME")]
    pub stream_drain_deadline: Option<String>,
    /// How long another host waits before it goes on with this one's runs [default: 30s] [env: HOTBAY_LEASE]
    #[arg(long, value_name = "TIME")]
    pub lease: Option<String>,
    /// How long a step may go on once its run was cancelled [default: 30s] [env: HOTBAY_CANCEL_GRACE]
    #[arg(long, value_name = "TIME")]
    pub cancel_grace: Option<String>,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// Flags that say who is trusted.
#[derive(Debug, Clone, Default, Args)]
pub struct TrustFlags {
    /// Minisign key whose signatures are asked for beside plugin files, may be repeated [default: none] [env: HOTBAY_TRUST_KEYS]
    #[arg(long, value_name = "[NAME=]KEY")]
    pub trust_key: Vec<String>,
    /// Hash of a plugin file that is loaded, may be repeated [default: all] [env: HOTBAY_TRUST_HASHES]
    #[arg(long, value_name = "BLAKE3")]
    pub trust_hash: Vec<String>,
}
