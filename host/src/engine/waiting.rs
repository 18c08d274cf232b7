//! Runs that wait: how one is put aside, and what a decision makes of it.

use serde_json::{Value, json};

use super::{
    Decision,
    agent_loop::Run,
    calls::{Answer, Ran},
    event::{Observer, RunEvent},
    tool_call::{Outcome, Pause},
    toolbox::Kind,
    turn::{Suspension, ToolCall, Waiting},
};
use crate::types::{message::ToolState, schema::DRAFT_07};

/// What a model is told when a person declines and says no more.
const DECLINED: &str = "Tool call was not approved by the user";

impl Run {
    pub(super) fn waits_for_tool(&self, call: &ToolCall, pause: Pause) -> Suspension {
        let schema = match self.toolbox.get(&call.name).map(|tool| &tool.kind) {
            Some(Kind::Plugin(entry)) => entry.manifest.resume_schema.as_ref(),
            _ => pause.schema.as_ref(),
        };
        let resume_schema = draft_07(schema);
        Suspension { call: call.clone(), reason: Waiting::Tool(pause.payload), resume_schema, mark: pause.mark }
    }

    pub(super) fn waits_for_approval(call: &ToolCall) -> Suspension {
        Suspension { call: call.clone(), reason: Waiting::Approval, resume_schema: approval_schema(), mark: None }
    }

    /// Notes what the run waits for. The observer is told once that is stored.
    pub(super) fn suspend(&mut self, suspension: Suspension) {
        let call = &suspension.call;
        let mut note = json!({"toolCallId": call.id, "toolName": call.name, "args": call.args,
            "runId": self.turn.run_id, "resumeSchema": suspension.resume_schema.to_string()});
        let key = match &suspension.reason {
            Waiting::Approval => {
                note["type"] = "approval".into();
                "pendingToolApprovals"
            }
            Waiting::Tool(payload) => {
                note["type"] = "suspension".into();
                note["suspendPayload"] = payload.clone();
                "suspendedTools"
            }
        };
        let id = call.id.clone();
        self.turn.current().metadata.insert(key.to_owned(), json!({ id: note }));
        self.turn.suspension = Some(suspension);
    }

    /// Does what was decided about the call the run waited for. Returns whether the run goes on.
    pub(super) async fn finish_suspended<O: Observer>(
        &mut self,
        suspension: Suspension,
        decision: Decision,
        observer: &mut O,
    ) -> bool {
        let call = suspension.call;
        let declined = match &decision {
            Decision::Decline { reason } => Some(reason.clone().unwrap_or_else(|| DECLINED.to_owned())),
            Decision::Resume(data) if matches!(suspension.reason, Waiting::Approval) => {
                (data["approved"] == false).then(|| data["reason"].as_str().unwrap_or(DECLINED).to_owned())
            }
            Decision::Approve | Decision::Resume(_) => None,
        };
        if let Some(reason) = declined {
            if let Some(part) = self.turn.tool_part(&call.id) {
                part.state = ToolState::Denied(reason.clone());
            }
            observer.on(&self.turn, RunEvent::ToolDenied { call: &call, reason: &reason });
        } else {
            // An approval brings no data; a null tells the tool apart from one not resumed.
            let data = match (decision, &suspension.reason) {
                (Decision::Resume(data), Waiting::Tool(_)) => data,
                _ => Value::Null,
            };
            match self.run_tool(&call, Some(Answer { data, mark: suspension.mark })).await {
                Ran::Outcome(Outcome::Suspended(pause)) => {
                    let again = self.waits_for_tool(&call, pause);
                    self.suspend(again);
                    return false;
                }
                Ran::Outcome(outcome) => self.note(&call, outcome, observer),
                Ran::NeedsApproval | Ran::ByClient => {}
            }
        }
        // Other calls of the same step may be waiting, too.
        let pending = self.turn.steps.last().map(|step| step.calls.clone()).unwrap_or_default();
        let mut is_complete = true;
        for call in pending {
            let waits = self.turn.tool_part(&call.id).is_some_and(|part| part.state == ToolState::Called);
            if !waits {
                continue;
            }
            match self.run_tool(&call, None).await {
                Ran::NeedsApproval => {
                    self.suspend(Self::waits_for_approval(&call));
                    return false;
                }
                Ran::Outcome(Outcome::Suspended(pause)) => {
                    let suspension = self.waits_for_tool(&call, pause);
                    self.suspend(suspension);
                    return false;
                }
                Ran::Outcome(outcome) => self.note(&call, outcome, observer),
                Ran::ByClient => is_complete = false,
            }
        }
        self.end_step();
        // A model is not asked again while the caller owes it a tool's answer.
        let continued = is_complete && self.turn.steps.len() < self.max_steps();
        observer.on(&self.turn, RunEvent::StepFinish { continued, resumed: true });
        continued
    }
}

/// Clients know the schemas of resumptions in the older dialect.
fn draft_07(schema: Option<&Value>) -> Value {
    let mut schema = schema.cloned().unwrap_or_else(|| json!({}));
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), DRAFT_07.into());
    }
    schema
}

fn approval_schema() -> Value {
    json!({
        "$schema": DRAFT_07,
        "type": "object",
        "properties": {
            "approved": {
                "type": "boolean",
                "description": "Controls if the tool call is approved or not, should be true when approved and false when declined"
            },
            "reason": {
                "description": "Optional explanation for the decision, surfaced to the model when the tool call is declined",
                "type": "string"
            }
        },
        "required": ["approved"],
        "additionalProperties": false
    })
}
