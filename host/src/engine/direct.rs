//! A tool, an agent or a workflow run by itself, for somebody outside any run: clients of MCP.
//!
//! Where such a call waits for somebody, it ends with a [`Wait`]; the same call with that and an
//! answer goes on. Nothing is held meanwhile, so anybody may answer, on any host
//! on the same store.

use hotbay_plugin::manifest::CallMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    Decision, Engine,
    agent_loop::Run,
    error::EngineError,
    event, live,
    options::RunRequest,
    tool_call::{self, Outside},
    turn::Waiting,
    workflow::{
        StartRequest,
        tool::{Called, Reply},
    },
};
use crate::{
    observe::tracer::{ActiveSpan, SpanContext},
    plugin::{
        call::ChunkSender,
        registry::{Route, ToolEntry},
    },
    services::{Origin, span},
    types::{
        id, json,
        message::{Message, Role},
        run::RunStatus,
        span::SpanKind,
        trace::TraceOptions,
    },
};

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tool, by id.
    Tool(String),
    /// An agent, by id. Its input is `{message}`.
    Agent(String),
    /// A workflow, by id.
    Workflow(String),
    /// A tool of a third-party MCP server, by the name it has here. Its result is MCP's.
    Source(String),
}

/// A call.
#[derive(Debug)]
pub struct DirectCall {
    /// What is run.
    pub target: Target,
    /// Its input.
    pub input: Value,
    /// What it waited for, and the answer, if it is the rest of an earlier call.
    pub answer: Option<(Wait, Value)>,
    /// Where a tool's chunks go.
    pub sink: Option<ChunkSender>,
    /// The span that caused it.
    pub cause: Option<SpanContext>,
}

/// How a call ended.
#[derive(Debug)]
pub enum DirectReply {
    /// With a JSON document.
    Value(Vec<u8>),
    /// Input or result of a tool do not fit its schemas: a document that says where.
    Misfit(Value),
    /// A workflow ended without a result: a document that says why.
    Ended(Value),
    /// It waits for somebody.
    Waits(Wait),
}

/// What a call waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// What it tells whoever is to answer.
    pub payload: Value,
    /// JSON Schema of the answer, if it has one.
    pub schema: Option<Value>,
    /// A person is asked whether a tool may run: the answer is `{approved}`.
    pub is_approval: bool,
    /// What waits.
    pub token: Token,
}

/// Names what waits, so that an answer finds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "waits", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Token {
    /// Nothing: the code that asked is called again, with what it had suspended with.
    Again,
    /// An agent's run is stored.
    Agent {
        /// The run.
        run_id: String,
        /// The call it waits for.
        tool_call_id: String,
    },
    /// A workflow's run is stored.
    Workflow {
        /// The run.
        run_id: String,
        /// Which of its questions it is.
        mark: u64,
    },
}

impl Engine {
    /// Runs a tool, an agent or a workflow by itself, or goes on with one that waited.
    /// Dropping the future ends it, but for a workflow, which goes on by itself.
    ///
    /// # Errors
    /// If it is not there, what it is given does not fit, or it fails.
    pub async fn call(&self, call: DirectCall) -> Result<DirectReply, EngineError> {
        let DirectCall { target, input, answer, sink, cause } = call;
        match target {
            Target::Tool(id) => self.call_tool(&id, &input, answer, sink, cause).await,
            Target::Agent(id) => self.call_agent(id, &input, answer, cause).await,
            Target::Workflow(id) => self.call_workflow(id, input, answer, cause).await,
            Target::Source(name) => self.call_source(&name, &input, answer, cause).await,
        }
    }

    /// Begins the span of a call.
    fn span_of(&self, kind: SpanKind, tool: &str, cause: Option<&SpanContext>) -> ActiveSpan {
        let name = || span::tool_name(tool);
        match cause {
            Some(cause) => cause.child(kind, name()),
            None => self.shared.recorder.begin_for(&TraceOptions::default(), kind, name),
        }
    }

    async fn call_tool(
        &self,
        tool: &str,
        input: &Value,
        answer: Option<(Wait, Value)>,
        sink: Option<ChunkSender>,
        cause: Option<SpanContext>,
    ) -> Result<DirectReply, EngineError> {
        let mut meta = CallMeta::default();
        match answer {
            None => {}
            Some((Wait { token: Token::Again, payload, .. }, data)) => {
                meta.suspend_payload = Some(payload);
                meta.resume_data = Some(data);
            }
            Some(_) => return Err(foreign()),
        }
        let snapshot = self.snapshot_for(&Route::default());
        let entry = snapshot.tools.get(tool).ok_or_else(|| EngineError::UnknownTool(tool.to_owned()))?;
        let span = self.span_of(SpanKind::ToolCall, &entry.manifest.id, cause.as_ref());
        span::describe(&span, &entry.manifest, entry.generation.plugin(), None);
        span.input(|| input.clone());
        let origin = Origin { snapshot: std::sync::Arc::clone(&snapshot), depth: 0, step: None, span: span.context() };
        let told = live::ToolTold::begin(&self.shared.recorder, entry, None);
        let within = origin.span.clone();
        let log = tracing::info_span!(
            "tool",
            trace.id = within.as_ref().map(SpanContext::trace_id),
            span.id = within.as_ref().map(SpanContext::span_id)
        );
        let reply = tool_call::outside(entry, input, &meta, sink, origin).instrument(log).await;
        told.end(reply.is_ok());
        match &reply {
            Ok(Outside::Value(text)) => span::answered(span, || json::read(text).unwrap_or_default()),
            Ok(Outside::Misfit(document) | Outside::Suspended(document)) => span::answered(span, || document.clone()),
            Err(error) => span::failed(span, &error.to_string()),
        }
        reply.map(|reply| direct(reply, entry))
    }

    /// Calls a tool of a third-party MCP server; what it answers is passed on as it is.
    async fn call_source(
        &self,
        name: &str,
        input: &Value,
        answer: Option<(Wait, Value)>,
        cause: Option<SpanContext>,
    ) -> Result<DirectReply, EngineError> {
        if answer.is_some() {
            return Err(foreign());
        }
        let tool = self.sources().tool(name).ok_or_else(|| EngineError::UnknownTool(name.to_owned()))?;
        let span = self.span_of(SpanKind::McpToolCall, name, cause.as_ref());
        span::describe_foreign(&span, name, &tool, None);
        span.input(|| input.clone());
        match tool.ask(input).await {
            Ok(result) => {
                let document = serde_json::to_value(result).unwrap_or_default();
                span::answered(span, || document.clone());
                Ok(DirectReply::Value(json::write(&document)))
            }
            Err(reason) => {
                span::failed(span, &reason);
                Err(EngineError::Source { tool: name.to_owned(), reason })
            }
        }
    }

    async fn call_agent(
        &self,
        agent_id: String,
        input: &Value,
        answer: Option<(Wait, Value)>,
        cause: Option<SpanContext>,
    ) -> Result<DirectReply, EngineError> {
        let mut run = match answer {
            None => {
                let message = input.get("message").and_then(Value::as_str).unwrap_or_default();
                let input = vec![Message::of_text(Role::User, message)];
                let request = RunRequest { agent_id, input, ..RunRequest::default() };
                self.prepare_alone(request, cause).await?
            }
            Some((Wait { token: Token::Agent { run_id, tool_call_id }, is_approval, .. }, data)) => {
                let decision = decision(is_approval, data);
                self.resume(&agent_id, &run_id, Some(&tool_call_id), decision).await?
            }
            Some(_) => return Err(foreign()),
        };
        run.drive(&mut event::Unobserved).await?;
        Ok(answered(&run))
    }

    async fn call_workflow(
        &self,
        workflow_id: String,
        input: Value,
        answer: Option<(Wait, Value)>,
        cause: Option<SpanContext>,
    ) -> Result<DirectReply, EngineError> {
        let workflows = self.shared.workflows.get();
        let workflows = workflows.ok_or_else(|| EngineError::Definition("this host runs no workflows".to_owned()))?;
        let (run_id, reply) = match answer {
            None => (id::fresh(), None),
            Some((Wait { token: Token::Workflow { run_id, mark }, .. }, data)) => (run_id, Some(Reply { data, mark })),
            Some(_) => return Err(foreign()),
        };
        let trace = cause.map(|cause| cause.causes()).unwrap_or_default();
        let request = StartRequest { workflow_id, input: Some(input), trace, ..StartRequest::default() };
        let Called { end, question } = workflows.call(&run_id, request, reply).await?;
        if let Some(question) = question {
            let token = Token::Workflow { run_id, mark: question.mark };
            let wait = Wait { payload: question.payload, schema: question.schema, is_approval: false, token };
            return Ok(DirectReply::Waits(wait));
        }
        let mut document = json!({"status": end.status.as_str(), "runId": run_id});
        if end.status == RunStatus::Success {
            document["result"] = end.outcome.result.unwrap_or_default();
            return Ok(DirectReply::Value(json::write(&document)));
        }
        let reason = end.outcome.error.map(|error| error.message).or(end.outcome.parked);
        document["error"] = reason.unwrap_or_else(|| format!("the run is {}", end.status.as_str())).into();
        Ok(DirectReply::Ended(document))
    }
}

fn direct(reply: Outside, entry: &ToolEntry) -> DirectReply {
    match reply {
        Outside::Value(text) => DirectReply::Value(text),
        Outside::Misfit(document) => DirectReply::Misfit(document),
        Outside::Suspended(payload) => DirectReply::Waits(Wait {
            payload,
            schema: entry.manifest.resume_schema.clone(),
            is_approval: false,
            token: Token::Again,
        }),
    }
}

/// Returns what an agent's run came to: the answer, or what it waits for.
fn answered(run: &Run) -> DirectReply {
    let turn = &run.turn;
    if let Some(suspension) = &turn.suspension {
        let call = &suspension.call;
        let (payload, is_approval) = match &suspension.reason {
            Waiting::Approval => (json!({"toolName": call.name, "args": call.args}), true),
            Waiting::Tool(payload) => (payload.clone(), false),
        };
        let (run_id, tool_call_id) = (turn.run_id.clone(), call.id.clone());
        return DirectReply::Waits(Wait {
            payload,
            schema: Some(suspension.resume_schema.clone()),
            is_approval,
            token: Token::Agent { run_id, tool_call_id },
        });
    }
    let finish = turn.steps.last().map(|step| step.finish).unwrap_or_default();
    let mut document = json!({
        "text": turn.text(),
        "finishReason": finish,
        "usage": turn.usage,
        "runId": turn.run_id,
        "traceId": turn.trace_id,
    });
    if let Some(object) = &turn.object {
        document["object"] = object.clone();
    }
    DirectReply::Value(json::write(&document))
}

fn decision(is_approval: bool, data: Value) -> Decision {
    match data.get("approved") {
        _ if !is_approval => Decision::Resume(data),
        Some(Value::Bool(true)) => Decision::Approve,
        _ => Decision::Decline { reason: data.get("reason").and_then(Value::as_str).map(str::to_owned) },
    }
}

fn foreign() -> EngineError {
    let message = "the answer is to something else than what is called".to_owned();
    EngineError::InvalidInput { message, issues: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_approves() {
        assert!(matches!(decision(true, json!({"approved": true})), Decision::Approve));
        for data in [json!({"approved": "true"}), json!({"approved": false}), json!({}), Value::Null] {
            assert!(matches!(decision(true, data), Decision::Decline { reason: None }));
        }
        let reason = json!({"approved": false, "reason": "too late"});
        assert!(matches!(decision(true, reason), Decision::Decline { reason: Some(why) } if why == "too late"));
        assert!(matches!(decision(false, json!({"approved": true})), Decision::Resume(_)));
    }

    #[test]
    fn what_waits_comes_back_as_it_was_sent() {
        let token = Token::Agent { run_id: "r".into(), tool_call_id: "c".into() };
        let wait = Wait { payload: json!({"a": 1}), schema: None, is_approval: true, token };
        let text = serde_json::to_string(&wait).unwrap();
        let read: Wait = serde_json::from_str(&text).unwrap();
        assert!(matches!(read, Wait { is_approval: true, token: Token::Agent { run_id, .. }, .. } if run_id == "r"));
    }
}
