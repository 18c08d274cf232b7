//! What the console reads of the public API: the fields it shows, and no others.
//!
//! Fields that are missing read as empty, so that a console shows what it can of a newer or an
//! older host. Nothing here talks to a server, see [`crate::client`].

use serde::{Deserialize, Serialize};

/// The body of `GET /plugins`.
#[derive(Debug, Deserialize)]
pub(crate) struct PluginList {
    pub(crate) plugins: Vec<Plugin>,
}

/// One plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) version: String,
    pub(crate) file: String,
    /// The generation that serves.
    pub(crate) generation: Option<u64>,
    /// Newest first.
    pub(crate) generations: Vec<Generation>,
    pub(crate) last_error: Option<Failure>,
}

/// One loaded image of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) in_flight: u64,
    pub(crate) latency_ms: Latency,
}

/// How long calls took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Why the last attempt to load a plugin failed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The body of every error.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: String,
}

/// Everything the screen shows of a server at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Overview {
    pub(crate) agents: usize,
    pub(crate) tools: usize,
    pub(crate) plugins: Vec<Plugin>,
}

impl Plugin {
    /// Sums one count over the generations: a reload must not make calls vanish from the screen.
    fn total(&self, count: impl Fn(&Generation) -> u64) -> u64 {
        self.generations.iter().map(count).fold(0, u64::saturating_add)
    }

    pub(crate) fn calls(&self) -> u64 {
        self.total(|generation| generation.calls)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.total(|generation| generation.errors)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.total(|generation| generation.in_flight)
    }

    /// Latencies of the generation that serves, if it has answered anything yet.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let serving = self.generations.iter().find(|generation| Some(generation.number) == self.generation)?;
        (serving.calls > 0).then_some(serving.latency_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_reads_from_the_servers_spelling() {
        let plugin: Plugin = serde_json::from_str(
            r#"{"name":"weather","state":"serving","version":"1.2.0","generation":2,"isolation":"inline",
                "generations":[
                    {"number":2,"calls":3,"errors":1,"inFlight":1,"latencyMs":{"p50":0.5,"p99":2.0}},
                    {"number":1,"calls":10,"errors":0,"inFlight":2,"latencyMs":{"p50":9.0,"p99":9.0}}],
                "lastError":{"code":"E_OPEN","message":"no such symbol","at":"2026-01-01T00:00:00Z"}}"#,
        )
        .unwrap();
        assert_eq!((plugin.calls(), plugin.errors(), plugin.in_flight()), (13, 1, 3));
        assert_eq!(plugin.latency(), Some(Latency { p50: 0.5, p99: 2.0 }));
        assert_eq!(plugin.last_error.unwrap().code, "E_OPEN");
    }

    #[test]
    fn a_generation_that_answered_nothing_has_no_latency() {
        let plugin: Plugin = serde_json::from_str(r#"{"generation":1,"generations":[{"number":1}]}"#).unwrap();
        assert_eq!(plugin.latency(), None);
    }
}
