//! A run that waits, as it is stored: a document of its own, so that what is stored stays
//! readable however the engine's own types change.
//!
//! Fields are only ever added, with a default; a field that changes its meaning raises
//! [`VERSION`], and older documents are then read as what they were.

use std::{sync::Arc, time::Duration};

use hotbay_plugin::chat::{FinishReason, Settings, ToolChoice, ToolSpec, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Plan,
    options::{Mismatch, RunOptions, Structured},
    turn::{Kept, Mark, ResponseInfo, Step, Suspension, ToolCall, Turn, Waiting},
};
use crate::{
    memory::content,
    store::StoreError,
    types::{id::Millis, message::Message, schema::Schema, trace::TraceOptions},
};

/// The version of the document this host writes.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct RunDocument {
    version: u32,
    turn: TurnDocument,
    plan: PlanDocument,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TurnDocument {
    run_id: String,
    trace_id: String,
    span_id: String,
    agent_id: String,
    model: String,
    remembered: Vec<Value>,
    input: Vec<Value>,
    #[serde(default)]
    context: usize,
    response: Vec<Value>,
    steps: Vec<StepDocument>,
    usage: Usage,
    message_id: String,
    #[serde(default)]
    object: Option<Value>,
    #[serde(default)]
    used_fallback: bool,
    #[serde(default)]
    resumed: bool,
    suspension: SuspensionDocument,
    #[serde(default)]
    thread_id: Option<String>,
    #[serde(default)]
    resource_id: Option<String>,
    #[serde(default)]
    kept_input: bool,
    #[serde(default)]
    kept_response: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StepDocument {
    text: String,
    reasoning: String,
    #[serde(default)]
    reasoning_id: Option<String>,
    calls: Vec<CallDocument>,
    finish: FinishReason,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    warnings: Vec<Value>,
    response_id: String,
    response_at: i64,
    answered: bool,
    start: (usize, usize),
    end: (usize, usize),
}

#[derive(Serialize, Deserialize)]
struct CallDocument {
    id: String,
    name: String,
    args: Value,
    #[serde(default)]
    foreign: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SuspensionDocument {
    call: CallDocument,
    /// What a tool waits with; absent if a person is to approve the call.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "payload")]
    payload: Option<Value>,
    resume_schema: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<u64>,
}

/// Tells a payload of null from none.
mod payload {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(payload: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
        payload.as_ref().unwrap_or(&Value::Null).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument {
    system: Vec<String>,
    #[serde(default)]
    instructions: Option<String>,
    depth: u32,
    #[serde(default)]
    max_steps: Option<u32>,
    #[serde(default)]
    active_tools: Option<Vec<String>>,
    #[serde(default)]
    tool_choice: Option<ToolChoice>,
    #[serde(default)]
    client_tools: Vec<ToolSpec>,
    #[serde(default)]
    require_approval: bool,
    #[serde(default)]
    structured: Option<FormDocument>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    provider_options: Map<String, Value>,
    #[serde(default)]
    request_context: Map<String, Value>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "TraceOptions::is_empty")]
    trace: TraceOptions,
    #[serde(default)]
    memory: Map<String, Value>,
    #[serde(default)]
    read_only: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FormDocument {
    schema: Value,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    in_prompt: bool,
    on_mismatch: MismatchDocument,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum MismatchDocument {
    Fail,
    Warn,
    Fallback(Value),
}

/// Writes a run that waits; `None` if it does not.
pub(super) fn write(turn: &Turn, plan: &Plan) -> Option<String> {
    let suspension = turn.suspension.as_ref()?;
    let document = RunDocument { version: VERSION, turn: turn_document(turn, suspension), plan: plan_document(plan) };
    Some(serde_json::to_string(&document).expect("a document of plain data is written to memory"))
}

/// Reads a run that waits.
pub(super) fn read(state: &str) -> Result<(Turn, Plan), StoreError> {
    let unreadable = |error: String| StoreError::unreadable("a suspended run", error);
    let document: RunDocument = serde_json::from_str(state).map_err(|error| unreadable(error.to_string()))?;
    if document.version != VERSION {
        return Err(unreadable(format!("it is of version {}, this host knows {VERSION}", document.version)));
    }
    let plan = plan(document.plan).map_err(unreadable)?;
    let turn = turn(document.turn).ok_or_else(|| unreadable("one of its messages is none".to_owned()))?;
    Ok((turn, plan))
}

fn turn_document(turn: &Turn, suspension: &Suspension) -> TurnDocument {
    let documents = |messages: &[Message]| messages.iter().map(content::document).collect();
    TurnDocument {
        run_id: turn.run_id.clone(),
        trace_id: turn.trace_id.clone(),
        span_id: turn.span_id.clone(),
        agent_id: turn.agent_id.clone(),
        model: turn.model.clone(),
        remembered: documents(&turn.remembered),
        input: documents(&turn.input),
        context: turn.context,
        response: documents(&turn.response),
        steps: turn.steps.iter().map(step_document).collect(),
        usage: turn.usage,
        message_id: turn.message_id.clone(),
        object: turn.object.clone(),
        used_fallback: turn.used_fallback,
        resumed: turn.resumed,
        suspension: SuspensionDocument {
            call: call_document(&suspension.call),
            payload: match &suspension.reason {
                Waiting::Approval => None,
                Waiting::Tool(payload) => Some(payload.clone()),
            },
            resume_schema: suspension.resume_schema.clone(),
            mark: suspension.mark,
        },
        thread_id: turn.thread_id.clone(),
        resource_id: turn.resource_id.clone(),
        kept_input: turn.kept.input,
        kept_response: turn.kept.response,
    }
}

fn turn(document: TurnDocument) -> Option<Turn> {
    let messages = |documents: &[Value]| documents.iter().map(content::read).collect::<Option<Vec<_>>>();
    let SuspensionDocument { call: waiting, payload, resume_schema, mark } = document.suspension;
    let reason = payload.map_or(Waiting::Approval, Waiting::Tool);
    Some(Turn {
        remembered: messages(&document.remembered)?,
        input: messages(&document.input)?,
        context: document.context,
        response: messages(&document.response)?,
        run_id: document.run_id,
        trace_id: document.trace_id,
        span_id: document.span_id,
        agent_id: document.agent_id,
        model: document.model,
        steps: document.steps.into_iter().map(step).collect(),
        usage: document.usage,
        message_id: document.message_id,
        object: document.object,
        used_fallback: document.used_fallback,
        resumed: document.resumed,
        suspension: Some(Suspension { call: call(waiting), reason, resume_schema, mark }),
        thread_id: document.thread_id,
        resource_id: document.resource_id,
        kept: Kept { input: document.kept_input, response: document.kept_response },
    })
}

fn step_document(step: &Step) -> StepDocument {
    StepDocument {
        text: step.text.clone(),
        reasoning: step.reasoning.clone(),
        reasoning_id: step.reasoning_id.clone(),
        calls: step.calls.iter().map(call_document).collect(),
        finish: step.finish,
        usage: step.usage,
        warnings: step.warnings.clone(),
        response_id: step.response.id.clone(),
        response_at: step.response.timestamp.0,
        answered: step.response.answered,
        start: (step.start.message, step.start.part),
        end: (step.end.message, step.end.part),
    }
}

fn step(document: StepDocument) -> Step {
    let mark = |(message, part)| Mark { message, part };
    Step {
        text: document.text,
        reasoning: document.reasoning,
        reasoning_id: document.reasoning_id,
        calls: document.calls.into_iter().map(call).collect(),
        finish: document.finish,
        usage: document.usage,
        warnings: document.warnings,
        response: ResponseInfo {
            id: document.response_id,
            timestamp: Millis(document.response_at),
            answered: document.answered,
        },
        start: mark(document.start),
        end: mark(document.end),
        ..Step::default()
    }
}

fn call_document(call: &ToolCall) -> CallDocument {
    CallDocument { id: call.id.clone(), name: call.name.clone(), args: call.args.clone(), foreign: call.foreign }
}

fn call(document: CallDocument) -> ToolCall {
    let CallDocument { id, name, args, foreign } = document;
    ToolCall { id, name, args, foreign }
}

fn plan_document(plan: &Plan) -> PlanDocument {
    let options = &plan.options;
    PlanDocument {
        system: plan.system.clone(),
        instructions: plan.instructions.clone(),
        depth: plan.depth,
        max_steps: options.max_steps,
        active_tools: options.active_tools.clone(),
        tool_choice: options.tool_choice.clone(),
        client_tools: options.client_tools.clone(),
        require_approval: options.require_approval,
        structured: options.structured.as_deref().map(|form| FormDocument {
            schema: form.schema.source.clone(),
            model: form.model.clone(),
            instructions: form.instructions.clone(),
            in_prompt: form.in_prompt,
            on_mismatch: match &form.on_mismatch {
                Mismatch::Fail => MismatchDocument::Fail,
                Mismatch::Warn => MismatchDocument::Warn,
                Mismatch::Fallback(value) => MismatchDocument::Fallback(value.clone()),
            },
        }),
        settings: options.settings.clone(),
        provider_options: options.provider_options.clone(),
        request_context: options.request_context.clone(),
        model: options.model.clone(),
        trace: options.trace.clone(),
        deadline_ms: options.deadline.map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
        memory: options.memory.clone(),
        read_only: options.read_only,
    }
}

fn plan(document: PlanDocument) -> Result<Plan, String> {
    let structured = match document.structured {
        None => None,
        Some(form) => Some(Arc::new(Structured {
            schema: Schema::compile(form.schema)?,
            model: form.model,
            instructions: form.instructions,
            in_prompt: form.in_prompt,
            on_mismatch: match form.on_mismatch {
                MismatchDocument::Fail => Mismatch::Fail,
                MismatchDocument::Warn => Mismatch::Warn,
                MismatchDocument::Fallback(value) => Mismatch::Fallback(value),
            },
        })),
    };
    Ok(Plan {
        system: document.system,
        instructions: document.instructions,
        depth: document.depth,
        options: RunOptions {
            max_steps: document.max_steps,
            active_tools: document.active_tools,
            tool_choice: document.tool_choice,
            client_tools: document.client_tools,
            require_approval: document.require_approval,
            structured,
            settings: document.settings,
            provider_options: document.provider_options,
            request_context: document.request_context,
            model: document.model,
            deadline: document.deadline_ms.map(Duration::from_millis),
            trace: document.trace,
            memory: document.memory,
            read_only: document.read_only,
            ..RunOptions::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::message::{Part, Role, ToolPart, ToolState};

    fn waiting(reason: Waiting) -> (Turn, Plan) {
        let mut turn = Turn::new("a".to_owned(), "p/m".to_owned(), Some("run-1".to_owned()));
        turn.thread_id = Some("t".to_owned());
        turn.resource_id = Some("r".to_owned());
        turn.input.push(Message::of_text(Role::User, "do it"));
        turn.kept = Kept { input: true, response: 1 };
        let call = ToolCall { id: "c1".to_owned(), name: "tool".to_owned(), args: json!({"x": 1}), foreign: false };
        let part = ToolPart {
            tool_call_id: call.id.clone(),
            tool_name: call.name.clone(),
            args: call.args.clone(),
            state: ToolState::Called,
            created_at: Millis(5),
        };
        turn.current().parts.push(Part::Tool(part));
        turn.sign();
        let step =
            Step { calls: vec![call.clone()], end: turn.mark(), usage: Some(Usage::default()), ..Step::default() };
        turn.steps.push(step);
        turn.suspension = Some(Suspension { call, reason, resume_schema: json!({"type": "object"}), mark: Some(3) });
        let options = RunOptions {
            max_steps: Some(3),
            tool_choice: Some(ToolChoice::Required),
            structured: Some(Arc::new(Structured {
                schema: Schema::compile(json!({"type": "object"})).unwrap(),
                model: None,
                instructions: Some("as JSON".to_owned()),
                in_prompt: true,
                on_mismatch: Mismatch::Fallback(json!(null)),
            })),
            deadline: Some(Duration::from_secs(7)),
            trace: TraceOptions { tags: vec!["probe".to_owned()], ..TraceOptions::default() },
            ..RunOptions::default()
        };
        let plan = Plan { system: vec!["be kind".to_owned()], instructions: None, options, depth: 2 };
        (turn, plan)
    }

    #[track_caller]
    fn check(reason: Waiting) {
        let (turn, plan) = waiting(reason);
        let (same_turn, same_plan) = read(&write(&turn, &plan).unwrap()).unwrap();
        assert_eq!(format!("{same_turn:?}"), format!("{turn:?}"));
        assert_eq!(format!("{same_plan:?}"), format!("{plan:?}"));
    }

    #[test]
    fn a_run_that_waits_is_read_as_it_was_written() {
        check(Waiting::Approval);
        check(Waiting::Tool(json!({"question": "which?"})));
        check(Waiting::Tool(Value::Null));
    }

    #[test]
    fn a_run_that_does_not_wait_is_not_written() {
        let (mut turn, plan) = waiting(Waiting::Approval);
        turn.suspension = None;
        assert!(write(&turn, &plan).is_none());
    }

    #[test]
    fn what_another_version_wrote_is_refused() {
        let (turn, plan) = waiting(Waiting::Approval);
        let state = write(&turn, &plan).unwrap().replacen("\"version\":1", "\"version\":9", 1);
        assert!(matches!(read(&state), Err(StoreError::Corrupt(message)) if message.contains("version 9")));
    }
}
