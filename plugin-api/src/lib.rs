#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! [`Ctx`] is what a call may do; [`testing`] runs it. [`Tool`], [`Agent`], [`Model`],
//! [`Embedder`], [`Workflow`], [`VectorStore`], [`MemoryProcessor`] and [`McpServer`] are what a plugin offers,
//! [`Plugin`] is the whole. [`manifest`] and [`chat`] are the documents that cross,
//! [`host_ops`] names every operation. The frozen layouts live in a hidden module.
#![allow(non_local_definitions, reason = "`sabi_trait` expands to such")]
#![allow(unsafe_code, reason = "the boundary, and pinning in `guard`")]

// The macros write `::hotbay_plugin::..`, in this crate's own tests too.
extern crate self as hotbay_plugin;

#[doc(hidden)]
pub mod abi;
mod agent;
pub mod chat;
mod ctx;
mod embedder;
pub mod error;
#[doc(hidden)]
pub mod export;
mod guard;
pub mod host_ops;
pub mod http;
mod instance;
pub mod manifest;
pub mod mcp;
mod model;
mod opened;
mod panic_hook;
mod plugin;
pub mod processor;
mod runtime;
pub mod schema;
pub mod testing;
mod tool;
pub mod vector_store;
mod wire;
pub mod workflow;

pub use agent::{Agent, AgentAnswer, AgentRun, Memory, SemanticRecall};
pub use ctx::{
    AgentHandle, ChatCall, ChatStream, Completion, Ctx, Kv, Level, ModelHandle, RequestedCall, Span, ToolHandle,
    TripwireOptions,
};
pub use embedder::Embedder;
pub use error::{Error, Result, RetryHint};
pub use hotbay_plugin_macros::{agent, embedder, memory_processor, model, plugin, step, tool, workflow};
pub use mcp::McpServer;
pub use model::{Answer, Model};
pub use plugin::Plugin;
pub use processor::{MemoryMessage, MemoryProcessor, Remembered};
pub use tool::Tool;
pub use vector_store::VectorStore;
pub use workflow::{Step, Workflow};

/// What most plugins need: `use hotbay_plugin::prelude::*;`.
pub mod prelude {
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
    pub use serde_json::{Value, json};

    pub use crate::{
        Agent, AgentAnswer, AgentRun, Answer, Ctx, Embedder, Error, Level, McpServer, Memory, MemoryMessage,
        MemoryProcessor, Model, Plugin, Remembered, Result, SemanticRecall, Step, Tool, TripwireOptions, Workflow,
        chat::{ChatRequest, FinishReason, Message, Part, StreamPart, Usage},
        plugin,
        workflow::{Branch, Concurrency, Node, Parallel, Recover, Retry, Schedule},
    };
    pub use hotbay_plugin_macros::{agent, embedder, memory_processor, model, step, tool, workflow};
}
