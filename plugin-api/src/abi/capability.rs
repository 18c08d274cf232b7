//! One trait object per kind of capability.
//!
//! They are alike on purpose: a call takes a [`CallCtx`] and a JSON document,
//! names what it wants by a string where there is a choice, and resolves to a
//! [`Reply`]. Dropping the future cancels the call.

use abi_stable::{
    StableAbi, sabi_trait,
    std_types::{RBox, ROption, RString, RVec},
};
use async_ffi::FfiFuture;

use super::{AbiResult, SinkArc};

/// What belongs to one call.
#[repr(C)]
#[derive(StableAbi)]
pub struct CallCtx {
    /// Names the call in `HostApi`; unique in the life of the host process.
    pub call_id: u64,
    /// Milliseconds the call may take from now on; 0 = no limit.
    pub deadline_ms: u64,
    /// Where chunks go, if the caller listens.
    pub sink: ROption<SinkArc>,
    /// [`crate::manifest::CallMeta`] as JSON, or empty.
    pub meta_json: RVec<u8>,
}

/// The values of [`Reply::kind`]; an unknown one is treated as a value.
pub mod reply_kind {
    /// `body` is the value.
    pub const VALUE: u32 = 0;
    /// The call waits to be resumed; `body` is the suspend payload.
    pub const SUSPENDED: u32 = 1;
    /// The run ends here, well; `body` is its result.
    pub const BAILED: u32 = 2;
    /// The run was stopped by a guard; `body` is `{"reason", "retry"?, "metadata"?}`.
    pub const TRIPWIRE: u32 = 3;
}

/// What a finished call gives back.
#[repr(C)]
#[derive(StableAbi)]
pub struct Reply {
    /// One of [`reply_kind`].
    pub kind: u32,
    /// Reserved, zero.
    pub flags: u32,
    /// A JSON document.
    pub body: RVec<u8>,
    /// A JSON object about the answer, or empty. Of a suspension: `{"resumeLabels": [label]}`.
    pub meta_json: RVec<u8>,
}

/// What a vector store's call gives back.
#[repr(C)]
#[derive(StableAbi)]
pub struct VectorReply {
    /// A JSON document, its shape depends on the op.
    pub body: RVec<u8>,
    /// The vectors of the answer, row after row, or empty.
    pub vectors: RVec<f32>,
}

/// Embeddings, row after row.
#[repr(C)]
#[derive(StableAbi)]
pub struct Embeddings {
    /// Length of a row.
    pub dimension: u32,
    /// Reserved, zero.
    pub flags: u32,
    /// `dimension` values for each text.
    pub values: RVec<f32>,
    /// Usage and the like as a JSON object, or empty.
    pub meta_json: RVec<u8>,
}

/// A tool. `input` is the caller's JSON, unparsed.
#[sabi_trait]
pub trait Tool: Send + Sync {
    /// Runs the tool.
    #[sabi(last_prefix_field)]
    fn call(&self, ctx: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>>;
}
/// An owned tool.
pub type ToolBox = Tool_TO<'static, RBox<()>>;

/// An agent that runs its own loop (agents that are only described need no code).
#[sabi_trait]
pub trait Agent: Send + Sync {
    /// Runs one turn; run events go to the sink as JSON chunks.
    #[sabi(last_prefix_field)]
    fn run(&self, ctx: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>>;
}
/// An owned agent.
pub type AgentBox = Agent_TO<'static, RBox<()>>;

/// The code behind a workflow's graph.
#[sabi_trait]
pub trait Workflow: Send + Sync {
    /// Runs the code of one node (a step, a condition or a mapping), by the id it has in the graph.
    #[sabi(last_prefix_field)]
    fn call(&self, ctx: CallCtx, node: RString, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>>;
}
/// An owned workflow.
pub type WorkflowBox = Workflow_TO<'static, RBox<()>>;

/// A vector store.
#[sabi_trait]
pub trait VectorStore: Send + Sync {
    /// Performs `op` (`create_index`, `upsert`, `query`, ...). `vectors` holds the rows the op takes, or is empty.
    #[sabi(last_prefix_field)]
    fn call(&self, ctx: CallCtx, op: RString, body: RVec<u8>, vectors: RVec<f32>) -> FfiFuture<AbiResult<VectorReply>>;
}
/// An owned vector store.
pub type VectorStoreBox = VectorStore_TO<'static, RBox<()>>;

/// A chat model. `request` is [`crate::chat::ChatRequest`].
#[sabi_trait]
pub trait Model: Send + Sync {
    /// Answers; each [`crate::chat::StreamPart`] goes to the sink as one JSON chunk, the reply's body is `null`.
    #[sabi(last_prefix_field)]
    fn chat(&self, ctx: CallCtx, request: RVec<u8>) -> FfiFuture<AbiResult<Reply>>;
}
/// An owned model.
pub type ModelBox = Model_TO<'static, RBox<()>>;

/// An embedding model.
#[sabi_trait]
pub trait Embedder: Send + Sync {
    /// Embeds a JSON array of strings.
    #[sabi(last_prefix_field)]
    fn embed(&self, ctx: CallCtx, texts: RVec<u8>) -> FfiFuture<AbiResult<Embeddings>>;
}
/// An owned embedder.
pub type EmbedderBox = Embedder_TO<'static, RBox<()>>;

/// Any other kind of capability, named by `kind` in [`crate::abi::Plugin::service`]: how
/// new kinds arrive without a new layout.
#[sabi_trait]
pub trait Service: Send + Sync {
    /// Performs `op`.
    #[sabi(last_prefix_field)]
    fn call(&self, ctx: CallCtx, op: RString, body: RVec<u8>) -> FfiFuture<AbiResult<Reply>>;
}
/// An owned service.
pub type ServiceBox = Service_TO<'static, RBox<()>>;
