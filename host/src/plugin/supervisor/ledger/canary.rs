//! What is known about builds that are tried on a share of the calls.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{Ledger, LoadCode, LoadError, Record, time_text, unknown};
use crate::{
    plugin::{
        generation::{Counts, Generation},
        registry::{Offer, Registry},
        settings::CanaryPlan,
        state::{Awaited, Held},
        supervisor::judge::{Rivals, Tally},
    },
    types::plugin::{CanarySide, CanaryState, CanaryStatus},
};

/// A plugin's canary.
pub(super) enum Canary {
    /// The next build will be tried.
    Waiting { plan: CanaryPlan, since: SystemTime },
    /// A build is tried.
    Trying(Box<Trial>),
    /// It is over; this is how it ended.
    Over(Box<CanaryStatus>),
}

/// A build that is tried.
pub(super) struct Trial {
    plan: CanaryPlan,
    generation: Arc<Generation>,
    old: Arc<Generation>,
    /// What the old build had done when it began.
    before: Counts,
    began: Instant,
    since: SystemTime,
}

/// What is to be done about a build that is tried.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::plugin::supervisor) enum Verdict {
    GoOn,
    Promote(String),
    RollBack(String),
    /// It is not tried any more.
    Over,
}

impl Trial {
    fn verdict(&self) -> Verdict {
        let (new, old, ever) = self.counts();
        let rivals = Rivals { new: &new, old: &old, ever: &ever };
        if self.generation.is_stuck() {
            return Verdict::RollBack("a cancelled call of it does not return".to_owned());
        }
        if let Some(reason) = rivals.fails() {
            return Verdict::RollBack(reason);
        }
        if self.began.elapsed() < self.plan.time {
            return Verdict::GoOn;
        }
        let tally = Tally::of_all(&new);
        if tally.calls < self.plan.min_calls {
            let (calls, needed) = (tally.calls, self.plan.min_calls);
            return Verdict::RollBack(format!("it had {calls} calls, {needed} are needed to judge it"));
        }
        match rivals.is_slow() {
            Some(reason) => Verdict::RollBack(reason),
            None => Verdict::Promote(format!("{tally} failed, {} of the old build", Tally::of_all(&old))),
        }
    }

    /// Returns what the new build did, and the old one meanwhile, and ever.
    fn counts(&self) -> (Counts, Counts, Counts) {
        let ever = self.old.statistics().counts();
        (self.generation.statistics().counts(), ever.since(&self.before), ever)
    }

    fn status(&self, state: CanaryState, reason: Option<String>) -> CanaryStatus {
        let (new, old, _) = self.counts();
        CanaryStatus {
            generation: Some(self.generation.number()),
            hash: Some(self.generation.identity().hash.to_string()),
            version: Some(self.generation.manifest().version.clone()),
            until: Some(time_text(self.since + self.plan.time)),
            new: Some(side(&new)),
            old: Some(side(&old)),
            reason,
            ..planned(state, &self.plan, self.since)
        }
    }
}

fn side(counts: &Counts) -> CanarySide {
    let Tally { calls, failed } = Tally::of_all(counts);
    CanarySide { calls, failed, p95_ms: counts.quantile(0.95) }
}

fn planned(state: CanaryState, plan: &CanaryPlan, since: SystemTime) -> CanaryStatus {
    CanaryStatus {
        state,
        percent: plan.percent,
        for_ms: u64::try_from(plan.time.as_millis()).unwrap_or(u64::MAX),
        min_calls: plan.min_calls,
        generation: None,
        hash: None,
        version: None,
        since: time_text(since),
        until: None,
        reason: None,
        new: None,
        old: None,
    }
}

impl Canary {
    /// Returns one that a former process of the host waited for, if it makes sense.
    pub(super) fn again(awaited: &Awaited) -> Option<Self> {
        let Awaited { percent, for_ms, min_calls, .. } = *awaited;
        let plan = CanaryPlan { percent, time: Duration::from_millis(for_ms), min_calls };
        plan.check().ok()?;
        Some(Self::Waiting { plan, since: SystemTime::now() })
    }

    pub(super) fn status(&self) -> CanaryStatus {
        match self {
            Self::Waiting { plan, since } => planned(CanaryState::Waiting, plan, *since),
            Self::Trying(trial) => trial.status(CanaryState::Trying, None),
            Self::Over(status) => (**status).clone(),
        }
    }
}

impl Record {
    pub(super) fn trial(&self) -> Option<&Trial> {
        match &self.canary {
            Some(Canary::Trying(trial)) => Some(trial),
            _ => None,
        }
    }

    /// Returns how a build of the file is to be tried, if it is not to take over at once.
    pub(super) fn plan(&self) -> Option<CanaryPlan> {
        self.current.as_ref()?;
        match &self.canary {
            Some(Canary::Waiting { plan, .. }) => Some(*plan),
            Some(Canary::Trying(trial)) => Some(trial.plan),
            Some(Canary::Over(_)) | None => None,
        }
    }

    /// Whether the next build is to be tried.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.canary, Some(Canary::Waiting { .. }))
    }
}

impl Ledger {
    /// Notes that the next build of a plugin is to be tried.
    pub(in crate::plugin::supervisor) fn await_canary(
        &mut self,
        name: &str,
        plan: CanaryPlan,
    ) -> Result<(), LoadError> {
        let record = self.plugins.get_mut(name).ok_or_else(|| unknown(name))?;
        record.canary = Some(Canary::Waiting { plan, since: SystemTime::now() });
        Ok(())
    }

    /// Returns the hash of the build that serves, unless another is tried beside it.
    pub(in crate::plugin::supervisor) fn serving(&self, name: &str) -> Result<Arc<str>, LoadError> {
        let record = self.plugins.get(name).ok_or_else(|| unknown(name))?;
        if record.trial().is_some() {
            return Err(LoadError::new(
                LoadCode::State,
                format!("a build of plugin `{name}` is tried already; promote or abort it first"),
            ));
        }
        let current = record.current.as_ref().ok_or_else(|| {
            LoadError::new(
                LoadCode::State,
                format!("plugin `{name}` does not serve, so nothing can be compared with it"),
            )
        })?;
        Ok(Arc::clone(&current.identity().hash))
    }

    /// Returns the whole hash of a build this host has loaded.
    pub(in crate::plugin::supervisor) fn build(&self, name: &str, hash: &str) -> Result<Arc<str>, LoadError> {
        let record = self.plugins.get(name).ok_or_else(|| unknown(name))?;
        let hashes = record.generations.iter().map(|generation| &generation.identity().hash);
        let mut found: Vec<_> = hashes.filter(|known| !hash.is_empty() && known.starts_with(hash)).cloned().collect();
        found.sort();
        found.dedup();
        match found.as_slice() {
            [whole] => Ok(Arc::clone(whole)),
            _ => Err(LoadError::new(
                LoadCode::State,
                format!("{} builds of plugin `{name}` in this host have a hash that begins with `{hash}`", found.len()),
            )),
        }
    }

    /// Lets a build have a share of the calls; returns one that was tried before.
    pub(in crate::plugin::supervisor) fn try_out(
        &mut self,
        registry: &Registry,
        generation: &Arc<Generation>,
        offer: Offer,
        plan: CanaryPlan,
    ) -> Result<Option<Arc<Generation>>, LoadError> {
        let name = generation.plugin();
        let record = self.plugins.get_mut(name).ok_or_else(|| unknown(name))?;
        record.is_loading = false;
        let Some(old) = record.current.clone() else {
            let reason = format!("plugin `{name}` stopped serving meanwhile; load its file again");
            return Err(LoadError::new(LoadCode::State, reason));
        };
        self.offers.try_out(registry, name, offer, plan.percent)?;
        let former = record.trial().map(|trial| Arc::clone(&trial.generation));
        record.failure = None;
        record.add(generation);
        record.canary = Some(Canary::Trying(Box::new(Trial {
            plan,
            generation: Arc::clone(generation),
            before: old.statistics().counts(),
            old,
            began: Instant::now(),
            since: SystemTime::now(),
        })));
        Ok(former)
    }

    /// Says what is to be done about a generation that is tried.
    pub(in crate::plugin::supervisor) fn verdict(&self, name: &str, number: u64) -> Verdict {
        let trial = self.plugins.get(name).and_then(Record::trial).filter(|it| it.generation.number() == number);
        trial.map_or(Verdict::Over, Trial::verdict)
    }

    /// Returns the number of the generation that is tried.
    pub(in crate::plugin::supervisor) fn tried(&self, name: &str) -> Option<u64> {
        Some(self.plugins.get(name)?.trial()?.generation.number())
    }

    /// Lets the build that is tried serve alone; returns it and the former one.
    pub(in crate::plugin::supervisor) fn promote(
        &mut self,
        registry: &Registry,
        name: &str,
        reason: String,
    ) -> Option<(Arc<Generation>, Option<Arc<Generation>>)> {
        let record = self.plugins.get_mut(name)?;
        let status = record.trial()?.status(CanaryState::Promoted, Some(reason));
        let generation = Arc::clone(&record.trial()?.generation);
        let former = self.offers.promote(registry, generation.plugin());
        record.canary = Some(Canary::Over(Box::new(status)));
        record.failure = None;
        record.serve(&generation);
        Some((generation, former))
    }

    /// Ends a canary in whatever stage it is; returns the build that was tried, if one was.
    pub(in crate::plugin::supervisor) fn end_canary(
        &mut self,
        registry: &Registry,
        name: &str,
        state: CanaryState,
        reason: &str,
    ) -> Option<Arc<Generation>> {
        let record = self.plugins.get_mut(name)?;
        let ended = |status: CanaryStatus| Some(Canary::Over(Box::new(status)));
        match &record.canary {
            Some(Canary::Trying(trial)) => {
                record.rolled_back += u64::from(state == CanaryState::RolledBack);
                record.canary = ended(trial.status(state, Some(reason.to_owned())));
                self.offers.end_trial(registry, name)
            }
            Some(Canary::Waiting { plan, since }) => {
                let status = planned(state, plan, *since);
                record.canary = ended(CanaryStatus { reason: Some(reason.to_owned()), ..status });
                None
            }
            Some(Canary::Over(_)) | None => None,
        }
    }

    /// Whether a canary waits or goes on.
    pub(in crate::plugin::supervisor) fn has_canary(&self, name: &str) -> bool {
        self.plugins
            .get(name)
            .is_some_and(|record| matches!(record.canary, Some(Canary::Waiting { .. } | Canary::Trying(_))))
    }

    /// Returns what the current generation did, if it is this one, and whether it is stuck.
    pub(in crate::plugin::supervisor) fn did(&self, name: &str, number: u64) -> Option<(Counts, bool)> {
        let current = self.plugins.get(name)?.current.as_ref()?;
        (current.number() == number).then(|| (current.statistics().counts(), current.is_stuck()))
    }

    /// Counts a build that was taken back by itself, and shows why.
    pub(in crate::plugin::supervisor) fn rolled_back(&mut self, name: &str, error: &LoadError) {
        let Some(record) = self.plugins.get_mut(name) else { return };
        record.rolled_back += 1;
        record.fail(error);
    }

    /// Shows why a build that was tried is not used.
    pub(in crate::plugin::supervisor) fn show_failure(&mut self, name: &str, error: &LoadError) {
        if let Some(record) = self.plugins.get_mut(name) {
            record.fail(error);
        }
    }

    /// Gives a generation its number.
    pub(in crate::plugin::supervisor) fn next_number(&mut self, name: &str) -> Result<u64, LoadError> {
        let record = self.plugins.get_mut(name).ok_or_else(|| unknown(name))?;
        record.last_number += 1;
        Ok(record.last_number)
    }

    /// Whether a file's build is to be tried now that the one serves that was waited with. Says so once.
    pub(in crate::plugin::supervisor) fn takes_next(&mut self, file: &Path) -> bool {
        let Some(record) = self.plugins.values_mut().find(|record| record.file == file) else { return false };
        let is_next = std::mem::take(&mut record.is_next) && record.is_waited_for();
        let serves = record.current.as_ref().map(|current| &current.identity().hash);
        is_next && serves.is_some() && serves != record.file_hash.as_ref()
    }

    /// Returns how the next build of a plugin is tried, if it is: the one after a build that is tried now, too.
    pub(in crate::plugin::supervisor) fn awaited(&self, name: &str) -> Option<Awaited> {
        let record = self.plugins.get(name)?;
        let plan = record.plan()?;
        Some(Awaited {
            percent: plan.percent,
            for_ms: u64::try_from(plan.time.as_millis()).unwrap_or(u64::MAX),
            min_calls: plan.min_calls,
            serves: record.current.as_ref()?.identity().hash.to_string(),
        })
    }

    /// Returns what serves in place of the plugin's file, if something does.
    pub(in crate::plugin::supervisor) fn held(&self, name: &str) -> Option<Held> {
        let record = self.plugins.get(name)?;
        let (serves, file) = (&record.current.as_ref()?.identity().hash, record.file_hash.as_ref()?);
        (serves != file).then(|| Held { file: file.to_string(), serves: serves.to_string() })
    }
}

impl CanaryPlan {
    /// Checks a plan.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::plugin::supervisor) fn check(&self) -> Result<(), LoadError> {
        let reason = if !(self.percent > 0.0 && self.percent <= 100.0) {
            "the share of calls is above 0 and at most 100 percent"
        } else if self.time.is_zero() || self.time > Duration::from_secs(30 * 24 * 3600) {
            "the time is above nothing and at most 30 days"
        } else if self.min_calls == 0 {
            "at least one call is needed to judge a build"
        } else {
            return Ok(());
        };
        Err(LoadError::new(LoadCode::State, format!("this cannot be tried: {reason}")))
    }
}
