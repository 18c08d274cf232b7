//! Settings of what MCP clients are offered.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{ConfigError, Flags, Sources, file::File, parse};
use crate::{plugin::RESERVED_MCP_SERVERS, sources::settings::SourceSettings};

/// Who may speak MCP with the host, and how.
#[derive(Debug, Clone)]
pub struct McpSettings {
    /// The id of the server that offers everything; there is none if absent.
    pub server: Option<String>,
    /// Names the host may be called by, with or without a port; `*` for any.
    pub hosts: Vec<String>,
    /// Origins whose pages may speak MCP; `*` for any. Pages from this machine may always.
    pub origins: Vec<String>,
    /// Most sessions of one server, of both transports.
    pub max_sessions: usize,
    /// How long a session lives without a message.
    pub session_idle: Duration,
}

impl McpSettings {
    pub(super) fn load(from: &Sources<'_>, flags: &Flags, file: &File) -> Result<Self, ConfigError> {
        let idle = Duration::from_secs(30 * 60);
        Ok(Self {
            server: from.pick(
                "mcp_server",
                flags.mcp_server.as_ref(),
                file.mcp_server.as_ref(),
                Some("hotbay".to_owned()),
                parse_server,
            )?,
            hosts: from.pick(
                "mcp_hosts",
                flags.mcp_hosts.as_ref(),
                file.mcp_hosts.as_ref(),
                Vec::new(),
                parse_hosts,
            )?,
            origins: from.pick(
                "mcp_origins",
                flags.mcp_origins.as_ref(),
                file.mcp_origins.as_ref(),
                Vec::new(),
                parse_origins,
            )?,
            max_sessions: from.pick(
                "mcp_max_sessions",
                flags.mcp_max_sessions.as_ref(),
                file.mcp_max_sessions.as_ref(),
                256,
                parse_sessions,
            )?,
            session_idle: from.pick(
                "mcp_session_idle",
                flags.mcp_session_idle.as_ref(),
                file.mcp_session_idle.as_ref(),
                idle,
                parse::duration,
            )?,
        })
    }

    /// Adds what is shown of them.
    pub(super) fn show(&self, shown: &mut Map<String, Value>) {
        let server = self.server.as_deref().unwrap_or("none");
        shown.insert("mcp_server".to_owned(), json!(server));
        shown.insert("mcp_hosts".to_owned(), json!(self.hosts));
        shown.insert("mcp_origins".to_owned(), json!(self.origins));
        shown.insert("mcp_max_sessions".to_owned(), json!(self.max_sessions));
        shown.insert("mcp_session_idle".to_owned(), json!(parse::show_duration(self.session_idle)));
    }
}

/// Checks the third-party servers.
pub(super) fn servers(
    from: &Sources<'_>,
    servers: BTreeMap<String, SourceSettings>,
) -> Result<BTreeMap<String, SourceSettings>, ConfigError> {
    for (name, settings) in &servers {
        if let Some(expected) = settings.problem(name) {
            let place = from.in_file("mcp_servers");
            return Err(ConfigError::Setting { place, value: name.clone(), expected });
        }
    }
    Ok(servers)
}

fn parse_server(text: &str) -> Result<Option<String>, String> {
    match text {
        "none" => Ok(None),
        _ if is_server_id(text) && !RESERVED_MCP_SERVERS.contains(&text) => Ok(Some(text.to_owned())),
        _ => Err("an id of letters, digits, `-`, `_` and `.`, or `none`".into()),
    }
}

fn is_server_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.'))
}

fn parse_hosts(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = listed(text).collect();
    let is_valid = |name: &String| name == "*" || name.parse::<http::uri::Authority>().is_ok();
    if names.iter().all(is_valid) { Ok(names) } else { Err("names, for example hotbay.example,10.0.0.5:4111".into()) }
}

fn parse_origins(text: &str) -> Result<Vec<String>, String> {
    listed(text).map(|origin| parse::origin(&origin).map(|()| origin)).collect()
}

fn parse_sessions(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a whole number, at least 1".into())
}

fn listed(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}
