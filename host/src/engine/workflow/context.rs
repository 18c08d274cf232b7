//! What a step may ask of its own run, and the answers of the host it is given again when
//! it is repeated.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use hotbay_plugin::{Error, error::code, manifest::CallMeta};
use serde_json::Value;

use super::journal::Journal;
use crate::{services::StepServices, types::run::StepStatus};

/// One attempt of a step, as its requests see it.
pub(super) struct StepContext {
    journal: Arc<Journal>,
    /// Names the attempt in the run: its answers are kept under it.
    attempt: String,
    /// Put before the ids of steps it may ask for.
    scope: String,
    input: Value,
    // Held for a line each.
    state: Mutex<Option<Value>>,
    /// How often each request was made in this attempt.
    asked: Mutex<HashMap<String, u32>>,
}

impl StepContext {
    pub(super) fn new(journal: Arc<Journal>, attempt: String, scope: String, input: Value) -> Self {
        Self { journal, attempt, scope, input, state: Mutex::default(), asked: Mutex::default() }
    }

    /// Returns the state the step has set, if it has.
    pub(super) fn take_state(&self) -> Option<Value> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Names a request: what is asked, and how often that was asked before in this attempt.
    fn key(&self, op: &str, body: &[u8]) -> String {
        let hash = blake3::hash(body).to_hex();
        let request = format!("{op}/{}", hash.get(..32).unwrap_or_default());
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(request.clone()).or_insert(0);
        *count += 1;
        format!("{}/{request}/{count}", self.attempt)
    }
}

#[async_trait]
impl StepServices for StepContext {
    async fn recall(&self, op: &str, body: &[u8]) -> (String, Option<Vec<u8>>) {
        let key = self.key(op, body);
        match self.journal.memo(&key).await {
            Ok(answer) => (key, answer.map(String::into_bytes)),
            Err(error) => {
                tracing::warn!(%error, "what a step was answered before cannot be read: it is asked again");
                (key, None)
            }
        }
    }

    fn meta(&self, key: &str) -> CallMeta {
        let run_id = self.journal.run_id();
        CallMeta {
            run_id: Some(run_id.to_owned()),
            idempotency_key: Some(format!("{run_id}/{key}")),
            ..CallMeta::default()
        }
    }

    async fn remember(&self, key: &str, answer: &[u8]) -> Result<(), Error> {
        let answer = std::str::from_utf8(answer).map_err(|_| Error::new("an answer is no text"))?;
        let stored = self.journal.remember(key, answer).await;
        // A step must not go on with an answer that a repetition would not get.
        stored.map_err(|error| Error::with_code(code::UNAVAILABLE, error.to_string()).retryable())
    }

    async fn ask_run(&self, op: &str, body: &Value) -> Result<Value, Error> {
        match op {
            "workflow.input" => Ok(self.input.clone()),
            "workflow.state" => {
                let set = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(set.or_else(|| self.journal.run_state()).unwrap_or(Value::Null))
            }
            "workflow.set_state" => {
                let state = body.get("state").cloned().ok_or_else(|| Error::input("`state` is missing"))?;
                *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
                Ok(Value::Null)
            }
            "workflow.step_result" => {
                let step =
                    body.get("step").and_then(Value::as_str).ok_or_else(|| Error::input("`step` must be an id"))?;
                let wanted = format!("{}{step}", self.scope);
                // Of a step in a loop the last repetition counts.
                let found = self.journal.read(|records| {
                    let results = records.iter().filter(|(path, record)| {
                        record.status == StepStatus::Success
                            && record.item.is_none()
                            && path.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
                    });
                    results.max_by_key(|(_, record)| record.order).and_then(|(_, record)| record.output.clone())
                });
                Ok(found.unwrap_or(Value::Null))
            }
            _ => Err(Error::with_code(code::UNSUPPORTED, format!("this host does not know the request `{op}`"))),
        }
    }
}
