//! Pieces that answers and streams have in common.

use hotbay_plugin::chat::{FinishReason, Usage};
use serde_json::{Map, Value, json};

use crate::engine::turn::{Step, Suspension, ToolCall, Turn, Waiting};

/// Returns tokens, the provider's own count beside the sum.
pub(super) fn usage(total: Option<&Usage>, last: Option<&Usage>) -> Value {
    let mut usage = match total {
        Some(total) => json!(total),
        None => json!({}),
    };
    if let Some(last) = last {
        usage["raw"] = json!(last);
    }
    usage
}

/// Returns why a model stopped.
pub(super) fn finish(reason: FinishReason) -> Value {
    json!(reason)
}

/// Returns a tool call as chunks carry it.
pub(super) fn call(turn: &Turn, call: &ToolCall) -> Value {
    let mut payload = json!({"toolCallId": call.id, "toolName": call.name, "args": call.args});
    if call.foreign {
        payload["observability"] = observability(turn);
    }
    payload
}

/// Returns where a caller that runs a tool itself may hang its spans.
pub(super) fn observability(turn: &Turn) -> Value {
    json!({"traceparent": format!("00-{}-{}-01", turn.trace_id, turn.span_id)})
}

/// Returns what a suspended run tells its caller.
pub(super) fn suspension(suspension: &Suspension) -> Value {
    let call = &suspension.call;
    let mut payload = json!({"toolCallId": call.id, "toolName": call.name, "args": call.args,
        "resumeSchema": suspension.resume_schema.to_string()});
    if let Waiting::Tool(waits) = &suspension.reason {
        payload["suspendPayload"] = waits.clone();
    }
    payload
}

/// Returns the names of the model.
pub(super) fn model(turn: &Turn) -> Value {
    let (provider, model) = turn.provider_and_model();
    json!({"modelId": model, "modelVersion": "v2", "modelProvider": provider})
}

/// Returns the provider's names for an answer.
pub(super) fn response(turn: &Turn, step: &Step) -> Map<String, Value> {
    let (provider, model) = turn.provider_and_model();
    let mut response = Map::new();
    response.insert("id".to_owned(), step.response.id.as_str().into());
    response.insert("timestamp".to_owned(), step.response.timestamp.iso().into());
    response.insert("modelId".to_owned(), model.into());
    if !step.response.answered {
        response.insert("modelVersion".to_owned(), "v2".into());
        response.insert("modelProvider".to_owned(), provider.into());
    }
    response
}
