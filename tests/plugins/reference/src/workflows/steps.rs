//! The values that go through the workflows, and the steps that several of them use.

use hotbay_plugin::prelude::*;

use crate::number::plain_number;

// Comments instead of doc comments: those would stand in the schemas, which are recorded.

// What most steps on text take and give.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Msg {
    pub(super) message: String,
}

// What most steps on numbers take and give.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(super) struct Num {
    #[serde(serialize_with = "plain_number")]
    pub(super) value: f64,
}

// What a number step asks a person for.
#[derive(Serialize, JsonSchema)]
pub(super) struct Need {
    need: String,
}

// What the person answers.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Addition {
    add: f64,
}

#[step(description = "Upper-case the message")]
pub(super) async fn upper(msg: Msg) -> Result<Msg> {
    Ok(Msg { message: msg.message.to_uppercase() })
}

#[step]
pub(super) async fn exclaim(msg: Msg) -> Result<Msg> {
    Ok(Msg { message: msg.message + "!" })
}

#[step(id = "add-one")]
pub(super) async fn add_one(num: Num) -> Result<Num> {
    Ok(Num { value: num.value + 1.0 })
}

#[step(id = "times-two")]
pub(super) async fn times_two(num: Num) -> Result<Num> {
    Ok(Num { value: num.value * 2.0 })
}

// Stands in the graphs as `ask-a`, `ask-b` and `ask-item`, and says which it is.
#[step(suspend = Need, resume = Addition)]
pub(super) async fn ask(ctx: &Ctx, num: Num) -> Result<Num> {
    match ctx.resume_data::<Addition>()? {
        Some(answer) => Ok(Num { value: num.value + answer.add }),
        None => ctx.suspend(&Need { need: ctx.step_id().unwrap_or("ask").to_owned() }),
    }
}
