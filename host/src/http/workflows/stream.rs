//! A run's stream on the wire: JSON documents, each followed by the byte 0x1E.

use std::convert::Infallible;

use axum::{
    Extension,
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::header;
use serde_json::{Map, Value, json};

use super::run::step;
use crate::{
    engine::{error::EngineError, workflow::Subscription},
    http::lapse::{self, Farewell},
    types::{
        json,
        run::{RunChunk, RunError, RunOutcome, RunStatus, StepRecord, StepStatus},
    },
};

/// Ends each document.
const SEPARATOR: u8 = 0x1e;

/// Which of two shapes a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `workflow-start`, ...
    Current,
    /// `start`, ...: of clients of an older kind.
    Legacy,
}

/// Answers with a run's stream until it ends.
pub(super) fn chunks(workflow: String, run_id: String, shape: Shape, subscription: Subscription) -> Response {
    let farewell = Extension(farewell(&run_id));
    let state = Some((workflow, run_id, subscription));
    let bodies = stream::unfold(state, move |state| async move {
        let (workflow, run_id, mut subscription) = state?;
        match subscription.next().await {
            Ok(Some(chunk)) => {
                let bytes = written(&workflow, &run_id, shape, &chunk);
                Some((Ok::<_, Infallible>(bytes), Some((workflow, run_id, subscription))))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(run.id = run_id, %error, "a run's stream breaks off");
                let chunk = failed(&EngineError::Store(error));
                Some((Ok(written(&workflow, &run_id, shape, &chunk)), None))
            }
        }
    });
    (farewell, answer(Body::from_stream(bodies))).into_response()
}

fn farewell(run_id: &str) -> Farewell {
    let payload = json!({"error": {"message": lapse::SENTENCE, "name": "Error"}});
    let chunk = json!({"type": "error", "runId": run_id, "from": "WORKFLOW", "payload": payload});
    Farewell(document(&chunk).into())
}

fn document(chunk: &Value) -> Vec<u8> {
    let mut document = json::write(chunk);
    document.push(SEPARATOR);
    document
}

/// Answers with the stream of a run that was not begun, for what is wrong with the request.
pub(super) fn refused(workflow: &str, run_id: &str, error: &EngineError) -> Response {
    let mut body = written(workflow, run_id, Shape::Current, &RunChunk::Start).to_vec();
    let mut finish = wire(workflow, run_id, &failed(error));
    let message = error.to_string();
    finish["payload"]["metadata"] = match error {
        EngineError::Misfit { what, .. } => json!({
            "error": {"message": message, "domain": "MASTRA_WORKFLOW", "category": "USER",
                "code": "WORKFLOW_SCHEMA_VALIDATION_FAILED", "details": {"type": what}},
            "errorMessage": message,
        }),
        _ => json!({"error": {}, "errorMessage": message}),
    };
    body.extend(document(&finish));
    answer(Body::from(body))
}

fn answer(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

fn failed(error: &EngineError) -> RunChunk {
    let outcome = RunOutcome { error: Some(RunError::new(error.to_string())), ..RunOutcome::default() };
    RunChunk::Finish { status: RunStatus::Failed, outcome }
}

fn written(workflow: &str, run_id: &str, shape: Shape, chunk: &RunChunk) -> Bytes {
    match shape {
        Shape::Current => document(&wire(workflow, run_id, chunk)).into(),
        Shape::Legacy => legacy(run_id, chunk).iter().flat_map(document).collect(),
    }
}

fn wire(workflow: &str, run_id: &str, chunk: &RunChunk) -> Value {
    let made =
        |kind: &str, payload: Value| json!({"type": kind, "runId": run_id, "from": "WORKFLOW", "payload": payload});
    match chunk {
        RunChunk::Start => made("workflow-start", json!({ "workflowId": workflow })),
        RunChunk::StepStart(record) => made("workflow-step-start", told(record)),
        RunChunk::StepResult(record) if record.call_id.is_empty() => made("workflow-step-result", brief(record)),
        RunChunk::StepResult(record) => made("workflow-step-result", told(record)),
        RunChunk::StepSuspended(record) => {
            let mut payload = told(record);
            add_meta(&mut payload, run_id, record);
            made("workflow-step-suspended", payload)
        }
        RunChunk::StepWaiting(record) => made("workflow-step-waiting", told(record)),
        RunChunk::Progress { step, completed, total, index, status, output } => {
            let mut payload = json!({"stepName": step, "id": step, "completedCount": completed, "totalCount": total,
                "currentIndex": index, "iterationStatus": status.as_str()});
            if let Some(output) = output {
                payload["iterationOutput"] = output.clone();
            }
            made("workflow-step-progress", payload)
        }
        RunChunk::Output { step, output } => match output.get("type").and_then(Value::as_str) {
            Some(kind) if kind.starts_with("data-") => {
                let mut chunk = json!({"type": kind, "runId": run_id, "from": "WORKFLOW"});
                if let (Value::Object(chunk), Value::Object(output)) = (&mut chunk, output) {
                    chunk.extend(
                        output
                            .iter()
                            .filter(|(key, _)| *key != "type")
                            .map(|(key, value)| (key.clone(), value.clone())),
                    );
                }
                chunk
            }
            _ => json!({"type": "workflow-step-output", "runId": run_id, "from": "USER",
                "payload": {"stepName": step, "output": output, "runId": run_id}}),
        },
        RunChunk::Canceled => made("workflow-canceled", json!({})),
        RunChunk::Finish { status, outcome } => {
            let mut payload = json!({"workflowStatus": status.as_str(), "metadata": {}, "output": {"usage": {
                "inputTokens": 0, "outputTokens": 0, "totalTokens": 0, "cachedInputTokens": 0,
                "cacheCreationInputTokens": 0, "reasoningTokens": 0}}});
            if let Some(result) = &outcome.result {
                payload["finalWorkflowResult"] = result.clone();
            }
            if let Some(tripwire) = &outcome.tripwire {
                payload["tripwire"] = tripwire.clone();
            }
            made("workflow-finish", payload)
        }
    }
}

/// Returns what a stream says of an execution.
fn told(record: &StepRecord) -> Value {
    let mut payload = Map::new();
    payload.insert("stepName".to_owned(), record.step.as_str().into());
    payload.insert("id".to_owned(), record.step.as_str().into());
    if !record.call_id.is_empty() {
        payload.insert("stepCallId".to_owned(), record.call_id.as_str().into());
    }
    if let Value::Object(mut step) = step(record) {
        if record.status == StepStatus::Running {
            // What it waited for before is over.
            step.shift_remove("suspendPayload");
            step.shift_remove("suspendedAt");
        }
        payload.append(&mut step);
    }
    payload.into()
}

/// Returns the end of what was not called: a wait, an array.
fn brief(record: &StepRecord) -> Value {
    let mut payload = json!({"stepName": record.step, "id": record.step, "status": record.status.as_str(),
        "endedAt": record.ended_at});
    if let Some(output) = &record.output {
        payload["output"] = output.clone();
    }
    if let Some(error) = &record.error {
        payload["error"] = super::run::error(error);
    }
    payload
}

/// Says where inside a workflow the run waits.
fn add_meta(payload: &mut Value, run_id: &str, record: &StepRecord) {
    if let Some(inner) = &record.waits_inside {
        payload["suspendPayload"]["__workflow_meta"] =
            json!({"runId": run_id, "path": inner.split('.').collect::<Vec<_>>()});
    }
}

fn legacy(run_id: &str, chunk: &RunChunk) -> Vec<Value> {
    let payload = |record: &StepRecord| {
        let mut payload = told(record);
        if let Value::Object(payload) = &mut payload {
            payload.shift_remove("stepName");
        }
        payload
    };
    match chunk {
        RunChunk::Start => vec![json!({"type": "start", "payload": {"runId": run_id}})],
        RunChunk::StepStart(record) => {
            let mut payload = payload(record);
            payload["request"] = json!({});
            vec![json!({"type": "step-start", "payload": payload})]
        }
        RunChunk::StepResult(record) => vec![
            json!({"type": "step-result", "payload": payload(record)}),
            json!({"type": "step-finish", "payload": {"id": record.step, "stepCallId": record.call_id, "metadata": {}}}),
        ],
        RunChunk::StepSuspended(record) => vec![json!({"type": "step-suspended", "payload": payload(record)})],
        RunChunk::StepWaiting(record) => vec![json!({"type": "step-waiting", "payload": payload(record)})],
        RunChunk::Output { output, .. } => vec![output.clone()],
        RunChunk::Progress { .. } | RunChunk::Canceled => Vec::new(),
        RunChunk::Finish { .. } => vec![json!({"type": "finish", "payload": {"runId": run_id}})],
    }
}
