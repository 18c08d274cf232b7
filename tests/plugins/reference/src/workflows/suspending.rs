//! Runs that wait for a person.

use hotbay_plugin::prelude::*;

use super::steps::{Msg, Num, ask, upper};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Approved {
    message: String,
    approved: bool,
}

#[derive(Serialize, JsonSchema)]
struct Prompt {
    prompt: String,
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[step(id = "ask-approval", suspend = Prompt, resume = Approval)]
async fn ask_approval(ctx: &Ctx, msg: Msg) -> Result<Approved> {
    match ctx.resume_data::<Approval>()? {
        Some(answer) => Ok(Approved { message: msg.message, approved: answer.approved }),
        None => ctx.suspend(&Prompt { prompt: format!("Approve \"{}\"?", msg.message) }),
    }
}

#[derive(Serialize, JsonSchema)]
struct Outcome {
    result: String,
}

#[step]
async fn finalize(input: Approved) -> Result<Outcome> {
    Ok(Outcome { result: format!("{}:{}", input.message, input.approved) })
}

pub(crate) fn suspend() -> Workflow {
    Workflow::new("suspend-workflow").input::<Msg>().output::<Outcome>().then(upper).then(ask_approval).then(finalize)
}

#[derive(Deserialize, JsonSchema)]
struct Both {
    #[serde(rename = "ask-a")]
    a: Num,
    #[serde(rename = "ask-b")]
    b: Num,
}

#[step(id = "sum-ab")]
async fn sum_ab(both: Both) -> Result<Num> {
    Ok(Num { value: both.a.value + both.b.value })
}

pub(crate) fn parallel_suspend() -> Workflow {
    Workflow::new("parallel-suspend-workflow")
        .input::<Num>()
        .output::<Num>()
        .parallel(Parallel::new().and(ask().id("ask-a")).and(ask().id("ask-b")))
        .then(sum_ab)
}
