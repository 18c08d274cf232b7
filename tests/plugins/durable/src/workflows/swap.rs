//! A workflow that says which build of the plugin ran its steps, and has another graph in one of them.

use hotbay_plugin::prelude::*;

use crate::{build, ledger::recorded};

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Words {
    text: String,
}

/// Adds the build's name
#[step]
async fn say(ctx: &Ctx, words: Words) -> Result<Words> {
    recorded(ctx, "say", None, async { Ok(Words { text: format!("{} {}", words.text, build::name()) }) }).await
}

/// Waits for a word
#[step(suspend = Words, resume = Words)]
async fn wait(ctx: &Ctx, words: Words) -> Result<Words> {
    recorded(ctx, "wait", None, async {
        match ctx.resume_data::<Words>()? {
            Some(more) => Ok(Words { text: format!("{} {}", words.text, more.text) }),
            None => ctx.suspend(&words),
        }
    })
    .await
}

pub(crate) fn swap() -> Workflow {
    let mut workflow = Workflow::new("durable-swap").input::<Words>().output::<Words>().then(say().id("before"));
    if build::name() == "changed" {
        workflow = workflow.then(say().id("inserted"));
    }
    workflow.then(wait).then(say().id("after"))
}
