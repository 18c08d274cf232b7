//! From what a model means to say to the parts of its answer.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hotbay_plugin::{chat::StreamPart, prelude::*};

/// What every prompt is said to cost.
const INPUT_TOKENS: u64 = 10;
/// What a tool call is said to cost.
const CALL_TOKENS: u64 = 5;

/// What a model means to say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) reasoning: Option<&'static str>,
    pub(super) text: String,
    pub(super) calls: Vec<(&'static str, Value)>,
    /// Breaks the answer off where it would have finished.
    pub(super) error: Option<&'static str>,
    /// Waited for before every part.
    pub(super) delay: Option<Duration>,
}

impl Plan {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn calls(calls: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self { calls: calls.into_iter().collect(), ..Self::default() }
    }

    /// Returns the parts of the answer, in the order they are sent.
    pub(super) fn parts(self, model_id: &str, ids: &Ids) -> Vec<StreamPart> {
        let (finish_reason, usage) = (self.finish_reason(), self.usage());
        // Calls are numbered before the answer they belong to.
        let calls: Vec<_> = self.calls.into_iter().map(|(tool, input)| (ids.next("call"), tool, input)).collect();
        let mut parts = vec![
            StreamPart::StreamStart { warnings: Vec::new() },
            StreamPart::ResponseMetadata {
                id: Some(ids.next("resp")),
                timestamp_ms: Some(0),
                model_id: Some(model_id.to_owned()),
            },
        ];
        if let Some(reasoning) = self.reasoning {
            let id = || "reasoning-1".to_owned();
            parts.push(StreamPart::ReasoningStart { id: id() });
            parts.push(StreamPart::ReasoningDelta { id: id(), delta: reasoning.to_owned() });
            parts.push(StreamPart::ReasoningEnd { id: id() });
        }
        if !self.text.is_empty() {
            let id = || "text-1".to_owned();
            parts.push(StreamPart::TextStart { id: id() });
            let words = self.text.split_inclusive(' ');
            parts.extend(words.map(|word| StreamPart::TextDelta { id: id(), delta: word.to_owned() }));
            parts.push(StreamPart::TextEnd { id: id() });
        }
        for (id, tool, input) in calls {
            let (tool_name, input) = (tool.to_owned(), input.to_string());
            parts.push(StreamPart::ToolInputStart { id: id.clone(), tool_name: tool_name.clone() });
            parts.push(StreamPart::ToolInputDelta { id: id.clone(), delta: input.clone() });
            parts.push(StreamPart::ToolInputEnd { id: id.clone() });
            parts.push(StreamPart::ToolCall { tool_call_id: id, tool_name, input });
        }
        parts.push(match self.error {
            // An error is the end of an answer, so the usage stays unknown.
            Some(message) => StreamPart::Error { message: message.to_owned() },
            None => StreamPart::Finish { finish_reason, usage },
        });
        parts
    }

    fn finish_reason(&self) -> FinishReason {
        if self.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls }
    }

    fn usage(&self) -> Usage {
        // A trailing space counts as one more word, as recorded.
        let words = if self.text.is_empty() { 0 } else { self.text.split(' ').count() as u64 };
        let output = words + CALL_TOKENS * self.calls.len() as u64;
        Usage {
            input_tokens: Some(INPUT_TOKENS),
            output_tokens: Some(output),
            total_tokens: Some(INPUT_TOKENS + output),
            ..Usage::default()
        }
    }
}

/// Numbers answers and calls, together.
pub(super) struct Ids<'a>(&'a AtomicU64);

impl Ids<'static> {
    /// Returns the numbers of this process: no id is given twice.
    pub(super) fn of_process() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        Self(&COUNTER)
    }
}

impl Ids<'_> {
    fn next(&self, kind: &str) -> String {
        format!("{kind}_{}", self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(plan: Plan, expected: &Value) {
        let counter = AtomicU64::new(0);
        let parts = plan.parts("mock-echo", &Ids(&counter));
        assert_eq!(serde_json::to_value(parts).unwrap(), *expected);
    }

    fn metadata(id: &str) -> Value {
        json!({ "type": "response-metadata", "id": id, "timestampMs": 0, "modelId": "mock-echo" })
    }

    fn finish(reason: &str, output: u64) -> Value {
        let usage = json!({ "inputTokens": 10, "outputTokens": output, "totalTokens": 10 + output });
        json!({ "type": "finish", "finishReason": reason, "usage": usage })
    }

    #[test]
    fn reasoning_comes_whole_and_text_word_by_word() {
        check(
            Plan { reasoning: Some("thinking hard"), ..Plan::text("Echo: hello") },
            &json!([
                { "type": "stream-start" },
                metadata("resp_1"),
                { "type": "reasoning-start", "id": "reasoning-1" },
                { "type": "reasoning-delta", "id": "reasoning-1", "delta": "thinking hard" },
                { "type": "reasoning-end", "id": "reasoning-1" },
                { "type": "text-start", "id": "text-1" },
                { "type": "text-delta", "id": "text-1", "delta": "Echo: " },
                { "type": "text-delta", "id": "text-1", "delta": "hello" },
                { "type": "text-end", "id": "text-1" },
                finish("stop", 2),
            ]),
        );
    }

    #[test]
    fn text_that_ends_with_a_space_is_one_delta_and_counts_two() {
        check(
            Plan::text("Echo: "),
            &json!([
                { "type": "stream-start" },
                metadata("resp_1"),
                { "type": "text-start", "id": "text-1" },
                { "type": "text-delta", "id": "text-1", "delta": "Echo: " },
                { "type": "text-end", "id": "text-1" },
                finish("stop", 2),
            ]),
        );
    }

    #[test]
    fn calls_are_numbered_before_the_answer_and_cost_five_each() {
        let plan =
            Plan::calls([("weather", json!({ "city": "Rome" })), ("calculator", json!({ "op": "add", "a": 1 }))]);
        check(
            plan,
            &json!([
                { "type": "stream-start" },
                metadata("resp_3"),
                { "type": "tool-input-start", "id": "call_1", "toolName": "weather" },
                { "type": "tool-input-delta", "id": "call_1", "delta": "{\"city\":\"Rome\"}" },
                { "type": "tool-input-end", "id": "call_1" },
                { "type": "tool-call", "toolCallId": "call_1", "toolName": "weather", "input": "{\"city\":\"Rome\"}" },
                { "type": "tool-input-start", "id": "call_2", "toolName": "calculator" },
                { "type": "tool-input-delta", "id": "call_2", "delta": "{\"op\":\"add\",\"a\":1}" },
                { "type": "tool-input-end", "id": "call_2" },
                {
                    "type": "tool-call", "toolCallId": "call_2", "toolName": "calculator",
                    "input": "{\"op\":\"add\",\"a\":1}",
                },
                finish("tool-calls", 10),
            ]),
        );
    }

    #[test]
    fn error_stands_where_the_finish_would() {
        check(
            Plan { error: Some("mock stream error"), ..Plan::text("partial") },
            &json!([
                { "type": "stream-start" },
                metadata("resp_1"),
                { "type": "text-start", "id": "text-1" },
                { "type": "text-delta", "id": "text-1", "delta": "partial" },
                { "type": "text-end", "id": "text-1" },
                { "type": "error", "message": "mock stream error" },
            ]),
        );
    }
}
