//! A run as server-sent events.
//!
//! The run is driven by the body itself: it goes on only while somebody reads, a slow
//! reader slows the model down, and when the reader is gone everything the run has
//! started is dropped with it. What happened since the last poll leaves in one piece.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, future::BoxFuture};
use serde_json::{Value, json};

use super::{chunk, messages};
use crate::{
    engine::{
        Run,
        error::EngineError,
        event::{Observer, RunEvent},
        turn::{Step, Turn, Waiting},
    },
    http::{
        error::ApiError,
        lapse::{self, Farewell},
    },
};

/// Bytes that may wait for the reader before the run waits for them.
const BUFFER: usize = 64 << 10;

/// The frames of a run, driven as they are read.
pub(super) struct Frames {
    written: Arc<Mutex<BytesMut>>,
    run: Option<BoxFuture<'static, ()>>,
}

impl Frames {
    pub(super) fn new(mut run: Run) -> Self {
        let written = Arc::new(Mutex::new(BytesMut::new()));
        let mut writer = Writer { written: Arc::clone(&written) };
        let driven = async move {
            if let Err(error) = run.drive(&mut writer).await {
                // The stream has told the reader; this is for the operator.
                tracing::warn!(run.id = run.turn.run_id, agent.id = run.turn.agent_id, %error, "an agent's run failed");
            }
            writer.frame(|buffer| buffer.put_slice(b"[DONE]"));
        };
        Self { written, run: Some(Box::pin(driven)) }
    }
}

impl Stream for Frames {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(run) = self.run.as_mut()
            && run.as_mut().poll(cx).is_ready()
        {
            self.run = None;
        }
        let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        match (written.is_empty(), &self.run) {
            (false, _) => Poll::Ready(Some(written.freeze())),
            (true, Some(_)) => Poll::Pending,
            (true, None) => Poll::Ready(None),
        }
    }
}

struct Writer {
    // Held to append or to take; both sides are polled by the same task.
    written: Arc<Mutex<BytesMut>>,
}

impl Observer for Writer {
    fn on(&mut self, turn: &Turn, event: RunEvent<'_>) {
        let chunk = match event {
            RunEvent::Object(object) => {
                json!({"from": "AGENT", "runId": turn.run_id, "type": "object", "object": object})
            }
            RunEvent::ObjectResult(object) => {
                json!({"from": "AGENT", "runId": turn.run_id, "type": "object-result", "object": object})
            }
            event => {
                let (kind, payload) = describe(turn, event);
                json!({"type": kind, "runId": turn.run_id, "from": "AGENT", "payload": payload})
            }
        };
        self.frame(|buffer| {
            serde_json::to_writer(buffer.writer(), &chunk).expect("a JSON value is written to memory");
        });
    }

    async fn ready(&mut self) {
        // No waker: the body polls the run again after it has taken what was written.
        std::future::poll_fn(|_| {
            let is_full = self.written.lock().unwrap_or_else(PoisonError::into_inner).len() >= BUFFER;
            if is_full { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
}

impl Writer {
    fn frame(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut buffer = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.put_slice(b"data: ");
        write(&mut buffer);
        buffer.put_slice(b"\n\n");
    }
}

fn describe(turn: &Turn, event: RunEvent<'_>) -> (&'static str, Value) {
    match event {
        RunEvent::Start => ("start", json!({"id": turn.agent_id, "messageId": turn.message_id})),
        RunEvent::StepStart { at } => {
            ("step-start", json!({"warnings": [], "messageId": turn.message_id, "startedAt": at.0, "request": {}}))
        }
        RunEvent::TextStart { id } => ("text-start", json!({"id": id})),
        RunEvent::TextDelta { id, text } => ("text-delta", json!({"id": id, "text": text})),
        RunEvent::TextEnd { id } => ("text-end", json!({"type": "text-end", "id": id})),
        RunEvent::ReasoningStart { id } => ("reasoning-start", json!({"id": id})),
        RunEvent::ReasoningDelta { id, text } => ("reasoning-delta", json!({"id": id, "text": text})),
        RunEvent::ReasoningEnd { id } => ("reasoning-end", json!({"id": id})),
        RunEvent::ToolInputStart { id, name, foreign } => {
            let mut payload = json!({"toolCallId": id, "toolName": name});
            if foreign {
                payload["observability"] = chunk::observability(turn);
            }
            ("tool-call-input-streaming-start", payload)
        }
        RunEvent::ToolInputDelta { id, name, delta } => {
            ("tool-call-delta", json!({"argsTextDelta": delta, "toolCallId": id, "toolName": name}))
        }
        RunEvent::ToolInputEnd { id } => ("tool-call-input-streaming-end", json!({"toolCallId": id})),
        RunEvent::ToolCall(call) => ("tool-call", chunk::call(turn, call)),
        RunEvent::ToolResult { call, result } => {
            ("tool-result", json!({"args": call.args, "toolCallId": call.id, "toolName": call.name, "result": result}))
        }
        RunEvent::ToolError { call, message } => (
            "tool-error",
            json!({"error": tool_error(turn, call.foreign, message), "args": call.args, "toolCallId": call.id,
                "toolName": call.name}),
        ),
        RunEvent::ToolDenied { call, reason } => (
            "tool-output-denied",
            json!({"toolCallId": call.id, "toolName": call.name, "args": call.args,
                "approval": {"id": call.id, "approved": false, "reason": reason}}),
        ),
        RunEvent::Suspended(suspension) => {
            let kind = match suspension.reason {
                Waiting::Approval => "tool-call-approval",
                Waiting::Tool(_) => "tool-call-suspended",
            };
            (kind, chunk::suspension(suspension))
        }
        RunEvent::Error(error) => ("error", run_error(error)),
        RunEvent::StepFinish { continued, resumed } => ("step-finish", step_finish(turn, continued, resumed)),
        RunEvent::Finish => ("finish", finish(turn)),
        RunEvent::Object(_) | RunEvent::ObjectResult(_) => ("object", Value::Null),
    }
}

fn tool_error(turn: &Turn, foreign: bool, message: &str) -> Value {
    if foreign {
        return json!({"name": "ToolNotFoundError"});
    }
    let (_, model) = turn.provider_and_model();
    json!({"name": "Error", "id": "TOOL_EXECUTION_FAILED", "domain": "TOOL", "category": "USER",
        "details": {"errorMessage": format!("Error: {message}"), "model": model}})
}

fn run_error(error: &EngineError) -> Value {
    let message = match error {
        // Its own sentence is about the host's files.
        EngineError::Store(_) | EngineError::Memory(_) => ApiError::from(error.clone()).message,
        _ => error.to_string(),
    };
    match error {
        EngineError::Structured { value, .. } => json!({"error": {"message": message, "domain": "AGENT",
            "category": "SYSTEM", "code": "STRUCTURED_OUTPUT_SCHEMA_VALIDATION_FAILED", "details": {"value": value}}}),
        _ => plain_error(&message),
    }
}

/// Clients expect a stack; there is nothing in ours that is theirs to see.
fn plain_error(message: &str) -> Value {
    json!({"type": "error", "error": {"message": message, "name": "Error", "stack": format!("Error: {message}")}})
}

/// Returns what a run's stream says when its reader is let in no more.
pub(super) fn farewell(run_id: &str) -> Farewell {
    let payload = plain_error(lapse::SENTENCE);
    let error = json!({"type": "error", "runId": run_id, "from": "AGENT", "payload": payload});
    Farewell(format!("data: {error}\n\ndata: [DONE]\n\n").into())
}

fn finish(turn: &Turn) -> Value {
    let mut payload = step_finish(turn, false, false);
    let Some(step) = turn.steps.last() else { return payload };
    let mut usage = chunk::usage(Some(&turn.usage), step.usage.as_ref());
    if step.usage.is_none() {
        usage = json!({"inputTokens": turn.usage.input_tokens.unwrap_or(0),
            "outputTokens": turn.usage.output_tokens.unwrap_or(0), "totalTokens": turn.usage.total_tokens.unwrap_or(0)});
    }
    payload["output"]["usage"] = usage;
    let mut response = answered(turn, step);
    response["modelMetadata"] = chunk::model(turn);
    response["messages"] = messages::asked_until(turn, turn.mark(), None).into();
    response["uiMessages"] =
        turn.response.iter().map(|message| messages::shown(message, message.parts.len())).collect();
    payload["response"] = response;
    payload
}

fn step_finish(turn: &Turn, continued: bool, resumed: bool) -> Value {
    let Some(step) = turn.steps.last() else { return json!({"messageId": turn.message_id}) };
    let mut result = json!({"reason": chunk::finish(step.finish), "isContinued": continued});
    if resumed {
        result["messageId"] = turn.message_id.as_str().into();
    }
    if !step.response.answered {
        result["warnings"] = json!([]);
    }
    let mut metadata = answered(turn, step);
    metadata["modelMetadata"] = chunk::model(turn);
    let calls: Vec<Value> = step.calls.iter().map(|call| chunk::call(turn, call)).collect();
    let mut output = json!({
        "text": step.text,
        "toolCalls": calls,
        "usage": chunk::usage(step.usage.as_ref(), step.usage.as_ref()),
        "steps": turn.steps.iter().enumerate().map(|(index, step)| self::step(turn, index, step)).collect::<Vec<_>>(),
    });
    if let Some(object) = &turn.object {
        output["object"] = object.clone();
    }
    json!({
        "messageId": turn.message_id,
        "stepResult": result,
        "metadata": metadata,
        "output": output,
        "messages": {
            "all": messages::asked(turn.remembered.iter().chain(&turn.input).chain(&turn.response)),
            "user": messages::asked(&turn.input),
            "nonUser": messages::asked(&turn.response),
        },
        "processorRetryCount": 0,
    })
}

/// A step as it was when the model had answered and its tools had not.
fn step(turn: &Turn, index: usize, step: &Step) -> Value {
    let is_last = index + 1 == turn.steps.len();
    // As recorded: what a step says after a resumption is in the messages alone.
    let after_resumption = turn.resumed && step.end.message > 0;
    let content = if after_resumption { Vec::new() } else { messages::content(turn, step.start, step.end, !is_last) };
    let mut response = answered(turn, step);
    response["messages"] = messages::asked_until(turn, step.end, Some(step.start)).into();
    let mut value = json!({
        "content": content,
        "usage": chunk::usage(step.usage.as_ref(), step.usage.as_ref()),
        "warnings": step.warnings,
        "response": response,
    });
    if step.finish == hotbay_plugin::chat::FinishReason::Error {
        value["finishReason"] = chunk::finish(step.finish);
    }
    value
}

fn answered(turn: &Turn, step: &Step) -> Value {
    let mut response = chunk::response(turn, step);
    if step.response.answered {
        response.insert("headers".to_owned(), json!({}));
    }
    response.into()
}
