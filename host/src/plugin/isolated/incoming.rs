//! Frames from a process: the kernel tells that there are some, or who waits for one looks for it.
//!
//! On many machines it takes longer to be woken than a short call takes. So whoever waits for an
//! answer that is likely to come soon looks at the socket for a moment before it sleeps, as an idle
//! thread of the process does (`plugin/runner/incoming.rs`). The kernel tells nobody meanwhile: a
//! thread woken for what another has read already would cost as much as it saves.

#![expect(unsafe_code, reason = "vouches for the descriptor the runtime is to watch")]

use std::{
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
};

use super::link::Fault;
use crate::plugin::frames::{Frame, Garbage, Reading, SOON};

/// The reading half of a connection.
pub(super) struct Incoming {
    socket: Arc<UnixStream>,
    watch: AsyncFd<Watch>,
    /// Held while what has come is read and taken, so that frames are taken in their order.
    reading: Mutex<Reading>,
    /// The last answer came soon, and nobody looks for the next one yet.
    may_look: AtomicBool,
    /// There may be something of which the kernel tells nobody.
    more: Notify,
}

/// Watches one socket, unless it is told not to. What is watched by the runtime itself always is.
struct Watch(Epoll);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

impl Incoming {
    /// Begins to watch a socket, which must not block. Within a runtime.
    pub(super) fn new(socket: Arc<UnixStream>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        // SAFETY: the descriptor is the epoll's own, which owns it and neither closes nor changes it before
        // it is dropped; that is with the `AsyncFd`, which has it.
        let watch = unsafe { AsyncFd::register_with_interest(Watch(epoll), Interest::READABLE) }?;
        let (reading, may_look) = (Mutex::new(Reading::new()), AtomicBool::new(false));
        Ok(Self { socket, watch, reading, may_look, more: Notify::new() })
    }

    /// Waits until there may be something to read that nobody was told of. Whoever waits reads first.
    pub(super) async fn told(&self) -> io::Result<()> {
        tokio::select! {
            // Forgotten before it is read: what comes after that is told again.
            told = self.watch.readable() => told.map(|mut told| told.clear_ready()),
            () = self.more.notified() => Ok(()),
        }
    }

    /// Takes the frames of what is there, once; returns whether there was something.
    pub(super) fn read(&self, mut take: impl FnMut(Frame) -> Result<(), Garbage>) -> Result<bool, Fault> {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match reading.fill(&self.socket) {
            Ok(true) => {}
            Ok(false) => return Err(Fault::Closed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(Fault::of(error)),
        }
        while let Some(frame) = reading.take().map_err(Fault::Garbage)? {
            take(frame).map_err(Fault::Garbage)?;
        }
        Ok(true)
    }

    /// Takes note of how long an answer took that could have been looked for.
    pub(super) fn note(&self, took: Duration) {
        self.may_look.store(took < SOON, Ordering::Relaxed);
    }

    /// Reads once, and again while what is looked for may still come [`SOON`], if what was looked for last
    /// did; other threads may run in between. `read` is [`Self::read`], and `found` tells whether it was that.
    pub(super) fn look(
        &self,
        mut read: impl FnMut() -> Result<bool, Fault>,
        mut found: impl FnMut() -> bool,
    ) -> Result<(), Fault> {
        if !self.may_look.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let unwatched = Unwatched::of(self)?;
        let began = Instant::now();
        loop {
            thread::yield_now();
            // By the time, not by a number: where others want to run as well, to let them takes long.
            if (read()? && found()) || began.elapsed() >= SOON {
                break;
            }
        }
        drop(unwatched);
        // What came before it was watched again is told to nobody: seldom something, and then maybe much.
        if read()? {
            self.more.notify_one();
        }
        Ok(())
    }

    fn watch(&self, flags: EpollFlags) -> io::Result<()> {
        Ok(self.watch.get_ref().0.modify(&self.socket, &mut EpollEvent::new(flags, 0))?)
    }
}

/// A socket of which the kernel tells nobody that there is something, until this is dropped.
struct Unwatched<'a>(&'a Incoming);

impl<'a> Unwatched<'a> {
    fn of(incoming: &'a Incoming) -> Result<Self, Fault> {
        incoming.watch(EpollFlags::empty()).map_err(Fault::of)?;
        Ok(Self(incoming))
    }
}

impl Drop for Unwatched<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.watch(EpollFlags::EPOLLIN) {
            tracing::error!(%error, "the connection to a plugin's process cannot be watched any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::plugin::frames::{self, Kind};

    fn pair() -> (Incoming, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Incoming::new(Arc::new(ours)).unwrap(), theirs)
    }

    fn send(mut theirs: &UnixStream, id: u64) {
        theirs.write_all(&frames::frame(Kind::Gone, id, &[])).unwrap();
    }

    /// Reads as a connection does; the ids of the frames are kept.
    fn read(incoming: &Incoming, ids: &Mutex<Vec<u64>>) -> Result<bool, Fault> {
        incoming.read(|frame| {
            ids.lock().unwrap().push(frame.id);
            Ok(())
        })
    }

    #[tokio::test]
    async fn nobody_looks_who_does_not_expect_an_answer_soon() {
        let (incoming, theirs) = pair();
        let looked = Mutex::new(0);
        let look = || {
            let read = || {
                *looked.lock().unwrap() += 1;
                Ok(true)
            };
            incoming.look(read, || true).unwrap();
            std::mem::take(&mut *looked.lock().unwrap())
        };
        assert_eq!(look(), 0, "nothing is known yet");
        incoming.note(SOON);
        assert_eq!(look(), 0, "the last one took long");
        incoming.note(SOON / 2);
        assert_eq!((look(), look()), (2, 0), "once, and what came before it was watched again");
        drop(theirs);
    }

    #[tokio::test]
    async fn what_comes_while_nobody_looks_is_told() {
        let (incoming, theirs) = pair();
        let ids = Mutex::default();
        for id in 0..100 {
            send(&theirs, 2 * id);
            incoming.note(Duration::ZERO);
            incoming.look(|| read(&incoming, &ids), || !ids.lock().unwrap().is_empty()).unwrap();
            assert_eq!(std::mem::take(&mut *ids.lock().unwrap()), [2 * id]);
            send(&theirs, 2 * id + 1);
            loop {
                tokio::time::timeout(Duration::from_secs(10), incoming.told()).await.unwrap().unwrap();
                // What was found by looking may have been told before the socket was left alone.
                if read(&incoming, &ids).unwrap() {
                    break;
                }
            }
            assert_eq!(std::mem::take(&mut *ids.lock().unwrap()), [2 * id + 1]);
        }
    }

    #[tokio::test]
    async fn what_came_before_the_socket_was_watched_again_is_read_however_much_it_is() {
        let (incoming, theirs) = pair();
        let ids = Mutex::default();
        // From now on the kernel has told of the socket, and tells again only of what comes later.
        send(&theirs, 0);
        incoming.told().await.unwrap();
        assert!(read(&incoming, &ids).unwrap());
        incoming.note(Duration::ZERO);
        let mut is_first = true;
        let read_later = || {
            if std::mem::take(&mut is_first) {
                send(&theirs, 1);
            }
            read(&incoming, &ids)
        };
        let found = || {
            // More than is read at once.
            (&theirs).write_all(&frames::frame(Kind::Gone, 2, &[0; 100_000])).unwrap();
            true
        };
        incoming.look(read_later, found).unwrap();
        while ids.lock().unwrap().len() < 3 {
            tokio::time::timeout(Duration::from_secs(10), incoming.told()).await.unwrap().unwrap();
            while read(&incoming, &ids).unwrap() {}
        }
        assert_eq!(*ids.lock().unwrap(), [0, 1, 2]);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_out_of_order_whoever_reads_it() {
        const FRAMES: u64 = 20_000;
        let (incoming, theirs) = pair();
        let incoming = Arc::new(incoming);
        let ids = Arc::<Mutex<Vec<u64>>>::default();
        let sender = thread::spawn(move || {
            for id in 0..FRAMES {
                send(&theirs, id);
                (0..id % 7).for_each(|_| thread::yield_now());
            }
            theirs
        });
        let mut looker = tokio::task::spawn_blocking({
            let (incoming, ids) = (Arc::clone(&incoming), Arc::clone(&ids));
            move || {
                while ids.lock().unwrap().len() < usize::try_from(FRAMES).unwrap() {
                    let before = ids.lock().unwrap().len();
                    incoming.note(Duration::ZERO);
                    incoming.look(|| read(&incoming, &ids), || ids.lock().unwrap().len() > before).unwrap();
                }
            }
        });
        let all = async {
            while ids.lock().unwrap().len() < usize::try_from(FRAMES).unwrap() {
                if !read(&incoming, &ids).unwrap() {
                    incoming.told().await.unwrap();
                }
            }
        };
        // The looker may take the last one, of which nobody is told.
        tokio::select! {
            () = all => looker.await.unwrap(),
            looked = &mut looker => looked.unwrap(),
        }
        drop(sender.join().unwrap());
        assert_eq!(*ids.lock().unwrap(), (0..FRAMES).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_end_and_garbage_are_found_by_who_looks() {
        let (incoming, theirs) = pair();
        let ids = Mutex::default();
        let look = || {
            incoming.note(Duration::ZERO);
            incoming.look(|| read(&incoming, &ids), || false)
        };
        look().unwrap();
        (&theirs).write_all(&[0xff; 13]).unwrap();
        assert!(matches!(look(), Err(Fault::Garbage(_))));
        drop(theirs);
        assert!(matches!(look(), Err(Fault::Closed)));
    }
}
