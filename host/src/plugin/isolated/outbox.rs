//! Frames on their way to a process: written at once by whoever has one, kept if the socket is full.

use std::{
    collections::VecDeque,
    io::{self, Write},
    os::unix::net::UnixStream,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{net::UnixStream as Watched, sync::Notify};

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
    pub(super) fn push(&self, mut socket: &UnixStream, frame: Vec<u8>) {
        let mut kept = self.kept();
        if kept.is_closed {
            return;
        }
        if kept.frames.is_empty() {
            match socket.write(&frame) {
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
            if let Err(error) = self.write_all(socket).await {
                return error;
            }
            self.filled.notified().await;
        }
    }

    async fn write_all(&self, socket: &UnixStream) -> io::Result<()> {
        if self.kept().frames.is_empty() {
            return Ok(());
        }
        // Only now: whoever watches is woken for each frame the process reads, though there is nothing to do.
        let watched = Watched::from_std(socket.try_clone()?)?;
        while !self.kept().frames.is_empty() {
            watched.writable().await?;
            match self.write(&watched) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.emptied.notify_waiters();
        }
        Ok(())
    }

    fn write(&self, socket: &Watched) -> io::Result<()> {
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
    use tokio::io::AsyncReadExt;

    use super::*;

    fn pair() -> (UnixStream, Watched) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, Watched::from_std(theirs).unwrap())
    }

    #[tokio::test]
    async fn frames_come_out_in_order_whoever_wrote_them() {
        let (ours, mut theirs) = pair();
        let outbox = Outbox::default();
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
        let (ours, _theirs) = pair();
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
