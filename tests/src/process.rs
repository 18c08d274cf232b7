//! What the kernel says about another process.

use std::time::Duration;

use anyhow::Context;
use nix::{
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// Returns the CPU time all threads of a process have used, to the nanosecond; threads that
/// have ended count.
///
/// # Errors
///
/// When there is no such process.
pub fn cpu_time(id: u32) -> anyhow::Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(id)?)).context("the process's clock")?;
    Ok(Duration::from(clock_gettime(clock)?))
}

/// Returns the memory of a process that is in RAM, in bytes.
///
/// # Errors
///
/// When there is no such process.
pub fn resident(id: u32) -> anyhow::Result<u64> {
    memory(id, "VmRSS:")
}

/// Returns how much of its memory in RAM is a process's own: not pages of files, which the kernel has
/// anyway and can take back.
///
/// # Errors
///
/// When there is no such process.
pub fn anonymous(id: u32) -> anyhow::Result<u64> {
    memory(id, "RssAnon:")
}

fn memory(id: u32, what: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).context("a process has memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
