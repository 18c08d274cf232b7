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
pub(crate) fn cpu_time(id: u32) -> anyhow::Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(id)?)).context("the process's clock")?;
    Ok(Duration::from(clock_gettime(clock)?))
}
