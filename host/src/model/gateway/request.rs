//! What is said to a hosted provider, in genai's words.

use genai::chat::{
    Binary, ChatMessage, ChatOptions, ChatRequest as Question, ChatResponseFormat, ContentPart, JsonSpec,
    MessageContent, ReasoningEffort, Tool, ToolCall, ToolChoice as Choice, ToolResponse,
};
use hotbay_plugin::chat::{ChatRequest, Message, Part, ResponseFormat, ToolChoice};
use serde_json::{Map, Value, json};

use crate::model::tool_text;

/// Returns the conversation with its tools, and warnings about what it leaves out.
pub(super) fn messages(request: &ChatRequest) -> (Question, Vec<Value>) {
    let mut warnings = Vec::new();
    let messages = request.messages.iter().map(|message| match message {
        Message::System(text) => ChatMessage::system(text.as_str()),
        Message::User(parts) => ChatMessage::user(content(parts)),
        Message::Assistant(parts) => ChatMessage::assistant(content(parts)),
        Message::Tool(parts) => ChatMessage::tool(content(parts)),
    });
    let mut question = Question::from_messages(messages.collect());
    if !request.tools.is_empty() {
        question.tools = Some(
            request
                .tools
                .iter()
                .map(|tool| {
                    let schema = if tool.input_schema.is_object() {
                        tool.input_schema.clone()
                    } else {
                        json!({ "type": "object", "properties": {} })
                    };
                    Tool::new(tool.name.as_str()).with_description(tool.description.as_str()).with_schema(schema)
                })
                .collect(),
        );
    }
    let settings = &request.settings;
    for (name, is_set) in [
        ("topK", settings.top_k.is_some()),
        ("presencePenalty", settings.presence_penalty.is_some()),
        ("frequencyPenalty", settings.frequency_penalty.is_some()),
        ("seed", settings.seed.is_some_and(i64::is_negative)),
    ] {
        if is_set {
            warnings.push(json!({ "type": "unsupported-setting", "setting": name }));
        }
    }
    (question, warnings)
}

/// Returns everything else a request may say.
pub(super) fn options(request: &ChatRequest, provider: &str, headers: &[(String, String)]) -> ChatOptions {
    let settings = &request.settings;
    // Captured calls are how genai keeps the pieces of parallel calls apart.
    let mut options = ChatOptions::default().with_capture_usage(true).with_capture_tool_calls(true);
    options = options.with_capture_reasoning_content(true);
    options.temperature = settings.temperature;
    options.top_p = settings.top_p;
    options.max_tokens = settings.max_output_tokens;
    options.seed = settings.seed.and_then(|seed| u64::try_from(seed).ok());
    options.stop_sequences.clone_from(&settings.stop_sequences);
    options.response_format = request.response_format.as_ref().map(|ResponseFormat::Json { schema }| match schema {
        Some(schema) => ChatResponseFormat::JsonSpec(JsonSpec::new("response", schema.clone())),
        None => ChatResponseFormat::JsonMode,
    });
    if !request.tools.is_empty() {
        options.tool_choice = match &request.tool_choice {
            ToolChoice::Auto => None,
            ToolChoice::None => Some(Choice::None),
            ToolChoice::Required => Some(Choice::Required),
            ToolChoice::Tool { tool_name } => Some(Choice::tool(tool_name.as_str())),
        };
    }
    if !headers.is_empty() {
        options = options.with_extra_headers(headers.to_vec());
    }
    if let Some(Value::Object(own)) = request.provider_options.get(provider) {
        add_provider_options(&mut options, own);
    }
    options
}

/// Adds what only this provider understands; what has no field in genai goes into the
/// body as it is.
fn add_provider_options(options: &mut ChatOptions, own: &Map<String, Value>) {
    let mut body = own.clone();
    if let Some(effort) = own.get("reasoningEffort").and_then(Value::as_str)
        && let Ok(effort) = effort.parse::<ReasoningEffort>()
    {
        options.reasoning_effort = Some(effort);
        body.shift_remove("reasoningEffort");
    }
    if !body.is_empty() {
        options.extra_body = Some(Value::Object(body));
    }
}

fn content(parts: &[Part]) -> MessageContent {
    MessageContent::from_parts(parts.iter().map(part).collect::<Vec<_>>())
}

fn part(part: &Part) -> ContentPart {
    match part {
        Part::Text { text } => ContentPart::Text(text.clone()),
        Part::Reasoning { text } => ContentPart::ReasoningContent(text.clone()),
        Part::File { data, media_type, filename } => ContentPart::Binary(file(data, media_type, filename.clone())),
        Part::ToolCall { tool_call_id, tool_name, input } => ContentPart::ToolCall(ToolCall {
            call_id: tool_call_id.clone(),
            fn_name: tool_name.clone(),
            fn_arguments: input.clone(),
            thought_signatures: None,
        }),
        Part::ToolResult { tool_call_id, tool_name, output } => ContentPart::ToolResponse(
            ToolResponse::new(tool_call_id.as_str(), tool_text(output)).with_fn_name(tool_name.as_str()),
        ),
    }
}

fn file(data: &str, media_type: &str, filename: Option<String>) -> Binary {
    if data.starts_with("http://") || data.starts_with("https://") {
        return Binary::from_url(media_type, data, filename);
    }
    let content = match data.strip_prefix("data:") {
        Some(url) => url.split_once(',').map_or(url, |(_, content)| content),
        None => data,
    };
    Binary::from_base64(media_type, content, filename)
}
