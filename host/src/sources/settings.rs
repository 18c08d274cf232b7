//! `[mcp_servers.<name>]`: third-party MCP servers whose tools agents use.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::SecretSource;

/// One server: a program that is started, or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSettings {
    /// The program that is started and spoken with over its standard input and output.
    pub command: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of its environment, beside `PATH` and `HOME`.
    pub env: BTreeMap<String, SecretSource>,
    /// Where it listens.
    pub url: Option<String>,
    /// What is spoken there.
    pub transport: SourceTransport,
    /// Headers of each request.
    pub headers: BTreeMap<String, SecretSource>,
    /// Agents that have all of its tools, `*` for all of them. Others name the tools they use.
    pub agents: Vec<String>,
}

/// What a server speaks over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceTransport {
    /// Streamable HTTP.
    #[default]
    Http,
    /// The transport before it.
    Sse,
}

impl SourceSettings {
    /// Returns what is wrong with them.
    pub(crate) fn problem(&self, name: &str) -> Option<String> {
        let is_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
        if name.is_empty() || !name.chars().all(is_name) {
            return Some("a name of letters, digits, `-` and `_`, since names of tools begin with it".to_owned());
        }
        match (&self.command, &self.url) {
            (Some(_), None) => None,
            (None, Some(url)) if url.starts_with("http://") || url.starts_with("https://") => None,
            (None, Some(_)) => Some("`url` to be an http:// or https:// URL".to_owned()),
            _ => Some("either `command` or `url`".to_owned()),
        }
    }

    /// Returns what may be shown of them.
    pub(crate) fn redacted(&self) -> Value {
        let hidden = |secrets: &BTreeMap<String, SecretSource>| -> serde_json::Map<String, Value> {
            secrets.iter().map(|(name, source)| (name.clone(), source.redacted())).collect()
        };
        json!({
            "command": self.command,
            "args": self.args,
            "env": hidden(&self.env),
            "url": self.url,
            "headers": hidden(&self.headers),
            "agents": self.agents,
        })
    }

    /// Whether an agent has all of the server's tools.
    pub(super) fn equips(&self, agent: &str) -> bool {
        self.agents.iter().any(|name| name == "*" || name == agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, settings: Value, problem: Option<&str>) {
        let settings: SourceSettings = serde_json::from_value(settings).unwrap();
        assert_eq!(settings.problem(name).as_deref(), problem);
    }

    #[test]
    fn a_server_is_a_program_or_a_url() {
        check("a", json!({"command": "x"}), None);
        check("a", json!({"url": "http://localhost:1/mcp"}), None);
        check("a", json!({}), Some("either `command` or `url`"));
        check("a", json!({"command": "x", "url": "http://a"}), Some("either `command` or `url`"));
        check("a", json!({"url": "ftp://a"}), Some("`url` to be an http:// or https:// URL"));
        let name = "a name of letters, digits, `-` and `_`, since names of tools begin with it";
        check("a b", json!({"command": "x"}), Some(name));
    }

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        let settings = json!({"url": "http://a", "headers": {"authorization": "hidden", "x": {"env": "KEY"}}});
        let settings: SourceSettings = serde_json::from_value(settings).unwrap();
        assert!(!settings.redacted().to_string().contains("hidden"));
        assert_eq!(settings.redacted()["headers"]["x"], json!({"env": "KEY"}));
    }
}
