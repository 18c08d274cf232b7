//! How starting or driving a run fails.

use std::{sync::Arc, time::Duration};

use crate::{model::ModelError, plugin::call::CallError, types::schema::Issue};

/// A run that could not start, go on or finish.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No plugin offers such an agent.
    #[error("Agent with id {0} not found")]
    UnknownAgent(String),
    /// No plugin offers such a tool, or the agent does not have it.
    #[error("Tool not found")]
    UnknownTool(String),
    /// There is no suspended run of that id.
    #[error("no suspended run `{0}`: it has ended, was resumed already, or never existed")]
    UnknownRun(String),
    /// The run waits for something else.
    #[error("{0}")]
    NotSuspended(String),
    /// The caller's input does not fit.
    #[error("{message}")]
    InvalidInput {
        /// One sentence.
        message: String,
        /// What is wrong where, if more can be said.
        issues: Vec<Issue>,
    },
    /// The model did not answer.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// The model's answer broke off.
    #[error("{0}")]
    Answer(String),
    /// The answer does not fit the schema that was asked for.
    #[error("Structured output validation failed: {problems}")]
    Structured {
        /// What is wrong, one `- path: sentence` a line.
        problems: String,
        /// What the model said.
        value: String,
    },
    /// A plugin's code failed.
    #[error("{0}")]
    Call(#[from] Arc<CallError>),
    /// The run took longer than it may.
    #[error("the run did not finish within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// Agents ask agents without end.
    #[error("agents ask each other more than {0} levels deep")]
    TooDeep(u32),
}

impl From<CallError> for EngineError {
    fn from(error: CallError) -> Self {
        Self::Call(Arc::new(error))
    }
}
