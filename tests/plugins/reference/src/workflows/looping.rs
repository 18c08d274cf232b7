//! One node several times: until a condition holds, while it holds, for each item.

use hotbay_plugin::prelude::*;

use super::steps::{Num, ask, times_two};

#[step]
async fn inc(num: Num) -> Result<Num> {
    Ok(Num { value: num.value + 1.0 })
}

pub(crate) fn dountil() -> Workflow {
    Workflow::new("dountil-workflow").input::<Num>().output::<Num>().dountil(inc, |num: Num| num.value >= 3.0)
}

pub(crate) fn dowhile() -> Workflow {
    Workflow::new("dowhile-workflow").input::<Num>().output::<Num>().dowhile(inc, |num: Num| num.value < 3.0)
}

pub(crate) fn foreach() -> Workflow {
    Workflow::new("foreach-workflow").input::<Vec<Num>>().output::<Vec<Num>>().foreach(times_two, 2)
}

pub(crate) fn foreach_suspend() -> Workflow {
    Workflow::new("foreach-suspend-workflow").input::<Vec<Num>>().output::<Vec<Num>>().foreach(ask().id("ask-item"), 1)
}
