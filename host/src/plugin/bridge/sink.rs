//! The stream of one call, as the plugin writes to it.

use bytes::Bytes;
use hotbay_plugin::abi::{
    ChunkSink, ChunkSink_TO, SinkArc,
    abi_stable::{
        sabi_trait::TD_Opaque,
        std_types::{RArc, RSlice},
    },
    async_ffi::{FfiFuture, FutureExt},
    push,
};
use tokio::sync::mpsc::error::TrySendError;

use crate::plugin::call::ChunkSender;

#[derive(Clone)]
struct Sink(ChunkSender);

/// Returns the form in which a sender crosses into the plugin.
pub(super) fn to_abi(sender: ChunkSender) -> SinkArc {
    ChunkSink_TO::from_ptr(RArc::new(Sink(sender)), TD_Opaque)
}

impl ChunkSink for Sink {
    fn push(&self, chunk: RSlice<'_, u8>) -> u8 {
        match self.0.try_send(Bytes::copy_from_slice(chunk.as_slice())) {
            Ok(()) => push::OK,
            Err(TrySendError::Full(_)) => push::FULL,
            Err(TrySendError::Closed(_)) => push::CLOSED,
        }
    }

    fn ready(&self) -> FfiFuture<bool> {
        let sender = self.0.clone();
        // The permit goes back at once: the plugin pushes, it does not hold places.
        async move { sender.reserve().await.is_ok() }.into_ffi()
    }
}
