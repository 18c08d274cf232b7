//! Workflows that ask something of the host: to repeat, to keep state, to be careful, to limit, to
//! start them.

use std::time::Duration;

use hotbay_plugin::prelude::*;

use crate::steps::{Counted, Num, add_one, ask_model, call_tool, count, flaky};

fn workflow(id: &str) -> Workflow {
    Workflow::new(id).input::<Num>().output::<Num>()
}

pub(crate) fn retry() -> Workflow {
    let retry = Retry::times(4).delay(Duration::from_millis(20)).factor(2.0).max_delay(Duration::from_millis(100));
    workflow("durable-retry").then(flaky().retries(retry)).then(add_one().id("after"))
}

pub(crate) fn state() -> Workflow {
    workflow("durable-state")
        .state::<Counted>()
        .then(count().id("count-1"))
        .then(count().id("count-2"))
        .then(count().id("count-3"))
}

pub(crate) fn recover_fail() -> Workflow {
    workflow("durable-recover-fail")
        .then(add_one().id("before"))
        .then(add_one().id("careful").on_recover(Recover::Fail))
        .then(add_one().id("after"))
}

pub(crate) fn recover_suspend() -> Workflow {
    workflow("durable-recover-suspend")
        .then(add_one().id("before"))
        .then(add_one().id("careful").on_recover(Recover::Suspend))
        .then(add_one().id("after"))
}

pub(crate) fn calls() -> Workflow {
    workflow("durable-calls").then(call_tool).then(add_one().id("after"))
}

pub(crate) fn chats() -> Workflow {
    workflow("durable-chats").then(ask_model).then(add_one().id("after"))
}

pub(crate) fn limited() -> Workflow {
    workflow("durable-limited").concurrency(Concurrency::max(2).per_key("resourceId", 1).queue(3)).then(add_one)
}

/// Starts by itself once a year, which no test waits for.
pub(crate) fn yearly() -> Workflow {
    workflow("durable-yearly")
        .schedule(Schedule::cron("0 0 1 1 *").timezone("Europe/Paris").input(&Num::default()))
        .then(add_one)
}
