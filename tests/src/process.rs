//! What the kernel says about another process.

use std::{path::Path, time::Duration};

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

/// Returns how many bytes of code of the files in a directory a process has mapped in RAM.
///
/// # Errors
///
/// When there is no such process.
pub fn code(id: u32, directory: &Path) -> anyhow::Result<u64> {
    let mappings = std::fs::read_to_string(format!("/proc/{id}/smaps"))?;
    let directory = directory.to_str().context("a path in UTF-8")?;
    let (mut kilobytes, mut is_wanted) = (0, false);
    for line in mappings.lines() {
        match line.strip_prefix("Rss:") {
            Some(size) if is_wanted => kilobytes += size.trim().trim_end_matches("kB").trim().parse::<u64>()?,
            Some(_) => {}
            // Lines about a mapping begin with a name, and the mapping with an address.
            None if line.split(' ').next().is_some_and(|first| !first.ends_with(':')) => {
                is_wanted = line.contains(" r-xp ") && line.contains(directory);
            }
            None => {}
        }
    }
    Ok(kilobytes * 1024)
}

fn memory(id: u32, what: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).context("a process has memory")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
