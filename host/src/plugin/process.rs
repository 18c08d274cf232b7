//! The few things the host asks of the operating system that the standard library does not offer.
#![expect(unsafe_code, reason = "calls into libc")]

use std::{
    cell::Cell,
    fs::File,
    io,
    ops::Range,
    os::fd::{AsRawFd, FromRawFd},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Seconds of CPU the child may burn; the parent's deadline is the usual end.
const CPU_SECONDS: u64 = 10;
/// Generous: a debug build with all its mappings stays far below.
const ADDRESS_SPACE: u64 = 16 << 30;
const OPEN_FILES: u64 = 64;
/// Processes and threads that those who start them without end come to.
pub(crate) const TASKS: u64 = 1024;

/// Sets limits and keeps standard output for the verdict alone: what a constructor prints goes
/// nowhere.
pub(crate) fn prepare_child() -> io::Result<File> {
    limit(libc::RLIMIT_CORE, 0)?;
    limit(libc::RLIMIT_CPU, CPU_SECONDS)?;
    limit(libc::RLIMIT_AS, ADDRESS_SPACE)?;
    limit(libc::RLIMIT_NOFILE, OPEN_FILES)?;
    let null = File::options().write(true).open("/dev/null")?;
    // SAFETY: descriptor 1 is open, the parent made it a pipe; F_DUPFD_CLOEXEC takes a plain number.
    let verdict = unsafe { libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 3) };
    if verdict < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are open descriptors of this process, which has one thread.
    if unsafe { libc::dup2(null.as_raw_fd(), 1) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `verdict` was made three lines above and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(verdict) })
}

/// Has the kernel end this process when the thread that started it ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

/// Sets both limits of a resource, or leaves them lower if the process was started with less.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the pointer is to a live, initialised rlimit.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // Only root may raise the upper one.
    let value = value.min(limit.rlim_max);
    limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the pointer is to a live, initialised rlimit.
    if unsafe { libc::setrlimit(resource, &raw const limit) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends the process without running anybody's destructors.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: `_exit` takes a plain number and does not return.
    unsafe { libc::_exit(code) }
}

/// Kills a process that leads a group and has not been waited for, with all of the group.
pub(crate) fn kill_group(leader: u32) {
    let Ok(leader) = libc::pid_t::try_from(leader) else { return };
    // SAFETY: `kill` takes plain numbers. Nothing is done about an error: the group has ended.
    unsafe {
        libc::kill(-leader, libc::SIGKILL);
    }
}

/// Waits until a child has ended and leaves it to be waited for: its id is nobody else's until then. Blocks.
pub(crate) fn wait_for_end(child: u32) -> io::Result<()> {
    loop {
        // SAFETY: a siginfo of zeros is one; it is plain data.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: the pointer is to a live siginfo, everything else are plain numbers.
        if unsafe { libc::waitid(libc::P_PID, child, &raw mut info, options) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Returns what a signal that ends a process says about it.
pub(crate) fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => "invalid memory access",
        libc::SIGBUS => "access beyond the end of a file",
        libc::SIGABRT => "abort",
        libc::SIGILL => "illegal instruction",
        libc::SIGFPE => "arithmetic fault",
        libc::SIGKILL => "killed",
        libc::SIGTERM => "asked to end",
        libc::SIGSYS => "forbidden system call",
        libc::SIGXCPU => "too much CPU time",
        _ => "crash",
    }
}

/// Gives memory that nothing in the process uses back to the system. May take milliseconds.
///
/// Allocators keep what was freed, which after a load is several times the files' length: the host's
/// own, and that of the C library, which is plugins'.
pub(crate) fn return_free_memory() {
    collect(true);
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a plain number and works under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// How often all threads were asked to give memory back.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// As [`return_free_memory`], by all threads of the host's runtime: each allocates from memory of its own, and what
/// others have freed of that stays there until the thread itself gives it back.
pub(crate) fn return_memory_of_all() {
    ASKED.fetch_add(1, Ordering::Relaxed);
    return_free_memory();
}

/// Gives back what this thread keeps, once after each call of [`return_memory_of_all`]. For a thread that goes to
/// sleep; costs nanoseconds if there is nothing to do.
pub(crate) fn return_memory_of_thread() {
    thread_local! {
        static DONE: Cell<u64> = const { Cell::new(0) };
    }
    let asked = ASKED.load(Ordering::Relaxed);
    if DONE.replace(asked) != asked {
        collect(true);
    }
}

/// Lets all threads have what others have freed of this one's memory, for a thread that sleeps between pieces of work:
/// what it keeps meanwhile, nobody else can use. Takes microseconds.
pub(crate) fn tidy_memory_of_thread() {
    collect(false);
}

/// Has the host's allocator gather what is free in this thread's memory, for all threads or for the system.
fn collect(is_for_system: bool) {
    // SAFETY: takes a plain value and works under the allocator's own locks; any thread may call it.
    unsafe {
        libmimalloc_sys::mi_collect(is_for_system);
    }
}

/// Held while a library is mapped: until that is done, what is to be its data looks like a part of its file.
pub(crate) static MAPPING: Mutex<()> = Mutex::new(());

/// The files of the program and of the libraries it was linked with.
static LINKED: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// Takes note of what is mapped now, which is what stays mapped until the process ends: to be called before anything
/// could load a library.
pub(crate) fn note_linked_files() {
    LINKED.get_or_init(|| {
        let mappings = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        // START-END PERMISSIONS OFFSET DEVICE INODE PATH
        let files = mappings.lines().filter_map(|line| line.splitn(6, ' ').nth(5)).map(str::trim_start);
        files.filter(|file| file.starts_with('/')).map(PathBuf::from).collect()
    });
}

/// Has the kernel unmap what it mapped of the [linked](note_linked_files) files and of plugins, which are in `copies`:
/// code and constants. What is still needed is mapped again, page by page, as it is. Takes about a millisecond.
///
/// A start needs much that nothing else does, and the kernel maps what lies around it as well. All of it stays in the
/// page cache, from where others may take the room. While a plugin is being mapped, nothing is done.
pub(crate) fn unmap_files(copies: &Path) {
    let Ok(_nothing_is_mapped_meanwhile) = MAPPING.try_lock() else { return };
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else { return };
    let linked = LINKED.get().map_or(&[][..], Vec::as_slice);
    let stays = |file: &Path| linked.iter().any(|it| it == file) || file.starts_with(copies);
    for part in unchanged(&mappings, stays) {
        // SAFETY: nobody maps anything else there, for neither what is linked nor a plugin is ever unloaded, and none is
        // being loaded. The pages are those of a file, may not be written, and none was before (as the loader does for
        // its tables, and a debugger for its breakpoints): whoever comes to one finds it as it was, on any thread.
        unsafe {
            libc::madvise(std::ptr::without_provenance_mut(part.start), part.len(), libc::MADV_DONTNEED);
        }
    }
}

/// Returns where parts of such files are mapped that may not be written and of which this process has changed nothing,
/// as `/proc/PID/smaps` has it (proc(5)).
fn unchanged(mappings: &str, is_wanted: impl Fn(&Path) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut part = None;
    for line in mappings.lines() {
        let mut words = line.splitn(6, ' ');
        match (words.next(), words.next()) {
            // What was changed is in memory or swapped out.
            (Some("Anonymous:" | "Swap:"), _) if !line.ends_with(" 0 kB") => part = None,
            (Some("Swap:"), _) => found.extend(part.take()),
            (Some(first), Some(permissions)) if !first.ends_with(':') => {
                // START-END PERMISSIONS OFFSET DEVICE INODE PATH
                let file = words.nth(3).map(|path| Path::new(path.trim_start()));
                let is_read_only = matches!(permissions, "r--p" | "r-xp");
                part = range(first).filter(|_| is_read_only && file.is_some_and(&is_wanted));
            }
            _ => {}
        }
    }
    found
}

fn range(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// Returns the user the host runs as.
pub(crate) fn user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// A piece of memory of the host's allocator, which tests themselves are not linked with.
#[cfg(test)]
pub(crate) struct Block(std::ptr::NonNull<libc::c_void>);

// SAFETY: nobody else knows the memory, and any thread may free it.
#[cfg(test)]
unsafe impl Send for Block {}

#[cfg(test)]
impl Block {
    pub(crate) fn new(bytes: usize) -> Self {
        // SAFETY: takes a plain number.
        let memory = unsafe { libmimalloc_sys::mi_malloc(bytes) };
        let memory = std::ptr::NonNull::new(memory).unwrap();
        // SAFETY: there are so many bytes; to be in memory they are written.
        unsafe { memory.write_bytes(1, bytes) };
        Self(memory)
    }
}

#[cfg(test)]
impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it is the allocator's, and freed here alone.
        unsafe { libmimalloc_sys::mi_free(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unmapped_may_not_be_written_and_never_was() {
        let mappings = "\
1000-2000 r--p 00000000 08:01 7                          /opt/hot bay/program
Size:                  4 kB
Anonymous:             0 kB
Swap:                  0 kB
2000-5000 r-xp 00001000 08:01 7                          /opt/hot bay/program
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  0 kB
SwapPss:               0 kB
VmFlags: rd ex mr mw me
5000-6000 r--p 00004000 08:01 7                          /opt/hot bay/program
Anonymous:             4 kB
Swap:                  0 kB
6000-7000 r--p 00005000 08:01 7                          /opt/hot bay/program
Anonymous:             0 kB
Swap:                  4 kB
7000-8000 rw-p 00006000 08:01 7                          /opt/hot bay/program
Anonymous:             0 kB
Swap:                  0 kB
8000-9000 r-xp 00001000 08:01 9                          /opt/other
Anonymous:             0 kB
Swap:                  0 kB
9000-a000 r-xp 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7ffd000-7fff000 r-xp 00000000 00:00 0                    [vdso]
Anonymous:             0 kB
Swap:                  0 kB
";
        let found = unchanged(mappings, |file| file == "/opt/hot bay/program");
        assert_eq!(found, [0x1000..0x2000, 0x2000..0x5000]);
    }

    /// Bytes of the code of this program that are mapped.
    fn mapped() -> u64 {
        let program = std::env::current_exe().unwrap();
        let mappings = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let lines =
            mappings.lines().skip_while(|line| !(line.contains("r-xp") && line.ends_with(program.to_str().unwrap())));
        let line = lines.skip(1).find(|line| line.starts_with("Rss:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    #[test]
    fn what_is_unmapped_is_there_when_it_is_needed() {
        note_linked_files();
        // Other tests of this process run code, and map libraries, meanwhile.
        let unmaps = || {
            let before = mapped();
            unmap_files(Path::new("/nowhere"));
            mapped() < before
        };
        assert!((0..1000).any(|_| unmaps()));
        assert_eq!(signal_name(libc::SIGSEGV), "invalid memory access");
    }
}
