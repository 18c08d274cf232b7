//! The scripted model: answers without a key, a network or a model.
//!
//! It is no language model and says so in every text. `mock/echo` repeats the last
//! text; `mock/script` also calls tools (see [`directive`]), fills schemas (see
//! [`schema`]) and follows a script given in the request (see [`script`]). The same
//! request always gets the same answer. The embedder `mock/ngram` is in [`ngram`].

mod directive;
pub(super) mod ngram;
mod schema;
mod script;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use hotbay_plugin::chat::{ChatRequest, FinishReason, Message, Part, ResponseFormat, StreamPart, ToolChoice, Usage};
use serde_json::Value;

use self::{
    schema::{Hints, fill},
    script::{Answer, Call},
};
use super::{Model, ModelError, PartStream, parts::PartQueue, tool_text};

/// The part of its names before the `/`.
pub(super) const PROVIDER: &str = "mock";

/// The parts after it.
pub(super) const MODELS: &[&str] = &["script", "echo"];

/// Begins every text, so that nobody takes it for a model's.
const LABEL: &str = "[scripted model]";

/// Which of the two it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripted {
    /// Repeats.
    Echo,
    /// Calls tools and follows scripts.
    Script,
}

impl Scripted {
    /// Returns the one of this name.
    pub(super) fn named(model: &str) -> Result<Self, ModelError> {
        match model {
            "echo" => Ok(Self::Echo),
            "script" => Ok(Self::Script),
            _ => Err(ModelError::Unknown(format!(
                "there is no scripted model `{PROVIDER}/{model}`, there are {PROVIDER}/script and {PROVIDER}/echo"
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Echo => "mock/echo",
            Self::Script => "mock/script",
        }
    }

    fn answer(self, request: &ChatRequest) -> Result<Answer, ModelError> {
        let said = last_user_text(&request.messages);
        if self == Self::Script {
            if let Some(answer) = script::next(request)? {
                return Ok(answer);
            }
            let calls = calls(request, &said);
            if !calls.is_empty() {
                return Ok(Answer { tool_calls: calls, ..Answer::default() });
            }
        }
        let text = match (&request.response_format, request.messages.last()) {
            (Some(ResponseFormat::Json { schema }), _) => {
                fill(schema.as_ref().unwrap_or(&Value::Null), &mut Hints::none()).to_string()
            }
            (None, Some(Message::Tool(parts))) => summary(parts),
            (None, _) => format!("{LABEL} You said: {said}"),
        };
        Ok(Answer { text: Some(text), ..Answer::default() })
    }
}

#[async_trait]
impl Model for Scripted {
    async fn chat(&self, request: ChatRequest) -> Result<PartStream, ModelError> {
        let answer = self.answer(&request)?;
        if let (Some(error), None) = (&answer.error, &answer.text) {
            return Err(ModelError::Refused { status: None, message: error.clone() });
        }
        let pause = Duration::from_millis(answer.delay_ms);
        let parts = parts(self.name(), &request, answer);
        Ok(stream::iter(parts)
            .then(move |part| async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Ok(part)
            })
            .boxed())
    }
}

/// Returns the calls the request leads to: nothing once a tool has answered.
fn calls(request: &ChatRequest, said: &str) -> Vec<Call> {
    if matches!(request.messages.last(), Some(Message::Tool(_))) || request.tool_choice == ToolChoice::None {
        return Vec::new();
    }
    let demanded = match &request.tool_choice {
        ToolChoice::Tool { tool_name } => request.tools.iter().find(|tool| tool.name == *tool_name),
        ToolChoice::Required => request.tools.first(),
        ToolChoice::Auto | ToolChoice::None => None,
    };
    let offered = match (&request.tool_choice, demanded) {
        (ToolChoice::Tool { .. }, Some(tool)) => std::slice::from_ref(tool),
        _ => &request.tools,
    };
    let calls = directive::calls(said, offered);
    if !calls.is_empty() {
        return calls;
    }
    demanded.map(|tool| directive::call(tool, said)).into_iter().collect()
}

/// Says what the tools answered.
fn summary(parts: &[Part]) -> String {
    let mut text = LABEL.to_owned();
    for part in parts {
        if let Part::ToolResult { tool_name, output, .. } = part {
            text.push_str(&format!(" The tool {tool_name} answered: {}.", tool_text(output)));
        }
    }
    text
}

fn last_user_text(messages: &[Message]) -> String {
    let parts = messages.iter().rev().find_map(|message| match message {
        Message::User(parts) => Some(parts),
        Message::System(_) | Message::Assistant(_) | Message::Tool(_) => None,
    });
    let texts = parts.into_iter().flatten().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Cuts an answer into parts, a word at a time.
fn parts(model: &str, request: &ChatRequest, answer: Answer) -> Vec<StreamPart> {
    let mut queue = PartQueue::new(Vec::new());
    let turn = request.messages.len();
    queue.introduce(Some(format!("mock-{turn}")), None, Some(model.into()));
    let mut output_tokens = 0;
    for word in words(answer.reasoning.as_deref()) {
        output_tokens += 1;
        queue.add_reasoning(word.into());
    }
    for word in words(answer.text.as_deref()) {
        output_tokens += 1;
        queue.add_text(word.into());
    }
    for (number, call) in answer.tool_calls.into_iter().enumerate() {
        // The length of the conversation keeps the ids of two turns apart.
        let id = call.tool_call_id.unwrap_or_else(|| format!("call_{turn}_{number}"));
        let input = call.input.to_string();
        output_tokens += count(&input);
        queue.start_call(&id, &call.tool_name);
        queue.add_input(&id, input.clone());
        queue.end_call(id, call.tool_name, input);
    }
    match answer.error {
        Some(message) => queue.fail(message),
        None => {
            let input_tokens = request.messages.iter().map(message_words).sum();
            queue.finish(
                answer.finish_reason.unwrap_or(FinishReason::Stop),
                Usage {
                    input_tokens: Some(input_tokens),
                    output_tokens: Some(output_tokens),
                    total_tokens: Some(input_tokens + output_tokens),
                    ..Usage::default()
                },
            );
        }
    }
    queue.into_parts().into()
}

fn words(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.into_iter().flat_map(|text| text.split_inclusive(' '))
}

fn count(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn message_words(message: &Message) -> u64 {
    match message {
        Message::System(text) => count(text),
        Message::User(parts) | Message::Assistant(parts) | Message::Tool(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text { text } | Part::Reasoning { text } => count(text),
                Part::ToolCall { input, .. } => count(&input.to_string()),
                Part::ToolResult { output, .. } => count(&tool_text(output)),
                Part::File { .. } => 1,
            })
            .sum(),
    }
}
