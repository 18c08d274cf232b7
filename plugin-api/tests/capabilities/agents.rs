//! Agents: described for the host, or running themselves.

use hotbay_plugin::{error::code, prelude::*};

use crate::{
    opened,
    tools::{suspend_tool, weather},
};

/// Answers weather questions
#[agent]
pub(crate) fn weather_agent() -> Agent {
    Agent::new("weather-agent")
        .name("Weather Agent")
        .instructions("Use the weather tool.")
        .model("mock-provider/mock-echo")
        .tool(weather)
        .tool_as("suspendTool", suspend_tool)
        .tool_id("other-plugins-tool")
        .memory(Memory::last(10))
        .default_options(json!({ "maxSteps": 3 }))
}

/// Runs its own loop.
#[agent(id = "own", model = "p/m")]
pub(crate) async fn own(ctx: &Ctx, run: AgentRun) -> Result<AgentAnswer> {
    let mut answer = Answer::new(ctx);
    let mut stream = ctx.model("p/m").chat(run.messages).stream()?;
    let mut text = String::new();
    while let Some(part) = stream.next().await? {
        if let StreamPart::TextDelta { delta, .. } = part {
            text.push_str(&delta);
            answer.text(delta).await?;
        }
    }
    answer.finish(FinishReason::Stop, Usage::default()).await?;
    Ok(AgentAnswer::text(text))
}

#[test]
fn agent_that_runs_itself_streams_and_answers() {
    let input = json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }] });
    let outcome = opened().agent("own").run(&input).unwrap();
    assert!(outcome.chunks.iter().any(|chunk| chunk["delta"] == "hi there"), "{:?}", outcome.chunks);
    assert_eq!(outcome.value::<AgentAnswer>().unwrap().text, "hi there");
    let error = opened().agent("weather-agent").run(&input).unwrap_err();
    assert_eq!(error.code, code::UNSUPPORTED);
}
