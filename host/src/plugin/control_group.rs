//! Control groups of the processes that map plugins: what all processes of a plugin may use together,
//! and the end of all of them at once, wherever they went.
//!
//! The operator names a group in which the host may make others. Each process that maps a plugin gets
//! one there and joins it before it does anything else; what it starts is in it, too, and does not get
//! out. Limits for single processes are in `confine`.
//!
//! Source: the Linux kernel's documentation, "Control Group v2" (`cgroup.kill` since 5.14).

use std::{
    fs::{self, File, ReadDir},
    io::{self, ErrorKind, Read, Seek},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Args;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    error::{LoadCode, LoadError},
    process,
    settings::ProcessLimits,
};

/// What is asked of the kernel, as far as it has it to offer.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// Microseconds over which processor time is counted.
const PERIOD: u64 = 100_000;
/// How long those who were killed may take to be gone.
const DYING: Duration = Duration::from_secs(2);

/// Where the host makes groups.
#[derive(Debug)]
pub(crate) struct ControlGroups {
    directory: PathBuf,
    /// Those of [`CONTROLLERS`] that can be used.
    offered: Vec<&'static str>,
    /// Tells the groups of this host apart.
    next: AtomicU64,
}

impl ControlGroups {
    /// Takes a group over, if one is named, and removes what hosts that died have left there.
    ///
    /// What the kernel does not offer there is logged once.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Option<Arc<Self>>, LoadError> {
        directory.map(Self::take).transpose()
    }

    fn take(directory: &Path) -> Result<Arc<Self>, LoadError> {
        let refused = |what: String| {
            LoadError::new(LoadCode::Io, format!("`isolated_cgroup` cannot be {}: {what}", directory.display()))
        };
        let offered = fs::read_to_string(directory.join("cgroup.controllers")).map_err(|error| {
            refused(format!(
                "it is no control group of version 2 ({error}); name a directory below where that is mounted"
            ))
        })?;
        if !directory.join("cgroup.kill").exists() {
            return Err(refused(
                "it is the topmost group, or the kernel is older than 5.14; name one below".to_owned(),
            ));
        }
        let inside = fs::read_to_string(directory.join("cgroup.procs")).map_err(|error| refused(error.to_string()))?;
        if !inside.is_empty() {
            let advice = "with systemd, say `Delegate=yes` and `DelegateSubgroup=host` and name the unit's own group";
            return Err(refused(format!("there are processes in it itself, so it can have no groups below; {advice}")));
        }
        let has = |name: &&str| offered.split_whitespace().any(|offered| offered == *name);
        let (offered, absent): (Vec<_>, Vec<_>) = CONTROLLERS.into_iter().partition(has);
        for name in &offered {
            fs::write(directory.join("cgroup.subtree_control"), format!("+{name}"))
                .map_err(|error| refused(format!("the controller `{name}` cannot be handed on: {error}")))?;
        }
        if !absent.is_empty() {
            let (directory, absent) = (directory.display(), absent.join(", "));
            tracing::warn!(%directory, absent, "a control group has not all that limits of plugins need");
        }
        let groups = Self { directory: directory.to_owned(), offered, next: AtomicU64::new(0) };
        let there = fs::read_dir(directory).map_err(|error| refused(error.to_string()))?;
        groups.remove_left(there);
        Ok(Arc::new(groups))
    }

    /// Ends and removes the groups of hosts that are no more.
    fn remove_left(&self, there: ReadDir) {
        for entry in there.flatten() {
            let name = entry.file_name();
            let host = name.to_str().and_then(host_of);
            // One with this process's id is from before, where ids begin anew with each start.
            let is_left = host
                .is_some_and(|host| host == std::process::id() || !Path::new("/proc").join(host.to_string()).exists());
            if is_left {
                ControlGroup { path: entry.path() }.end();
            }
        }
    }

    /// Makes a group for a process that maps a plugin.
    pub(crate) fn make(&self, plugin: &str, limits: &ProcessLimits) -> io::Result<ControlGroup> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{plugin}.{}.{number}", std::process::id()));
        let at =
            |error: io::Error| io::Error::new(error.kind(), format!("the control group {}: {error}", path.display()));
        fs::create_dir(&path).map_err(at)?;
        let group = ControlGroup { path: path.clone() };
        group.limit(limits, &self.offered).map_err(at).inspect_err(|_| group.end())?;
        Ok(group)
    }
}

/// Returns the process id of the host that made a group of this name, if one did.
fn host_of(name: &str) -> Option<u32> {
    let mut parts = name.rsplitn(3, '.');
    let number = parts.next()?.parse::<u64>();
    let host = parts.next()?.parse().ok()?;
    number.ok().and(parts.next()).map(|_plugin| host)
}

/// One process's group. It stays until [`ControlGroup::end`].
#[derive(Debug)]
pub(crate) struct ControlGroup {
    path: PathBuf,
}

impl ControlGroup {
    /// Limits what is in it, by what the kernel offers.
    fn limit(&self, limits: &ProcessLimits, offered: &[&str]) -> io::Result<()> {
        let set = |name: &str, value: String| fs::write(self.path.join(name), value);
        if offered.contains(&"memory") {
            set("memory.max", limits.memory.to_string())?;
            // One that is short of memory ends with all it has started.
            set("memory.oom.group", "1".to_owned())?;
            // It is there only where swapped memory is counted.
            set("memory.swap.max", "0".to_owned()).unwrap_or_default();
        }
        if offered.contains(&"pids") {
            set("pids.max", process::TASKS.to_string())?;
        }
        match limits.cpus {
            Some(_) if !offered.contains(&"cpu") => {
                Err(io::Error::other("it has no `cpu` to offer, which `limits.cpus` needs"))
            }
            Some(thousandths) => set("cpu.max", format!("{} {PERIOD}", u64::from(thousandths) * PERIOD / 1000)),
            None => Ok(()),
        }
    }

    /// Ends all processes in it.
    pub(crate) fn kill(&self) {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, group = %self.path.display(), "cannot end a control group"),
        }
    }

    /// Whether a process in it was ended because there was no memory left for the group.
    pub(crate) fn was_short_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }

    /// Ends all processes in it and removes it. Blocks until they are gone, two seconds at most.
    pub(crate) fn end(&self) {
        self.kill();
        match self.wait_until_empty().and_then(|()| fs::remove_dir(&self.path)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, group = %self.path.display(), "cannot remove a control group"),
        }
    }

    fn wait_until_empty(&self) -> io::Result<()> {
        let mut events = File::open(self.path.join("cgroup.events"))?;
        let began = Instant::now();
        loop {
            let mut text = String::new();
            events.rewind()?;
            events.read_to_string(&mut text)?;
            if text.lines().any(|line| line == "populated 0") {
                return Ok(());
            }
            let left = DYING.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(io::Error::new(ErrorKind::TimedOut, "processes in it do not end"));
            }
            // The kernel tells whoever has read the file that it says something else now.
            let left = PollTimeout::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], left) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Which group a process of the host is to join, if any, as the host tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct GroupArgument {
    /// The control group to join
    #[arg(long)]
    control_group: Option<PathBuf>,
}

impl GroupArgument {
    /// Names a group, if there is one.
    pub(crate) fn of(group: Option<&ControlGroup>) -> Self {
        Self { control_group: group.map(|group| group.path.clone()) }
    }

    pub(crate) fn add_to(&self, command: &mut Command) {
        if let Some(path) = &self.control_group {
            command.arg("--control-group").arg(path);
        }
    }

    /// Joins the group. To be called while there is one thread.
    pub(crate) fn join(&self) -> io::Result<()> {
        let Some(path) = &self.control_group else { return Ok(()) };
        // 0 is whoever writes it.
        fs::write(path.join("cgroup.procs"), "0")
            .map_err(|error| io::Error::new(error.kind(), format!("cannot join {}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A directory with the files of a group of which the kernel offers so much.
    fn group(offered: &str) -> TempDir {
        let directory = TempDir::new().unwrap();
        for (name, content) in [("cgroup.controllers", offered), ("cgroup.procs", ""), ("cgroup.kill", "")] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn open(directory: &Path) -> Result<Arc<ControlGroups>, String> {
        ControlGroups::open(Some(directory)).map(Option::unwrap).map_err(|error| error.message)
    }

    #[test]
    fn limits_are_written_where_the_kernel_reads_them() {
        let directory = group("cpuset cpu io memory pids\n");
        let groups = open(directory.path()).unwrap();
        let limits = ProcessLimits { memory: 64 << 20, cpus: Some(1_500), ..ProcessLimits::default() };
        let group = groups.make("weather", &limits).unwrap();
        let read = |name: &str| fs::read_to_string(group.path.join(name)).unwrap();
        assert_eq!((read("memory.max"), read("memory.swap.max")), ((64 << 20).to_string(), "0".to_owned()));
        assert_eq!((read("pids.max"), read("cpu.max")), ("1024".to_owned(), "150000 100000".to_owned()));
        assert_eq!(read("memory.oom.group"), "1");
        GroupArgument::of(Some(&group)).join().unwrap();
        assert_eq!(read("cgroup.procs"), "0");
        assert!(!group.was_short_of_memory());
        fs::write(group.path.join("memory.events"), "low 0\noom 1\noom_kill 2\n").unwrap();
        assert!(group.was_short_of_memory());
        assert_ne!(groups.make("weather", &limits).unwrap().path, group.path);
    }

    #[test]
    fn what_cannot_be_limited_is_not_promised() {
        let directory = group("memory pids\n");
        let limits = ProcessLimits { cpus: Some(500), ..ProcessLimits::default() };
        let error = open(directory.path()).unwrap().make("weather", &limits).unwrap_err().to_string();
        assert!(error.contains("limits.cpus") && error.contains("weather."), "{error}");
    }

    #[test]
    fn directories_that_cannot_be_used_are_told() {
        let plain = TempDir::new().unwrap();
        let error = open(plain.path()).unwrap_err();
        assert!(error.contains("no control group of version 2"), "{error}");
        let topmost = group("memory");
        fs::remove_file(topmost.path().join("cgroup.kill")).unwrap();
        assert!(open(topmost.path()).unwrap_err().contains("name one below"));
        let busy = group("memory");
        fs::write(busy.path().join("cgroup.procs"), "17\n").unwrap();
        assert!(open(busy.path()).unwrap_err().contains("DelegateSubgroup=host"));
    }

    #[test]
    fn groups_are_known_by_the_host_that_made_them() {
        assert_eq!(host_of("weather.12.0"), Some(12));
        assert_eq!(host_of("a.b-c.3.44"), Some(3));
        for other in ["", "12.0", "weather", "weather.x.0", "weather.1.x", "system.slice"] {
            assert_eq!(host_of(other), None, "{other}");
        }
    }
}
