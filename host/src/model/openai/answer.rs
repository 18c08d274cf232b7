//! From the events of an answer to its parts.
//!
//! Owns the putting together of tool calls: they stay open until the answer ends,
//! because their pieces may interleave.

use futures::{StreamExt, stream};
use hotbay_plugin::chat::{FinishReason, StreamPart, Usage};
use serde_json::Value;
use uuid::Uuid;

use super::events::{CallDelta, Chunk, Delta, Event, Events, Usage as WireUsage};
use crate::model::{ModelError, PartStream, parts::PartQueue, transport::Destination};

/// Turns the events of one answer into its parts.
pub(super) fn parts(to: Destination, warnings: Vec<Value>, first: Event, rest: Events) -> PartStream {
    let answer = Answer::new(warnings);
    let events = stream::iter([Ok(first)]).chain(rest).boxed();
    stream::unfold(Some((events, answer)), move |state| {
        let to = to.clone();
        async move {
            let (mut events, mut answer) = state?;
            loop {
                if let Some(part) = answer.queue.take() {
                    let is_last = matches!(part, StreamPart::Finish { .. });
                    return Some((Ok(part), (!is_last).then_some((events, answer))));
                }
                let ended = match events.next().await {
                    Some(Ok(Event::Chunk(chunk))) => {
                        answer.add(*chunk);
                        continue;
                    }
                    Some(Ok(Event::Done)) => answer.finish(&to),
                    // All was said; only the usage may be missing.
                    None | Some(Err(_)) if answer.finish_reason.is_some() => answer.finish(&to),
                    None => Err(to.broken_off("the connection was closed before its end")),
                    Some(Err(failure)) => Err(failure.error),
                };
                if let Err(error) = ended {
                    return Some((Err(error), None));
                }
            }
        }
    })
    .boxed()
}

/// An answer on its way.
struct Answer {
    queue: PartQueue,
    is_introduced: bool,
    calls: Vec<Call>,
    finish_reason: Option<FinishReason>,
    usage: Usage,
}

/// A tool call on its way.
struct Call {
    index: Option<u64>,
    /// The server's id, or ours if it gives none.
    id: String,
    has_wire_id: bool,
    /// Empty until the server says it.
    name: String,
    arguments: String,
}

impl Answer {
    fn new(warnings: Vec<Value>) -> Self {
        Self {
            queue: PartQueue::new(warnings),
            is_introduced: false,
            calls: Vec::new(),
            finish_reason: None,
            usage: Usage::default(),
        }
    }

    fn add(&mut self, chunk: Chunk) {
        if !self.is_introduced && (chunk.id.is_some() || chunk.model.is_some()) {
            self.is_introduced = true;
            let timestamp_ms = chunk.created.map(|seconds| (seconds * 1000.0) as i64);
            self.queue.introduce(chunk.id, timestamp_ms, chunk.model);
        }
        if let Some(usage) = chunk.usage {
            self.usage = read_usage(&usage);
        }
        let Some(choice) = chunk.choices.into_iter().flatten().next() else { return };
        for delta in [choice.delta, choice.message].into_iter().flatten() {
            self.add_delta(delta);
        }
        if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish_reason = Some(read_reason(&reason));
        }
    }

    fn add_delta(&mut self, delta: Delta) {
        if let Some(text) = delta.reasoning_content.or(delta.reasoning) {
            self.queue.add_reasoning(text);
        }
        match delta.content {
            Value::String(text) => self.queue.add_text(text),
            // Mistral's reasoning models send typed parts.
            Value::Array(parts) => {
                for part in parts {
                    if let Some(thoughts) = part["thinking"].as_array() {
                        for thought in thoughts.iter().filter_map(|thought| thought["text"].as_str()) {
                            self.queue.add_reasoning(thought.to_owned());
                        }
                    } else if let Some(text) = part["text"].as_str() {
                        self.queue.add_text(text.to_owned());
                    }
                }
            }
            _ => {}
        }
        if let Some(refusal) = delta.refusal {
            self.queue.add_text(refusal);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.add_call(call);
        }
    }

    fn add_call(&mut self, delta: CallDelta) {
        let function = delta.function.unwrap_or_default();
        let wire_id = delta.id.filter(|id| !id.is_empty());
        let name = function.name.filter(|name| !name.is_empty());
        let position = self.position_of(delta.index, wire_id.as_deref(), name.is_some());
        let position = position.unwrap_or_else(|| {
            self.calls.push(Call {
                index: delta.index,
                has_wire_id: wire_id.is_some(),
                id: wire_id.unwrap_or_else(|| format!("call_{}", Uuid::new_v4().simple())),
                name: String::new(),
                arguments: String::new(),
            });
            self.calls.len() - 1
        });
        let Some(call) = self.calls.get_mut(position) else { return };
        let piece = match function.arguments {
            Value::Null => String::new(),
            Value::String(text) => text,
            whole => whole.to_string(),
        };
        let was_named = !call.name.is_empty();
        if let (false, Some(name)) = (was_named, name) {
            self.queue.start_call(&call.id, &name);
            call.name = name;
        }
        call.arguments.push_str(&piece);
        // Arguments that came before the name go out with it.
        let delta = if was_named { piece } else { call.arguments.clone() };
        if !call.name.is_empty() {
            self.queue.add_input(&call.id, delta);
        }
    }

    /// Finds the call a piece belongs to; nothing if it begins one.
    fn position_of(&self, index: Option<u64>, wire_id: Option<&str>, is_named: bool) -> Option<usize> {
        let same_id = |call: &Call| wire_id.is_none_or(|id| !call.has_wire_id || call.id == id);
        if index.is_some() {
            // Some servers number every call 0 and tell them apart by id. The latest
            // is meant by pieces that have none.
            return self.calls.iter().rposition(|call| call.index == index && same_id(call));
        }
        if wire_id.is_some() {
            return self.calls.iter().rposition(|call| call.has_wire_id && same_id(call));
        }
        if is_named { None } else { self.calls.len().checked_sub(1) }
    }

    fn finish(&mut self, to: &Destination) -> Result<(), ModelError> {
        for call in self.calls.drain(..) {
            if call.name.is_empty() {
                return Err(to.garbled("a tool call without a name"));
            }
            self.queue.end_call(call.id, call.name, call.arguments);
        }
        self.queue.finish(self.finish_reason.unwrap_or_default(), self.usage);
        Ok(())
    }
}

fn read_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "end_turn" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "error" => FinishReason::Error,
        _ => FinishReason::Other,
    }
}

fn read_usage(usage: &WireUsage) -> Usage {
    let input_tokens = usage.prompt_tokens.as_u64();
    let output_tokens = usage.completion_tokens.as_u64();
    let sum = || Some(input_tokens? + output_tokens?);
    Usage {
        input_tokens,
        output_tokens,
        total_tokens: usage.total_tokens.as_u64().or_else(sum),
        reasoning_tokens: usage.completion_tokens_details["reasoning_tokens"].as_u64(),
        cached_input_tokens: usage.prompt_tokens_details["cached_tokens"]
            .as_u64()
            .or_else(|| usage.prompt_cache_hit_tokens.as_u64()),
    }
}
