//! Bytes from a socket, until they are whole frames.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
};

use bytes::BytesMut;

use super::{Frame, Garbage, take};

/// What is read at once, at most.
const READ: usize = 64 << 10;

/// What one end has read of what the other has sent.
pub(crate) struct Reading {
    /// Where the kernel puts what it has.
    buffer: Box<[u8]>,
    /// What is no whole frame yet.
    rest: BytesMut,
}

impl Reading {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; READ].into_boxed_slice(), rest: BytesMut::new() }
    }

    /// Reads what is there, at least one byte; returns `false` at the end.
    ///
    /// # Errors
    /// What the socket says, [`io::ErrorKind::WouldBlock`] among it if it does not block.
    pub(crate) fn fill(&mut self, mut socket: &UnixStream) -> io::Result<bool> {
        loop {
            match socket.read(&mut self.buffer) {
                Ok(length) => {
                    self.rest.extend_from_slice(self.buffer.get(..length).unwrap_or_default());
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next frame out of what was read; `None` if it is not complete.
    ///
    /// # Errors
    /// If it is no frame. Nothing that follows is one then.
    pub(crate) fn take(&mut self) -> Result<Option<Frame>, Garbage> {
        take(&mut self.rest)
    }
}
