//! Workflows of every kind whose code keeps a ledger of what ran, for tests that kill hosts.
//!
//! Each body of a step, tool or model writes a line when it begins and one when it ends, see
//! `ledger`. A killed host cannot take a line back, so the file tells what really ran, however
//! often, under which idempotency key and attempt number; a test holds it against what the host
//! says. Steps and tools that take a number take as long as `delayMs` beside it asks.
//!
//! `build` lets one library pass for several builds of the plugin.

mod build;
mod ledger;
mod steps;
mod tools;
mod workflows;

use hotbay_plugin::prelude::*;

use ledger::Ledger;
use tools::{add_ten, approved, durable_agent, durable_worker, echo};
use workflows::{nodes, policies, swap, waits};

#[derive(Deserialize, JsonSchema)]
struct Settings {
    /// File to which the lines are added
    ledger: String,
}

async fn open(_ctx: &Ctx, settings: &Settings) -> Result<Ledger> {
    Ledger::open(&settings.ledger)
}

plugin!(
    description: "Workflows whose code keeps a ledger",
    tools: [add_ten, approved],
    models: [echo],
    agents: [durable_agent, durable_worker],
    workflows: [
        nodes::linear,
        nodes::parallel,
        nodes::branch,
        nodes::dountil,
        nodes::dowhile,
        nodes::foreach,
        nodes::map,
        nodes::nested,
        nodes::tool,
        nodes::agent,
        nodes::everything,
        nodes::inner,
        waits::sleep,
        waits::sleep_until,
        waits::suspend,
        policies::retry,
        policies::state,
        policies::recover_fail,
        policies::recover_suspend,
        policies::calls,
        policies::chats,
        policies::limited,
        policies::yearly,
        swap::swap,
    ],
    config: Settings,
    open: open,
);
