//! Models and embedders.

use hotbay_plugin::{prelude::*, testing::TestHost};

use crate::opened;

/// Echoes.
#[model(id = "mock-provider/mock-echo")]
pub(crate) async fn echo(_ctx: &Ctx, request: ChatRequest, answer: &mut Answer) -> Result<()> {
    let text = request.messages.last().map(Message::text).unwrap_or_default();
    if text == "FAIL" {
        return Err(Error::new("mock model failure"));
    }
    answer.reasoning("hm").await?;
    for word in text.split_inclusive(' ') {
        answer.text(word).await?;
    }
    answer.tool_call("call_1", "weather", &json!({ "city": "Paris" })).await?;
    answer.finish(FinishReason::ToolCalls, Usage { input_tokens: Some(10), ..Usage::default() }).await
}

#[embedder(id = "mock-provider/lengths", dimension = 2)]
pub(crate) async fn lengths(texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
    #[expect(clippy::cast_precision_loss, reason = "short texts")]
    Ok(texts.iter().map(|text| vec![text.len() as f32, 1.0]).collect())
}

#[test]
fn model_streams_an_answer_part_by_part() {
    let plugin = opened();
    let request = ChatRequest { messages: vec![Message::user("good day")], ..ChatRequest::default() };
    let outcome = plugin.model("mock-provider/mock-echo").run(&request).unwrap();
    let kinds: Vec<_> = outcome.chunks.iter().map(|chunk| chunk["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "stream-start",
            "reasoning-start",
            "reasoning-delta",
            "reasoning-end",
            "text-start",
            "text-delta",
            "text-delta",
            "text-end",
            "tool-input-start",
            "tool-input-delta",
            "tool-input-end",
            "tool-call",
            "finish"
        ]
    );
    let completion = plugin.chat("mock-provider/mock-echo", &request).unwrap();
    assert_eq!((completion.text.as_str(), completion.reasoning.as_str()), ("good day", "hm"));
    assert_eq!(completion.tool_calls[0].input, json!({ "city": "Paris" }));
    let request = ChatRequest { messages: vec![Message::user("FAIL")], ..ChatRequest::default() };
    assert_eq!(plugin.chat("mock-provider/mock-echo", &request).unwrap_err().message, "mock model failure");
}

#[test]
fn long_answer_of_a_model_outlasts_the_buffer() {
    #[tool(untyped_output)]
    async fn count(ctx: &Ctx) -> Result<usize> {
        let mut stream = ctx.model("p/long").ask("go").stream()?;
        let mut parts = 0;
        while stream.next().await?.is_some() {
            parts += 1;
        }
        Ok(parts)
    }
    let parts = vec![StreamPart::TextDelta { id: "text-1".into(), delta: "x".into() }; 1000];
    let host = TestHost::new().model("p/long", parts);
    let plugin = host.open(Plugin::new("counts", "0.0.0").tool(count), &json!({})).unwrap();
    assert_eq!(plugin.tool("count").run(&json!({})).unwrap(), json!(1000));
}

#[test]
fn embedder_gives_a_row_for_each_text() {
    assert_eq!(opened().embed("mock-provider/lengths", &["a", "abc"]).unwrap(), [[1.0, 1.0], [3.0, 1.0]]);
}
