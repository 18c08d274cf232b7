//! One process from its start to its end.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use tokio::{io::AsyncReadExt, net::unix::pipe, sync::oneshot};

use super::{
    Launch,
    child::{Child, End, Ends, describe},
    link::{Fault, Link},
};
use crate::plugin::{
    call::CallError,
    error::{LoadCode, LoadError},
    frames::{self, Kind, Opening},
    services::{HostHandle, MAX_MESSAGE},
};

/// How long a process that closed its connection may take to end before it is killed.
const DYING: Duration = Duration::from_millis(100);
/// How long one may take whose plugin has shut down.
const LEAVING: Duration = Duration::from_millis(500);
/// What was printed last and is kept to say why a process ended.
const REMEMBERED: usize = 2 << 10;

/// A process and what is connected to it.
pub(super) struct Session {
    launch: Arc<Launch>,
    child: Child,
    link: Arc<Link>,
    output: Output,
}

/// Why a session is over.
pub(super) enum Loss {
    /// The process ended.
    Exited(End),
    /// The connection did not go on.
    Fault(Fault),
}

impl Session {
    /// Starts a process and has it open the plugin.
    pub(super) async fn open(launch: Arc<Launch>, host: HostHandle) -> Result<Self, LoadError> {
        let failed = |error: &std::io::Error| {
            LoadError::new(LoadCode::Io, format!("cannot start a process for plugin `{}`: {error}", launch.plugin))
        };
        let (child, Ends { socket, output }) =
            Child::start(Arc::clone(&launch)).await.map_err(|error| failed(&error))?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output)).map_err(|error| failed(&error))?;
        let (opening, opened) = oneshot::channel();
        let link = Link::new(child.pid, socket, host, launch.stuck_grace, opening).map_err(|error| failed(&error))?;
        let output = Output::new(output, &launch);
        let mut session = Self { launch, child, link, output };
        session.wait_for_opening(opened).await?;
        Ok(session)
    }

    async fn wait_for_opening(&mut self, opened: oneshot::Receiver<Result<(), LoadError>>) -> Result<(), LoadError> {
        let launch = Arc::clone(&self.launch);
        let opening = Opening {
            file: launch.file.clone(),
            plugin: launch.plugin.to_string(),
            generation: launch.generation,
            config: launch.config.clone(),
        };
        self.link.push(opening.frame());
        let outcome = tokio::select! {
            biased;
            opened = opened => opened.unwrap_or_else(|_| {
                Err(LoadError::new(LoadCode::OpenFailed, "its process cannot be heard any more"))
            }),
            loss = self.serve() => {
                let how = self.end(loss).await;
                let said = self.output.printed.lines().next_back().map(|line| format!("; it said: {line}"));
                let message = format!("its process ended while it was opened ({how}){}", said.unwrap_or_default());
                Err(LoadError::new(LoadCode::OpenFailed, message))
            }
            () = tokio::time::sleep(launch.open_deadline) => Err(LoadError::new(
                LoadCode::OpenTimeout,
                format!(
                    "its `open` did not return within {} s; it must not wait for anything that may not come",
                    launch.open_deadline.as_secs_f32()
                ),
            )),
        };
        if outcome.is_err() {
            self.link.lose(|_| CallError::Cancelled { plugin: Arc::clone(&launch.plugin) });
        }
        outcome
    }

    /// Returns the connection.
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Does what the process needs of the host until it ends or makes no sense. May be dropped and called again.
    pub(super) async fn serve(&mut self) -> Loss {
        tokio::select! {
            biased;
            // Whatever it said before it ended is heard: the end of the socket comes after that.
            fault = self.link.serve() => Loss::Fault(fault),
            end = &mut self.child.exited => Loss::Exited(end.unwrap_or_default()),
            () = self.output.listen() => Loss::Fault(Fault::Closed),
        }
    }

    /// Makes sure that nothing of the process is left, and says how it ended.
    pub(super) async fn end(&mut self, loss: Loss) -> Arc<str> {
        let (exited, fault) = match loss {
            Loss::Exited(end) => {
                // What it said last is still in the socket; nobody is left to say more.
                drop(tokio::time::timeout(DYING, self.link.serve()).await);
                (Some(end), None)
            }
            Loss::Fault(Fault::Closed) => {
                let end = tokio::time::timeout(DYING, &mut self.child.exited).await;
                (end.ok().map(Result::unwrap_or_default), Some(Fault::Closed))
            }
            Loss::Fault(fault) => (None, Some(fault)),
        };
        self.child.kill();
        if exited.is_none() {
            drop((&mut self.child.exited).await);
        }
        self.output.rest().await;
        let how = match (exited, fault) {
            (Some(end), _) => describe(end, &self.output.printed),
            (None, Some(Fault::Garbage(garbage))) => format!("it sent what makes no sense: {garbage}"),
            (None, Some(Fault::Stuck)) => format!(
                "it was killed because a cancelled call did not return within {} s",
                self.launch.stuck_grace.as_secs_f32()
            ),
            (None, Some(Fault::Io(error))) => format!("its connection failed: {error}"),
            (None, Some(Fault::Closed) | None) => String::from("it closed its connection to the host"),
        };
        how.into()
    }

    /// Has the plugin shut down and its process end; kills what does not in time.
    pub(super) async fn shut_down(mut self, deadline: Duration) {
        let plugin = Arc::clone(&self.launch.plugin);
        let ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        self.link.push(frames::frame(Kind::Shutdown, 0, &ms.to_le_bytes()));
        let link = Arc::clone(&self.link);
        let is_down = tokio::time::timeout(deadline, async {
            tokio::select! {
                () = link.down.notified() => true,
                _ = self.serve() => false,
            }
        });
        match is_down.await {
            Ok(true) => drop(tokio::time::timeout(LEAVING, &mut self.child.exited).await),
            Ok(false) => tracing::warn!(plugin.name = %plugin, "a plugin's process ended before its shutdown had"),
            Err(_) => tracing::warn!(plugin.name = %plugin, "a plugin's shutdown did not finish in time"),
        }
        self.link.lose(|_| CallError::Cancelled { plugin: Arc::clone(&plugin) });
        self.child.kill();
        if !self.child.exited.is_terminated() {
            drop((&mut self.child.exited).await);
        }
        // The host may end after this.
        drop((&mut self.child.gone).await);
    }
}

/// What the process prints: each line is a log record of the plugin.
struct Output {
    pipe: pipe::Receiver,
    line: Vec<u8>,
    /// The end of it all.
    printed: String,
    plugin: Arc<str>,
    generation: u64,
    is_over: bool,
}

impl Output {
    fn new(pipe: pipe::Receiver, launch: &Launch) -> Self {
        Self {
            pipe,
            line: Vec::new(),
            printed: String::new(),
            plugin: Arc::clone(&launch.plugin),
            generation: launch.generation,
            is_over: false,
        }
    }

    /// Logs what is printed; never returns. A process may close what it prints to and go on.
    async fn listen(&mut self) {
        while !self.is_over {
            self.read().await;
            // One that never stops printing lets others have their turn.
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    }

    /// Logs what is left of a process that has ended.
    async fn rest(&mut self) {
        let rest = async {
            while !self.is_over {
                self.read().await;
            }
        };
        // One that left its group may hold the other end for ever.
        drop(tokio::time::timeout(DYING, rest).await);
        self.log();
    }

    async fn read(&mut self) {
        let mut buffer = [0; 4 << 10];
        match self.pipe.read(&mut buffer).await {
            Ok(length @ 1..) => self.take(buffer.get(..length).unwrap_or_default()),
            Ok(0) | Err(_) => self.is_over = true,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= MAX_MESSAGE {
                self.log();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    fn log(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.trim().is_empty() {
            return;
        }
        tracing::event!(
            target: "plugin",
            tracing::Level::INFO,
            plugin.name = %self.plugin,
            plugin.generation = self.generation,
            plugin.target = "output",
            "{line}"
        );
        self.printed.push_str(&line);
        self.printed.push('\n');
        let over = self.printed.len().saturating_sub(REMEMBERED);
        self.printed.drain(..self.printed.ceil_char_boundary(over));
    }
}
