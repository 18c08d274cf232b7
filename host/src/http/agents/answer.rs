//! The answer of a finished or suspended run.

use serde_json::{Map, Value, json};

use super::{chunk, messages};
use crate::{
    engine::turn::{Mark, Step, Suspension, Turn},
    memory::content,
};

/// Returns the whole answer.
pub(super) fn of(turn: &Turn) -> Value {
    let mut answer = Map::new();
    let mut put = |key: &str, value: Value| {
        answer.insert(key.to_owned(), value);
    };
    match &turn.suspension {
        Some(suspension) => put_suspended(turn, suspension, &mut put),
        None => put_finished(turn, &mut put),
    }
    put("warnings", json!([]));
    put("request", json!({}));
    put("sources", json!([]));
    put("files", json!([]));
    put("usedFallbackValue", turn.used_fallback.into());
    put("traceId", turn.trace_id.as_str().into());
    put("spanId", turn.span_id.as_str().into());
    put("runId", turn.run_id.as_str().into());
    let all = turn.remembered.iter().chain(&turn.input).chain(&turn.response);
    put("messages", all.map(content::document).collect());
    put("rememberedMessages", turn.remembered.iter().map(content::document).collect());
    put("toolCalls", turn.steps.iter().flat_map(|step| calls(turn, step)).collect());
    put("toolResults", turn.steps.iter().flat_map(|step| results(turn, step)).collect());
    put("reasoning", turn.steps.iter().filter_map(|step| reasoning(turn, step)).collect());
    answer.into()
}

fn put_finished(turn: &Turn, put: &mut impl FnMut(&str, Value)) {
    let last = turn.steps.last();
    let mut usage = chunk::usage(Some(&turn.usage), last.and_then(|step| step.usage.as_ref()));
    put("text", turn.text().into());
    put("totalUsage", usage.clone());
    // The names of the documented answer, beside those clients use.
    if let Some(input) = turn.usage.input_tokens {
        usage["promptTokens"] = input.into();
    }
    if let Some(output) = turn.usage.output_tokens {
        usage["completionTokens"] = output.into();
    }
    put("usage", usage);
    put("steps", turn.steps.iter().enumerate().map(|(index, step)| self::step(turn, index, step)).collect());
    put("finishReason", last.map_or(Value::Null, |step| chunk::finish(step.finish)));
    let reasoning: String = turn.steps.iter().map(|step| step.reasoning.as_str()).collect();
    if !reasoning.is_empty() {
        put("reasoningText", reasoning.into());
    }
    if let Some(step) = last {
        put("response", response(turn, step, turn.mark()));
    }
    if let Some(object) = &turn.object {
        put("object", object.clone());
    }
}

fn put_suspended(turn: &Turn, suspension: &Suspension, put: &mut impl FnMut(&str, Value)) {
    // With a thread the messages are already part of it; without one the caller has only these.
    let stored: Vec<Value> =
        if turn.thread_id.is_some() { Vec::new() } else { turn.response.iter().map(content::document).collect() };
    put("text", "".into());
    put("usage", json!({}));
    put("totalUsage", json!({"totalTokens": 0}));
    put("steps", json!([]));
    put("finishReason", "suspended".into());
    put("response", json!({"dbMessages": stored}));
    put("suspendPayload", chunk::suspension(suspension));
    put("resumeSchema", suspension.resume_schema.to_string().into());
}

fn step(turn: &Turn, index: usize, step: &Step) -> Value {
    let usage = chunk::usage(step.usage.as_ref(), step.usage.as_ref());
    json!({
        "stepType": if index == 0 { "initial" } else { "tool-result" },
        "sources": [],
        "files": [],
        "toolCalls": calls(turn, step).collect::<Vec<_>>(),
        "toolResults": results(turn, step).collect::<Vec<_>>(),
        "content": messages::content(turn, step.start, step.end, true),
        "text": step.text,
        "reasoningText": step.reasoning,
        "reasoning": reasoning(turn, step).into_iter().collect::<Vec<_>>(),
        "staticToolCalls": [],
        "dynamicToolCalls": [],
        "staticToolResults": [],
        "dynamicToolResults": [],
        "finishReason": chunk::finish(step.finish),
        "usage": usage,
        "warnings": step.warnings,
        "request": {},
        "response": response(turn, step, step.end),
    })
}

fn response(turn: &Turn, step: &Step, end: Mark) -> Value {
    let mut response = chunk::response(turn, step);
    response.insert("modelMetadata".to_owned(), chunk::model(turn));
    response.insert("messages".to_owned(), messages::asked_until(turn, end, None).into());
    response.insert("dbMessages".to_owned(), turn.response.iter().map(content::document).collect());
    let shown = turn.response.iter().enumerate().filter(|(index, _)| *index <= end.message).map(|(index, message)| {
        let parts = if index == end.message { end.part } else { message.parts.len() };
        messages::shown(message, parts)
    });
    response.insert("uiMessages".to_owned(), shown.collect());
    response.into()
}

fn calls<'a>(turn: &'a Turn, step: &'a Step) -> impl Iterator<Item = Value> + 'a {
    step.calls.iter().map(|call| chunk(turn, "tool-call", &chunk::call(turn, call)))
}

fn results<'a>(turn: &'a Turn, step: &'a Step) -> impl Iterator<Item = Value> + 'a {
    use crate::types::message::{Part, ToolState};
    turn.parts(step.start, step.end).filter_map(|part| match part {
        Part::Tool(tool) => match &tool.state {
            ToolState::Answered(result) => Some(chunk(
                turn,
                "tool-result",
                &json!({"args": tool.args, "toolCallId": tool.tool_call_id, "toolName": tool.tool_name, "result": result}),
            )),
            _ => None,
        },
        _ => None,
    })
}

fn reasoning(turn: &Turn, step: &Step) -> Option<Value> {
    let id = step.reasoning_id.as_ref()?;
    Some(chunk(turn, "reasoning", &json!({"id": id, "text": step.reasoning})))
}

fn chunk(turn: &Turn, kind: &str, payload: &Value) -> Value {
    json!({"type": kind, "runId": turn.run_id, "from": "AGENT", "payload": payload})
}
