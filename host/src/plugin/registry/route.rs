//! Which of the builds that are being compared answers a call: decided by what the call belongs to.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::Snapshot;

/// What a call belongs to. All that belongs to the same is answered by the same build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Route<'a> {
    /// The conversation. Counts before the rest.
    pub thread: Option<&'a str>,
    /// The run.
    pub run: Option<&'a str>,
    /// Whom it is done for.
    pub owner: Option<&'a str>,
}

impl<'a> Route<'a> {
    /// Returns the way of a run that belongs to no conversation.
    #[must_use]
    pub fn of_run(run: &'a str) -> Self {
        Self { run: Some(run), ..Self::default() }
    }

    /// Returns where among all calls it is: evenly spread, always the same for the same.
    fn place(&self) -> u64 {
        match self.thread.or(self.run).or(self.owner) {
            Some(id) => {
                let mut hasher = DefaultHasher::new();
                id.hash(&mut hasher);
                hasher.finish()
            }
            None => fastrand::u64(..),
        }
    }
}

/// The share of calls a build on trial gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// Different for each trial, so that not the same callers have all new builds tried on them.
    salt: u64,
    /// Places below this are its.
    below: u64,
}

impl Share {
    /// Returns the share of this many percent.
    pub(super) fn of(percent: f64, salt: u64) -> Self {
        // Saturates at both ends.
        Self { salt, below: (percent / 100.0 * u64::MAX as f64) as u64 }
    }

    fn has(self, place: u64) -> bool {
        mixed(place ^ self.salt) < self.below || self.below == u64::MAX
    }
}

/// Spreads what differs in any bit over all of them.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// All snapshots of one moment.
#[derive(Debug)]
pub(super) struct Published {
    /// Of the builds on trial.
    shares: Box<[Share]>,
    /// One for each set of them, by its bits: the first has none of them.
    snapshots: Box<[Arc<Snapshot>]>,
    without: Arc<Snapshot>,
}

impl Default for Published {
    fn default() -> Self {
        Self::new([].into(), Vec::from([Arc::default()]))
    }
}

impl Published {
    /// `snapshots` has one for each set of the shares.
    pub(super) fn new(shares: Box<[Share]>, snapshots: Vec<Arc<Snapshot>>) -> Self {
        let without = snapshots.first().cloned().unwrap_or_default();
        Self { shares, snapshots: snapshots.into(), without }
    }

    /// Returns the one without any build on trial.
    pub(super) fn without(&self) -> &Arc<Snapshot> {
        &self.without
    }

    /// Returns the one a call is answered from.
    pub(super) fn find(&self, route: &Route<'_>) -> &Arc<Snapshot> {
        if self.shares.is_empty() {
            return &self.without;
        }
        let place = route.place();
        let set =
            self.shares.iter().enumerate().fold(0, |set, (bit, share)| set | usize::from(share.has(place)) << bit);
        self.snapshots.get(set).unwrap_or(&self.without)
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> &[Arc<Snapshot>] {
        &self.snapshots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of calls with names of their own, those a share of this many percent gets.
    fn got(percent: f64, salt: u64) -> Vec<usize> {
        let share = Share::of(percent, salt);
        (0..10_000).filter(|number| share.has(Route::of_run(&format!("run-{number}")).place())).collect()
    }

    #[test]
    fn a_share_gets_about_as_many_calls_as_it_says() {
        for percent in [1.0, 10.0, 50.0, 90.0] {
            let share = got(percent, 7).len() as f64 / 100.0;
            assert!((share - percent).abs() < 2.0, "{share} instead of {percent}");
        }
        assert_eq!((got(0.0, 7).len(), got(100.0, 7).len()), (0, 10_000));
    }

    #[test]
    fn what_belongs_together_goes_one_way() {
        let share = Share::of(50.0, 1);
        for number in 0..1000 {
            let (thread, run) = (format!("thread-{number}"), format!("run-{number}"));
            let all = Route { thread: Some(&thread), run: Some(&run), owner: Some("me") };
            let thread = Route { thread: Some(&thread), ..Route::default() };
            assert_eq!(share.has(all.place()), share.has(thread.place()));
            let owned = Route { owner: Some("me"), ..Route::of_run(&run) };
            assert_eq!(share.has(owned.place()), share.has(Route::of_run(&run).place()));
        }
    }

    #[test]
    fn two_trials_have_different_callers() {
        let both: Vec<usize> =
            got(10.0, 1).into_iter().filter(|number| got(10.0, 2).contains(number)).take(300).collect();
        assert!(both.len() < 200, "{}", both.len());
    }

    #[test]
    fn what_belongs_to_nothing_is_spread_as_well() {
        let share = Share::of(50.0, 1);
        let got = (0..1000).filter(|_| share.has(Route::default().place())).count();
        assert!((400..600).contains(&got), "{got}");
    }
}
