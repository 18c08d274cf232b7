//! The steps. Each stands in several graphs, under an id of its own in each.

use std::collections::BTreeMap;

use hotbay_plugin::prelude::*;

use crate::ledger::{pause, recorded};

/// What goes through the graphs: the number that is computed, and what it asks of the bodies.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Num {
    pub(crate) value: i64,
    /// How long each body takes
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<u64>,
    /// Until when a run sleeps, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
}

impl Num {
    pub(crate) fn with(self, value: i64) -> Self {
        Self { value, ..self }
    }
}

#[step(id = "add-one")]
pub(crate) async fn add_one(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "add-one", num.delay_ms, async { Ok(num.clone().with(num.value + 1)) }).await
}

#[step(id = "double")]
pub(crate) async fn double(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "double", num.delay_ms, async { Ok(num.clone().with(num.value * 2)) }).await
}

/// Adds up what nodes that ran at once gave
#[step]
pub(crate) async fn sum(ctx: &Ctx, parts: BTreeMap<String, Num>) -> Result<Num> {
    let value = parts.values().map(|num| num.value).sum();
    let num = parts.into_values().next().unwrap_or_default();
    recorded(ctx, "sum", num.delay_ms, async { Ok(num.clone().with(value)) }).await
}

/// Adds up what the items of a loop gave
#[step]
pub(crate) async fn total(ctx: &Ctx, items: Vec<Num>) -> Result<Num> {
    let value = items.iter().map(|num| num.value).sum();
    let num = items.into_iter().next().unwrap_or_default();
    recorded(ctx, "total", num.delay_ms, async { Ok(num.clone().with(value)) }).await
}

/// Fails twice
#[step]
pub(crate) async fn flaky(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "flaky", num.delay_ms, async {
        match ctx.attempt() {
            attempt @ (0..=2) => Err(Error::new(format!("attempt {attempt} fails"))),
            _ => Ok(num.clone().with(num.value + 1)),
        }
    })
    .await
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Need {
    need: String,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Addition {
    add: i64,
}

/// Asks a person for a number
#[step(suspend = Need, resume = Addition)]
pub(crate) async fn ask(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "ask", num.delay_ms, async {
        match ctx.resume_data::<Addition>()? {
            Some(answer) => Ok(num.clone().with(num.value + answer.add)),
            None => ctx.suspend_labelled("number", &Need { need: "a number".to_owned() }),
        }
    })
    .await
}

/// How often steps of the run have counted.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Counted {
    pub(crate) count: i64,
}

/// Counts in the run's state
#[step(state = Counted)]
pub(crate) async fn count(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "count", num.delay_ms, async {
        let Counted { count } = ctx.workflow_state::<Option<_>>().await?.unwrap_or_default();
        ctx.set_workflow_state(&Counted { count: count + 1 }).await?;
        Ok(num.clone().with(count + 1))
    })
    .await
}

/// Calls a tool, then takes its time
#[step(id = "call-tool")]
pub(crate) async fn call_tool(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "call-tool", None, async {
        let answer: Num = ctx.tool("durable-add-ten").call(&num).await?;
        // A host killed here has the tool's answer, but not the step's.
        pause(ctx, num.delay_ms).await;
        Ok(answer)
    })
    .await
}

/// Has a model say the number, then takes its time
#[step(id = "ask-model")]
pub(crate) async fn ask_model(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "ask-model", None, async {
        let said = ctx.model("durable/echo").ask(num.value.to_string()).text().await?;
        pause(ctx, num.delay_ms).await;
        let value: i64 = said.parse().map_err(|_| Error::new(format!("the model said `{said}`")))?;
        Ok(num.clone().with(value))
    })
    .await
}
