//! Workflows as tools of agents: how a model sees one, and what a call of it comes to.

use futures::future::{BoxFuture, FutureExt};
use hotbay_plugin::chat::ToolSpec;
use serde_json::{Map, Value, json};

use super::{
    MAX_DEPTH,
    agent_loop::Run,
    calls::Answer,
    error::EngineError,
    tool_call::{Outcome, Pause},
    turn::ToolCall,
    workflow::{
        StartRequest,
        tool::{Called, Reply},
    },
};
use crate::{observe::tracer::SpanContext, plugin::registry::WorkflowEntry, services::Origin, types::run::RunStatus};

impl Run {
    /// Runs a workflow for the model. Boxed, for its steps may ask agents.
    pub(super) fn call_workflow<'a>(
        &'a self,
        entry: &'a WorkflowEntry,
        call: &'a ToolCall,
        answer: Option<Answer>,
        origin: &'a Origin,
    ) -> BoxFuture<'a, Outcome> {
        let work = async move {
            let Some(input) = call.args.get("inputData") else {
                return Outcome::Failed("give the workflow its input as `inputData`".to_owned());
            };
            if self.plan.depth >= MAX_DEPTH {
                return Outcome::Failed(EngineError::TooDeep(MAX_DEPTH).to_string());
            }
            let Some(workflows) = self.engine.shared.workflows.get() else {
                return Outcome::Failed("this host runs no workflows".to_owned());
            };
            let request = StartRequest {
                workflow_id: entry.manifest.id.clone(),
                resource_id: self.turn.resource_id.clone(),
                input: Some(input.clone()),
                initial_state: call.args.get("initialState").cloned(),
                request_context: self.plan.options.request_context.clone(),
                depth: self.plan.depth + 1,
                trace: origin.span.as_ref().map(SpanContext::causes).unwrap_or_default(),
                ..StartRequest::default()
            };
            let run_id = self.workflow_run(call);
            let reply = answer.and_then(|Answer { data, mark }| Some(Reply { data, mark: mark? }));
            match workflows.call(&run_id, request, reply).await {
                Ok(called) => outcome(&run_id, called),
                Err(error) => Outcome::Failed(error.to_string()),
            }
        };
        work.boxed()
    }

    /// Returns the id of the run that stands for a call, the same each time the call is made.
    fn workflow_run(&self, call: &ToolCall) -> String {
        let hash = blake3::hash(self.call_key(call).as_bytes());
        hash.to_hex().chars().take(32).collect()
    }
}

fn outcome(run_id: &str, called: Called) -> Outcome {
    let Called { end, question } = called;
    match (end.status, question) {
        (RunStatus::Success, _) => {
            Outcome::Answered(json!({"result": end.outcome.result.unwrap_or_default(), "runId": run_id}))
        }
        (RunStatus::Suspended, Some(question)) => {
            Outcome::Suspended(Pause { payload: question.payload, schema: question.schema, mark: Some(question.mark) })
        }
        (status, _) => {
            let reason = match (end.outcome.error, end.outcome.tripwire, end.outcome.parked) {
                (Some(error), _, _) => error.message,
                (None, Some(tripwire), _) => tripwire["reason"].as_str().unwrap_or("it tripped").to_owned(),
                (None, None, Some(parked)) => parked,
                (None, None, None) => format!("it is {}", status.as_str()),
            };
            Outcome::Failed(format!("workflow run {run_id} gave no result: {reason}"))
        }
    }
}

/// Returns what a model is told of a workflow.
pub(super) fn spec(key: &str, entry: &WorkflowEntry) -> ToolSpec {
    let manifest = &entry.manifest;
    let description = match manifest.description.as_str() {
        "" => format!("Runs the workflow {}", manifest.id),
        description => description.to_owned(),
    };
    ToolSpec {
        name: key.to_owned(),
        description,
        input_schema: wrapped(&manifest.input_schema, manifest.state_schema.as_ref()),
    }
}

/// Returns the schema of a call: input and state of the run beside each other.
fn wrapped(input: &Value, state: Option<&Value>) -> Value {
    let mut properties = Map::new();
    // Without a schema it takes anything.
    let input = if input.is_null() { json!({}) } else { moved(input, "#/properties/inputData") };
    properties.insert("inputData".to_owned(), input);
    if let Some(state) = state {
        properties.insert("initialState".to_owned(), moved(state, "#/properties/initialState"));
    }
    json!({"type": "object", "properties": properties, "required": ["inputData"], "additionalProperties": false})
}

/// Returns a schema that has become a part of another, at `place`: what it refers to has moved, too.
fn moved(schema: &Value, place: &str) -> Value {
    match schema {
        Value::Object(map) => {
            let entries = map.iter().filter(|(key, _)| *key != "$schema").map(|(key, value)| {
                let reference = value.as_str().filter(|_| key == "$ref").and_then(|target| target.strip_prefix('#'));
                let value = reference.map_or_else(|| moved(value, place), |rest| format!("{place}{rest}").into());
                (key.clone(), value)
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => items.iter().map(|item| moved(item, place)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::schema::Schema;

    #[test]
    fn schemas_still_find_what_they_refer_to() {
        let tree = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"leaf": {"$ref": "#/$defs/Leaf"}, "inner": {"$ref": "#"}},
            "required": ["leaf"], "$defs": {"Leaf": {"type": "string"}}});
        let state = json!({"type": "object", "properties": {"leaf": {"$ref": "#/$defs/Leaf"}},
            "$defs": {"Leaf": {"type": "number"}}});
        let schema = Schema::compile(wrapped(&tree, Some(&state))).unwrap();
        assert!(
            schema.accepts(&json!({"inputData": {"leaf": "a", "inner": {"leaf": "b"}}, "initialState": {"leaf": 1}}))
        );
        for misfit in [
            json!({}),
            json!({"inputData": {"leaf": 1}}),
            json!({"inputData": {"leaf": "a", "inner": {}}}),
            json!({"inputData": {"leaf": "a"}, "initialState": {"leaf": "a"}}),
        ] {
            assert!(!schema.accepts(&misfit), "{misfit}");
        }
    }

    #[test]
    fn a_workflow_without_schemas_takes_anything() {
        let schema = Schema::compile(wrapped(&Value::Null, None)).unwrap();
        assert!(schema.accepts(&json!({"inputData": [1]})));
    }
}
