//! The other end of an isolated plugin: the process that maps it. This is `hotbay plugin-runner`.
//!
//! Loads with the same loader and opens with the same bridge as a host does, polls on the same kind
//! of pool, and has a host to offer the plugin that forwards everything (`host`). The pool's threads
//! read frames when they are idle (`incoming`); whoever has a frame to send writes it, which the host
//! never holds up, since it always reads. When the host is gone, so is the process.

mod calls;
mod connection;
mod host;
mod incoming;

use std::{
    io,
    os::unix::net::UnixStream,
    process::{Command, ExitCode},
    sync::{Arc, mpsc},
    time::Duration,
};

use clap::Args;

use super::{
    account::{AccountArguments, OpenFile},
    bridge::Components,
    confine::{Confined, confine},
    control_group::GroupArgument,
    error::{LoadCode, LoadError},
    frames::{self, Kind, Opening, OpeningFailed},
    loader::Image,
    pool::PluginPool,
    process,
    settings::ProcessLimits,
};
use calls::Calls;
use connection::Connection;
use incoming::Incoming;

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
    #[command(flatten)]
    account: AccountArguments,
    #[command(flatten)]
    group: GroupArgument,
}

impl RunnerArguments {
    pub(super) fn new(
        plugin: &str,
        parent: u32,
        limits: &ProcessLimits,
        account: AccountArguments,
        group: GroupArgument,
    ) -> Self {
        Self {
            plugin: plugin.to_owned(),
            parent,
            memory: limits.memory,
            open_files: limits.open_files,
            cpu: limits.cpu.map(|cpu| cpu.as_secs()),
            processes: limits.processes,
            account,
            group,
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
        self.account.add_to(command);
        self.group.add_to(command);
    }

    fn confine(&self) -> io::Result<Confined> {
        confine(&self.limits(), &self.account, self.parent)
    }

    fn limits(&self) -> ProcessLimits {
        ProcessLimits {
            memory: self.memory,
            open_files: self.open_files,
            cpu: self.cpu.map(Duration::from_secs),
            processes: self.processes,
            // The group's to see to.
            cpus: None,
        }
    }
}

/// Runs a plugin for the host that started this process. Does not return but in an error.
#[must_use]
pub fn runner_main(arguments: &RunnerArguments) -> ExitCode {
    let failed = match arguments.group.join().and_then(|()| arguments.confine()) {
        Ok(Confined { socket, file }) => serve(socket, file.as_ref()),
        // Standard error is the plugin's log in the host.
        Err(error) => Err(error),
    };
    if let Err(error) = failed {
        complain(&error);
    }
    ExitCode::from(3)
}

#[expect(clippy::print_stderr, reason = "the host makes it a log record")]
fn complain(error: &io::Error) {
    eprintln!("the process cannot be prepared for the plugin: {error}");
}

/// `file` is where the plugin can be mapped from, if not at its own path.
fn serve(socket: UnixStream, file: Option<&OpenFile>) -> io::Result<()> {
    let connection = Connection::new(socket.try_clone()?);
    let (ask_to_end, end) = mpsc::sync_channel(1);
    let (incoming, opening) = Incoming::new(socket, ask_to_end)?;
    let incoming = Arc::new(incoming);
    let pool = PluginPool::start_at(Arc::<Incoming>::clone(&incoming), NEVER)?;
    let lane = pool.lane(opening.plugin.as_str().into(), opening.generation);
    let calls = Calls::new(Arc::clone(&connection), pool, lane);
    // Opening may ask the host for something, so answers are read meanwhile.
    incoming.begin(Arc::clone(&calls))?;
    match open(&opening, file, &calls) {
        Ok(components) => {
            calls.serve(components);
            connection.write(&frames::frame(Kind::Opened, 0, &[]));
        }
        Err(LoadError { code, message }) => {
            connection.write(&OpeningFailed { code: code.as_str().to_owned(), message }.frame());
        }
    }
    // `incoming` keeps the other end as long as the process lives.
    let deadline = end.recv().map_err(io::Error::other)?;
    calls.shut_down(deadline);
    connection.write(&frames::frame(Kind::Down, 0, &[]));
    // Not a plain return: that would run the plugin's destructors, which a host never does.
    process::leave(0)
}

fn open(opening: &Opening, file: Option<&OpenFile>, calls: &Arc<Calls>) -> Result<Components, LoadError> {
    let image = Image::map(file.map_or(&*opening.file, OpenFile::path))?;
    if image.manifest.name != opening.plugin {
        let message = format!("it is plugin `{}`, not `{}`", image.manifest.name, opening.plugin);
        return Err(LoadError::new(LoadCode::Manifest, message));
    }
    Components::open(&image, host::to_abi(Arc::clone(calls)), opening.config.to_string().into_bytes())
}
