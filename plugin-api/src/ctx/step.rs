//! Suspending, resuming, and what workflow steps see of their run.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Ctx;
use crate::{Error, Result, error::control, wire};

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

    /// Ends the whole workflow run with `result`; in a tool it ends the call.
    ///
    /// # Errors
    /// Always: the error carries the result to the host and is not a failure.
    pub fn bail<T>(&self, result: &(impl Serialize + ?Sized)) -> Result<T> {
        Err(Error::with_code(control::BAILED, "left the workflow early").detail(serde_json::to_value(result)?))
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
