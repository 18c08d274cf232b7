//! The operating system's side of a plugin's process: started, heard, killed, reaped.
//!
//! Each child has a thread of the host that starts it, waits for its end and reaps it. The thread
//! lives exactly as long as the child, and must: the kernel ends a child with the thread that
//! started it (`PR_SET_PDEATHSIG`), which is how none outlives the host.

use std::{
    fs::File,
    io::{self, PipeReader},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{DirBuilderExt, chown},
            net::UnixStream,
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::oneshot;

use super::Launch;
use crate::plugin::{
    account::AccountArguments,
    confine,
    control_group::{ControlGroup, GroupArgument},
    process,
    runner::RunnerArguments,
    settings::Account,
};

/// The host's own executable, as it was when the host started.
///
/// An upgrade may put another in its place, whose runner need not speak as this host does.
pub(crate) struct Program {
    path: PathBuf,
    /// Keeps the file, also when its name is another's.
    _file: Option<File>,
}

impl Program {
    /// Takes hold of an executable.
    pub(crate) fn at(path: &Path) -> Self {
        let file = File::open(path).ok();
        let held = file.as_ref().map(|file| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into());
        Self { path: held.unwrap_or_else(|| path.to_owned()), _file: file }
    }
}

/// A process that runs, or did. It is killed when this is dropped.
pub(super) struct Child {
    /// Its id, also of the group it leads.
    pub(super) pid: u32,
    /// Its end, once.
    pub(super) exited: oneshot::Receiver<End>,
    /// Closed once nothing is left of it, and of what it has started.
    pub(super) gone: oneshot::Receiver<()>,
    alive: Arc<Alive>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct End {
    /// As the system says, if it could be heard.
    pub(super) status: Option<ExitStatus>,
    /// Its control group had no memory left.
    pub(super) was_short_of_memory: bool,
}

/// What is connected to a new child.
pub(super) struct Ends {
    /// Where frames go and come from.
    pub(super) socket: UnixStream,
    /// What it prints.
    pub(super) output: PipeReader,
}

/// What of a process may still be ended.
struct Alive {
    /// Its id, until that is free for another.
    pid: Mutex<Option<u32>>,
    /// What it cannot leave, if it has that.
    group: Option<ControlGroup>,
}

impl Alive {
    fn pid(&self) -> MutexGuard<'_, Option<u32>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        // The lock is held meanwhile: the process is not reaped before it is released.
        if let Some(pid) = *self.pid() {
            process::kill_group(pid);
            if let Some(group) = &self.group {
                group.kill();
            }
        }
    }
}

impl Child {
    /// Starts a process with this environment of its own and nothing else.
    pub(super) async fn start(launch: Arc<Launch>) -> io::Result<(Self, Ends)> {
        let (give, take) = oneshot::channel();
        thread::Builder::new()
            .name(String::from("plugin-process"))
            .stack_size(256 << 10)
            .spawn(move || attend(&launch, give))?;
        take.await.map_err(|_| io::Error::other("the thread that starts it has ended"))?
    }

    /// Ends it and all it has started.
    pub(super) fn kill(&self) {
        self.alive.kill();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.alive.kill();
    }
}

/// The thread's life: starts the child, says so, waits for its end and reaps it.
fn attend(launch: &Launch, started: oneshot::Sender<io::Result<(Child, Ends)>>) {
    let (mut child, ends, group) = match start(launch) {
        Ok(started) => started,
        Err(error) => {
            drop(started.send(Err(error)));
            return;
        }
    };
    let pid = child.id();
    let alive = Arc::new(Alive { pid: Mutex::new(Some(pid)), group });
    let ((give, exited), (leave, gone)) = (oneshot::channel(), oneshot::channel());
    // If nobody waits any more, the child is dropped here and killed by that.
    drop(started.send(Ok((Child { pid, exited, gone, alive: Arc::clone(&alive) }, ends))));
    if let Err(error) = process::wait_for_end(pid) {
        tracing::error!(%error, pid, "cannot wait for the end of a plugin's process");
    }
    // What it has started is in the group of its processes, unless it left that, and in its control
    // group, if it has one; its id keeps until it is reaped.
    alive.kill();
    *alive.pid() = None;
    let was_short_of_memory = alive.group.as_ref().is_some_and(ControlGroup::was_short_of_memory);
    // Nobody may be waiting any more; it is reaped all the same.
    give.send(End { status: child.wait().ok(), was_short_of_memory }).unwrap_or_default();
    if let Some(group) = &alive.group {
        group.end();
    }
    drop(leave);
}

fn start(launch: &Launch) -> io::Result<(std::process::Child, Ends, Option<ControlGroup>)> {
    let group = match (&launch.groups, launch.limits.cpus) {
        (Some(groups), _) => Some(groups.make(&launch.plugin, &launch.limits)?),
        (None, Some(_)) => return Err(io::Error::other("`limits.cpus` needs the setting `isolated_cgroup`")),
        (None, None) => None,
    };
    match spawn(launch, GroupArgument::of(group.as_ref())) {
        Ok((child, ends)) => Ok((child, ends, group)),
        Err(error) => {
            if let Some(group) = group {
                group.end();
            }
            Err(error)
        }
    }
}

fn spawn(launch: &Launch, group: GroupArgument) -> io::Result<(std::process::Child, Ends)> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&launch.directory)?;
    // Nobody else can have put another in its place: what it is in is the host's.
    if let Some(Account { user, group, .. }) = &launch.account {
        chown(&launch.directory, Some(*user), Some(*group))?;
    }
    let (socket, theirs) = UnixStream::pair()?;
    let (output, printed) = io::pipe()?;
    let mut command = Command::new(&launch.program.path);
    command.arg0("hotbay");
    let account = AccountArguments::new(launch.account.as_ref(), &launch.file);
    RunnerArguments::new(&launch.plugin, std::process::id(), &launch.limits, account, group).add_to(&mut command);
    command.env_clear().envs(&launch.env);
    let (name, value) = confine::ALLOCATOR;
    command.env(name, value).current_dir(&launch.directory).process_group(0);
    // Descriptor 0 is how it is handed over: nothing else has to be left open across the exec.
    command.stdin(OwnedFd::from(theirs)).stdout(printed.try_clone()?).stderr(printed);
    // With the command its ends of the socket and the pipe are dropped.
    Ok((command.spawn()?, Ends { socket, output }))
}

/// Says how a process ended, for people.
pub(super) fn describe(end: End, printed: &str) -> String {
    let Some(status) = end.status else { return String::from("its end could not be seen") };
    let why = if printed.contains("has overflowed its stack") {
        Some("stack overflow")
    } else if end.was_short_of_memory || printed.contains("memory allocation of ") {
        Some("no more memory")
    } else {
        None
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}, {}", why.unwrap_or_else(|| process::signal_name(signal))),
        (None, code) => format!("it ended itself with exit code {}", code.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_by_its_signal_and_by_what_was_printed() {
        let ended = |status| End { status: Some(ExitStatus::from_raw(status)), was_short_of_memory: false };
        assert_eq!(describe(ended(libc::SIGSEGV), ""), "signal 11, invalid memory access");
        assert_eq!(describe(ended(libc::SIGABRT), "thread 'x' has overflowed its stack\n"), "signal 6, stack overflow");
        assert_eq!(describe(ended(libc::SIGABRT), "memory allocation of 9 bytes failed"), "signal 6, no more memory");
        let killed = End { was_short_of_memory: true, ..ended(libc::SIGKILL) };
        assert_eq!(describe(killed, ""), "signal 9, no more memory");
        assert_eq!(describe(ended(3 << 8), ""), "it ended itself with exit code 3");
    }
}
