//! Frames on their way to a process: written at once by whoever has one, kept if the socket is full.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{net::UnixStream, sync::Notify};

/// Who can wait does so while more bytes than this are kept.
const ROOM: usize = 1 << 20;

/// What could not be written yet.
#[derive(Default)]
pub(super) struct Outbox {
    // Held for one system call that does not block.
    kept: Mutex<Kept>,
    /// Something is kept.
    filled: Notify,
    /// Something was written, or nothing ever will be.
    emptied: Notify,
}

#[derive(Default)]
struct Kept {
    frames: VecDeque<Vec<u8>>,
    /// How much of the first frame was written.
    written: usize,
    bytes: usize,
    is_closed: bool,
}

impl Outbox {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame without waiting. For what is short and bounded by what came in.
    pub(super) fn push(&self, socket: &UnixStream, frame: Vec<u8>) {
        let mut kept = self.kept();
        if kept.is_closed {
            return;
        }
        if kept.frames.is_empty() {
            match socket.try_write(&frame) {
                Ok(written) if written == frame.len() => return,
                Ok(written) => kept.written = written,
                // An error is seen by who reads, too; what is kept goes with the connection.
                Err(_) => kept.written = 0,
            }
        }
        kept.bytes += frame.len();
        kept.frames.push_back(frame);
        drop(kept);
        self.filled.notify_one();
    }

    /// Sends a frame when there is room for it.
    pub(super) async fn send(&self, socket: &UnixStream, frame: Vec<u8>) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // Registered before the look, so that no news in between is lost.
            emptied.as_mut().enable();
            let has_room = {
                let kept = self.kept();
                kept.is_closed || kept.bytes < ROOM
            };
            if has_room {
                return self.push(socket, frame);
            }
            emptied.await;
        }
    }

    /// Writes what is kept whenever the socket takes more; returns when it takes nothing any more.
    pub(super) async fn flush(&self, socket: &UnixStream) -> io::Error {
        loop {
            self.filled.notified().await;
            while !self.kept().frames.is_empty() {
                if let Err(error) = socket.writable().await {
                    return error;
                }
                match self.write(socket) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return error,
                }
                self.emptied.notify_waiters();
            }
        }
    }

    fn write(&self, socket: &UnixStream) -> io::Result<()> {
        let mut kept = self.kept();
        while let Some(frame) = kept.frames.front() {
            let rest = frame.get(kept.written..).unwrap_or_default();
            let (length, written) = (rest.len(), socket.try_write(rest)?);
            kept.written += written;
            if written == length {
                let whole = kept.frames.pop_front().map_or(0, |frame| frame.len());
                kept.bytes -= whole;
                kept.written = 0;
            }
        }
        Ok(())
    }

    /// Drops what is kept and whatever comes.
    pub(super) fn close(&self) {
        let mut kept = self.kept();
        *kept = Kept { is_closed: true, ..Kept::default() };
        drop(kept);
        self.emptied.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn frames_come_out_in_order_whoever_wrote_them() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (outbox, ours) = (Arc::new(Outbox::default()), Arc::new(ours));
        let frames = |number: u32| vec![number.to_le_bytes(); 10_000].concat();
        let send = async {
            for number in 0..200 {
                if number % 2 == 0 {
                    outbox.send(&ours, frames(number)).await;
                } else {
                    outbox.push(&ours, frames(number));
                }
            }
        };
        let read = async {
            let mut read = vec![0; 200 * 40_000];
            theirs.read_exact(&mut read).await.unwrap();
            read
        };
        let flush = outbox.flush(&ours);
        let read = tokio::select! {
            ((), read) = async { tokio::join!(send, read) } => read,
            error = flush => panic!("{error}"),
        };
        assert_eq!(read, (0..200).flat_map(frames).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn who_can_wait_does_while_nothing_is_taken_and_is_let_go_when_it_is_closed() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let outbox = Outbox::default();
        let mut sent = 0;
        let full = loop {
            let mut send = Box::pin(outbox.send(&ours, vec![0; 100_000]));
            if futures::poll!(send.as_mut()).is_pending() {
                break send;
            }
            sent += 1;
        };
        assert!(sent <= 1 + (ROOM + (1 << 20)) / 100_000, "{sent} frames are kept");
        outbox.close();
        full.await;
    }
}
