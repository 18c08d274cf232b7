//! Several nodes at once: all of them, or those whose condition holds.

use hotbay_plugin::prelude::*;

use super::steps::{Num, add_one, times_two};

#[derive(Deserialize, JsonSchema)]
struct Both {
    #[serde(rename = "add-one")]
    add_one: Num,
    #[serde(rename = "times-two")]
    times_two: Num,
}

#[step]
async fn combine(both: Both) -> Result<Num> {
    Ok(Num { value: both.add_one.value + both.times_two.value })
}

pub(crate) fn parallel() -> Workflow {
    Workflow::new("parallel-workflow")
        .input::<Num>()
        .output::<Num>()
        .parallel(Parallel::new().and(add_one).and(times_two))
        .then(combine)
}

#[derive(Serialize, JsonSchema)]
struct Label {
    label: &'static str,
}

#[step]
async fn big(_: Num) -> Result<Label> {
    Ok(Label { label: "big" })
}

#[step]
async fn small(_: Num) -> Result<Label> {
    Ok(Label { label: "small" })
}

// Only its schema matters: the host puts the taken branches together.
#[derive(Serialize, JsonSchema)]
struct Taken {
    #[serde(skip_serializing_if = "Option::is_none")]
    big: Option<Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    small: Option<Label>,
}

pub(crate) fn branch() -> Workflow {
    Workflow::new("branch-workflow")
        .input::<Num>()
        .output::<Taken>()
        .branch(Branch::new().when(|num: Num| num.value > 10.0, big).when(|num: Num| num.value <= 10.0, small))
}

pub(crate) fn branch_none() -> Workflow {
    Workflow::new("branch-none-workflow").input::<Num>().branch(Branch::new().when(|num: Num| num.value > 100.0, big))
}
