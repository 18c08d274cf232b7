//! Hosted providers' wires, through the gateway.

use std::sync::Arc;

use hotbay::model::{Model, ModelError};
use hotbay_plugin::chat::{ChatRequest, Message, Part, ResponseFormat, ToolChoice, ToolOutput, ToolSpec};
use hotbay_tests::openai_fake::{OpenAiFake, Reply, delta, finish, usage};
use serde_json::{Value, json};

use super::{answer, ask, failure, hello, provider, raw, text, user, within};

const KEY: &str = "api_key = 'sk-of-the-fake'";

fn openai(fake: &OpenAiFake, settings: &str) -> Arc<dyn Model> {
    provider("openai", &fake.base_url(), &format!("{KEY}\n{settings}"))
}

fn anthropic(fake: &OpenAiFake, settings: &str) -> Arc<dyn Model> {
    provider("anthropic", &fake.base_url(), &format!("{KEY}\n{settings}"))
}

/// Returns a stream of Anthropic's events.
fn events(events: &[Value]) -> Reply {
    events.iter().fold(Reply::stream(), |reply, event| {
        reply.text(format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
    })
}

fn anthropic_says() -> Reply {
    events(&[
        json!({ "type": "message_start", "message": { "usage": { "input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": 2 } } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "thinking", "thinking": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "thinking_delta", "thinking": "hm" } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "text_delta", "text": "Hel" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "text_delta", "text": "lo" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "content_block_start", "index": 2, "content_block": { "type": "tool_use", "id": "a", "name": "f", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 2, "delta": { "type": "input_json_delta", "partial_json": "{\"x\":" } }),
        json!({ "type": "content_block_delta", "index": 2, "delta": { "type": "input_json_delta", "partial_json": "1}" } }),
        json!({ "type": "content_block_stop", "index": 2 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ])
}

#[tokio::test]
async fn anthropic_answer_has_the_same_parts() {
    let fake = OpenAiFake::start([anthropic_says()]).await;
    let parts = answer(&*anthropic(&fake, ""), hello()).await;
    assert_eq!(
        raw(&parts),
        json!([
            { "type": "stream-start" },
            { "type": "reasoning-start", "id": "0" },
            { "type": "reasoning-delta", "id": "0", "delta": "hm" },
            { "type": "reasoning-end", "id": "0" },
            { "type": "text-start", "id": "1" },
            { "type": "text-delta", "id": "1", "delta": "Hel" },
            { "type": "text-delta", "id": "1", "delta": "lo" },
            { "type": "text-end", "id": "1" },
            { "type": "tool-input-start", "id": "a", "toolName": "f" },
            { "type": "tool-input-delta", "id": "a", "delta": "{\"x\":" },
            { "type": "tool-input-delta", "id": "a", "delta": "1}" },
            { "type": "tool-input-end", "id": "a" },
            { "type": "tool-call", "toolCallId": "a", "toolName": "f", "input": "{\"x\":1}" },
            { "type": "finish", "finishReason": "tool-calls", "usage": {
                "inputTokens": 9, "outputTokens": 5, "totalTokens": 14, "cachedInputTokens": 2,
            } },
        ])
    );
    let request = fake.requests().remove(0);
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.headers["x-api-key"], "sk-of-the-fake");
    assert_eq!(request.body["model"], "model");
}

#[tokio::test]
async fn openai_answer_has_the_same_parts() {
    let call = |call: Value| delta(json!({ "tool_calls": [call] }));
    let fake = OpenAiFake::start([Reply::chunks([
        delta(json!({ "content": "Grüße" })),
        call(json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "" } })),
        call(json!({ "index": 1, "id": "b", "function": { "name": "g", "arguments": "{}" } })),
        call(json!({ "index": 0, "function": { "arguments": "{\"x\":" } })),
        call(json!({ "index": 0, "function": { "arguments": "1}" } })),
        finish("tool_calls"),
        usage(json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
            "completion_tokens_details": { "reasoning_tokens": 2 } })),
    ])
    .split(3)])
    .await;
    let parts = answer(&*openai(&fake, "headers = { x-team = 'blue' }"), hello()).await;
    assert_eq!(
        raw(&parts),
        json!([
            { "type": "stream-start" },
            { "type": "text-start", "id": "0" },
            { "type": "text-delta", "id": "0", "delta": "Grüße" },
            { "type": "text-end", "id": "0" },
            { "type": "tool-input-start", "id": "a", "toolName": "f" },
            { "type": "tool-input-start", "id": "b", "toolName": "g" },
            { "type": "tool-input-delta", "id": "b", "delta": "{}" },
            { "type": "tool-input-delta", "id": "a", "delta": "{\"x\":" },
            { "type": "tool-input-delta", "id": "a", "delta": "1}" },
            { "type": "tool-input-end", "id": "a" },
            { "type": "tool-call", "toolCallId": "a", "toolName": "f", "input": "{\"x\":1}" },
            { "type": "tool-input-end", "id": "b" },
            { "type": "tool-call", "toolCallId": "b", "toolName": "g", "input": "{}" },
            { "type": "finish", "finishReason": "tool-calls", "usage": {
                "inputTokens": 3, "outputTokens": 4, "totalTokens": 7, "reasoningTokens": 2,
            } },
        ])
    );
    let request = fake.requests().remove(0);
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.headers["authorization"], "Bearer sk-of-the-fake");
    assert_eq!(request.headers["x-team"], "blue");
}

/// A conversation with everything in it.
fn conversation() -> ChatRequest {
    let mut request = ChatRequest {
        messages: vec![
            Message::System("be kind".into()),
            user("weather?"),
            Message::Assistant(vec![Part::ToolCall {
                tool_call_id: "a".into(),
                tool_name: "f".into(),
                input: json!({ "x": 1 }),
            }]),
            Message::Tool(vec![Part::ToolResult {
                tool_call_id: "a".into(),
                tool_name: "f".into(),
                output: ToolOutput::Text("sunny".into()),
            }]),
        ],
        tools: vec![ToolSpec {
            name: "f".into(),
            description: "does".into(),
            input_schema: json!({ "type": "object" }),
        }],
        tool_choice: ToolChoice::Tool { tool_name: "f".into() },
        ..ChatRequest::default()
    };
    request.settings.temperature = Some(0.5);
    request.settings.max_output_tokens = Some(10);
    request
}

#[tokio::test]
async fn openai_is_asked_everything() {
    let mut request = conversation();
    request.response_format =
        Some(ResponseFormat::Json { schema: Some(json!({ "type": "object", "properties": {} })) });
    let fake = OpenAiFake::start([Reply::says("ok")]).await;
    answer(&*openai(&fake, ""), request).await;
    let body = fake.requests().remove(0).body;
    let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool"]);
    assert_eq!(body["messages"][2]["tool_calls"][0]["function"], json!({ "name": "f", "arguments": "{\"x\":1}" }));
    assert_eq!(body["messages"][3]["content"], "sunny");
    assert_eq!(body["tools"][0]["function"]["name"], "f");
    assert_eq!(body["tool_choice"]["function"]["name"], "f");
    assert_eq!(body["response_format"]["type"], "json_schema");
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["stream"], true);
}

#[tokio::test]
async fn anthropic_is_asked_everything() {
    let fake = OpenAiFake::start([anthropic_says()]).await;
    answer(&*anthropic(&fake, ""), conversation()).await;
    let body = fake.requests().remove(0).body;
    assert!(body["system"].to_string().contains("be kind"), "{body}");
    assert_eq!(body["messages"][1]["content"][0]["type"], "tool_use");
    assert_eq!(body["messages"][2]["content"][0]["type"], "tool_result");
    assert_eq!(body["tools"][0]["name"], "f");
    assert_eq!(body["tool_choice"]["name"], "f");
    assert_eq!(body["max_tokens"], 10);
}

#[tokio::test]
async fn passing_failures_are_repeated() {
    let busy = |status| Reply::json(status, &json!({ "error": { "message": "busy" } })).header("retry-after-ms", "1");
    let fake = OpenAiFake::start([busy(429), busy(529), anthropic_says()]).await;
    assert_eq!(text(&answer(&*anthropic(&fake, ""), hello()).await), "Hello");
    assert_eq!(fake.requests().len(), 3);

    let overloaded = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    let fake = OpenAiFake::start([events(&[overloaded]), anthropic_says()]).await;
    assert_eq!(text(&answer(&*anthropic(&fake, ""), hello()).await), "Hello");
}

#[tokio::test]
async fn refusals_are_told_in_the_providers_words() {
    let fake = OpenAiFake::start([Reply::json(400, &json!({ "error": { "message": "no such model" } }))]).await;
    let error = failure(&*openai(&fake, ""), hello()).await;
    assert!(matches!(&error, ModelError::Refused { status: Some(400), message } if message.contains("no such model")));

    let fake = OpenAiFake::start([Reply::json(401, &json!({ "error": { "message": "bad key" } }))]).await;
    let error = failure(&*anthropic(&fake, ""), hello()).await.to_string();
    assert!(error.contains("ANTHROPIC_API_KEY") && !error.contains("sk-of"), "{error}");
}

#[tokio::test]
async fn broken_answers_are_errors() {
    let begun = || Reply::stream().chunk(delta(json!({ "content": "half" })));
    for reply in [begun().cut(), begun()] {
        let fake = OpenAiFake::start([reply]).await;
        let (parts, error) = ask(&*openai(&fake, ""), hello()).await;
        assert_eq!(text(&parts), "half");
        assert!(matches!(error, Some(ModelError::Unavailable { .. })), "{error:?}");
    }
    let fake = OpenAiFake::start([Reply::stream().text("data: {]\n\n")]).await;
    let error = failure(&*openai(&fake, ""), hello()).await;
    assert!(matches!(error, ModelError::Garbled(_)), "{error:?}");
}

#[tokio::test]
async fn silence_times_out_and_closes_the_connection() {
    let fake = OpenAiFake::start([Reply::silence()]).await;
    let error = failure(&*openai(&fake, "first_byte_timeout_ms = 100"), hello()).await;
    assert!(matches!(error, ModelError::TimedOut { .. }), "{error:?}");
    within(fake.ended(1)).await;

    let fake = OpenAiFake::start([Reply::stream().chunk(delta(json!({ "content": "half" }))).stall()]).await;
    let (_, error) = ask(&*openai(&fake, "idle_timeout_ms = 100"), hello()).await;
    assert!(matches!(error, Some(ModelError::TimedOut { .. })), "{error:?}");
    within(fake.ended(1)).await;
}

#[tokio::test]
async fn dropped_answer_closes_the_connection() {
    let fake = OpenAiFake::start([Reply::stream().chunk(delta(json!({ "content": "half" }))).stall()]).await;
    let parts = within(openai(&fake, "").chat(hello())).await.unwrap();
    drop(parts);
    within(fake.ended(1)).await;
}
