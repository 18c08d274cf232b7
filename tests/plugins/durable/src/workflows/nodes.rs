//! A workflow for each kind of node, and one with many of them.

use std::time::Duration;

use hotbay_plugin::prelude::*;

use crate::{
    steps::{Num, add_one, double, sum, total},
    tools::{add_ten, durable_agent},
};

fn workflow(id: &str) -> Workflow {
    Workflow::new(id).input::<Num>().output::<Num>()
}

pub(crate) fn linear() -> Workflow {
    ["one", "two", "three", "four", "five"]
        .into_iter()
        .fold(workflow("durable-linear"), |workflow, id| workflow.then(add_one().id(id)))
}

pub(crate) fn parallel() -> Workflow {
    workflow("durable-parallel")
        .parallel(Parallel::new().and(add_one().id("left")).and(double().id("middle")).and(add_one().id("right")))
        .then(sum)
}

pub(crate) fn branch() -> Workflow {
    workflow("durable-branch")
        .branch(
            Branch::new()
                .when(|num: Num| num.value % 2 == 0, double().id("even"))
                .when(|num: Num| num.value % 2 != 0, add_one().id("odd"))
                .when(|_: Num| true, add_one().id("always")),
        )
        .then(sum)
}

pub(crate) fn dountil() -> Workflow {
    workflow("durable-dountil").dountil(add_one().id("up"), |num: Num| num.value >= 5).then(double)
}

pub(crate) fn dowhile() -> Workflow {
    workflow("durable-dowhile").dowhile(add_one().id("up"), |num: Num| num.value < 5).then(double)
}

fn eight_items(num: Num) -> Result<Vec<Num>> {
    Ok((0..8).map(|index| num.clone().with(num.value + index)).collect())
}

pub(crate) fn foreach() -> Workflow {
    workflow("durable-foreach").map(eight_items).foreach(double().id("each"), 3).then(total)
}

pub(crate) fn map() -> Workflow {
    workflow("durable-map")
        .then(add_one().id("before"))
        .map(|num: Num| Ok(num.clone().with(num.value * 100)))
        .then(add_one().id("after"))
}

pub(crate) fn inner() -> Workflow {
    workflow("durable-inner").internal().then(add_one().id("first")).then(double().id("second"))
}

pub(crate) fn nested() -> Workflow {
    workflow("durable-nested").then(add_one().id("before")).then(inner).then(add_one().id("after"))
}

pub(crate) fn tool() -> Workflow {
    workflow("durable-tool").then(add_one().id("before")).then(add_ten).then(add_one().id("after"))
}

/// The agent says the number again.
pub(crate) fn agent() -> Workflow {
    #[derive(Deserialize)]
    struct Said {
        text: String,
    }
    workflow("durable-agent")
        .then(add_one().id("before"))
        .map(|num: Num| Ok(json!({ "prompt": num.value.to_string() })))
        .then(durable_agent)
        .map_async(|ctx: Ctx, said: Said| async move {
            let input: Num = ctx.workflow_input().await?;
            Ok(input.with(said.text.parse()?))
        })
        .then(add_one().id("after"))
}

pub(crate) fn everything() -> Workflow {
    workflow("durable-everything")
        .then(add_one().id("before"))
        .parallel(Parallel::new().and(inner).and(add_ten).and(double().id("beside")))
        .then(sum)
        .sleep(Duration::from_millis(20))
        .dountil(add_one().id("up"), |num: Num| num.value % 10 == 0)
        .map(eight_items)
        .foreach(Node::workflow("durable-inner").id("each"), 3)
        .then(total)
        .then(add_one().id("after"))
}
