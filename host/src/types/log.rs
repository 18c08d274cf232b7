//! A log record.
//!
//! The serialised form is what the index keeps, so fields are only ever added, with a
//! default. How a record is shown to a client is `http`'s.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::id::Millis;

/// How much a log record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// The day's story.
    Info,
    /// Degraded, but carried on.
    Warn,
    /// Somebody must act.
    Error,
    /// The end.
    Fatal,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// Returns its number, as records carry it: 20, 30, 40, 50, 60.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Debug => 20,
            Self::Info => 30,
            Self::Warn => 40,
            Self::Error => 50,
            Self::Fatal => 60,
        }
    }

    /// Returns the level of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

/// One log record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogRecord {
    /// Names it among all.
    pub id: String,
    /// When it was written.
    pub time: Millis,
    /// How much it matters.
    pub level: Level,
    /// Where it comes from: `host`, a plugin's name, or another service's.
    pub transport: String,
    /// The part that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// What people read.
    pub message: String,
    /// The run it was written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// The request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Whom it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The service it comes from, if not this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Where that service is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Everything else it says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}
