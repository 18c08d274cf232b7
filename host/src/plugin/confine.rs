//! What a plugin's process gives up before it maps the plugin.
//!
//! Limits contain faults; they are no wall against malice while the process is the same user as
//! the host, which it need not be ([`super::account`]). Starting it is [`super::isolated`]'s, what it
//! does then [`super::runner`]'s.
#![expect(unsafe_code, reason = "calls into libc")]

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::sys::prctl;

use super::{
    account::{AccountArguments, OpenFile},
    process,
    settings::ProcessLimits,
};

/// A variable for the host's own allocator, which is set before the process starts and is gone when the
/// plugin looks: what is only reserved must not count as memory that the plugin has.
pub(crate) const ALLOCATOR: (&str, &str) = ("MIMALLOC_ARENA_EAGER_COMMIT", "0");

/// What a process has left.
pub(crate) struct Confined {
    /// The connection to the host.
    pub(crate) socket: UnixStream,
    /// The plugin, if it cannot be opened by its name any more.
    pub(crate) file: Option<OpenFile>,
}

/// Takes the socket to the host from where the host has put it, and gives up everything else.
///
/// To be called once, by the first thread, before anything else is opened. `parent` is the host.
pub(crate) fn confine(limits: &ProcessLimits, account: &AccountArguments, parent: u32) -> io::Result<Confined> {
    // SAFETY: there is one thread, so that nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(ALLOCATOR.0) };
    let socket = take_socket()?;
    close_all_above(socket.as_raw_fd())?;
    prefer_me_when_memory_is_short();
    process::limit(libc::RLIMIT_CORE, 0)?;
    // Of what is mapped, what is private and can be written: not the address space, of which
    // allocators and threads reserve far more than they use.
    process::limit(libc::RLIMIT_DATA, limits.memory)?;
    process::limit(libc::RLIMIT_NOFILE, limits.open_files)?;
    if let Some(cpu) = limits.cpu {
        process::limit(libc::RLIMIT_CPU, cpu.max(Duration::from_secs(1)).as_secs())?;
    }
    let file = account.become_it()?;
    // After that: the kernel forgets it of whoever becomes another user.
    die_with(parent)?;
    prctl::set_no_new_privs()?;
    if !limits.processes {
        refuse_processes()?;
    }
    Ok(Confined { socket, file })
}

/// Has the kernel end this process when the host's thread that started it ends.
fn die_with(parent: u32) -> io::Result<()> {
    process::die_with_parent()?;
    // The host may have ended before: then nobody would tell.
    if std::os::unix::process::parent_id() == parent { Ok(()) } else { Err(io::Error::other("the host has ended")) }
}

/// The socket is descriptor 0; it goes where the plugin does not take it for its standard input.
fn take_socket() -> io::Result<UnixStream> {
    let null = File::open("/dev/null")?;
    // SAFETY: descriptor 0 is open, the host made it a socket; F_DUPFD_CLOEXEC takes a plain number.
    let socket = unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) };
    check(socket)?;
    // SAFETY: `socket` was made two lines above and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: both are open descriptors of this process, which has one thread.
    check(unsafe { libc::dup2(null.as_raw_fd(), 0) })?;
    Ok(UnixStream::from(socket))
}

/// Has the kernel end this process before the host when the whole machine has no memory left.
fn prefer_me_when_memory_is_short() {
    // Where it cannot be said the kernel decides by size, which is what happens to everybody.
    std::fs::write("/proc/self/oom_score_adj", "500").unwrap_or_default();
}

/// Closes what a library of the host has left open without saying so.
fn close_all_above(last: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(last + 1).map_err(io::Error::other)?;
    // SAFETY: takes plain numbers; nothing that is owned is above the socket, which was opened last.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    // Kernels before 5.9 do not have it; what the standard library opens is closed by the exec anyway.
    if closed == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has the kernel refuse every further process, but not threads.
///
/// `RLIMIT_NPROC` would count all processes of the user, the host's threads among them, and does not
/// bind root. A filter binds everybody and stays for good.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn refuse_processes() -> io::Result<()> {
    let filter = filter();
    let length = libc::c_ushort::try_from(filter.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the pointer is to a live program whose length is as it says; the kernel copies it.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }).map_err(
        |error| {
            let advice = "allow the plugin to start processes (`limits.processes = true`)";
            io::Error::other(format!("the system takes no filter of system calls: {error}; {advice}"))
        },
    )
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn refuse_processes() -> io::Result<()> {
    Ok(())
}

/// The calls that make processes: refused, unless it is a thread that is made.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn filter() -> Vec<libc::sock_filter> {
    #[cfg(target_arch = "x86_64")]
    const ARCHITECTURE: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const ARCHITECTURE: u32 = 0xc000_00b7;
    /// Where the kernel puts the call's number, the architecture and the first argument's lower half.
    const NUMBER: u32 = 0;
    const ARCH: u32 = 4;
    const FIRST: u32 = 16;

    let load = |at| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let answer = |what| step(libc::BPF_RET | libc::BPF_K, what, 0, 0);
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let refuse = answer(libc::SECCOMP_RET_ERRNO | errno(libc::EPERM));
    let mut filter = vec![load(ARCH), step(equal, ARCHITECTURE, 1, 0), refuse, load(NUMBER)];
    #[cfg(target_arch = "x86_64")]
    {
        // The calls of the x32 interface begin here: the same under other numbers.
        filter.extend([step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0x4000_0000, 0, 1), refuse]);
        for call in [libc::SYS_fork, libc::SYS_vfork] {
            filter.extend([step(equal, number(call), 0, 1), refuse]);
        }
    }
    // Its flags are in memory, which a filter cannot read; told that it does not exist, callers take `clone`.
    let absent = answer(libc::SECCOMP_RET_ERRNO | errno(libc::ENOSYS));
    filter.extend([step(equal, number(libc::SYS_clone3), 0, 1), absent]);
    let thread = libc::CLONE_THREAD.cast_unsigned();
    filter.extend([
        step(equal, number(libc::SYS_clone), 0, 3),
        load(FIRST),
        step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, thread, 1, 0),
        refuse,
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    filter
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    // All codes of this machine have 16 bits.
    libc::sock_filter { code: code as u16, jt, jf, k }
}

fn number(call: libc::c_long) -> u32 {
    call as u32
}

fn errno(error: libc::c_int) -> u32 {
    error.cast_unsigned()
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
