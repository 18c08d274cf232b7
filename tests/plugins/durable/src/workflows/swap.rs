//! A workflow that says which build of the plugin ran its steps, and has another graph in one of them.

use hotbay_plugin::prelude::*;

use crate::{build, ledger::recorded};

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Words {
    text: String,
    /// How long the next body takes
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
}

fn said(text: String) -> Words {
    Words { text, delay_ms: None }
}

/// Adds the build's name
#[step]
async fn say(ctx: &Ctx, words: Words) -> Result<Words> {
    recorded(ctx, "say", words.delay_ms, async { Ok(said(format!("{} {}", words.text, build::name()))) }).await
}

/// Waits for a word
#[step(suspend = Words, resume = Words)]
async fn wait(ctx: &Ctx, words: Words) -> Result<Words> {
    recorded(ctx, "wait", None, async {
        match ctx.resume_data::<Words>()? {
            Some(more) => Ok(said(format!("{} {}", words.text, more.text))),
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
