//! The frozen layouts that cross between a host and a plugin.
//!
//! Owns the types both sides agree on and the rule that keeps them agreeing; it
//! holds no behaviour. The SDK fills these tables in (`export`), the host's
//! `plugin::bridge` reads them. Plugin authors never see this module.
//!
//! # The append-only rule
//!
//! Within major version 1 every plugin of any minor loads in every host of any
//! minor. That holds only because:
//!
//! - [`Root`] grows by fields **after** the last one; a host reads them as `Option`.
//! - traits grow by methods **after** the last one, each with a default body.
//! - `#[repr(C)]` structs and their fields never change; there are no enums.
//! - whatever is likely to grow crosses as JSON bytes or is named by a string `op`.
//! - codes are integers; an unknown one is treated as the general case.
//!
//! `tests/layout.rs` holds a snapshot of every layout and fails when one changes.
//!
//! # Ownership and threads
//!
//! `RVec`, `RString` and `RBox` carry their owner's allocator, so either side may
//! drop what it was given. The host copies everything a plugin returns before the
//! call's guard is released. Every method may be called from any thread, at once;
//! a poll must not block. No unwinding crosses: each side catches its own panics.

#![expect(unused_qualifications, reason = "`sabi_trait` writes full paths")]

mod capability;
mod host;
mod root;

pub use abi_stable;
pub use async_ffi;
pub use capability::{
    Agent, Agent_TO, AgentBox, CallCtx, Embedder, Embedder_TO, EmbedderBox, Embeddings, Model, Model_TO, ModelBox,
    Reply, Service, Service_TO, ServiceBox, Tool, Tool_TO, ToolBox, VectorReply, VectorStore, VectorStore_TO,
    VectorStoreBox, Workflow, Workflow_TO, WorkflowBox, reply_kind,
};
pub use host::{ChunkSink, ChunkSink_TO, HostApi, HostApi_TO, HostArc, SinkArc, push, span_op};
pub use root::{ABI_MAJOR, ABI_MINOR, Plugin, Plugin_TO, PluginBox, Root, RootRef};

use abi_stable::{
    StableAbi,
    std_types::{RResult, RString, RVec},
};

/// A failure as it crosses the boundary; [`crate::Error`] is its friendly form.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct AbiError {
    /// One of [`crate::error::code`]; unknown codes mean [`crate::error::code::FAILED`].
    pub code: u32,
    /// Bit 0: the call may be repeated. Other bits are reserved and zero.
    pub flags: u32,
    /// One sentence for people.
    pub message: RString,
    /// A JSON document with more, or empty.
    pub detail_json: RVec<u8>,
}

/// Bit 0 of [`AbiError::flags`].
pub const FLAG_RETRYABLE: u32 = 1;

/// What a fallible function of the ABI returns.
pub type AbiResult<T> = RResult<T, AbiError>;
