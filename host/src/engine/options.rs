//! What a caller asks of an agent's run.

use std::{sync::Arc, time::Duration};

use hotbay_plugin::chat::{Settings, ToolChoice, ToolSpec};
use serde_json::{Map, Value};

use crate::{
    plugin::registry::Route,
    types::{message::Message, schema::Schema, trace::TraceOptions},
};

/// A run of an agent, as asked for. Absent values are the agent's defaults.
#[derive(Debug, Default)]
pub struct RunRequest {
    /// The agent.
    pub agent_id: String,
    /// The conversation's new entries, oldest first.
    pub input: Vec<Message>,
    /// Entries put before them that are not part of the conversation.
    pub context: Vec<Message>,
    /// System texts that came with the messages or beside them.
    pub system: Vec<String>,
    /// Replaces the agent's instructions.
    pub instructions: Option<String>,
    /// The rest.
    pub options: RunOptions,
}

/// How a run goes; kept for as long as it may be resumed.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Names the run; made up if absent.
    pub run_id: Option<String>,
    /// The conversation the run belongs to.
    pub thread_id: Option<String>,
    /// Whom the conversation belongs to.
    pub resource_id: Option<String>,
    /// What the conversation is called, if it is new.
    pub thread_title: Option<String>,
    /// What is noted on the conversation.
    pub thread_metadata: Option<Map<String, Value>>,
    /// How it is remembered, over the agent's own options.
    pub memory: Map<String, Value>,
    /// The run leaves no trace in it.
    pub read_only: bool,
    /// Most model steps.
    pub max_steps: Option<u32>,
    /// The tools that may be used, by key; all if absent.
    pub active_tools: Option<Vec<String>>,
    /// How the model may use them.
    pub tool_choice: Option<ToolChoice>,
    /// Tools the caller runs itself.
    pub client_tools: Vec<ToolSpec>,
    /// A person must approve every tool call.
    pub require_approval: bool,
    /// The answer's form.
    pub structured: Option<Arc<Structured>>,
    /// Sampling and limits.
    pub settings: Settings,
    /// Passed to the provider.
    pub provider_options: Map<String, Value>,
    /// Passed to tools.
    pub request_context: Map<String, Value>,
    /// Replaces the agent's model.
    pub model: Option<String>,
    /// The longest the run may take.
    pub deadline: Option<Duration>,
    /// Where it belongs among traces, and what is noted there.
    pub trace: TraceOptions,
}

/// An answer of a certain form.
#[derive(Debug)]
pub struct Structured {
    /// The form.
    pub schema: Schema,
    /// A model that puts the answer into that form, if not the agent's own.
    pub model: Option<String>,
    /// What to tell that model, or the agent's own when the schema goes into the prompt.
    pub instructions: Option<String>,
    /// Puts the schema into the prompt instead of asking the provider for it.
    pub in_prompt: bool,
    /// What happens when the answer does not fit.
    pub on_mismatch: Mismatch,
}

/// What happens when a structured answer does not fit.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Mismatch {
    /// The run fails.
    #[default]
    Fail,
    /// It is logged; there is no object.
    Warn,
    /// This value takes its place.
    Fallback(Value),
}

impl RunOptions {
    /// Returns what decides which build answers the run; `made_up` is its id if the caller gave none.
    pub(super) fn route<'a>(&'a self, made_up: Option<&'a str>) -> Route<'a> {
        let owner = self.resource_id.as_deref();
        // An id of the host's own making is other for each run of the same owner.
        let run = self.run_id.as_deref().or(made_up.filter(|_| owner.is_none()));
        Route { thread: self.thread_id.as_deref(), run, owner }
    }

    /// Reads the conversation as callers write it:
    /// `{thread: id or {id, title?, metadata?}, resource?, options?, readOnly?}`.
    pub fn converse(&mut self, memory: &Map<String, Value>) {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        match memory.get("thread") {
            Some(Value::Object(thread)) => {
                self.thread_id = text(thread.get("id"));
                self.thread_title = text(thread.get("title"));
                self.thread_metadata = thread.get("metadata").and_then(Value::as_object).cloned();
            }
            id => self.thread_id = text(id),
        }
        self.resource_id = text(memory.get("resource"));
        self.memory = memory.get("options").and_then(Value::as_object).cloned().unwrap_or_default();
        let says_read_only = |options: &Map<String, Value>| options.get("readOnly") == Some(&Value::Bool(true));
        self.read_only = says_read_only(memory) || says_read_only(&self.memory);
    }

    /// Fills what the caller left open with the agent's default options.
    pub(super) fn apply_defaults(&mut self, defaults: &Map<String, Value>) {
        fn number(value: Option<&Value>) -> Option<u32> {
            value.and_then(Value::as_u64).and_then(|steps| u32::try_from(steps).ok())
        }
        self.max_steps = self.max_steps.or_else(|| number(defaults.get("maxSteps")));
        if let Some(Ok(settings)) =
            defaults.get("modelSettings").map(|it| serde_json::from_value::<Settings>(it.clone()))
        {
            fill(&mut self.settings, settings);
        }
        if self.tool_choice.is_none() {
            self.tool_choice = defaults.get("toolChoice").and_then(tool_choice);
        }
        if defaults.get("requireToolApproval") == Some(&Value::Bool(true)) {
            self.require_approval = true;
        }
    }
}

/// Reads a tool choice as callers write it: a word, or an object that names a tool.
#[must_use]
pub fn tool_choice(value: &Value) -> Option<ToolChoice> {
    match value.as_str() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        Some("required") => Some(ToolChoice::Required),
        Some(_) => None,
        None => serde_json::from_value(value.clone()).ok(),
    }
}

fn fill(settings: &mut Settings, defaults: Settings) {
    settings.temperature = settings.temperature.or(defaults.temperature);
    settings.top_p = settings.top_p.or(defaults.top_p);
    settings.top_k = settings.top_k.or(defaults.top_k);
    settings.max_output_tokens = settings.max_output_tokens.or(defaults.max_output_tokens);
    settings.presence_penalty = settings.presence_penalty.or(defaults.presence_penalty);
    settings.frequency_penalty = settings.frequency_penalty.or(defaults.frequency_penalty);
    settings.seed = settings.seed.or(defaults.seed);
    settings.max_retries = settings.max_retries.or(defaults.max_retries);
    if settings.stop_sequences.is_empty() {
        settings.stop_sequences = defaults.stop_sequences;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_the_way_of_its_conversation_then_its_own_id_then_its_owner() {
        let mut options = RunOptions::default();
        assert_eq!(options.route(Some("made up")), Route::of_run("made up"));
        options.resource_id = Some("me".into());
        let owned = Route { owner: Some("me"), ..Route::default() };
        assert_eq!(options.route(Some("made up")), owned, "all runs of an owner go one way");
        options.run_id = Some("run".into());
        options.thread_id = Some("thread".into());
        assert_eq!(options.route(None), Route { thread: Some("thread"), run: Some("run"), owner: Some("me") });
    }
}
