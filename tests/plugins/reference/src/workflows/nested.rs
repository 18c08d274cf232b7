//! Workflows in workflows. The inner ones are only that: the recorded server did not list them.

use hotbay_plugin::prelude::*;

use super::steps::{Msg, Num, add_one, ask, exclaim, upper};

pub(crate) fn inner() -> Workflow {
    Workflow::new("inner-workflow").internal().input::<Msg>().output::<Msg>().then(upper).then(exclaim)
}

#[step]
async fn prefix(msg: Msg) -> Result<Msg> {
    Ok(Msg { message: format!("> {}", msg.message) })
}

pub(crate) fn nested() -> Workflow {
    Workflow::new("nested-workflow").input::<Msg>().output::<Msg>().then(prefix).then(inner)
}

pub(crate) fn inner_suspend() -> Workflow {
    Workflow::new("inner-suspend-workflow").internal().input::<Num>().output::<Num>().then(ask().id("ask-a"))
}

pub(crate) fn nested_suspend() -> Workflow {
    Workflow::new("nested-suspend-workflow").input::<Num>().output::<Num>().then(inner_suspend).then(add_one)
}
