//! What a call that waits asks of the client, and what the client's answers are to the call.

use hotbay_plugin::mcp::{Answers, Ask};
use rmcp::model::{ClientCapabilities, ElicitationSchema, InputRequest, InputRequests, InputResponses};
use serde_json::{Map, Value, json};

use crate::engine::direct::Wait;

/// The one request of a call that does not speak MCP itself.
const ANSWER: &str = "answer";
/// The one field of a form whose answer is no form.
const JSON_FIELD: &str = "json";

/// What becomes of a call when it is answered.
#[derive(Debug, PartialEq)]
pub(super) enum Answered {
    /// It goes on with this.
    Resume(Value),
    /// The answer is none: it is asked again.
    Again,
    /// The user does not want to answer.
    Declined,
}

/// What a call asks, as far as this client can be asked it.
pub(super) struct Asked {
    /// What the client is to do.
    pub(super) requests: InputRequests,
    /// What it would have to be able to do, if all of it is beyond it.
    pub(super) beyond: Option<ClientCapabilities>,
}

/// Returns what a call asks a client of these capabilities.
pub(super) fn ask(wait: &Wait, client: &ClientCapabilities) -> Asked {
    let (mut requests, mut needed) = (InputRequests::new(), ClientCapabilities::default());
    let mut is_beyond = false;
    for (name, request) in requests_of(wait) {
        let request = match serde_json::from_value::<InputRequest>(request) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, request = name, "a plugin asks MCP clients something they cannot be asked");
                continue;
            }
        };
        if can(client, &request) {
            requests.insert(name, request);
        } else {
            need(&mut needed, &request);
            is_beyond = true;
        }
    }
    let beyond = (is_beyond && requests.is_empty()).then_some(needed);
    Asked { requests, beyond }
}

/// Returns what the client's answers are to the call that waits.
pub(super) fn answer(wait: &Wait, responses: InputResponses) -> Answered {
    if let Some(ask) = spoken(wait) {
        let known = responses.into_iter().filter(|(name, _)| ask.input_requests.contains_key(name));
        let mut answers = Answers::default();
        answers.input_responses = known.collect();
        answers.state = ask.state;
        return serde_json::to_value(answers).map_or(Answered::Again, Answered::Resume);
    }
    let response = responses.get(ANSWER).unwrap_or(&Value::Null);
    match (response["action"].as_str(), &response["content"]) {
        (Some("accept"), Value::Object(content)) => filled_in(wait, content),
        (Some("decline" | "cancel"), _) if wait.is_approval => Answered::Resume(json!({"approved": false})),
        (Some("decline" | "cancel"), _) => Answered::Declined,
        _ => Answered::Again,
    }
}

fn filled_in(wait: &Wait, content: &Map<String, Value>) -> Answered {
    if wait.is_approval || form(wait.schema.as_ref()).is_some() {
        return Answered::Resume(Value::Object(content.clone()));
    }
    let text = content.get(JSON_FIELD).and_then(Value::as_str).unwrap_or_default();
    serde_json::from_str(text).map_or(Answered::Again, Answered::Resume)
}

/// Returns what a call asks in MCP's own words, if it does.
fn spoken(wait: &Wait) -> Option<Ask> {
    if wait.is_approval {
        return None;
    }
    serde_json::from_value(wait.payload.clone()).ok()
}

fn requests_of(wait: &Wait) -> Vec<(String, Value)> {
    if let Some(ask) = spoken(wait) {
        return ask.input_requests.into_iter().collect();
    }
    let (message, schema) = if wait.is_approval {
        let (tool, args) = (wait.payload["toolName"].as_str().unwrap_or_default(), &wait.payload["args"]);
        let schema = json!({"type": "object", "required": ["approved"], "properties": {
            "approved": {"type": "boolean", "description": "Whether it may run"},
            "reason": {"type": "string", "description": "Why not"},
        }});
        (format!("The tool {tool} wants to run with {args}. May it?"), schema)
    } else {
        let schema = form(wait.schema.as_ref()).unwrap_or_else(|| {
            let schema = wait.schema.as_ref().map(|schema| format!(", after the JSON Schema {schema}"));
            let description = format!("The answer as JSON{}", schema.unwrap_or_default());
            json!({"type": "object", "required": [JSON_FIELD], "properties": {
                JSON_FIELD: {"type": "string", "description": description},
            }})
        });
        (message(&wait.payload), schema)
    };
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    vec![(ANSWER.to_owned(), json!({"method": "elicitation/create", "params": params}))]
}

/// Returns the sentence in a payload, or all of it.
fn message(payload: &Value) -> String {
    let text = ["message", "question", "prompt", "reason"].iter().find_map(|key| payload.get(key)?.as_str());
    match (text.or_else(|| payload.as_str()), payload) {
        (Some(text), _) => text.to_owned(),
        (None, Value::Null) => "The call waits for an answer".to_owned(),
        (None, payload) => payload.to_string(),
    }
}

/// Returns a schema as a form, if it is one: an object of plain fields.
fn form(schema: Option<&Value>) -> Option<Value> {
    let schema = schema?.as_object()?;
    let mut form = Map::new();
    for key in ["type", "properties", "required"] {
        if let Some(value) = schema.get(key) {
            form.insert(key.to_owned(), value.clone());
        }
    }
    let has_fields = form.get("properties").and_then(Value::as_object).is_some_and(|fields| !fields.is_empty());
    let form = Value::Object(form);
    (has_fields && serde_json::from_value::<ElicitationSchema>(form.clone()).is_ok()).then_some(form)
}

fn can(client: &ClientCapabilities, request: &InputRequest) -> bool {
    match request {
        InputRequest::CreateMessage(_) => client.sampling.is_some(),
        InputRequest::Elicitation(_) => client.elicitation.is_some(),
        InputRequest::ListRoots(_) => client.roots.is_some(),
        // Kinds this host does not know are nothing a client can be asked.
        _ => false,
    }
}

fn need(needed: &mut ClientCapabilities, request: &InputRequest) {
    match request {
        InputRequest::CreateMessage(_) => needed.sampling = Some(rmcp::model::SamplingCapability::default()),
        InputRequest::Elicitation(_) => needed.elicitation = Some(rmcp::model::ElicitationCapability::default()),
        InputRequest::ListRoots(_) => needed.roots = Some(rmcp::model::RootsCapabilities::default()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::direct::Token;

    fn waits(payload: Value, schema: Option<Value>) -> Wait {
        Wait { payload, schema, is_approval: false, token: Token::Again }
    }

    fn responses(answer: Value) -> InputResponses {
        [(ANSWER.to_owned(), answer)].into_iter().collect()
    }

    fn asked(wait: &Wait) -> Value {
        let client: ClientCapabilities = serde_json::from_value(json!({"elicitation": {}})).unwrap();
        serde_json::to_value(&ask(wait, &client).requests[ANSWER]).unwrap()
    }

    #[test]
    fn what_a_tool_resumes_with_is_a_form_for_the_user() {
        let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": false});
        let wait = waits(json!({"question": "Why?"}), Some(schema));
        let request = asked(&wait);
        assert_eq!(request["params"]["message"], "Why?");
        assert_eq!(request["params"]["requestedSchema"]["properties"]["answer"]["type"], "string");
        let accepted = responses(json!({"action": "accept", "content": {"answer": "Because"}}));
        assert_eq!(answer(&wait, accepted), Answered::Resume(json!({"answer": "Because"})));
        assert_eq!(answer(&wait, responses(json!({"action": "decline"}))), Answered::Declined);
        for nothing in [json!("Because"), json!({"action": "accept"}), Value::Null] {
            assert_eq!(answer(&wait, responses(nothing)), Answered::Again);
        }
        assert_eq!(answer(&wait, InputResponses::new()), Answered::Again);
    }

    #[test]
    fn what_is_no_form_is_answered_as_text() {
        let schema = json!({"type": "object", "properties": {"list": {"type": "array", "items": {"type": "object"}}}});
        let wait = waits(json!({"a": 1}), Some(schema));
        assert_eq!(asked(&wait)["params"]["requestedSchema"]["required"], json!([JSON_FIELD]));
        let text = |text: &str| responses(json!({"action": "accept", "content": {JSON_FIELD: text}}));
        assert_eq!(answer(&wait, text(r#"{"list": []}"#)), Answered::Resume(json!({"list": []})));
        assert_eq!(answer(&wait, text("no")), Answered::Again);
    }

    #[test]
    fn a_person_who_declines_an_approval_has_answered_it() {
        let wait = Wait { is_approval: true, ..waits(json!({"toolName": "rm", "args": {}}), None) };
        assert_eq!(asked(&wait)["params"]["message"], "The tool rm wants to run with {}. May it?");
        let declined = answer(&wait, responses(json!({"action": "cancel"})));
        assert_eq!(declined, Answered::Resume(json!({"approved": false})));
    }

    #[test]
    fn a_client_is_asked_only_what_it_can() {
        let both = Ask::new()
            .user("who", "Who?", &json!({"type": "object", "properties": {"n": {"type": "string"}}}))
            .roots("where");
        let wait = waits(serde_json::to_value(both.state(7)).unwrap(), None);
        let client = |capabilities: Value| serde_json::from_value::<ClientCapabilities>(capabilities).unwrap();
        let roots = ask(&wait, &client(json!({"roots": {}})));
        assert_eq!(roots.requests.keys().collect::<Vec<_>>(), ["where"]);
        assert!(roots.beyond.is_none());
        let nothing = ask(&wait, &client(json!({"sampling": {}})));
        let beyond = nothing.beyond.unwrap();
        assert!(nothing.requests.is_empty() && beyond.elicitation.is_some() && beyond.roots.is_some());
        let given: InputResponses =
            [("where".to_owned(), json!({"roots": []})), ("more".to_owned(), json!(1))].into_iter().collect();
        let expected = json!({"inputResponses": {"where": {"roots": []}}, "state": 7});
        assert_eq!(answer(&wait, given), Answered::Resume(expected));
    }
}
