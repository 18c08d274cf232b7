//! A log record as the logger writes it: one JSON document, whole on a line of a file.
//!
//! The names are those of the logger clients know: `level` is a number, `msg` the message.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::types::log::LogRecord;

/// The logger's name, unless a record has another.
pub(crate) const LOGGER: &str = "Hotbay";

/// Returns a record as the logger writes it.
#[must_use]
pub fn of(log: &LogRecord) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("level".to_owned(), log.level.number().into());
    line.insert("time".to_owned(), log.time.0.into());
    // What another service sends was written by another process.
    if log.service_name.is_none() {
        line.insert("pid".to_owned(), std::process::id().into());
        line.insert("hostname".to_owned(), hostname().into());
    }
    line.insert("name".to_owned(), LOGGER.into());
    let known = [
        ("component", Some(&log.component).filter(|component| !component.is_empty())),
        ("trace_id", log.trace_id.as_ref()),
        ("span_id", log.span_id.as_ref()),
        ("runId", log.run_id.as_ref()),
        ("threadId", log.thread_id.as_ref()),
        ("resourceId", log.resource_id.as_ref()),
        ("requestId", log.request_id.as_ref()),
        ("serviceName", log.service_name.as_ref()),
        ("environment", log.environment.as_ref()),
        ("transport", Some(&log.transport)),
        ("logId", Some(&log.id)),
        ("msg", Some(&log.message)),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            line.insert(name.to_owned(), value.as_str().into());
        }
    }
    for (name, value) in &log.fields {
        if name == "name" || !line.contains_key(name) {
            line.insert(name.clone(), value.clone());
        }
    }
    line
}

/// Returns this machine's name.
fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::{id::Millis, log::Level};

    #[test]
    fn fields_do_not_hide_what_every_line_has() {
        let log = LogRecord {
            id: "log-1".to_owned(),
            time: Millis(5),
            level: Level::Warn,
            transport: "host".to_owned(),
            component: "AGENT".to_owned(),
            message: "it broke".to_owned(),
            run_id: Some("run-1".to_owned()),
            trace_id: None,
            span_id: None,
            request_id: None,
            thread_id: None,
            resource_id: None,
            service_name: Some("shop".to_owned()),
            environment: None,
            fields: json!({"msg": "no", "level": 1, "name": "Mastra", "n": 2}).as_object().unwrap().clone(),
        };
        let expected = json!({"level": 40, "time": 5, "name": "Mastra", "component": "AGENT", "runId": "run-1",
            "serviceName": "shop", "transport": "host", "logId": "log-1", "msg": "it broke", "n": 2});
        assert_eq!(Value::Object(of(&log)), expected);
    }
}
