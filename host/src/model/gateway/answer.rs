//! From genai's events to the parts of an answer.

use futures::{StreamExt, stream};
use genai::chat::{ChatStream, ChatStreamEvent, StopReason, StreamEnd, ToolCall, Usage as TheirUsage};
use hotbay_plugin::chat::{FinishReason, StreamPart, Usage};
use serde_json::Value;

use crate::model::{ModelError, PartStream, parts::PartQueue, transport::Destination};

/// Turns the events of one answer into its parts.
pub(super) fn parts(
    to: Destination,
    warnings: Vec<Value>,
    first: ChatStreamEvent,
    rest: ChatStream,
    read_error: impl Fn(genai::Error) -> ModelError + Clone + Send + 'static,
) -> PartStream {
    let answer = Answer { queue: PartQueue::new(warnings), calls: Vec::new() };
    let events = stream::iter([Ok(first)]).chain(rest).boxed();
    stream::unfold(Some((events, answer)), move |state| {
        let to = to.clone();
        let read_error = read_error.clone();
        async move {
            let (mut events, mut answer) = state?;
            loop {
                if let Some(part) = answer.queue.take() {
                    let is_last = matches!(part, StreamPart::Finish { .. });
                    return Some((Ok(part), (!is_last).then_some((events, answer))));
                }
                match events.next().await {
                    Some(Ok(event)) => answer.add(event),
                    // genai goes on after most errors; what follows is of no use.
                    Some(Err(error)) => return Some((Err(read_error(error)), None)),
                    None => return Some((Err(to.broken_off("the connection was closed before its end")), None)),
                }
            }
        }
    })
    .boxed()
}

/// An answer on its way.
struct Answer {
    queue: PartQueue,
    calls: Vec<Call>,
}

/// A tool call on its way.
struct Call {
    id: String,
    name: String,
    /// What genai has collected so far.
    arguments: Value,
    /// How much of them went out.
    sent: usize,
}

impl Answer {
    fn add(&mut self, event: ChatStreamEvent) {
        match event {
            ChatStreamEvent::Chunk(chunk) => self.queue.add_text(chunk.content),
            ChatStreamEvent::ReasoningChunk(chunk) => self.queue.add_reasoning(chunk.content),
            ChatStreamEvent::ToolCallChunk(chunk) => self.add_call(chunk.tool_call),
            ChatStreamEvent::End(end) => self.finish(end),
            ChatStreamEvent::Start | ChatStreamEvent::ThoughtSignatureChunk(_) | ChatStreamEvent::Heartbeat => {}
        }
    }

    /// Takes a call as far as genai has collected it: text while it comes in pieces,
    /// any other JSON when it is whole.
    fn add_call(&mut self, theirs: ToolCall) {
        if theirs.fn_name.is_empty() {
            return;
        }
        let position = self.calls.iter().position(|call| call.id == theirs.call_id).unwrap_or_else(|| {
            self.queue.start_call(&theirs.call_id, &theirs.fn_name);
            self.calls.push(Call {
                id: theirs.call_id.clone(),
                name: theirs.fn_name.clone(),
                arguments: Value::Null,
                sent: 0,
            });
            self.calls.len() - 1
        });
        let Some(call) = self.calls.get_mut(position) else { return };
        call.arguments = theirs.fn_arguments;
        if let Some(piece) = call.arguments.as_str().and_then(|text| text.get(call.sent..)) {
            let piece = piece.to_owned();
            call.sent += piece.len();
            self.queue.add_input(&call.id, piece);
        }
    }

    fn finish(&mut self, end: StreamEnd) {
        // Providers that send calls whole name them only here.
        for call in end.captured_tool_calls().into_iter().flatten() {
            if !self.calls.iter().any(|known| known.id == call.call_id) {
                self.add_call(call.clone());
            }
        }
        for call in self.calls.drain(..) {
            let input = match &call.arguments {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                whole => whole.to_string(),
            };
            if !call.arguments.is_string() {
                self.queue.add_input(&call.id, input.clone());
            }
            self.queue.end_call(call.id, call.name, input);
        }
        let reason = end.captured_stop_reason.as_ref().map(read_reason).unwrap_or_default();
        let usage = end.captured_usage.as_ref().map(read_usage).unwrap_or_default();
        self.queue.finish(reason, usage);
    }
}

fn read_reason(reason: &StopReason) -> FinishReason {
    match reason {
        StopReason::Completed(_) | StopReason::StopSequence(_) => FinishReason::Stop,
        StopReason::MaxTokens(_) => FinishReason::Length,
        StopReason::ToolCall(_) => FinishReason::ToolCalls,
        StopReason::ContentFilter(_) => FinishReason::ContentFilter,
        StopReason::Other(_) => FinishReason::Other,
    }
}

fn read_usage(usage: &TheirUsage) -> Usage {
    let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok());
    let input_tokens = count(usage.prompt_tokens);
    let output_tokens = count(usage.completion_tokens);
    let sum = || Some(input_tokens? + output_tokens?);
    Usage {
        input_tokens,
        output_tokens,
        total_tokens: count(usage.total_tokens).or_else(sum),
        reasoning_tokens: count(usage.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens)),
        cached_input_tokens: count(usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens)),
    }
}
