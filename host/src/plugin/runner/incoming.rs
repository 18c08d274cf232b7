//! Frames from the host: whichever thread of the pool is idle reads them.
//!
//! Idle threads all wait at one epoll. What comes wakes one of them, which reads it, has the kernel
//! watch for more, and only then runs the call it has read: so a call costs no switch between
//! threads, and one that does not return holds up nobody else. Frames are taken in their order,
//! since the socket is watched again only when what was read is taken.

use std::{
    io,
    os::unix::net::UnixStream,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
    },
};

use super::{LEFT_ALONE, calls::Calls, complain};
use crate::plugin::{
    frames::{Ended, Frame, Garbage, Kind, Opening, Reading, SOON},
    pool::{Source, panic_message},
    process,
};

/// How often a thread looks for the next call before it sleeps.
const LOOKS: usize = 32;
/// What an event is about: the socket has something, or somebody is to wake up.
const FRAMES: u64 = 0;
const WAKE: u64 = 1;

/// The way from the host.
pub(super) struct Incoming {
    socket: UnixStream,
    epoll: Epoll,
    wake: EventFd,
    // Held by the one thread that heard of something to read.
    reading: Mutex<Reading>,
    /// What frames are about; set before any is taken.
    calls: OnceLock<Arc<Calls>>,
    /// The last call came soon, and nobody looks for the next one yet.
    may_look: AtomicBool,
    /// Where it is said that the plugin is to shut down.
    end: mpsc::SyncSender<Duration>,
}

impl Incoming {
    /// Reads the first frame, which says what to open.
    pub(super) fn new(socket: UnixStream, end: mpsc::SyncSender<Duration>) -> io::Result<(Self, Opening)> {
        let mut reading = Reading::new();
        let frame = loop {
            if let Some(frame) = reading.take().map_err(io::Error::other)? {
                break frame;
            }
            if !reading.fill(&socket)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        if frame.kind != Kind::Open {
            return Err(io::Error::other("the host did not say what to open"));
        }
        let opening = Opening::read(&frame.body).map_err(io::Error::other)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // An edge for each write, so that nobody has to read it.
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, WAKE))?;
        let (calls, may_look) = (OnceLock::new(), AtomicBool::new(false));
        Ok((Self { socket, epoll, wake, reading: Mutex::new(reading), calls, may_look, end }, opening))
    }

    /// Begins to hand frames over.
    pub(super) fn begin(&self, calls: Arc<Calls>) -> io::Result<()> {
        // There is one beginning in the life of the process.
        let _first = self.calls.set(calls);
        // With the first frame further ones may have come, of which no event will tell.
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_all(&mut reading)?;
        self.epoll.add(&self.socket, watched())?;
        Ok(())
    }

    /// Reads what is there and takes the frames in it; returns `false` if the host is gone.
    fn read(&self) -> io::Result<bool> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        // There is something, and nobody else reads, so this does not wait.
        let is_there = reading.fill(&self.socket)?;
        self.take_all(&mut reading)?;
        drop(reading);
        self.epoll.modify(&self.socket, &mut watched())?;
        Ok(is_there)
    }

    fn take_all(&self, reading: &mut Reading) -> io::Result<()> {
        while let Some(frame) = reading.take().map_err(io::Error::other)? {
            self.take_frame(frame).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Waits for an event, or looks whether there is one; returns what it is about.
    fn event(&self, timeout: EpollTimeout) -> Option<u64> {
        let mut events = [EpollEvent::empty()];
        loop {
            match self.epoll.wait(&mut events, timeout) {
                Ok(0) => return None,
                Ok(_) => return events.first().map(EpollEvent::data),
                Err(Errno::EINTR) => {}
                Err(error) => leave(Some(&error.into())),
            }
        }
    }

    /// Looks for an event for a short while in which others may run.
    fn look(&self) -> Option<u64> {
        (0..LOOKS).find_map(|_| {
            thread::yield_now();
            self.event(EpollTimeout::ZERO)
        })
    }

    fn take_frame(&self, frame: Frame) -> Result<(), Garbage> {
        let Frame { kind, id, body } = frame;
        let Some(calls) = self.calls.get() else { return Ok(()) };
        match kind {
            Kind::Call => calls.begin(id, body)?,
            Kind::Cancel => calls.cancel(id),
            Kind::Credit => calls.credit(id, number(&body)),
            Kind::Closed => calls.closed(id),
            Kind::Answer => calls.connection.answered(id, Ended::read(body)?),
            Kind::RequestChunk => calls.connection.chunk(id, body),
            Kind::Shutdown => {
                let ms = body.first_chunk::<8>().map_or(0, |ms| u64::from_le_bytes(*ms));
                // A second one has nothing to add.
                self.end.try_send(Duration::from_millis(ms)).unwrap_or_default();
            }
            // Nothing else comes from a host, and a host is trusted.
            _ => {}
        }
        Ok(())
    }
}

impl Source for Incoming {
    fn wait(&self) -> bool {
        if self.may_look.swap(false, Ordering::Relaxed)
            && let Some(event) = self.look()
        {
            self.may_look.store(true, Ordering::Relaxed);
            return event == FRAMES;
        }
        let began = Instant::now();
        let event = self.event(EpollTimeout::NONE);
        if event == Some(FRAMES) {
            self.may_look.store(began.elapsed() < SOON, Ordering::Relaxed);
        }
        event == Some(FRAMES)
    }

    fn take(&self) {
        // Whoever waits for an answer is woken here, by code that may be the plugin's.
        match catch_unwind(AssertUnwindSafe(|| self.read())) {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => leave(None),
            Ok(Err(error)) => leave(Some(&error)),
            // Nothing would be read any more; the host sees to another process.
            Err(panic) => leave(Some(&io::Error::other(panic_message(&*panic)))),
        }
    }

    fn wake(&self) {
        // It fails only when there were 2^64 of them.
        self.wake.write(1).map(drop).unwrap_or_default();
    }
}

/// One event, and then none until the socket is watched again.
fn watched() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, FRAMES)
}

fn number(body: &Bytes) -> usize {
    body.first_chunk::<4>().map_or(0, |number| u32::from_le_bytes(*number) as usize)
}

/// Ends the process: the host is gone, or cannot be understood.
fn leave(why: Option<&io::Error>) -> ! {
    if let Some(error) = why {
        complain(error);
    }
    process::leave(LEFT_ALONE)
}
