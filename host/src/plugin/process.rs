//! The few things the host asks of the operating system that the standard library does not offer.
#![expect(unsafe_code, reason = "calls into libc")]

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd},
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
    // SAFETY: takes a plain value and works under the allocator's own locks; any thread may call it.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a plain number and works under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns the user the host runs as.
pub(crate) fn user() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}
