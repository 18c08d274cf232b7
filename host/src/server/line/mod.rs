//! One connection's line: what is late on it is noticed here, whatever waits above.
//!
//! A client that is slow takes as long as it may, not as long as it likes: over the head of a
//! request, between two of them, and over what it is sent. (Over a body as well; that is the HTTP
//! API's affair, for it answers.) There is one timer a connection, moved only when it would end
//! too late, so a request costs it nothing.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::limits::{Limit, Limits};

/// How long, and how many bytes, a client may go on sending what nobody reads before the line is
/// cut. Cut at once, what it was told, that its body is too large, would be lost on it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 8 << 20;

/// Which protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What requests a connection has under way; known to its line and to those who answer.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    begun: AtomicU64,
    ended: AtomicU64,
    /// When the last one ended, in milliseconds since the connection was there.
    last_end: AtomicU64,
    in_a_hurry: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        let none = || AtomicU64::new(0);
        Self {
            born: Instant::now(),
            begun: none(),
            ended: none(),
            last_end: none(),
            in_a_hurry: AtomicBool::new(false),
        }
    }
}

/// A request that is being answered, until its answer has been sent.
#[derive(Debug)]
pub(super) struct Serving(Arc<Pulse>);

impl Pulse {
    /// Takes note that a request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Serving {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    /// Lets the line be cut without ado once it is not needed.
    pub(super) fn hurry(&self) {
        self.in_a_hurry.store(true, Ordering::Relaxed);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let after = u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.store(after, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

/// A socket, watched.
pub(super) struct Line<S> {
    socket: S,
    protocol: Protocol,
    pulse: Arc<Pulse>,
    limits: Arc<Limits>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The requests that had come when the times below were noted.
    seen: u64,
    /// Something of the head of a request has come.
    has_begun: bool,
    /// Since when the rest of it is waited for.
    head_since: Option<Instant>,
    /// Since when nothing is taken of what is sent.
    stuck_since: Option<Instant>,
    /// Since when what still comes is thrown away, and how much that was.
    lingers: Option<(Instant, usize)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(socket: S, protocol: Protocol, pulse: Arc<Pulse>, limits: Arc<Limits>) -> Self {
        Self {
            socket,
            protocol,
            pulse,
            limits,
            timer: None,
            seen: 0,
            has_begun: false,
            head_since: None,
            stuck_since: None,
            lingers: None,
        }
    }

    /// Whether nothing is being answered. Forgets what was noted of earlier requests.
    fn is_waiting(&mut self) -> bool {
        let begun = self.pulse.begun.load(Ordering::Relaxed);
        if begun != self.seen {
            self.seen = begun;
            self.has_begun = false;
            self.head_since = None;
        }
        begun == self.pulse.ended.load(Ordering::Acquire)
    }

    /// Whether it is later than `deadline`; if not, the task is woken then.
    fn is_past(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            if Instant::now() >= deadline {
                return true;
            }
            // It was set for something that is over.
            timer.as_mut().reset(deadline);
        }
    }

    /// Returns when the last request ended; when the connection was there, if none has.
    fn last_end(&self) -> Instant {
        self.pulse.born + Duration::from_millis(self.pulse.last_end.load(Ordering::Relaxed))
    }

    /// Has the task woken before so much time is over.
    fn look_again(&mut self, within: Duration, cx: &mut Context<'_>) {
        // Asked with each request, so it does not look at the time if the timer is near enough as it is.
        let latest = self.last_end() + within;
        let is_near = |timer: &mut Pin<Box<Sleep>>| timer.deadline() <= latest && timer.as_mut().poll(cx).is_pending();
        if !self.timer.as_mut().is_some_and(is_near) {
            self.is_past(Instant::now() + within, cx);
        }
    }

    /// Decides about a client that sends nothing while nothing is being answered.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_begun && self.head_since.is_none() {
            self.head_since = Some(Instant::now());
        }
        let settings = self.limits.settings();
        let since = self.last_end();
        // Who has just connected has something to ask.
        let patience = if self.seen == 0 { settings.header_time } else { settings.idle_time };
        let (deadline, limit) = match self.head_since {
            Some(since) => (since + settings.header_time, Limit::HeaderTime),
            None => (since + patience, if self.seen == 0 { Limit::HeaderTime } else { Limit::IdleTime }),
        };
        if !self.is_past(deadline, cx) {
            return Poll::Pending;
        }
        self.limits.hit(limit);
        self.pulse.hurry();
        if self.head_since.is_some() {
            // As much as fits now: nobody waits for a client that lets others wait.
            let answer = super::answer("408 Request Timeout", "", "the request's head did not come in time");
            let told = Pin::new(&mut self.socket).poll_write(cx, answer.as_bytes());
            if told.is_ready() && Pin::new(&mut self.socket).poll_flush(cx).is_pending() {
                tracing::trace!("a client that is too slow is not told so");
            }
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "a request's head did not come in time")));
        }
        // As if it had hung up.
        Poll::Ready(Ok(()))
    }

    /// Decides about a client that takes nothing.
    fn poll_stuck<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck_since = None;
            return written;
        }
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        if !self.is_past(since + self.limits.settings().write_time, cx) {
            return Poll::Pending;
        }
        self.limits.hit(Limit::WriteTime);
        self.pulse.hurry();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "what was sent was not read in time")))
    }

    /// Throws away what still comes, until the client hangs up or has had time to.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (since, mut thrown_away) = *self.lingers.get_or_insert_with(|| (Instant::now(), 0));
        let mut buffer = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && thrown_away < LINGER_BYTES => {
                    thrown_away += buffer.filled().len();
                    self.lingers = Some((since, thrown_away));
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if self.is_past(since + LINGER, cx) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.socket).poll_read(cx, buffer);
        if !this.is_waiting() {
            if read.is_pending() {
                // Nobody is woken because an answer has ended, so this is looked at again by then.
                let later = this.limits.settings().idle_time;
                this.look_again(later, cx);
            }
            return read;
        }
        match read {
            Poll::Ready(Ok(())) => {
                // HTTP/2 says other things than requests. When it began is looked at once more is waited
                // for, which most heads do not make anybody do.
                this.has_begun |= this.protocol == Protocol::Http1 && buffer.filled().len() > before;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_silence(cx),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.poll_stuck(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.poll_stuck(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        // What was taken before is not known here, so that nothing was is known from `poll_write`.
        if flushed.is_pending() { self.poll_stuck(cx, flushed) } else { flushed }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
            let shut = self.poll_stuck(cx, shut);
            std::task::ready!(shut)?;
        }
        if self.pulse.in_a_hurry.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests;
