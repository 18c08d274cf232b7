//! What a call tells the MCP client while it goes on.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Ctx, Result};

/// A chunk of a call that MCP clients are told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Notice {
    /// How far the call is.
    Progress {
        /// More each time.
        progress: f64,
        /// What it will be at the end, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<f64>,
        /// What is being done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// A line for whoever watches.
    Message {
        /// How much it matters.
        level: Severity,
        /// What is said.
        data: Value,
    },
    /// A resource holds something else than before: clients that have subscribed to it are told.
    Updated {
        /// Its URI.
        uri: String,
    },
}

/// How much a message matters to an MCP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the levels of RFC 5424")]
pub enum Severity {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Ctx {
    /// Tells the caller how far the call is. Does nothing if nobody listens.
    ///
    /// # Errors
    /// As [`Ctx::emit`].
    pub async fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) -> Result<()> {
        self.emit(&Notice::Progress { progress, total, message: message.map(str::to_owned) }).await
    }

    /// Tells the caller something. Does nothing if nobody listens; the host's own log is [`Ctx::log`].
    ///
    /// # Errors
    /// As [`Ctx::emit`].
    pub async fn tell(&self, level: Severity, data: impl Into<Value>) -> Result<()> {
        self.emit(&Notice::Message { level, data: data.into() }).await
    }
}
