//! The models `mock-provider/*`: what each plans to say to a prompt.
//!
//! A [`Plan`] is made from the prompt alone; [`plan`] turns it into the parts of an
//! answer. Magic words in the prompt choose what happens.

mod plan;
mod prompt;

use std::time::Duration;

use hotbay_plugin::prelude::*;

use plan::{Ids, Plan};
use prompt::Prompt;

/// What `SLOW` puts before every part.
const DELAY: Duration = Duration::from_millis(200);

/// Says what the user said.
#[model(id = "mock-provider/mock-echo")]
pub(crate) async fn mock_echo(ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    say(ctx, echo(&Prompt::of(&request))?, "mock-echo", answer).await
}

/// Says a JSON document.
#[model(id = "mock-provider/mock-structured")]
pub(crate) async fn mock_structured(ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    say(ctx, structured(&Prompt::of(&request)), "mock-structured", answer).await
}

/// Calls tools and says what the first one answered.
#[model(id = "mock-provider/mock-weather")]
pub(crate) async fn mock_weather(ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    say(ctx, weather(&Prompt::of(&request)), "mock-weather", answer).await
}

async fn say(ctx: &Ctx, plan: Plan, model_id: &str, answer: &mut Answer) -> Result<()> {
    let delay = plan.delay;
    for part in plan.parts(model_id, &Ids::of_process()) {
        if let Some(delay) = delay {
            ctx.sleep(delay).await;
        }
        answer.part(&part).await?;
    }
    Ok(())
}

fn echo(prompt: &Prompt) -> Result<Plan> {
    if prompt.has("FAIL") {
        return Err(Error::new("mock model failure"));
    }
    if prompt.has("STREAMERR") {
        return Ok(Plan { error: Some("mock stream error"), ..Plan::text("partial") });
    }
    let plan = Plan::text(format!("Echo: {}", prompt.text));
    if prompt.has("REASON") {
        return Ok(Plan { reasoning: Some("thinking hard"), ..plan });
    }
    let delay = prompt.has("SLOW").then_some(DELAY);
    Ok(Plan { delay, ..plan })
}

fn structured(prompt: &Prompt) -> Plan {
    Plan::text(if prompt.has("BADJSON") { "not json" } else { r#"{"name":"Ada","age":36}"# })
}

fn weather(prompt: &Prompt) -> Plan {
    if let Some(result) = &prompt.tool_result {
        return Plan::text(format!("Tool said: {result}"));
    }
    let ask = || ("weather", json!({ "city": prompt.city() }));
    for (word, tool, input) in [
        ("FAILTOOL", "failing", json!({ "reason": "requested failure" })),
        ("APPROVE", "approvalTool", json!({ "target": "file.txt" })),
        ("SUSPEND", "suspendTool", json!({ "question": "Which one?" })),
        ("BADARGS", "weather", json!({ "town": 1 })),
        ("NOTOOL", "nonexistent", json!({})),
    ] {
        if prompt.has(word) {
            return Plan::calls([(tool, input)]);
        }
    }
    if prompt.has("TWO") {
        return Plan::calls([ask(), ("calculator", json!({ "op": "add", "a": 1, "b": 2 }))]);
    }
    let text = if prompt.has("TEXTTOOL") { "Let me check. " } else { "" };
    Plan { text: text.to_owned(), ..Plan::calls([ask()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Prompt {
        Prompt::of(&ChatRequest { messages: vec![Message::user(text)], ..ChatRequest::default() })
    }

    #[track_caller]
    fn check_calls(text: &str, expected: &Value) {
        let plan = weather(&said(text));
        let calls: Vec<_> = plan.calls.iter().map(|(tool, input)| json!([tool, input])).collect();
        assert_eq!(json!(calls), *expected);
    }

    #[test]
    fn echo_follows_the_magic_words() {
        assert_eq!(echo(&said("hello")).unwrap(), Plan::text("Echo: hello"));
        assert_eq!(echo(&said("FAIL now")).unwrap_err().message, "mock model failure");
        assert_eq!(echo(&said("STREAMERR")).unwrap().error, Some("mock stream error"));
        assert_eq!(echo(&said("REASON please")).unwrap().reasoning, Some("thinking hard"));
        assert_eq!(echo(&said("SLOW")).unwrap().delay, Some(DELAY));
    }

    #[test]
    fn structured_speaks_json_unless_told_otherwise() {
        assert_eq!(structured(&said("who")).text, r#"{"name":"Ada","age":36}"#);
        assert_eq!(structured(&said("BADJSON")).text, "not json");
    }

    #[test]
    fn weather_calls_what_the_magic_word_names() {
        check_calls("how is it", &json!([["weather", { "city": "Paris" }]]));
        check_calls("weather in Oslo", &json!([["weather", { "city": "Oslo" }]]));
        check_calls("FAILTOOL", &json!([["failing", { "reason": "requested failure" }]]));
        check_calls("APPROVE it", &json!([["approvalTool", { "target": "file.txt" }]]));
        check_calls("SUSPEND it", &json!([["suspendTool", { "question": "Which one?" }]]));
        check_calls("BADARGS", &json!([["weather", { "town": 1 }]]));
        check_calls("NOTOOL", &json!([["nonexistent", {}]]));
        check_calls(
            "TWO in Rome",
            &json!([["weather", { "city": "Rome" }], ["calculator", { "op": "add", "a": 1, "b": 2 }]]),
        );
        assert_eq!(weather(&said("TEXTTOOL")).text, "Let me check. ");
    }

    #[test]
    fn weather_says_what_the_tool_said() {
        let prompt = Prompt { tool_result: Some(json!({ "b": 1, "a": [2] })), ..said("APPROVE") };
        assert_eq!(weather(&prompt), Plan::text(r#"Tool said: {"b":1,"a":[2]}"#));
    }
}
