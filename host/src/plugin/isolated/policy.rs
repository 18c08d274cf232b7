//! When a process that crashed is started again: at once, after a while, or not for now.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{plugin::settings::RestartSettings, types::plugin::BreakerState};

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is started after so long; calls wait for it.
    Start {
        /// Nothing, for the first time in a row.
        after: Duration,
    },
    /// It is started after so long; calls fail meanwhile.
    Rest {
        /// How long.
        pause: Duration,
    },
}

/// Counts crashes of one generation's processes.
#[derive(Debug)]
pub(super) struct Policy {
    settings: RestartSettings,
    /// Crashes within the window, oldest first; never more than end the restarts.
    recent: VecDeque<Instant>,
    /// Crashes in a row.
    row: u32,
    state: BreakerState,
}

impl Policy {
    /// Returns the policy of a generation that never crashed.
    pub(super) fn new(settings: RestartSettings) -> Self {
        Self { settings, recent: VecDeque::new(), row: 0, state: BreakerState::Closed }
    }

    /// Returns whether crashes lead to restarts; the process that runs has answered so many calls.
    pub(super) fn state(&self, answered: u64) -> BreakerState {
        if self.state == BreakerState::HalfOpen && answered > 0 { BreakerState::Closed } else { self.state }
    }

    /// Takes note that the pause is over and a process is tried.
    pub(super) fn tries(&mut self) {
        if self.state == BreakerState::Open {
            self.state = BreakerState::HalfOpen;
        }
    }

    /// Decides after a crash of a process that had lived for so long and answered so many calls.
    pub(super) fn crashed(&mut self, now: Instant, lived: Duration, answered: u64) -> Next {
        let settings = self.settings;
        if self.state(answered) == BreakerState::HalfOpen {
            return self.rest();
        }
        self.state = BreakerState::Closed;
        if lived >= settings.settled {
            self.row = 0;
        }
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|first| now.saturating_duration_since(*first) > settings.window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= settings.crashes {
            return self.rest();
        }
        let after = match self.row {
            0 => Duration::ZERO,
            row => settings.delay.saturating_mul(1 << (row - 1).min(20)).min(settings.longest_delay),
        };
        self.row += 1;
        Next::Start { after }
    }

    fn rest(&mut self) -> Next {
        self.state = BreakerState::Open;
        self.recent.clear();
        self.row = 0;
        Next::Rest { pause: self.settings.rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn policy(crashes: usize) -> Policy {
        Policy::new(RestartSettings { crashes, ..RestartSettings::default() })
    }

    #[test]
    fn the_first_restart_is_at_once_and_further_ones_wait_twice_as_long_each() {
        let mut policy = policy(100);
        let now = Instant::now();
        let mut after = || match policy.crashed(now, MS(1), 0) {
            Next::Start { after } => after.as_millis(),
            Next::Rest { .. } => panic!("not so many crashes"),
        };
        let waits: Vec<_> = (0..12).map(|_| after()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    }

    #[test]
    fn one_that_lived_long_begins_a_new_row() {
        let mut policy = policy(100);
        let now = Instant::now();
        policy.crashed(now, MS(1), 0);
        assert_eq!(policy.crashed(now, MS(1), 0), Next::Start { after: MS(100) });
        assert_eq!(policy.crashed(now, MS(10_000), 0), Next::Start { after: Duration::ZERO });
    }

    #[test]
    fn too_many_crashes_end_restarts_for_a_while() {
        let mut policy = policy(3);
        let now = Instant::now();
        assert_eq!(policy.crashed(now, MS(1), 5), Next::Start { after: Duration::ZERO });
        policy.crashed(now, MS(1), 5);
        assert_eq!(policy.crashed(now, MS(1), 5), Next::Rest { pause: MS(30_000) });
        assert_eq!(policy.state(0), BreakerState::Open);
        policy.tries();
        assert_eq!((policy.state(0), policy.state(1)), (BreakerState::HalfOpen, BreakerState::Closed));
        // It crashes before it has answered anything: one crash is enough.
        assert_eq!(policy.crashed(now, MS(1), 0), Next::Rest { pause: MS(30_000) });
        policy.tries();
        // It has answered: a new count begins.
        assert_eq!(policy.crashed(now, MS(1), 1), Next::Start { after: Duration::ZERO });
        assert_eq!(policy.state(0), BreakerState::Closed);
    }

    #[test]
    fn crashes_of_long_ago_do_not_count() {
        let mut policy = policy(3);
        let mut now = Instant::now();
        for _ in 0..50 {
            now += MS(31_000);
            assert_eq!(policy.crashed(now, MS(31_000), 1), Next::Start { after: Duration::ZERO });
        }
    }
}
