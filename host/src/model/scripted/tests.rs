use hotbay_plugin::chat::{ToolOutput, ToolSpec};
use serde_json::json;

use super::*;

fn user(text: &str) -> Message {
    Message::User(vec![Part::Text { text: text.into() }])
}

fn weather() -> ToolSpec {
    ToolSpec {
        name: "weather".into(),
        description: "Tells the weather".into(),
        input_schema: json!({
            "type": "object",
            "properties": { "city": { "type": "string" }, "days": { "type": "integer" } },
            "required": ["city"],
        }),
    }
}

async fn answer(model: Scripted, request: ChatRequest) -> Vec<StreamPart> {
    model.chat(request).await.unwrap().map(Result::unwrap).collect().await
}

fn text_of(parts: &[StreamPart]) -> String {
    parts
        .iter()
        .filter_map(|part| if let StreamPart::TextDelta { delta, .. } = part { Some(delta.as_str()) } else { None })
        .collect()
}

fn calls_of(parts: &[StreamPart]) -> Vec<(String, Value)> {
    let calls = parts.iter().filter_map(|part| match part {
        StreamPart::ToolCall { tool_name, input, .. } => {
            Some((tool_name.clone(), serde_json::from_str(input).unwrap()))
        }
        _ => None,
    });
    calls.collect()
}

fn asking(text: &str, tools: Vec<ToolSpec>) -> ChatRequest {
    ChatRequest { messages: vec![user(text)], tools, ..ChatRequest::default() }
}

#[tokio::test]
async fn echo_repeats_by_words_and_counts_them() {
    let parts = answer(Scripted::Echo, asking("good day to you", vec![weather()])).await;
    assert_eq!(text_of(&parts), "[scripted model] You said: good day to you");
    assert_eq!(parts.iter().filter(|part| matches!(part, StreamPart::TextDelta { .. })).count(), 8);
    let usage = Usage { input_tokens: Some(4), output_tokens: Some(8), total_tokens: Some(12), ..Usage::default() };
    assert_eq!(parts.last(), Some(&StreamPart::Finish { finish_reason: FinishReason::Stop, usage }));
}

#[tokio::test]
async fn same_request_gets_the_same_answer() {
    let request = asking("weather in Paris", vec![weather()]);
    assert_eq!(answer(Scripted::Script, request.clone()).await, answer(Scripted::Script, request).await);
}

#[tokio::test]
async fn mentioned_tool_is_called_and_its_answer_told() {
    let mut request = asking("What is the weather in New York, please?", vec![weather()]);
    let parts = answer(Scripted::Script, request.clone()).await;
    assert_eq!(calls_of(&parts), [("weather".to_owned(), json!({ "city": "New York" }))]);
    assert!(matches!(parts.last(), Some(StreamPart::Finish { finish_reason: FinishReason::ToolCalls, .. })));

    request.messages.push(Message::Assistant(vec![]));
    request.messages.push(Message::Tool(vec![Part::ToolResult {
        tool_call_id: "call_1_0".into(),
        tool_name: "weather".into(),
        output: ToolOutput::Json(json!({ "temperature": 21 })),
    }]));
    let parts = answer(Scripted::Script, request).await;
    assert_eq!(text_of(&parts), r#"[scripted model] The tool weather answered: {"temperature":21}."#);
}

#[track_caller]
fn check_calls(text: &str, tools: &[ToolSpec], expected: &[(&str, Value)]) {
    let calls: Vec<_> = directive::calls(text, tools).into_iter().map(|call| (call.tool_name, call.input)).collect();
    let expected: Vec<_> = expected.iter().map(|(name, input)| ((*name).to_owned(), input.clone())).collect();
    assert_eq!(calls, expected);
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec { name: name.into(), ..weather() }
}

#[test]
fn tool_is_meant_by_the_words_of_its_name() {
    let city = json!({ "city": "Paris" });
    check_calls("weather in Paris", &[tool("get-weather")], &[("get-weather", city.clone())]);
    check_calls("Weather in Paris.", &[tool("getWeather")], &[("getWeather", city.clone())]);
    check_calls("weather in Paris", &[tool("weatherTool"), tool("weather")], &[("weatherTool", city)]);
    check_calls("weather for \"Bad Tölz\" in May", &[weather()], &[("weather", json!({ "city": "Bad Tölz" }))]);
    check_calls("how are you in Paris", &[weather()], &[]);
    check_calls("weather in Paris", &[tool("weather_alert")], &[]);
    check_calls("weather", &[weather()], &[("weather", json!({ "city": "weather" }))]);
}

#[test]
fn lines_call_tools_with_given_arguments() {
    let text = "do it\ncall weather {\"city\": \"Rome\", \"days\": 3}\ncall b\ncall unknown {}";
    let expected = [("weather", json!({ "city": "Rome", "days": 3 })), ("b", json!({ "city": "city" }))];
    check_calls(text, &[weather(), tool("b")], &expected);
}

#[tokio::test]
async fn tool_choice_is_obeyed() {
    let mut request = asking("weather in Paris", vec![tool("a"), tool("b")]);
    request.tool_choice = ToolChoice::Tool { tool_name: "b".into() };
    assert_eq!(calls_of(&answer(Scripted::Script, request.clone()).await)[0].0, "b");
    request.tool_choice = ToolChoice::Required;
    assert_eq!(calls_of(&answer(Scripted::Script, request.clone()).await)[0].0, "a");
    request.tools = vec![weather()];
    request.tool_choice = ToolChoice::None;
    assert_eq!(calls_of(&answer(Scripted::Script, request).await), []);
}

#[track_caller]
fn check_schema(schema: Value) {
    let document = fill(&schema, &mut Hints::none());
    if let Err(error) = jsonschema::validate(&schema, &document) {
        panic!("{document} does not fit {schema}: {error}");
    }
}

#[test]
fn documents_fit_their_schemas() {
    check_schema(json!({ "type": "object", "required": ["a", "b"], "additionalProperties": false, "properties": {
        "a": { "type": "string", "minLength": 20, "maxLength": 21 }, "b": { "$ref": "#/$defs/b" }, "c": {} },
        "$defs": { "b": { "type": "array", "minItems": 2, "items": { "enum": ["x", "y"] } } } }));
    check_schema(json!({ "type": "integer", "exclusiveMinimum": 2, "multipleOf": 5 }));
    check_schema(json!({ "type": "number", "maximum": -2.5 }));
    check_schema(json!({ "type": ["null", "boolean"] }));
    check_schema(json!({ "anyOf": [{ "type": "null" }, { "type": "string", "format": "date-time" }] }));
    check_schema(json!({ "allOf": [{ "type": "object", "required": ["a"], "properties": { "a": { "const": 1 } } }] }));
    check_schema(json!({ "type": "string", "maxLength": 3 }));
}

#[test]
fn endless_schema_ends() {
    let schema = json!({ "$ref": "#" });
    assert_eq!(fill(&schema, &mut Hints::none()), Value::Null);
}

#[tokio::test]
async fn response_format_is_answered_with_a_document() {
    let mut request = asking("anything", vec![]);
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
    request.response_format = Some(ResponseFormat::Json { schema: Some(schema) });
    for model in [Scripted::Script, Scripted::Echo] {
        assert_eq!(text_of(&answer(model, request.clone()).await), r#"{"n":0}"#);
    }
}

fn scripted(messages: Vec<Message>, script: Value) -> ChatRequest {
    let mut request = ChatRequest { messages, ..ChatRequest::default() };
    request.provider_options.insert("mock".into(), json!({ "script": script }));
    request
}

#[tokio::test]
async fn script_goes_on_with_each_turn() {
    let script = json!([
        { "reasoning": "hm", "toolCalls": [{ "toolName": "x", "input": { "a": 1 } }, { "toolName": "y", "toolCallId": "id" }] },
        { "text": "done", "finishReason": "length" },
    ]);
    let parts = answer(Scripted::Script, scripted(vec![user("go")], script.clone())).await;
    assert_eq!(calls_of(&parts), [("x".to_owned(), json!({ "a": 1 })), ("y".to_owned(), json!({}))]);
    assert!(parts.contains(&StreamPart::ReasoningDelta { id: "0".into(), delta: "hm".into() }));

    let messages = vec![user("go"), Message::Assistant(vec![]), Message::Tool(vec![])];
    let parts = answer(Scripted::Script, scripted(messages, script.clone())).await;
    assert_eq!(text_of(&parts), "done");
    assert!(matches!(parts.last(), Some(StreamPart::Finish { finish_reason: FinishReason::Length, .. })));

    let messages = vec![user("go"), Message::Assistant(vec![]), user("again")];
    let parts = answer(Scripted::Script, scripted(messages, script)).await;
    assert_eq!(calls_of(&parts).len(), 2);
}

#[tokio::test]
async fn script_fails_as_told() {
    let request = scripted(vec![user("go")], json!([{ "error": "no" }]));
    assert_eq!(Scripted::Script.chat(request).await.err().unwrap().to_string(), "no");
    let request = scripted(vec![user("go")], json!([{ "text": "half", "error": "no" }]));
    let parts = answer(Scripted::Script, request).await;
    assert_eq!(text_of(&parts), "half");
    assert_eq!(parts.last(), Some(&StreamPart::Error { message: "no".into() }));
    let request = scripted(vec![user("go")], json!([{ "txt": "typo" }]));
    assert!(Scripted::Script.chat(request).await.err().unwrap().to_string().contains("txt"));
}
