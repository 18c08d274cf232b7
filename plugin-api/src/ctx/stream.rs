//! Chunks from a call to its caller, and from the host to a call.
//!
//! Both directions are bounded: a full buffer makes the writer wait, a closed one
//! tells it to stop.

use serde::Serialize;
use tokio::sync::mpsc;

use super::Ctx;
use crate::{
    Error, Result,
    abi::async_ffi::{FfiFuture, FutureExt},
    abi::{
        ChunkSink, ChunkSink_TO, SinkArc,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RArc, RSlice},
        },
        push,
    },
    error::code,
};

impl Ctx {
    /// Says whether anybody listens to the call's chunks.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.sink().is_some()
    }

    /// Sends one chunk to whoever listens; waits while the reader is slow, does nothing if nobody asked for chunks.
    ///
    /// # Errors
    /// [`code::CANCELLED`] if the reader has gone; going on is pointless.
    pub async fn emit(&self, chunk: &(impl Serialize + ?Sized)) -> Result<()> {
        let Some(sink) = self.sink() else { return Ok(()) };
        let bytes = serde_json::to_vec(chunk)?;
        loop {
            match sink.push(RSlice::from_slice(&bytes)) {
                push::OK => return Ok(()),
                push::FULL if sink.ready().await => {}
                _ => return Err(Error::with_code(code::CANCELLED, "nobody reads the stream any more")),
            }
        }
    }
}

/// Chunks a request to the host may send before the plugin reads them. Small: the point
/// of the bound is that a slow plugin slows the model down.
const BUFFERED_CHUNKS: usize = 32;

/// Returns a sink to hand to the host and the end to read it by.
pub(crate) fn channel() -> (SinkArc, mpsc::Receiver<Vec<u8>>) {
    let (sender, receiver) = mpsc::channel(BUFFERED_CHUNKS);
    (sink(sender), receiver)
}

/// Returns a sink that writes into `sender`.
pub(crate) fn sink(sender: mpsc::Sender<Vec<u8>>) -> SinkArc {
    ChunkSink_TO::from_ptr(RArc::new(ChannelSink { sender }), TD_Opaque)
}

#[derive(Clone)]
struct ChannelSink {
    sender: mpsc::Sender<Vec<u8>>,
}

impl ChunkSink for ChannelSink {
    fn push(&self, chunk: RSlice<'_, u8>) -> u8 {
        match self.sender.try_send(chunk.to_vec()) {
            Ok(()) => push::OK,
            Err(mpsc::error::TrySendError::Full(_)) => push::FULL,
            Err(mpsc::error::TrySendError::Closed(_)) => push::CLOSED,
        }
    }

    fn ready(&self) -> FfiFuture<bool> {
        let sender = self.sender.clone();
        async move { sender.reserve().await.is_ok() }.into_ffi()
    }
}
