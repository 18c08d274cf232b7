//! A plugin that signs everything it says with the generation that said it.
//!
//! The signature is the build's letter and how often that build was opened, `A3`. The letter
//! stands in `BUILD` and can be replaced in the built file, which makes another build without
//! another compilation. Written with the public SDK alone.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hotbay_plugin::{chat::ToolOutput, prelude::*};

/// The build's letter, behind a marker.
#[used]
static BUILD: [u8; 19] = *b"HOTBAY-TEST-BUILD:A";

/// How often this image was opened.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// How many words the model says each time it is asked.
const WORDS: usize = 8;
/// What it takes to say one. Long enough for swaps to come in between.
const PACE: Duration = Duration::from_millis(25);

struct Signature(String);

async fn open(_ctx: &Ctx) -> Result<Signature> {
    // The letter is not a constant, whatever the compiler thinks.
    let letter = char::from(black_box(&BUILD)[BUILD.len() - 1]);
    Ok(Signature(format!("{letter}{}", OPENED.fetch_add(1, Ordering::Relaxed) + 1)))
}

fn signature(ctx: &Ctx) -> &str {
    &ctx.state::<Signature>().0
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Numbered {
    n: u64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Signed {
    by: String,
    n: u64,
}

/// Signs a number.
#[tool]
async fn sign(ctx: &Ctx, input: Numbered) -> Result<Signed> {
    Ok(Signed { by: signature(ctx).to_owned(), n: input.n })
}

/// Signs a number, and has the host's tool of that name sign it, too, a while later.
#[tool]
async fn countersign(ctx: &Ctx, input: Numbered) -> Result<Vec<Signed>> {
    ctx.sleep(PACE).await;
    let other: Signed = ctx.tool("sign").call(&input).await?;
    Ok(vec![Signed { by: signature(ctx).to_owned(), n: input.n }, other])
}

/// Says its signature, has a number signed, and says its signature again.
#[model(id = "steady/words")]
async fn words(ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    for _ in 0..WORDS {
        ctx.sleep(PACE).await;
        answer.text(format!("{} ", signature(ctx))).await?;
    }
    if request.tools.is_empty() || was_answered(&request) {
        return answer.finish(FinishReason::Stop, Usage::default()).await;
    }
    answer.tool_call("call-1", "sign", &Numbered { n: 1 }).await?;
    answer.finish(FinishReason::ToolCalls, Usage::default()).await
}

fn was_answered(request: &ChatRequest) -> bool {
    let answers = |part: &Part| matches!(part, Part::ToolResult { output: ToolOutput::Json(_), .. });
    request.messages.iter().any(|message| matches!(message, Message::Tool(parts) if parts.iter().any(answers)))
}

/// Has the host run it.
#[agent]
fn hosted() -> Agent {
    Agent::new("hosted").instructions("Sign.").model("steady/words").tool(sign)
}

/// Has the tool of another plugin under the name of its own.
#[agent]
fn borrower() -> Agent {
    Agent::new("borrower").model("steady/words").tool_id_as("sign", "p:echo")
}

/// Runs itself, and asks the host for everything it needs.
#[agent(id = "own", model = "steady/words")]
async fn own(ctx: &Ctx, run: AgentRun) -> Result<AgentAnswer> {
    let mut answer = Answer::new(ctx);
    let mut text = format!("{} ", signature(ctx));
    answer.text(text.clone()).await?;
    let mut stream = ctx.model("steady/words").chat(run.messages).stream()?;
    while let Some(part) = stream.next().await? {
        if let StreamPart::TextDelta { delta, .. } = part {
            text.push_str(&delta);
            answer.text(delta).await?;
        }
    }
    let signed: Signed = ctx.tool("sign").call(&Numbered { n: 1 }).await?;
    text.push_str(&signed.by);
    answer.text(signed.by).await?;
    answer.finish(FinishReason::Stop, Usage::default()).await?;
    Ok(AgentAnswer::text(text))
}

/// Says what it was asked, and in which run.
#[agent(id = "mirror", model = "steady/words", instructions = "Show.")]
async fn mirror(ctx: &Ctx, run: AgentRun) -> Result<AgentAnswer> {
    let tier: Option<u64> = ctx.request_value("tier")?;
    let mut answer = AgentAnswer::text("");
    answer.object = Some(json!({"run": run, "runId": ctx.run_id(), "tier": tier}));
    answer.usage = Usage { input_tokens: Some(3), output_tokens: Some(4), ..Usage::default() };
    Ok(answer)
}

plugin!(
    description: "Signs everything it says",
    tools: [sign, countersign],
    models: [words],
    agents: [hosted, borrower, own, mirror],
    open: open,
);
