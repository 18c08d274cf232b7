//! How starting or driving a run fails.

use std::{sync::Arc, time::Duration};

use crate::{memory::MemoryError, model::ModelError, plugin::call::CallError, store::StoreError, types::schema::Issue};

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
    /// A tool of a third-party MCP server gave no result.
    #[error("the tool `{tool}` of a third-party MCP server gave no result: {reason}")]
    Source {
        /// The tool, by the name it has here.
        tool: String,
        /// Why.
        reason: String,
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
    /// No plugin offers such a workflow.
    #[error("Workflow not found")]
    UnknownWorkflow,
    /// The workflow has no such run.
    #[error("Workflow run not found")]
    UnknownWorkflowRun,
    /// A workflow cannot be run as it is.
    #[error("{0}")]
    Definition(String),
    /// What a run is given does not fit.
    #[error("Invalid {what}: \n{problems}")]
    Misfit {
        /// What was given.
        what: String,
        /// What is wrong, one `- path: sentence` a line.
        problems: String,
    },
    /// Somebody else was faster, or what is asked for is done already.
    #[error("{0}")]
    Conflict(String),
    /// Too many wait already.
    #[error("too many runs of {what} wait already; try again later")]
    Overloaded {
        /// Of what.
        what: String,
        /// After how long.
        retry_after: Duration,
    },
    /// What the agent remembers cannot be had, or kept.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Agents ask agents without end.
    #[error("agents ask each other more than {0} levels deep")]
    TooDeep(u32),
}

impl From<CallError> for EngineError {
    fn from(error: CallError) -> Self {
        Self::Call(Arc::new(error))
    }
}
