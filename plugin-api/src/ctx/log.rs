//! Log records and spans of a call.

use serde_json::{Value, json};

use super::Ctx;
use crate::{Error, abi::span_op};

/// How much a log record matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Every detail.
    Trace = 10,
    /// For whoever looks for a fault.
    Debug = 20,
    /// The day's story.
    Info = 30,
    /// Degraded, but carried on.
    Warn = 40,
    /// Somebody must act.
    Error = 50,
}

impl Ctx {
    /// Writes a log record with fields, a JSON object.
    pub fn log(&self, level: Level, message: impl AsRef<str>, fields: &Value) {
        let fields = if fields.is_null() { String::new() } else { fields.to_string() };
        self.host().log(
            self.call_id(),
            level as u8,
            self.plugin().name().into(),
            message.as_ref().into(),
            fields.as_bytes().into(),
        );
    }

    /// Writes a log record at [`Level::Trace`].
    pub fn trace(&self, message: impl AsRef<str>) {
        self.log(Level::Trace, message, &Value::Null);
    }

    /// Writes a log record at [`Level::Debug`].
    pub fn debug(&self, message: impl AsRef<str>) {
        self.log(Level::Debug, message, &Value::Null);
    }

    /// Writes a log record at [`Level::Info`].
    pub fn info(&self, message: impl AsRef<str>) {
        self.log(Level::Info, message, &Value::Null);
    }

    /// Writes a log record at [`Level::Warn`].
    pub fn warn(&self, message: impl AsRef<str>) {
        self.log(Level::Warn, message, &Value::Null);
    }

    /// Writes a log record at [`Level::Error`].
    pub fn error(&self, message: impl AsRef<str>) {
        self.log(Level::Error, message, &Value::Null);
    }

    /// Opens a span below the call's current one; it closes when the guard is dropped.
    #[must_use = "the span closes when the guard is dropped"]
    pub fn span(&self, name: impl AsRef<str>) -> Span {
        let id = self.host().span(self.call_id(), span_op::OPEN, 0, name.as_ref().into(), [].as_slice().into());
        Span { ctx: self.clone(), id }
    }

    pub(crate) fn report_panic(&self, error: &Error) {
        self.log(Level::Error, "the plugin's code panicked", &json!({ "panic.message": error.message }));
    }
}

/// An open span.
#[derive(Debug)]
pub struct Span {
    ctx: Ctx,
    id: u64,
}

impl Span {
    /// Adds attributes, a JSON object.
    pub fn record(&self, fields: &Value) {
        let fields = fields.to_string();
        self.ctx.host().span(self.ctx.call_id(), span_op::RECORD, self.id, "".into(), fields.as_bytes().into());
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.ctx.host().span(self.ctx.call_id(), span_op::CLOSE, self.id, "".into(), [].as_slice().into());
    }
}
