//! A script in the request: what the model answers, turn by turn.
//!
//! `providerOptions.mock.script` is a list of answers. The first is given to the user's
//! message, the next after the tools of the first have answered, and so on; after the
//! last the model answers as it does without a script.

use hotbay_plugin::chat::{ChatRequest, FinishReason, Message};
use serde::Deserialize;
use serde_json::{Value, json};

use super::PROVIDER;
use crate::model::ModelError;

/// One answer of a script.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Answer {
    /// What it thinks first.
    pub(super) reasoning: Option<String>,
    /// What it says.
    pub(super) text: Option<String>,
    /// What it calls.
    pub(super) tool_calls: Vec<Call>,
    /// How it fails: at once without a text, after the text with one.
    pub(super) error: Option<String>,
    /// A pause before each part.
    pub(super) delay_ms: u64,
    /// Why it stops, if not for the obvious reason.
    pub(super) finish_reason: Option<FinishReason>,
}

/// A call of a script.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Call {
    /// Made up if absent.
    #[serde(default)]
    pub(super) tool_call_id: Option<String>,
    /// The tool; it need not be offered.
    pub(super) tool_name: String,
    /// The arguments.
    #[serde(default = "no_arguments")]
    pub(super) input: Value,
}

fn no_arguments() -> Value {
    json!({})
}

/// Returns what the request's script says now, if it has one that goes so far.
pub(super) fn next(request: &ChatRequest) -> Result<Option<Answer>, ModelError> {
    let Some(script) = request.provider_options.get(PROVIDER).and_then(|options| options.get("script")) else {
        return Ok(None);
    };
    let answers: Vec<Answer> = serde_json::from_value(script.clone()).map_err(|error| ModelError::Refused {
        status: None,
        message: format!("providerOptions.{PROVIDER}.script is not a list of answers: {error}"),
    })?;
    let given = request
        .messages
        .iter()
        .rev()
        .take_while(|message| !matches!(message, Message::User(_)))
        .filter(|message| matches!(message, Message::Assistant(_)));
    Ok(answers.into_iter().nth(given.count()))
}
