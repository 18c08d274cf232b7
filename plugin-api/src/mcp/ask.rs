//! What a call asks of the MCP client: its user, its model, its roots.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The payload a call suspends with to ask the client something, in MCP's own words.
///
/// A payload that is none is shown to the client's user, who is asked for what the tool resumes
/// with. What comes back is [`Answers`]; requests the client does not take are left out of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Ask {
    /// Requests by a name of the call's own: `{"method", "params"}`.
    pub input_requests: Map<String, Value>,
    /// Given back with the answers. It travels through the client, signed but readable.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub state: Value,
}

/// What came of an [`Ask`]: `ctx.resume_data::<Answers>()`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Answers {
    /// What the client answered, by the names of the requests. One that is missing was not answered.
    pub input_responses: Map<String, Value>,
    /// [`Ask::state`].
    pub state: Value,
}

impl Ask {
    /// Returns a question about nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the user to fill in a form; `schema` is what MCP allows in one.
    #[must_use]
    pub fn user(self, name: impl Into<String>, message: impl Into<String>, schema: &Value) -> Self {
        let params = json!({"mode": "form", "message": message.into(), "requestedSchema": schema});
        self.request(name, "elicitation/create", params)
    }

    /// Asks the client's model; `params` are those of `sampling/createMessage`.
    #[must_use]
    pub fn model(self, name: impl Into<String>, params: Value) -> Self {
        self.request(name, "sampling/createMessage", params)
    }

    /// Asks which directories the client works in.
    #[must_use]
    pub fn roots(self, name: impl Into<String>) -> Self {
        self.request(name, "roots/list", json!({}))
    }

    /// Keeps something until the answers come.
    #[must_use]
    pub fn state(mut self, state: impl Into<Value>) -> Self {
        self.state = state.into();
        self
    }

    fn request(mut self, name: impl Into<String>, method: &str, params: Value) -> Self {
        self.input_requests.insert(name.into(), json!({"method": method, "params": params}));
        self
    }
}

impl Answers {
    /// Returns what the user filled in; `None` if there is no answer, or the user declined.
    #[must_use]
    pub fn form(&self, name: &str) -> Option<&Map<String, Value>> {
        let answer = self.input_responses.get(name)?;
        (answer.get("action")? == "accept").then(|| answer.get("content")?.as_object())?
    }

    /// Returns the text the client's model answered.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<&str> {
        self.input_responses.get(name)?.get("content")?.get("text")?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_form_that_was_accepted_is_filled_in() {
        let answers = |answer: Value| Answers {
            input_responses: [("who".to_owned(), answer)].into_iter().collect(),
            state: Value::Null,
        };
        let filled_in = answers(json!({"action": "accept", "content": {"name": "Ann"}}));
        assert_eq!(filled_in.form("who").unwrap()["name"], "Ann");
        assert_eq!(filled_in.form("other"), None);
        for answer in [json!({"action": "decline"}), json!({"action": "accept"}), json!("Ann"), Value::Null] {
            assert_eq!(answers(answer).form("who"), None);
        }
    }
}
