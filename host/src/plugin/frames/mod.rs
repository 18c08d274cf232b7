//! What host and runner say to each other over their socket: frames, and what is in them.
//!
//! A frame is `{length of the body u32, kind u8, id u64, body}`, little-endian. The id names a call
//! in frames about calls and a request in frames about requests. Reading is total: whatever the
//! bytes are, the outcome is a frame, "more is needed" or [`Garbage`]. Shared by both ends
//! ([`super::isolated`] and [`super::runner`]), which are always the same build.

mod body;
mod fields;
mod reading;

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

pub(crate) use body::{Asked, Called, Ended, Opening, OpeningFailed, Span, Spoken};
pub(crate) use fields::Garbage;
pub(crate) use reading::Reading;

/// Longest body of a frame. A call or an answer that is longer fails by itself and is not sent.
pub(crate) const MAX_BODY: usize = 64 << 20;
/// Length of what stands before a body.
pub(crate) const HEAD: usize = 4 + 1 + 8;
/// Chunks of one stream that may be on their way; the sender waits for the reader to take some.
pub(crate) const WINDOW: usize = 32;
/// Frames follow each other closely if one comes so soon after somebody began to wait for it. To wake
/// a thread takes as long on some machines, so then it is better to look for a moment before.
pub(crate) const SOON: Duration = Duration::from_micros(60);

/// What a frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the runner, first: open the plugin ([`Opening`]).
    Open = 1,
    /// To the runner: a call ([`Called`]).
    Call = 2,
    /// To the runner: nobody waits for a call any more.
    Cancel = 3,
    /// To the sender of a stream: the reader has taken one chunk of it.
    Credit = 4,
    /// To the sender of a stream: nobody reads it any more.
    Closed = 5,
    /// To the runner: how a request ended ([`Ended`], without vectors).
    Answer = 6,
    /// To the runner: end what the plugin has running; the body is the deadline in milliseconds.
    Shutdown = 7,
    /// To the host: the plugin is open.
    Opened = 16,
    /// To the host: it is not ([`OpeningFailed`]).
    Refused = 17,
    /// To the host: how a call ended ([`Ended`]).
    Reply = 18,
    /// To the reader of a stream: a chunk.
    Chunk = 19,
    /// To the host: nothing is left of a cancelled call.
    Gone = 20,
    /// To the host: a request ([`Asked`]).
    Request = 21,
    /// To the host: nobody waits for a request any more.
    GiveUp = 22,
    /// To the host: a log record ([`Spoken`]) of call `id`, 0 outside calls.
    Log = 23,
    /// To the host: about a span ([`Span`]) of call `id`.
    Span = 24,
    /// To the host: the shutdown is over.
    Down = 25,
    /// As [`Kind::Credit`], [`Kind::Closed`] and [`Kind::Chunk`], of a request's stream.
    RequestCredit = 26,
    /// See [`Kind::RequestCredit`].
    RequestClosed = 27,
    /// See [`Kind::RequestCredit`].
    RequestChunk = 28,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Kind; 20] = [
            Kind::Open,
            Kind::Call,
            Kind::Cancel,
            Kind::Credit,
            Kind::Closed,
            Kind::Answer,
            Kind::Shutdown,
            Kind::Opened,
            Kind::Refused,
            Kind::Reply,
            Kind::Chunk,
            Kind::Gone,
            Kind::Request,
            Kind::GiveUp,
            Kind::Log,
            Kind::Span,
            Kind::Down,
            Kind::RequestCredit,
            Kind::RequestClosed,
            Kind::RequestChunk,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What it is about.
    pub(crate) kind: Kind,
    /// The call or the request.
    pub(crate) id: u64,
    /// What is in it.
    pub(crate) body: Bytes,
}

/// Takes the next frame out of what was read so far; `None` if it is not complete.
pub(crate) fn take(read: &mut BytesMut) -> Result<Option<Frame>, Garbage> {
    let Some(head) = read.get(..HEAD) else { return Ok(None) };
    let mut head = head;
    let length = head.get_u32_le() as usize;
    let byte = head.get_u8();
    let id = head.get_u64_le();
    let kind = Kind::of(byte).ok_or_else(|| Garbage::new(format!("there is no frame of kind {byte}")))?;
    if length > MAX_BODY {
        return Err(Garbage::new(format!("a frame of {length} bytes is longer than the {MAX_BODY} allowed")));
    }
    if read.len() < HEAD + length {
        // In one piece, not by doubling; bounded by the check above.
        read.reserve(HEAD + length - read.len());
        return Ok(None);
    }
    read.advance(HEAD);
    Ok(Some(Frame { kind, id, body: read.split_to(length).freeze() }))
}

/// Makes a frame to be sent.
pub(crate) fn frame(kind: Kind, id: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = begin(kind, id, body.len());
    frame.extend_from_slice(body);
    finish(frame)
}

/// Begins a frame; its body is written behind it.
fn begin(kind: Kind, id: u64, capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + capacity);
    frame.extend_from_slice(&[0; 4]);
    frame.push(kind as u8);
    frame.extend_from_slice(&id.to_le_bytes());
    frame
}

/// Notes the body's length in its head. Who sends has seen to it that it is not over [`MAX_BODY`].
fn finish(mut frame: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(frame.len() - HEAD).unwrap_or(u32::MAX);
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_le_bytes();
    }
    frame
}

#[cfg(test)]
mod tests;
