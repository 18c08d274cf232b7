//! Whether a build does worse than the one before it.
//!
//! Two questions. A build that is being tried is compared with what the old one did in the same
//! time, with the same callers' mistakes and impatience, so everything counts. After a plain swap
//! there is only the time before to compare with, in which callers may have been others: then
//! neither mistakes of callers nor those who did not wait are held against the build, and it
//! takes much more.

use crate::plugin::generation::Counts;

/// When failing more often is failing too often.
struct Bar {
    /// At least so many calls failed.
    failed: u64,
    /// The share of failed calls is higher by more than this,
    points: f64,
    /// and more than so many times as high.
    times: f64,
}

const TRIED: Bar = Bar { failed: 5, points: 0.05, times: 2.0 };
const SWAPPED: Bar = Bar { failed: 10, points: 0.2, times: 3.0 };
/// Calls of the old build from which on it is known how often calls fail.
const ENOUGH: u64 = 20;
/// The slowest twentieth of a build that is tried may take so many times as long,
const SLOWER: f64 = 2.0;
/// or this much longer: what is measured is off by up to a quarter, and short calls vary.
const SLOWER_MS: f64 = 10.0;

/// Calls of a build, and those that count as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failed: u64,
}

impl Tally {
    /// Counts everything.
    pub(super) fn of_all(counts: &Counts) -> Self {
        Self { calls: counts.calls + counts.abandoned, failed: counts.errors + counts.abandoned }
    }

    /// Counts what is nobody's doing but the build's.
    fn of_own(counts: &Counts) -> Self {
        Self { calls: counts.calls, failed: counts.errors.saturating_sub(counts.mistakes) }
    }

    fn share(self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.failed as f64 / self.calls as f64 }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} calls", self.failed, self.calls)
    }
}

/// What a build that is tried is compared with.
pub(super) struct Rivals<'a> {
    /// What the new build did.
    pub(super) new: &'a Counts,
    /// What the old one did in the same time.
    pub(super) old: &'a Counts,
    /// What the old one ever did, for when it had few calls meanwhile.
    pub(super) ever: &'a Counts,
}

impl Rivals<'_> {
    /// Returns why the new build is to be given up, whenever it is asked.
    pub(super) fn fails(&self) -> Option<String> {
        let (old, since) = self.old();
        worse(Tally::of_all(self.new), Tally::of_all(old), &TRIED, since)
    }

    /// Returns why the new build is to be given up at the end.
    pub(super) fn is_slow(&self) -> Option<String> {
        let (old, since) = self.old();
        if self.new.calls < ENOUGH || old.calls < ENOUGH {
            return None;
        }
        let (now, before) = (self.new.quantile(0.95), old.quantile(0.95));
        (now > before * SLOWER && now > before + SLOWER_MS)
            .then(|| format!("95 of 100 calls took up to {now:.1} ms, {before:.1} ms with the old build {since}"))
    }

    fn old(&self) -> (&Counts, &'static str) {
        if Tally::of_all(self.old).calls >= ENOUGH { (self.old, "meanwhile") } else { (self.ever, "before") }
    }
}

/// Whether there are enough calls of a build to say later that another does worse.
pub(super) fn is_known(old: &Counts) -> bool {
    Tally::of_own(old).calls >= ENOUGH
}

/// Returns why a build that was just swapped in is to be taken back.
pub(super) fn fails_after_swap(new: &Counts, old: &Counts) -> Option<String> {
    worse(Tally::of_own(new), Tally::of_own(old), &SWAPPED, "before")
}

fn worse(new: Tally, old: Tally, bar: &Bar, since: &str) -> Option<String> {
    let (now, before) = (new.share(), old.share());
    let is_worse = new.failed >= bar.failed && now > before + bar.points && now > before * bar.times;
    is_worse.then(|| format!("{new} failed, {old} of the old build {since}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::generation::Statistics;

    fn counts(calls: u64, errors: u64, mistakes: u64, abandoned: u64) -> Counts {
        let mut counts = Statistics::default().counts();
        (counts.calls, counts.errors, counts.mistakes, counts.abandoned) = (calls, errors, mistakes, abandoned);
        counts
    }

    #[track_caller]
    fn check_tried(new: (u64, u64), old: (u64, u64), gives_up: bool) {
        let (new, old) = (counts(new.0, new.1, 0, 0), counts(old.0, old.1, 0, 0));
        let fails = Rivals { new: &new, old: &old, ever: &old }.fails();
        assert_eq!(fails.is_some(), gives_up, "{new:?} {old:?}: {fails:?}");
    }

    #[test]
    fn a_build_that_is_tried_is_given_up_when_it_fails_clearly_more() {
        check_tried((5, 5), (100, 0), true);
        check_tried((4, 4), (100, 0), false);
        check_tried((100, 5), (100, 0), false);
        check_tried((100, 6), (100, 0), true);
        check_tried((100, 15), (100, 10), false);
        check_tried((100, 19), (100, 10), false);
        check_tried((100, 21), (100, 10), true);
        check_tried((100, 100), (100, 100), false);
        check_tried((0, 0), (0, 0), false);
    }

    #[test]
    fn an_old_build_without_calls_meanwhile_is_known_by_what_it_did_before() {
        let (new, old, ever) = (counts(10, 5, 0, 0), counts(2, 0, 0, 0), counts(200, 100, 0, 0));
        assert_eq!(Rivals { new: &new, old: &old, ever: &ever }.fails(), None, "it always failed as often");
        let reason = Rivals { new: &new, old: &old, ever: &counts(200, 2, 0, 0) }.fails().expect("worse");
        assert_eq!(reason, "5 of 10 calls failed, 2 of 200 calls of the old build before");
    }

    #[test]
    fn calls_nobody_waited_for_and_mistakes_count_against_a_build_that_is_tried_alone() {
        let (new, old) = (counts(20, 10, 10, 10), counts(100, 0, 0, 0));
        assert!(Rivals { new: &new, old: &old, ever: &old }.fails().is_some());
        assert_eq!(fails_after_swap(&new, &old), None);
        assert!(fails_after_swap(&counts(20, 20, 10, 0), &old).is_some());
    }

    #[test]
    fn after_a_swap_it_takes_more() {
        for ((calls, failed), (before, failed_before), takes_back) in [
            ((9, 9), (100, 0), false),
            ((10, 10), (100, 0), true),
            ((60, 12), (100, 0), false),
            ((40, 12), (100, 0), true),
            ((40, 24), (100, 25), false),
            ((40, 35), (100, 25), true),
        ] {
            let (new, old) = (counts(calls, failed, 0, 0), counts(before, failed_before, 0, 0));
            assert_eq!(fails_after_swap(&new, &old).is_some(), takes_back, "{calls} {failed}");
        }
        assert!(is_known(&counts(20, 20, 0, 0)) && !is_known(&counts(19, 0, 0, 0)));
    }
}
