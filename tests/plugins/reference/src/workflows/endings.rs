//! The other things a step may do: fail, fail once, keep state, write, leave early, take long.

use std::time::Duration;

use hotbay_plugin::prelude::*;

use super::steps::{Msg, exclaim, upper};
use crate::number::plain_number;

#[step]
async fn boom(_: Msg) -> Result<Msg> {
    Err(Error::new("step exploded"))
}

pub(crate) fn failing() -> Workflow {
    Workflow::new("failing-workflow").input::<Msg>().output::<Msg>().then(upper).then(boom).then(exclaim)
}

#[step(id = "flaky", retries = 2)]
async fn fails_once(ctx: &Ctx, msg: Msg) -> Result<Msg> {
    if ctx.attempt() == 1 {
        return Err(Error::new("flaky first attempt"));
    }
    Ok(msg)
}

pub(crate) fn flaky() -> Workflow {
    Workflow::new("flaky-workflow").input::<Msg>().output::<Msg>().then(fails_once)
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Count {
    #[serde(serialize_with = "plain_number")]
    count: f64,
}

#[step(id = "bump-state", state = Count)]
async fn bump_state(ctx: &Ctx, msg: Msg) -> Result<Msg> {
    let Count { count } = ctx.workflow_state().await?;
    ctx.set_workflow_state(&Count { count: count + 1.0 }).await?;
    Ok(msg)
}

pub(crate) fn state() -> Workflow {
    Workflow::new("state-workflow").input::<Msg>().output::<Msg>().state::<Count>().then(bump_state)
}

#[step]
async fn writing(ctx: &Ctx, msg: Msg) -> Result<Msg> {
    ctx.info("writing step ran");
    ctx.emit(&json!({ "type": "progress", "value": 50 })).await?;
    ctx.emit(&json!({ "type": "data-progress", "data": { "value": 75 } })).await?;
    Ok(msg)
}

pub(crate) fn writer() -> Workflow {
    Workflow::new("writer-workflow").input::<Msg>().output::<Msg>().then(writing)
}

#[step]
async fn bailer(ctx: &Ctx, msg: Msg) -> Result<Msg> {
    ctx.bail(&Msg { message: format!("bailed {}", msg.message) })
}

pub(crate) fn bail() -> Workflow {
    Workflow::new("bail-workflow").input::<Msg>().output::<Msg>().then(bailer).then(exclaim)
}

#[step(id = "slow")]
async fn takes_long(ctx: &Ctx, msg: Msg) -> Result<Msg> {
    ctx.sleep(Duration::from_secs(3)).await;
    Ok(msg)
}

pub(crate) fn slow() -> Workflow {
    Workflow::new("slow-workflow").input::<Msg>().output::<Msg>().then(takes_long).then(exclaim)
}
