//! What a plugin's code may fail with.

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use crate::abi::{AbiError, FLAG_RETRYABLE};

/// The codes of [`Error::code`], as numbers on the boundary.
pub mod code {
    /// The plugin's code failed; the general case.
    pub const FAILED: u32 = 1;
    /// The input does not fit.
    pub const INPUT: u32 = 2;
    /// The plugin's code panicked.
    pub const PANIC: u32 = 3;
    /// The call took longer than it may.
    pub const DEADLINE: u32 = 4;
    /// The caller went away.
    pub const CANCELLED: u32 = 5;
    /// The other side does not know what was asked for.
    pub const UNSUPPORTED: u32 = 6;
    /// The generation was retired.
    pub const REVOKED: u32 = 7;
    /// The thing that was asked for does not exist.
    pub const NOT_FOUND: u32 = 8;
    /// The configuration cannot work.
    pub const CONFIG: u32 = 9;
    /// Something outside is not available now.
    pub const UNAVAILABLE: u32 = 10;

    /// Returns the name a code has in logs and in the API.
    #[must_use]
    pub fn name(code: u32) -> &'static str {
        match code {
            INPUT => "E_INPUT",
            PANIC => "E_PANIC",
            DEADLINE => "E_DEADLINE",
            CANCELLED => "E_CANCELLED",
            UNSUPPORTED => "E_UNSUPPORTED",
            REVOKED => "E_REVOKED",
            NOT_FOUND => "E_NOT_FOUND",
            CONFIG => "E_CONFIG",
            UNAVAILABLE => "E_UNAVAILABLE",
            _ => "E_FAILED",
        }
    }
}

/// Codes of errors that are no failures: they leave an author's function with `?` and
/// become another kind of reply before they reach the boundary.
pub(crate) mod control {
    /// The call suspends; the detail is the payload.
    pub(crate) const SUSPENDED: u32 = u32::MAX;
    /// The call leaves the workflow; the detail is its result.
    pub(crate) const BAILED: u32 = u32::MAX - 1;
    /// A guard stops the run; the detail says why.
    pub(crate) const TRIPPED: u32 = u32::MAX - 2;
    /// As [`SUSPENDED`]; the detail is `{"payload", "labels"}`.
    pub(crate) const LABELLED: u32 = u32::MAX - 3;
}

/// A failed call: a code, a sentence for people, and whether trying again may help.
///
/// Anything that implements [`std::error::Error`] converts with `?`; the message
/// then holds the whole chain of sources.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Error {
    /// One of [`code`].
    pub code: u32,
    /// One sentence for people; a model sees it as the tool's error.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// More about the failure, [`Value::Null`] if there is no more.
    pub detail: Value,
}

/// The result of a plugin's code.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns an error with [`code::FAILED`] that is not worth a retry.
    pub fn new(message: impl Into<String>) -> Self {
        Self::with_code(code::FAILED, message)
    }

    /// Returns an error with one of [`code`].
    pub fn with_code(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: false, detail: Value::Null }
    }

    /// Returns an input error: the caller sent what the plugin cannot use.
    pub fn input(message: impl Into<String>) -> Self {
        Self::with_code(code::INPUT, message)
    }

    /// Says that the same call may succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Adds a JSON document with more about the failure.
    ///
    /// What [`Error::permanent`] and [`Error::retry_after`] have noted there stays.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        let hint = self.retry_hint();
        self.detail = detail;
        hint.note(&mut self.detail);
        self
    }

    /// Says that trying again cannot help: a workflow does not repeat the step, whatever its `retries` say.
    ///
    /// Crosses as `"permanent": true` in the detail; a host that does not know the key repeats the step.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.retryable = false;
        RetryHint::Never.note(&mut self.detail);
        self
    }

    /// Says that the same call may succeed, but not before `wait` is over: a workflow that repeats the step
    /// waits at least so long.
    ///
    /// Crosses as `"retryAfterMs"` in the detail; a host that does not know the key waits as the step's
    /// `retries` say.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retryable = true;
        RetryHint::After(wait).note(&mut self.detail);
        self
    }

    /// Returns what the error says about repeating the call.
    #[must_use]
    pub fn retry_hint(&self) -> RetryHint {
        RetryHint::of(&self.detail)
    }
}

/// What an error says about repeating the call, for a host that repeats steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryHint {
    /// Nothing: the step's `retries` decide.
    #[default]
    Policy,
    /// The call is not repeated.
    Never,
    /// The call is repeated as the step's `retries` say, but not before this is over.
    After(Duration),
}

impl RetryHint {
    const PERMANENT: &str = "permanent";
    const AFTER: &str = "retryAfterMs";

    /// Reads the hint out of an error's detail.
    #[must_use]
    pub fn of(detail: &Value) -> Self {
        if detail.get(Self::PERMANENT).and_then(Value::as_bool) == Some(true) {
            return Self::Never;
        }
        match detail.get(Self::AFTER).and_then(Value::as_u64) {
            Some(millis) => Self::After(Duration::from_millis(millis)),
            None => Self::Policy,
        }
    }

    /// Writes the hint into a detail, in place of an earlier one. A detail that is no object becomes the key `value` of one.
    fn note(self, detail: &mut Value) {
        let (key, value) = match self {
            Self::Policy => return,
            Self::Never => (Self::PERMANENT, Value::Bool(true)),
            Self::After(wait) => (Self::AFTER, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into()),
        };
        let mut keys = match detail.take() {
            Value::Null => Map::new(),
            Value::Object(keys) => keys,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        keys.remove(Self::PERMANENT);
        keys.remove(Self::AFTER);
        keys.insert(key.to_owned(), value);
        *detail = Value::Object(keys);
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::new(message)
    }
}

impl From<Error> for AbiError {
    fn from(error: Error) -> Self {
        let detail = if error.detail.is_null() { Vec::new() } else { error.detail.to_string().into_bytes() };
        Self {
            code: error.code,
            flags: if error.retryable { FLAG_RETRYABLE } else { 0 },
            message: error.message.into(),
            detail_json: detail.into(),
        }
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Self {
        Self {
            code: error.code,
            message: error.message.as_str().to_owned(),
            retryable: error.flags & FLAG_RETRYABLE != 0,
            detail: serde_json::from_slice(&error.detail_json).unwrap_or(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(error: Error, hint: RetryHint, detail: Value, is_retryable: bool) {
        let crossed = Error::from(AbiError::from(error));
        assert_eq!((crossed.retry_hint(), &crossed.detail, crossed.retryable), (hint, &detail, is_retryable));
    }

    #[test]
    fn hints_cross_in_the_detail() {
        let error = || Error::new("down");
        let wait = Duration::from_millis(1500);
        check(error(), RetryHint::Policy, Value::Null, false);
        check(error().permanent(), RetryHint::Never, json!({ "permanent": true }), false);
        check(error().retry_after(wait), RetryHint::After(wait), json!({ "retryAfterMs": 1500 }), true);
    }

    #[test]
    fn hints_and_details_do_not_replace_each_other() {
        let both = json!({ "field": "city", "permanent": true });
        check(Error::new("no").detail(json!({ "field": "city" })).permanent(), RetryHint::Never, both.clone(), false);
        check(Error::new("no").permanent().detail(json!({ "field": "city" })), RetryHint::Never, both, false);
        check(
            Error::new("no").detail(json!([1])).permanent(),
            RetryHint::Never,
            json!({ "value": [1], "permanent": true }),
            false,
        );
        check(Error::new("no").detail(json!("x")), RetryHint::Policy, json!("x"), false);
    }

    #[test]
    fn the_later_hint_wins() {
        let wait = Duration::from_secs(1);
        check(
            Error::new("no").permanent().retry_after(wait),
            RetryHint::After(wait),
            json!({ "retryAfterMs": 1000 }),
            true,
        );
        check(Error::new("no").retry_after(wait).permanent(), RetryHint::Never, json!({ "permanent": true }), false);
    }
}
