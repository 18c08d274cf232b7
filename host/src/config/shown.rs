//! The effective settings as `hotbay config check` prints them: every one, and no secret.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Config, auth, parse};

impl Config {
    /// Returns the effective settings as a JSON document without any secret.
    #[must_use]
    pub fn redacted(&self) -> Value {
        let mut shown = Map::new();
        for part in [self.shown_of_server(), self.shown_of_work()] {
            shown.extend(part.as_object().cloned().unwrap_or_default());
        }
        self.mcp.show(&mut shown);
        shown.into()
    }

    /// Where it is, what it keeps and tells.
    fn shown_of_server(&self) -> Value {
        json!({
            "file": self.file,
            "listen": self.listen.to_string(),
            "tls_cert": self.tls.as_ref().map(|tls| &tls.certificate),
            "tls_key": self.tls.as_ref().map(|tls| &tls.key),
            "prefix": self.prefix,
            "data": self.data,
            "database_url": self.database_url.as_deref().map(parse::without_password),
            "plugin_dirs": self.plugin_dirs,
            "isolated_plugin_dirs": self.isolated_plugin_dirs,
            "isolated_user": self.isolated_user.as_ref().map(|account| &account.name),
            "isolated_cgroup": self.isolated_cgroup,
            "watch": self.watch,
            "body_limit": self.body_limit,
            "cors_origins": self.cors_origins,
            "auth": auth::shown(&self.auth),
            "log": self.log.filter,
            "log_format": self.log.format,
            "log_file": self.log.file,
            "record": self.record.filter,
            "record_content": self.record.content,
            "record_days": self.record.days,
            "record_bytes": self.record.bytes,
            "otlp_endpoint": self.otlp.shown_endpoint(),
            "otlp_headers": self.otlp.shown_headers(),
            "otlp_protocol": self.otlp.protocol,
            "otlp_logs": self.otlp.logs,
        })
    }

    /// What it does, and how long that may take.
    fn shown_of_work(&self) -> Value {
        let plugins: Map<String, Value> = self
            .plugins
            .iter()
            .map(|(name, options)| {
                let config = redact(options.config.clone());
                (
                    name.clone(),
                    json!({
                        "isolation": options.isolation,
                        "config": config,
                        "env": options.env.keys().map(|name| (name.clone(), "***")).collect::<BTreeMap<_, _>>(),
                        "limits": {
                            "memory": options.limits.memory,
                            "open_files": options.limits.open_files,
                            "cpu": options.limits.cpu.map(parse::show_duration),
                            "processes": options.limits.processes,
                            "cpus": options.limits.cpus.map(|cpus| f64::from(cpus) / 1000.0),
                        },
                    }),
                )
            })
            .collect();
        let secrets: BTreeMap<&String, Value> =
            self.secrets.iter().map(|(name, source)| (name, source.redacted())).collect();
        json!({
            "run_deadline": parse::show_duration(self.deadlines.run),
            "call_deadline": parse::show_duration(self.deadlines.call),
            "open_deadline": parse::show_duration(self.deadlines.open),
            "drain_deadline": parse::show_duration(self.deadlines.drain),
            "stream_drain_deadline": parse::show_duration(self.deadlines.stream_drain),
            "lease": parse::show_duration(self.deadlines.lease),
            "cancel_grace": parse::show_duration(self.deadlines.cancel_grace),
            "trusted_proxies": self.limits.shown_proxies(),
            "limits": self.limits.shown(),
            "workflows": self.workflows,
            "mcp_servers": self.mcp_servers.iter().map(|(name, it)| (name.clone(), it.redacted())).collect::<BTreeMap<_, _>>(),
            "memory": self.memory,
            "providers": self.providers,
            "swap_guard": self.swap_guard.map_or_else(|| "off".to_owned(), parse::show_duration),
            "trust": self.trust.shown(),
            "plugins": plugins,
            "secrets": secrets,
            "system": self.system,
        })
    }
}

/// Hides values whose key says that they are secret.
fn redact(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let hide = |(key, value): (String, Value)| {
                let lower = key.to_ascii_lowercase();
                let is_secret =
                    ["key", "token", "secret", "password", "credential"].iter().any(|word| lower.contains(word));
                let shown = if is_secret && !value.is_object() { Value::from("***") } else { redact(value) };
                (key, shown)
            };
            Value::Object(fields.into_iter().map(hide).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(redact).collect()),
        other => other,
    }
}
