//! Suspending, resuming, and what workflow steps see of their run.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Ctx;
use crate::{Error, Result, error::control, wire};

/// What a tripwire says beside its reason.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TripwireOptions {
    /// Whoever started the run may try again, with another input.
    pub retry: bool,
    /// More about what was found, for the one who started the run.
    pub metadata: Option<Value>,
}

impl Ctx {
    /// Ends the call for now: the run waits until somebody resumes it.
    ///
    /// Return what this returns (`return ctx.suspend(&payload)`). The call starts from
    /// its beginning when it is resumed; [`Ctx::resume_data`] then has the answer.
    ///
    /// # Errors
    /// Always: the error carries the payload to the host and is not a failure.
    pub fn suspend<T>(&self, payload: &(impl Serialize + ?Sized)) -> Result<T> {
        Err(Error::with_code(control::SUSPENDED, "suspended").detail(serde_json::to_value(payload)?))
    }

    /// As [`Ctx::suspend`], under a label: whoever resumes the run may name it instead of the step.
    ///
    /// # Errors
    /// Always, see [`Ctx::suspend`].
    pub fn suspend_labelled<T>(&self, label: impl Into<String>, payload: &(impl Serialize + ?Sized)) -> Result<T> {
        self.suspend_with_labels([label], payload)
    }

    /// As [`Ctx::suspend_labelled`], under several labels; each of them resumes the run.
    ///
    /// # Errors
    /// Always, see [`Ctx::suspend`].
    pub fn suspend_with_labels<T>(
        &self,
        labels: impl IntoIterator<Item = impl Into<String>>,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<T> {
        let labels: Vec<String> = labels.into_iter().map(Into::into).collect();
        let detail = json!({ "payload": serde_json::to_value(payload)?, "labels": labels });
        Err(Error::with_code(control::LABELLED, "suspended").detail(detail))
    }

    /// Stops the whole workflow run because a guard has found something: it ends with the status `tripwire`
    /// and `reason`, which is no failure of the step and is not repeated.
    ///
    /// # Errors
    /// Always: the error carries the reason to the host and is not a failure.
    pub fn tripwire<T>(&self, reason: impl Into<String>) -> Result<T> {
        self.tripwire_with(reason, TripwireOptions::default())
    }

    /// As [`Ctx::tripwire`], with more for whoever started the run.
    ///
    /// # Errors
    /// Always, see [`Ctx::tripwire`].
    pub fn tripwire_with<T>(&self, reason: impl Into<String>, options: TripwireOptions) -> Result<T> {
        let mut detail = json!({ "reason": reason.into() });
        if options.retry {
            detail["retry"] = true.into();
        }
        if let Some(metadata) = options.metadata {
            detail["metadata"] = metadata;
        }
        Err(Error::with_code(control::TRIPPED, "stopped by a tripwire").detail(detail))
    }

    /// Ends the workflow run well, with `result`; a nested one if the step is in it, and in a tool the call.
    ///
    /// # Errors
    /// Always: the error carries the result to the host and is not a failure.
    pub fn bail<T>(&self, result: &(impl Serialize + ?Sized)) -> Result<T> {
        Err(Error::with_code(control::BAILED, "left the workflow early").detail(serde_json::to_value(result)?))
    }

    /// Returns the id of the workflow whose node runs, `None` outside a workflow's own code.
    #[must_use]
    pub fn workflow_id(&self) -> Option<&str> {
        self.node().map(|node| &*node.workflow)
    }

    /// Returns the id under which the running step, condition or mapping stands in its workflow, `None` outside
    /// a workflow's own code: in a tool, even one that is a node.
    #[must_use]
    pub fn step_id(&self) -> Option<&str> {
        self.node().map(|node| &*node.id)
    }

    /// Returns what the call was resumed with, `None` the first time.
    ///
    /// # Errors
    /// `E_INPUT` if it does not fit `T`.
    pub fn resume_data<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        parse(self.meta().resume_data.as_ref(), "resume data")
    }

    /// Returns what the call had suspended with, `None` the first time.
    ///
    /// # Errors
    /// `E_INPUT` if it does not fit `T`.
    pub fn suspend_payload<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        parse(self.meta().suspend_payload.as_ref(), "suspend payload")
    }

    /// Returns the result of an earlier step of this workflow run, `None` if it has not run.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` outside a workflow; `E_INPUT` if the result does not fit `T`.
    pub async fn step_result<T: DeserializeOwned>(&self, step: &str) -> Result<Option<T>> {
        self.request("workflow.step_result", &json!({ "step": step })).await
    }

    /// Returns the input of this workflow run.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` outside a workflow; `E_INPUT` if the input does not fit `T`.
    pub async fn workflow_input<T: DeserializeOwned>(&self) -> Result<T> {
        self.request("workflow.input", &json!({})).await
    }

    /// Returns the state of this workflow run.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` outside a workflow; `E_INPUT` if the state does not fit `T`.
    pub async fn workflow_state<T: DeserializeOwned>(&self) -> Result<T> {
        self.request("workflow.state", &json!({})).await
    }

    /// Replaces the state of this workflow run; it is stored with the step's result.
    ///
    /// # Errors
    /// `E_UNSUPPORTED` outside a workflow; `E_INPUT` if the state does not fit its schema.
    pub async fn set_workflow_state(&self, state: &(impl Serialize + ?Sized)) -> Result<()> {
        let state = serde_json::to_value(state)?;
        self.request::<Value>("workflow.set_state", &json!({ "state": state })).await.map(drop)
    }
}

fn parse<T: DeserializeOwned>(value: Option<&Value>, what: &str) -> Result<Option<T>> {
    value.map(|value| wire::from_value(value.clone(), what)).transpose()
}
