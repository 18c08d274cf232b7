//! What happens in a run, as it happens.

use serde_json::Value;

use super::{
    error::EngineError,
    turn::{Suspension, ToolCall, Turn},
};
use crate::types::id::Millis;

/// Something that happened in a run; what it refers to is in the [`Turn`].
#[derive(Debug)]
pub enum RunEvent<'a> {
    /// The run began.
    Start,
    /// The model was asked.
    StepStart {
        /// When.
        at: Millis,
    },
    /// A text begins.
    TextStart {
        /// The model's name for it.
        id: &'a str,
    },
    /// A piece of text.
    TextDelta {
        /// The text's name.
        id: &'a str,
        /// The piece.
        text: &'a str,
    },
    /// A text ends.
    TextEnd {
        /// The text's name.
        id: &'a str,
    },
    /// A reasoning begins.
    ReasoningStart {
        /// The model's name for it.
        id: &'a str,
    },
    /// A piece of reasoning.
    ReasoningDelta {
        /// The reasoning's name.
        id: &'a str,
        /// The piece.
        text: &'a str,
    },
    /// A reasoning ends.
    ReasoningEnd {
        /// The reasoning's name.
        id: &'a str,
    },
    /// The arguments of a tool call begin.
    ToolInputStart {
        /// The call's id.
        id: &'a str,
        /// The tool's name.
        name: &'a str,
        /// The host has no such tool.
        foreign: bool,
    },
    /// A piece of the arguments.
    ToolInputDelta {
        /// The call's id.
        id: &'a str,
        /// The tool's name.
        name: &'a str,
        /// The piece, JSON text.
        delta: &'a str,
    },
    /// The arguments are complete.
    ToolInputEnd {
        /// The call's id.
        id: &'a str,
    },
    /// The model calls a tool.
    ToolCall(&'a ToolCall),
    /// A tool answered.
    ToolResult {
        /// The call.
        call: &'a ToolCall,
        /// The answer.
        result: &'a Value,
    },
    /// A tool failed; the model is told and goes on.
    ToolError {
        /// The call.
        call: &'a ToolCall,
        /// Why, for the model.
        message: &'a str,
    },
    /// A person refused a call.
    ToolDenied {
        /// The call.
        call: &'a ToolCall,
        /// Why.
        reason: &'a str,
    },
    /// The run waits.
    Suspended(&'a Suspension),
    /// The structured answer as far as it is known.
    Object(&'a Value),
    /// The structured answer.
    ObjectResult(&'a Value),
    /// The run breaks off.
    Error(&'a EngineError),
    /// A step is over.
    StepFinish {
        /// Another one follows.
        continued: bool,
        /// It is the step a resumption finished.
        resumed: bool,
    },
    /// The run is over.
    Finish,
}

/// Follows a run. Called in order, from the task that drives the run.
pub trait Observer: Send {
    /// Takes note of an event. Must not block.
    fn on(&mut self, turn: &Turn, event: RunEvent<'_>);
    /// Waits until there is room for more: how a slow reader slows the model down.
    fn ready(&mut self) -> impl Future<Output = ()> + Send;
}

/// An observer for callers who only want the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn on(&mut self, _turn: &Turn, _event: RunEvent<'_>) {}

    async fn ready(&mut self) {}
}
