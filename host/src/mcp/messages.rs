//! Messages to clients while a call goes on. The newer protocol means to do without them; the older one
//! has nothing else.
#![expect(deprecated, reason = "clients of the older protocol know no other messages")]

use hotbay_plugin::mcp::Severity;
use rmcp::{
    Peer, RoleServer,
    model::{LoggingLevel, LoggingMessageNotificationParam, RequestMetaObject},
};
use serde_json::Value;

/// Sends a message; a client that cannot be told is gone, and ends by itself.
pub(super) async fn send(peer: &Peer<RoleServer>, level: Severity, data: Value) {
    drop(peer.notify_logging_message(LoggingMessageNotificationParam::new(logging_level(level), data)).await);
}

/// Returns the least of the levels a request of the newer protocol wants to be told of.
pub(super) fn wanted(meta: &RequestMetaObject) -> Option<Severity> {
    meta.log_level().map(severity)
}

fn logging_level(level: Severity) -> LoggingLevel {
    match level {
        Severity::Debug => LoggingLevel::Debug,
        Severity::Info => LoggingLevel::Info,
        Severity::Notice => LoggingLevel::Notice,
        Severity::Warning => LoggingLevel::Warning,
        Severity::Error => LoggingLevel::Error,
        Severity::Critical => LoggingLevel::Critical,
        Severity::Alert => LoggingLevel::Alert,
        Severity::Emergency => LoggingLevel::Emergency,
    }
}

/// Returns a level as plugins know it.
pub(super) fn severity(level: LoggingLevel) -> Severity {
    match level {
        LoggingLevel::Debug => Severity::Debug,
        LoggingLevel::Info => Severity::Info,
        LoggingLevel::Notice => Severity::Notice,
        LoggingLevel::Warning => Severity::Warning,
        LoggingLevel::Error => Severity::Error,
        LoggingLevel::Critical => Severity::Critical,
        LoggingLevel::Alert => Severity::Alert,
        LoggingLevel::Emergency => Severity::Emergency,
    }
}
