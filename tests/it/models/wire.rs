//! What is said on the OpenAI wire, and how answers are read.

use hotbay_plugin::chat::{ChatRequest, Message, Part, ResponseFormat, Settings, ToolChoice, ToolOutput, ToolSpec};
use hotbay_tests::openai_fake::{OpenAiFake, Reply, delta, finish, usage};
use serde_json::{Value, json};

use super::{answer, failure, hello, model, raw, text, user};

/// Returns the answer to a stream, as JSON, without what every answer begins with.
async fn parts_of(reply: Reply) -> Value {
    let fake = OpenAiFake::start([reply]).await;
    let Value::Array(parts) = raw(&answer(&*model(&fake, ""), hello()).await) else { unreachable!() };
    parts.into_iter().filter(|part| part["type"] != "stream-start" && part["type"] != "response-metadata").collect()
}

#[tokio::test]
async fn text_is_streamed_in_order() {
    let fake = OpenAiFake::start([Reply::chunks([
        delta(json!({ "role": "assistant", "content": "" })),
        delta(json!({ "content": "Hel" })),
        delta(json!({ "content": "lo" })),
        finish("stop"),
        usage(json!({
            "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
            "prompt_tokens_details": { "cached_tokens": 4 }, "completion_tokens_details": { "reasoning_tokens": 1 },
        })),
    ])])
    .await;
    let parts = answer(&*model(&fake, ""), hello()).await;
    assert_eq!(
        raw(&parts),
        json!([
            { "type": "stream-start" },
            { "type": "response-metadata", "id": "chatcmpl-1", "timestampMs": 1_700_000_000_000_i64, "modelId": "fake" },
            { "type": "text-start", "id": "0" },
            { "type": "text-delta", "id": "0", "delta": "Hel" },
            { "type": "text-delta", "id": "0", "delta": "lo" },
            { "type": "text-end", "id": "0" },
            { "type": "finish", "finishReason": "stop", "usage": {
                "inputTokens": 9, "outputTokens": 2, "totalTokens": 11, "reasoningTokens": 1, "cachedInputTokens": 4,
            } },
        ])
    );
}

#[tokio::test]
async fn reasoning_ends_before_text_begins() {
    for name in ["reasoning_content", "reasoning"] {
        let parts = parts_of(Reply::chunks([
            delta(json!({ name: "hm" })),
            delta(json!({ name: "!" })),
            delta(json!({ "content": "yes" })),
            finish("length"),
        ]))
        .await;
        assert_eq!(
            parts,
            json!([
                { "type": "reasoning-start", "id": "0" },
                { "type": "reasoning-delta", "id": "0", "delta": "hm" },
                { "type": "reasoning-delta", "id": "0", "delta": "!" },
                { "type": "reasoning-end", "id": "0" },
                { "type": "text-start", "id": "1" },
                { "type": "text-delta", "id": "1", "delta": "yes" },
                { "type": "text-end", "id": "1" },
                { "type": "finish", "finishReason": "length", "usage": {} },
            ])
        );
    }
}

fn call(call: Value) -> Value {
    delta(json!({ "tool_calls": [call] }))
}

#[tokio::test]
async fn parallel_calls_are_put_together_from_interleaved_pieces() {
    let parts = parts_of(Reply::chunks([
        delta(json!({ "content": "So:" })),
        call(json!({ "index": 0, "id": "a", "type": "function", "function": { "name": "f", "arguments": "" } })),
        call(json!({ "index": 1, "id": "b", "type": "function", "function": { "name": "g", "arguments": "{" } })),
        call(json!({ "index": 0, "function": { "arguments": "{\"x\":" } })),
        call(json!({ "index": 1, "function": { "arguments": "}" } })),
        call(json!({ "index": 0, "function": { "arguments": "1}" } })),
        finish("tool_calls"),
    ]))
    .await;
    assert_eq!(
        parts,
        json!([
            { "type": "text-start", "id": "0" },
            { "type": "text-delta", "id": "0", "delta": "So:" },
            { "type": "text-end", "id": "0" },
            { "type": "tool-input-start", "id": "a", "toolName": "f" },
            { "type": "tool-input-start", "id": "b", "toolName": "g" },
            { "type": "tool-input-delta", "id": "b", "delta": "{" },
            { "type": "tool-input-delta", "id": "a", "delta": "{\"x\":" },
            { "type": "tool-input-delta", "id": "b", "delta": "}" },
            { "type": "tool-input-delta", "id": "a", "delta": "1}" },
            { "type": "tool-input-end", "id": "a" },
            { "type": "tool-call", "toolCallId": "a", "toolName": "f", "input": "{\"x\":1}" },
            { "type": "tool-input-end", "id": "b" },
            { "type": "tool-call", "toolCallId": "b", "toolName": "g", "input": "{}" },
            { "type": "finish", "finishReason": "tool-calls", "usage": {} },
        ])
    );
}

/// Returns name and arguments of each call of an answer with these call pieces; checks
/// that their ids differ.
async fn calls(pieces: impl IntoIterator<Item = Value>, reason: &str) -> Vec<(String, String)> {
    let chunks = pieces.into_iter().map(call).chain([finish(reason)]);
    let Value::Array(parts) = parts_of(Reply::chunks(chunks.collect::<Vec<_>>())).await else { unreachable!() };
    assert_eq!(parts.last().unwrap()["finishReason"], "tool-calls");
    let calls: Vec<_> = parts.iter().filter(|part| part["type"] == "tool-call").collect();
    let mut ids: Vec<_> = calls.iter().map(|call| call["toolCallId"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), calls.len());
    calls
        .iter()
        .map(|call| (call["toolName"].as_str().unwrap().into(), call["input"].as_str().unwrap().into()))
        .collect()
}

fn expected(calls: &[(&str, &str)]) -> Vec<(String, String)> {
    calls.iter().map(|(name, input)| ((*name).into(), (*input).into())).collect()
}

#[tokio::test]
async fn calls_of_sloppy_servers_are_understood() {
    // Without ids, and the wrong reason.
    let pieces = [
        json!({ "index": 0, "function": { "name": "f", "arguments": "{\"a\"" } }),
        json!({ "index": 0, "id": "", "function": { "name": "", "arguments": ":1}" } }),
    ];
    assert_eq!(calls(pieces, "stop").await, expected(&[("f", "{\"a\":1}")]));
    // Without index.
    let pieces = [
        json!({ "id": "a", "function": { "name": "f", "arguments": "{" } }),
        json!({ "function": { "arguments": "}" } }),
        json!({ "id": "b", "function": { "name": "f", "arguments": "{\"b\":2}" } }),
    ];
    assert_eq!(calls(pieces, "tool_calls").await, expected(&[("f", "{}"), ("f", "{\"b\":2}")]));
    // Every index 0.
    let pieces = [
        json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "{\"a\":1}" } }),
        json!({ "index": 0, "id": "b", "function": { "name": "g", "arguments": "{\"b\":" } }),
        json!({ "index": 0, "function": { "arguments": "2}" } }),
    ];
    assert_eq!(calls(pieces, "tool_calls").await, expected(&[("f", "{\"a\":1}"), ("g", "{\"b\":2}")]));
    // An object as arguments, no arguments, and the name late and again.
    let pieces = [
        json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": { "a": 1 } } }),
        json!({ "index": 1, "id": "b", "function": { "name": "g" } }),
        json!({ "index": 2, "id": "c", "function": { "arguments": "{" } }),
        json!({ "index": 2, "id": "c", "function": { "name": "h", "arguments": "" } }),
        json!({ "index": 2, "id": "c", "function": { "name": "h", "arguments": "}" } }),
    ];
    assert_eq!(calls(pieces, "stop").await, expected(&[("f", "{\"a\":1}"), ("g", "{}"), ("h", "{}")]));
}

#[tokio::test]
async fn call_without_a_name_is_garbled() {
    let nameless = call(json!({ "index": 0, "id": "a", "function": { "arguments": "{}" } }));
    let fake = OpenAiFake::start([Reply::chunks([nameless, finish("stop")])]).await;
    let error = failure(&*model(&fake, ""), hello()).await;
    assert!(error.to_string().contains("tool call without a name"), "{error}");
}

#[tokio::test]
async fn bytes_may_be_split_anywhere() {
    let words = "Grüße aus 東京 🎌 und \r\n mehr";
    for size in 1..=7 {
        let fake = OpenAiFake::start([Reply::says(words).split(size)]).await;
        assert_eq!(text(&answer(&*model(&fake, ""), hello()).await), words);
    }
}

#[tokio::test]
async fn every_framing_of_the_stream_is_read() {
    let (one, two) = (delta(json!({ "content": "one " })), delta(json!({ "content": "two" })));
    let end = finish("stop");
    let framings = [
        format!("data: {one}\r\n\r\ndata: {two}\r\n\r\ndata: {end}\r\n\r\ndata: [DONE]\r\n\r\n"),
        format!("data:{one}\r\rdata:{two}\r\rdata:{end}\r\rdata:[DONE]\r\r"),
        // Comments, keep-alives and fields nobody needs.
        format!(
            ": hello\n\n\nid: 1\nevent: message\nretry: 5\ndata: {one}\n\n: ping\n\ndata: \n\nevent: ping\n\ndata: {two}\n\ndata: {end}\n\n"
        ),
        // Neither [DONE] nor the last empty line.
        format!("data: {one}\n\ndata: {two}\n\ndata: {end}"),
        format!("\u{feff}data: {one}\n\ndata: {two}\n\ndata: {end}\n\n"),
    ];
    for framing in framings {
        for size in [1, 4096] {
            let fake = OpenAiFake::start([Reply::stream().text(framing.clone()).split(size)]).await;
            assert_eq!(text(&answer(&*model(&fake, ""), hello()).await), "one two", "{framing:?}");
        }
    }
}

#[tokio::test]
async fn server_that_does_not_stream_is_understood() {
    let document = json!({
        "id": "x", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Well", "reasoning_content": "hm",
            "tool_calls": [{ "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } }],
        } }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 4 },
    });
    for content_type in ["application/json", "text/event-stream", "text/plain"] {
        let parts = parts_of(Reply::raw(200, content_type, format!("\n {document}")).split(5)).await;
        assert_eq!(
            parts,
            json!([
                { "type": "reasoning-start", "id": "0" },
                { "type": "reasoning-delta", "id": "0", "delta": "hm" },
                { "type": "reasoning-end", "id": "0" },
                { "type": "text-start", "id": "1" },
                { "type": "text-delta", "id": "1", "delta": "Well" },
                { "type": "text-end", "id": "1" },
                { "type": "tool-input-start", "id": "a", "toolName": "f" },
                { "type": "tool-input-delta", "id": "a", "delta": "{\"a\":1}" },
                { "type": "tool-input-end", "id": "a" },
                { "type": "tool-call", "toolCallId": "a", "toolName": "f", "input": "{\"a\":1}" },
                { "type": "finish", "finishReason": "tool-calls", "usage": {
                    "inputTokens": 3, "outputTokens": 4, "totalTokens": 7,
                } },
            ])
        );
    }
}

/// Returns what the fake was asked.
async fn body_of(request: ChatRequest) -> Value {
    let fake = OpenAiFake::start([Reply::says("ok")]).await;
    answer(&*model(&fake, ""), request).await;
    fake.requests().remove(0).body
}

#[tokio::test]
async fn conversation_is_said_in_the_words_of_the_wire() {
    let file = |data: &str, media_type: &str| Part::File {
        data: data.into(),
        media_type: media_type.into(),
        filename: Some("a.pdf".into()),
    };
    let messages = vec![
        Message::System("be kind".into()),
        user("hi"),
        Message::User(vec![
            Part::Text { text: "see".into() },
            file("https://example.com/a.png", "image/png"),
            file("QUJD", "image/jpeg"),
            file("data:application/pdf;base64,QUJD", "application/pdf"),
            file("QUJD", "audio/wav"),
        ]),
        Message::Assistant(vec![
            Part::Reasoning { text: "hm".into() },
            Part::ToolCall { tool_call_id: "a".into(), tool_name: "f".into(), input: json!({ "x": 1 }) },
        ]),
        Message::Tool(vec![
            Part::ToolResult { tool_call_id: "a".into(), tool_name: "f".into(), output: ToolOutput::Json(json!([1])) },
            Part::ToolResult {
                tool_call_id: "b".into(),
                tool_name: "f".into(),
                output: ToolOutput::ErrorText("no".into()),
            },
        ]),
        Message::Assistant(vec![Part::Text { text: "there".into() }]),
    ];
    let body = body_of(ChatRequest { messages, ..ChatRequest::default() }).await;
    assert_eq!(
        body["messages"],
        json!([
            { "role": "system", "content": "be kind" },
            { "role": "user", "content": "hi" },
            { "role": "user", "content": [
                { "type": "text", "text": "see" },
                { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
                { "type": "image_url", "image_url": { "url": "data:image/jpeg;base64,QUJD" } },
                { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD" } },
                { "type": "input_audio", "input_audio": { "data": "QUJD", "format": "wav" } },
            ] },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "a", "type": "function", "function": { "name": "f", "arguments": "{\"x\":1}" } },
            ] },
            { "role": "tool", "tool_call_id": "a", "content": "[1]" },
            { "role": "tool", "tool_call_id": "b", "content": "no" },
            { "role": "assistant", "content": "there" },
        ])
    );
}

#[tokio::test]
async fn tools_settings_and_options_are_passed_on() {
    let mut request = hello();
    request.tools = vec![ToolSpec { name: "f".into(), description: "does".into(), input_schema: Value::Null }];
    request.settings = Settings {
        temperature: Some(0.5),
        top_p: Some(0.25),
        top_k: Some(7),
        max_output_tokens: Some(10),
        presence_penalty: Some(1.0),
        frequency_penalty: Some(2.0),
        stop_sequences: vec!["END".into()],
        seed: Some(-1),
        max_retries: None,
    };
    let schema = json!({ "type": "object" });
    request.response_format = Some(ResponseFormat::Json { schema: Some(schema) });
    request.provider_options.insert("fake".into(), json!({ "reasoningEffort": "low", "logprobs": true }));
    request.provider_options.insert("other".into(), json!({ "ignored": true }));
    let mut body = body_of(request.clone()).await;
    body["messages"].take();
    assert_eq!(
        body,
        json!({
            "model": "model", "messages": null, "stream": true, "stream_options": { "include_usage": true },
            "temperature": 0.5, "top_p": 0.25, "top_k": 7, "max_tokens": 10, "presence_penalty": 1.0,
            "frequency_penalty": 2.0, "seed": -1, "stop": ["END"],
            "tools": [{ "type": "function", "function": {
                "name": "f", "description": "does", "parameters": { "type": "object", "properties": {} },
            } }],
            "response_format": { "type": "json_schema", "json_schema": { "name": "response", "schema": { "type": "object" } } },
            "reasoning_effort": "low", "logprobs": true,
        })
    );
    for (choice, word) in [
        (ToolChoice::None, json!("none")),
        (ToolChoice::Required, json!("required")),
        (ToolChoice::Tool { tool_name: "f".into() }, json!({ "type": "function", "function": { "name": "f" } })),
    ] {
        request.tool_choice = choice;
        assert_eq!(body_of(request.clone()).await["tool_choice"], word);
    }
    request.response_format = Some(ResponseFormat::Json { schema: None });
    assert_eq!(body_of(request).await["response_format"], json!({ "type": "json_object" }));
}

#[tokio::test]
async fn key_and_headers_are_sent() {
    let fake = OpenAiFake::start([Reply::says("ok")]).await;
    let model = model(&fake, "api_key_env = 'FAKE_KEY'\nheaders = { x-team = 'blue' }");
    answer(&*model, hello()).await;
    let request = fake.requests().remove(0);
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.headers["authorization"], "Bearer sk-of-the-fake");
    assert_eq!(request.headers["x-team"], "blue");
}

#[tokio::test]
async fn file_the_wire_cannot_carry_is_refused() {
    let mut request = hello();
    let data = "https://example.com/a.pdf".into();
    request.messages =
        vec![Message::User(vec![Part::File { data, media_type: "application/pdf".into(), filename: None }])];
    let fake = OpenAiFake::start([]).await;
    let error = failure(&*model(&fake, ""), request).await;
    assert!(error.to_string().contains("application/pdf"), "{error}");
    assert!(fake.requests().is_empty());
}
