//! What nodes that are no steps use: a tool, an agent and the agent's model. And an agent whose
//! tools take their time, or are workflows.

use hotbay_plugin::prelude::*;

use crate::{
    ledger::recorded,
    steps::Num,
    workflows::{nodes, waits},
};

/// Adds ten
#[tool(id = "durable-add-ten")]
pub(crate) async fn add_ten(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "durable-add-ten", num.delay_ms, async { Ok(num.clone().with(num.value + 10)) }).await
}

/// Says what it is told
#[agent]
pub(crate) fn durable_agent() -> Agent {
    Agent::new("durable-agent").name("Durable Agent").instructions("Say what you are told.").model("durable/echo")
}

/// Adds ten once somebody has approved it
#[tool(id = "durable-approved", require_approval)]
pub(crate) async fn approved(ctx: &Ctx, num: Num) -> Result<Num> {
    recorded(ctx, "durable-approved", num.delay_ms, async { Ok(num.clone().with(num.value + 10)) }).await
}

/// Does what it is told, by tools and workflows
#[agent]
pub(crate) fn durable_worker() -> Agent {
    Agent::new("durable-worker")
        .name("Durable Worker")
        .instructions("Do what you are told.")
        .model("mock/script")
        .tool(approved)
        .workflow(nodes::linear)
        .workflow(waits::suspend)
        .workflow_id("failing-workflow")
        .workflow_id("nobody-offers-it")
        .memory(Memory::last(10))
}

/// Says the last message again.
#[model(id = "durable/echo")]
pub(crate) async fn echo(ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    let text = request.messages.last().map(Message::text).unwrap_or_default();
    recorded(ctx, "durable/echo", None, async {
        answer.text(text).await?;
        answer.finish(FinishReason::Stop, Usage::default()).await
    })
    .await
}
