//! The other end of an isolated plugin: the process that maps it. This is `hotbay plugin-runner`.
//!
//! Loads with the same loader and opens with the same bridge as a host does, polls on the same kind
//! of pool, and has a host to offer the plugin that forwards everything (`host`). One thread reads
//! frames and never writes any, so that the host can always get rid of what it has to say. Whoever
//! has a frame writes it. When the host is gone, so is the process.

mod calls;
mod connection;
mod host;

use std::{
    io::Read,
    os::unix::net::UnixStream,
    process::{Command, ExitCode},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use clap::Args;

use super::{
    bridge::Components,
    confine::confine,
    error::{LoadCode, LoadError},
    frames::{self, Frame, Garbage, Kind, Opening, OpeningFailed},
    loader::Image,
    pool::PluginPool,
    process,
    settings::ProcessLimits,
};
use calls::Calls;
use connection::Connection;

/// What is read at once: more if a frame is known to be longer, but no more than this many times.
const READ: usize = 16 << 10;
const MANY: usize = 16;
/// The host watches over calls that do not return; here none is late.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// What the process ends with when the host breaks off.
const LEFT_ALONE: i32 = 4;

/// Arguments of `hotbay plugin-runner`, which the host writes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunnerArguments {
    /// The plugin's name, to be seen in lists of processes
    #[arg(long)]
    plugin: String,
    /// The host's process
    #[arg(long)]
    parent: u32,
    /// Bytes of memory
    #[arg(long)]
    memory: u64,
    /// Open descriptors
    #[arg(long)]
    open_files: u64,
    /// Seconds of processor time
    #[arg(long)]
    cpu: Option<u64>,
    /// May start processes
    #[arg(long)]
    processes: bool,
}

impl RunnerArguments {
    pub(super) fn new(plugin: &str, parent: u32, limits: &ProcessLimits) -> Self {
        Self {
            plugin: plugin.to_owned(),
            parent,
            memory: limits.memory,
            open_files: limits.open_files,
            cpu: limits.cpu.map(|cpu| cpu.as_secs()),
            processes: limits.processes,
        }
    }

    pub(super) fn add_to(&self, command: &mut Command) {
        command.arg("plugin-runner");
        // In one word each: a plugin's name may begin with a dash.
        command.arg(format!("--plugin={}", self.plugin)).arg(format!("--parent={}", self.parent));
        command.arg(format!("--memory={}", self.memory)).arg(format!("--open-files={}", self.open_files));
        if let Some(cpu) = self.cpu {
            command.arg(format!("--cpu={cpu}"));
        }
        if self.processes {
            command.arg("--processes");
        }
    }

    fn limits(&self) -> ProcessLimits {
        ProcessLimits {
            memory: self.memory,
            open_files: self.open_files,
            cpu: self.cpu.map(Duration::from_secs),
            processes: self.processes,
        }
    }
}

/// Runs a plugin for the host that started this process. Does not return but in an error.
#[must_use]
pub fn runner_main(arguments: &RunnerArguments) -> ExitCode {
    let failed = match confine(&arguments.limits(), arguments.parent) {
        Ok(socket) => serve(socket),
        // Standard error is the plugin's log in the host.
        Err(error) => Err(error),
    };
    if let Err(error) = failed {
        complain(&error);
    }
    ExitCode::from(3)
}

#[expect(clippy::print_stderr, reason = "the host makes it a log record")]
fn complain(error: &std::io::Error) {
    eprintln!("the process cannot be prepared for the plugin: {error}");
}

fn serve(mut socket: UnixStream) -> std::io::Result<()> {
    let mut read = BytesMut::new();
    let opening = first(&mut socket, &mut read)?;
    let pool = PluginPool::start(NEVER)?;
    let lane = pool.lane(opening.plugin.as_str().into(), opening.generation);
    let connection = Connection::new(socket.try_clone()?);
    let calls = Calls::new(Arc::clone(&connection), pool, lane);
    let (ask_to_end, end) = mpsc::sync_channel(1);
    let reading = Arc::clone(&calls);
    // Opening may ask the host for something, so answers are read meanwhile.
    thread::Builder::new().name(String::from("host-frames")).spawn(move || {
        let error = read_on(socket, read, &reading, &ask_to_end);
        if let Err(error) = error {
            complain(&error);
        }
        process::leave(LEFT_ALONE)
    })?;
    match open(&opening, &calls) {
        Ok(components) => {
            calls.serve(components);
            connection.write(&frames::frame(Kind::Opened, 0, &[]));
        }
        Err(LoadError { code, message }) => {
            connection.write(&OpeningFailed { code: code.as_str().to_owned(), message }.frame());
        }
    }
    // The reader keeps the other end as long as it lives.
    let deadline = end.recv().map_err(std::io::Error::other)?;
    calls.shut_down(deadline);
    connection.write(&frames::frame(Kind::Down, 0, &[]));
    // Not a plain return: that would run the plugin's destructors, which a host never does.
    process::leave(0)
}

fn open(opening: &Opening, calls: &Arc<Calls>) -> Result<Components, LoadError> {
    let image = Image::map(&opening.file)?;
    if image.manifest.name != opening.plugin {
        let message = format!("it is plugin `{}`, not `{}`", image.manifest.name, opening.plugin);
        return Err(LoadError::new(LoadCode::Manifest, message));
    }
    Components::open(&image, host::to_abi(Arc::clone(calls)), opening.config.to_string().into_bytes())
}

/// Reads the first frame, which says what to open.
fn first(socket: &mut UnixStream, read: &mut BytesMut) -> std::io::Result<Opening> {
    let frame = loop {
        if let Some(frame) = frames::take(read).map_err(std::io::Error::other)? {
            break frame;
        }
        fill(socket, read)?;
    };
    if frame.kind != Kind::Open {
        return Err(std::io::Error::other("the host did not say what to open"));
    }
    Opening::read(&frame.body).map_err(std::io::Error::other)
}

/// Reads what is there, at least one byte.
fn fill(socket: &mut UnixStream, read: &mut BytesMut) -> std::io::Result<()> {
    read.reserve(READ);
    let begin = read.len();
    read.put_bytes(0, (read.capacity() - begin).min(READ * MANY));
    let length = loop {
        let free = read.get_mut(begin..).unwrap_or_default();
        match socket.read(free) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    read.truncate(begin + length.as_ref().copied().unwrap_or_default());
    match length? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The reading thread's life; returns when the host is gone.
fn read_on(
    mut socket: UnixStream,
    mut read: BytesMut,
    calls: &Arc<Calls>,
    end: &mpsc::SyncSender<Duration>,
) -> std::io::Result<()> {
    loop {
        while let Some(frame) = frames::take(&mut read).map_err(std::io::Error::other)? {
            take(frame, calls, end).map_err(std::io::Error::other)?;
        }
        match fill(&mut socket, &mut read) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn take(frame: Frame, calls: &Arc<Calls>, end: &mpsc::SyncSender<Duration>) -> Result<(), Garbage> {
    let Frame { kind, id, body } = frame;
    match kind {
        Kind::Call => calls.begin(id, body)?,
        Kind::Cancel => calls.cancel(id),
        Kind::Credit => calls.credit(id, number(&body)),
        Kind::Closed => calls.closed(id),
        Kind::Answer => calls.connection.answered(id, frames::Ended::read(body)?),
        Kind::RequestChunk => calls.connection.chunk(id, body),
        Kind::Shutdown => {
            let ms = body.first_chunk::<8>().map_or(0, |ms| u64::from_le_bytes(*ms));
            // A second one has nothing to add.
            end.try_send(Duration::from_millis(ms)).unwrap_or_default();
        }
        // Nothing else comes from a host, and a host is trusted.
        _ => {}
    }
    Ok(())
}

fn number(body: &Bytes) -> usize {
    body.first_chunk::<4>().map_or(0, |number| u32::from_le_bytes(*number) as usize)
}
