//! What the host offers a plugin, and the stream a call may write to.

use abi_stable::{
    sabi_trait,
    std_types::{RArc, ROption, RSlice, RStr, RVec},
};
use async_ffi::FfiFuture;

use super::AbiResult;

/// Answers of [`ChunkSink::push`].
pub mod push {
    /// The chunk was taken.
    pub const OK: u8 = 0;
    /// The buffer is full: wait for `ready` and push the same chunk again.
    pub const FULL: u8 = 1;
    /// Nobody reads any more; further chunks are pointless.
    pub const CLOSED: u8 = 2;
}

/// Values of `op` in [`HostApi::span`].
pub mod span_op {
    /// Opens a span below the call's current one and returns its id.
    pub const OPEN: u8 = 0;
    /// Adds attributes to span `span`.
    pub const RECORD: u8 = 1;
    /// Closes span `span`.
    pub const CLOSE: u8 = 2;
}

/// Receives the chunks of one streaming call, in order. Bounded.
#[sabi_trait]
pub trait ChunkSink: Send + Sync + Clone {
    /// Offers one chunk, a JSON document, and returns one of [`push`]. Never blocks.
    fn push(&self, chunk: RSlice<'_, u8>) -> u8;
    /// Resolves to `true` when there is room, to `false` when the sink is closed.
    #[sabi(last_prefix_field)]
    fn ready(&self) -> FfiFuture<bool>;
}

/// A shared handle on a sink.
pub type SinkArc = ChunkSink_TO<'static, RArc<()>>;

/// The host's side of the boundary, one per generation of a plugin.
///
/// It is revoked when the generation is retired: `request` then answers
/// `E_REVOKED`, the others do nothing. `call` is [`crate::abi::CallCtx::call_id`] or 0
/// outside a call.
#[sabi_trait]
pub trait HostApi: Send + Sync + Clone {
    /// Writes a log record. `level`: 10 trace, 20 debug, 30 info, 40 warn, 50 error.
    /// `fields_json` is a JSON object or empty. Never blocks.
    fn log(&self, call: u64, level: u8, target: RStr<'_>, message: RStr<'_>, fields_json: RSlice<'_, u8>);
    /// Opens, annotates or closes a span, see [`span_op`]. Returns the span's id, 0 if none.
    fn span(&self, call: u64, op: u8, span: u64, name: RStr<'_>, fields_json: RSlice<'_, u8>) -> u64;
    /// Asks the host for something by name (`model.chat`, `tool.call`, `kv.get`, ...).
    /// `body` and the answer are JSON documents. An op the host does not know is
    /// `E_UNSUPPORTED`. Dropping the future cancels the request.
    #[sabi(last_prefix_field)]
    fn request(
        &self,
        call: u64,
        op: RStr<'_>,
        body: RVec<u8>,
        sink: ROption<SinkArc>,
    ) -> FfiFuture<AbiResult<RVec<u8>>>;
}

/// A shared handle on the host.
pub type HostArc = HostApi_TO<'static, RArc<()>>;
