//! Workflows that wait: for a time, for a person.

use std::time::Duration;

use hotbay_plugin::prelude::*;

use crate::steps::{Num, add_one, ask};

/// Sleeps for a fixed time, then for as long as `delayMs` says.
pub(crate) fn sleep() -> Workflow {
    Workflow::new("durable-sleep")
        .input::<Num>()
        .output::<Num>()
        .then(add_one().id("before"))
        .sleep(Duration::from_millis(50))
        .then(add_one().id("between"))
        .sleep_for(|num: Num| Duration::from_millis(num.delay_ms.unwrap_or(1)))
        .then(add_one().id("after"))
}

/// A time that is over: whoever waits for it goes on at once.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// Sleeps until a fixed time that is over, then until `at`.
pub(crate) fn sleep_until() -> Workflow {
    Workflow::new("durable-sleep-until")
        .input::<Num>()
        .output::<Num>()
        .then(add_one().id("before"))
        .sleep_until(LONG_AGO)
        .then(add_one().id("between"))
        .sleep_until_with(|num: Num| num.at.unwrap_or_else(|| LONG_AGO.to_owned()))
        .then(add_one().id("after"))
}

pub(crate) fn suspend() -> Workflow {
    Workflow::new("durable-suspend")
        .input::<Num>()
        .output::<Num>()
        .then(add_one().id("before"))
        .then(ask)
        .then(add_one().id("after"))
}
