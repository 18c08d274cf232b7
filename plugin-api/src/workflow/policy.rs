//! What a workflow asks of the host: repeating, recovering, starting, limiting.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::manifest::{ConcurrencyLimits, RetryPolicy, ScheduleManifest};

/// How often and how soon a failed node is repeated.
#[derive(Debug, Clone)]
#[must_use]
pub struct Retry(RetryPolicy);

impl Retry {
    /// Repeats up to `attempts` times, at once.
    pub fn times(attempts: u32) -> Self {
        Self(RetryPolicy { attempts, ..RetryPolicy::default() })
    }

    /// Waits this long before the first repetition.
    pub fn delay(self, delay: Duration) -> Self {
        Self(RetryPolicy { delay_ms: millis(delay), ..self.0 })
    }

    /// Makes each wait so many times as long as the one before.
    pub fn factor(self, factor: f64) -> Self {
        Self(RetryPolicy { factor, ..self.0 })
    }

    /// Never waits longer than this.
    pub fn max_delay(self, max_delay: Duration) -> Self {
        Self(RetryPolicy { max_delay_ms: Some(millis(max_delay)), ..self.0 })
    }

    /// Waits a random part of the time, so that many runs do not repeat at once.
    pub fn jitter(self) -> Self {
        Self(RetryPolicy { jitter: true, ..self.0 })
    }

    pub(super) fn to_json(&self) -> Value {
        json!(self.0)
    }

    pub(super) fn into_policy(self) -> RetryPolicy {
        self.0
    }
}

/// What becomes of a step that was running when the host died.
///
/// Only the plugin's author knows whether running it twice does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recover {
    /// It runs again, with the same idempotency key and the next attempt number.
    #[default]
    Retry,
    /// It fails, and with it the run.
    Fail,
    /// The run suspends there, until a person resumes it.
    Suspend,
}

impl Recover {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Suspend => "suspend",
        }
    }
}

/// When the host starts a workflow by itself.
#[derive(Debug, Clone)]
#[must_use]
pub struct Schedule(ScheduleManifest);

impl Schedule {
    /// Starts it at the times of a cron expression: minute, hour, day of month, month, day of week; in UTC
    /// unless [`Schedule::timezone`] says otherwise.
    pub fn cron(expression: impl Into<String>) -> Self {
        Self(ScheduleManifest { cron: expression.into(), ..ScheduleManifest::default() })
    }

    /// Reads the expression in a time zone, by its IANA name (`Europe/Paris`).
    pub fn timezone(self, name: impl Into<String>) -> Self {
        Self(ScheduleManifest { timezone: Some(name.into()), ..self.0 })
    }

    /// Sets the runs' input; `{}` if not set.
    ///
    /// # Panics
    /// If `input` cannot be written as JSON; the host then refuses the plugin with that sentence.
    pub fn input(self, input: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_value(input) {
            Ok(input) => Self(ScheduleManifest { input: Some(input), ..self.0 }),
            Err(error) => panic!("the input of the schedule `{}` is no JSON: {error}", self.0.cron),
        }
    }

    pub(super) fn into_manifest(self) -> ScheduleManifest {
        self.0
    }
}

/// How many runs of a workflow may go at once. The operator's settings win.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Concurrency(ConcurrencyLimits);

impl Concurrency {
    /// Lets so many runs go at once.
    pub fn max(runs: u32) -> Self {
        Self(ConcurrencyLimits { max: Some(runs), ..ConcurrencyLimits::default() })
    }

    /// Sets no limit on all runs; for limits per group alone.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Lets so many runs of one group go at once. A group are the runs with the same `key`: `resourceId`,
    /// or a dotted path into the input (`customer.id`).
    pub fn per_key(self, key: impl Into<String>, runs: u32) -> Self {
        Self(ConcurrencyLimits { key: Some(key.into()), max_per_key: Some(runs), ..self.0 })
    }

    /// Lets so many runs wait for a place; more are refused.
    pub fn queue(self, runs: u32) -> Self {
        Self(ConcurrencyLimits { queue: Some(runs), ..self.0 })
    }

    pub(super) fn into_limits(self) -> ConcurrencyLimits {
        self.0
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
