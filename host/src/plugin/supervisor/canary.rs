//! Trying a build on a share of the calls, and taking a build back that fails more than the one before.
//!
//! What a build did is compared in [`super::judge`]; here it is looked at again and again, and
//! what follows is done. Which calls a build that is tried gets is decided in
//! [`crate::plugin::registry`].

use std::{path::Path, sync::Arc};

use super::{LoadCode, LoadError, PluginChange, Supervisor, judge, ledger::Verdict, load::Prepared};
use crate::{
    plugin::{
        generation::{Counts, Generation},
        settings::CanaryPlan,
    },
    types::plugin::CanaryState,
};

/// What serves before a swap that is watched.
pub(super) struct Former {
    hash: Arc<str>,
    counts: Counts,
}

impl Former {
    /// Returns it, if it had enough calls to compare with.
    pub(super) fn of(generation: &Generation) -> Option<Self> {
        let counts = generation.statistics().counts();
        judge::is_known(&counts).then(|| Self { hash: Arc::clone(&generation.identity().hash), counts })
    }
}

impl Supervisor {
    /// Tries a build beside the one that serves: that with this hash, else the file's if it does
    /// not serve, else the next one.
    pub(crate) async fn canary(&self, name: &str, plan: CanaryPlan, build: Option<&str>) -> Result<(), LoadError> {
        plan.check()?;
        let file = self.ledger().file_of_enabled(name)?;
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        let serving = self.ledger().serving(name)?;
        if let Some(build) = build {
            let hash = self.ledger().build(name, build)?;
            if hash == serving {
                let reason = "this build serves already; there is nothing to compare";
                return Err(LoadError::new(LoadCode::State, reason));
            }
            let tried = self.try_kept(name, &file, &hash, plan).await;
            tried.inspect_err(|error| self.failed(&file, error.clone()))?;
            self.remember(name).await;
            return Ok(());
        }
        self.ledger().await_canary(name, plan)?;
        self.remember(name).await;
        self.tell_canary(name, CanaryState::Waiting, None, "");
        // A build that was rolled back from, or came while nobody watched, is there already. One
        // that does not load says so by itself, and the next one is waited for.
        drop(self.load_next(&file, &serving).await);
        Ok(())
    }

    /// Tries the file's build, if it is another than the one that serves.
    async fn load_next(&self, file: &Path, serving: &Arc<str>) -> Result<(), LoadError> {
        let staged = self.intake.stage(file).await?;
        if staged.hash == *serving {
            return Ok(());
        }
        self.load_in_turn(file, super::Why::Tried).await.inspect_err(|error| self.failed(file, error.clone()))
    }

    async fn try_kept(&self, name: &str, file: &Path, hash: &str, plan: CanaryPlan) -> Result<(), LoadError> {
        let number = self.ledger().next_number(name)?;
        let staged = self.intake.stage_kept(hash).await?;
        self.ledger().vouch(&staged);
        let build = self.build(file, &staged).await?;
        let prepared = self.open(file, build, number, None).await?;
        self.try_out(prepared, plan)
    }

    /// Lets a prepared generation have its share of the calls, and watches it.
    pub(super) fn try_out(&self, prepared: Prepared, plan: CanaryPlan) -> Result<(), LoadError> {
        let Prepared { generation, offer, .. } = prepared;
        let former = self.ledger().try_out(&self.registry, &generation, offer, plan);
        let former = former.inspect_err(|_| self.retire(Arc::clone(&generation)))?;
        let (name, number) = (Arc::clone(generation.plugin()), generation.number());
        let percent = plan.percent;
        tracing::info!(plugin.name = %name, plugin.generation = number, percent, "a build is tried on a share of the calls");
        self.tell_canary(&name, CanaryState::Trying, Some(number), "");
        if let Some(former) = former {
            self.retire(former);
        }
        self.watch("plugin-canary", move |supervisor| {
            let name = Arc::clone(&name);
            async move { supervisor.look_after(&name, number).await }
        });
        Ok(())
    }

    /// Looks at a build that is tried; returns whether it is still.
    async fn look_after(&self, name: &str, number: u64) -> bool {
        let verdict = self.ledger().verdict(name, number);
        match verdict {
            Verdict::GoOn => return true,
            Verdict::Over => return false,
            Verdict::Promote(_) | Verdict::RollBack(_) => {}
        }
        let Ok(file) = self.ledger().file_of(name) else { return false };
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        // Somebody may have been faster while the turn was waited for.
        let verdict = self.ledger().verdict(name, number);
        match verdict {
            Verdict::GoOn => return true,
            Verdict::Over => return false,
            Verdict::Promote(reason) => self.promote_now(name, &reason).await,
            Verdict::RollBack(reason) => {
                self.end_canary(name, CanaryState::RolledBack, &reason);
                let error = LoadError::new(
                    LoadCode::RolledBack,
                    format!(
                        "generation {number}, which was tried, was rolled back by itself: {reason}; it is not loaded again until its file changes or somebody asks"
                    ),
                );
                self.ledger().show_failure(name, &error);
                self.remember(name).await;
            }
        }
        false
    }

    /// Lets the build that is tried serve alone.
    pub(crate) async fn promote(&self, name: &str) -> Result<(), LoadError> {
        let file = self.ledger().file_of_enabled(name)?;
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        if self.ledger().tried(name).is_none() {
            return Err(LoadError::new(LoadCode::State, format!("no build of plugin `{name}` is tried")));
        }
        self.promote_now(name, "somebody asked").await;
        Ok(())
    }

    /// Ends a canary; the build that served before serves alone again.
    pub(crate) async fn abort(&self, name: &str) -> Result<(), LoadError> {
        let file = self.ledger().file_of(name)?;
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        if !self.ledger().has_canary(name) {
            return Err(LoadError::new(LoadCode::State, format!("no build of plugin `{name}` is tried or waited for")));
        }
        self.end_canary(name, CanaryState::Aborted, "somebody asked");
        self.remember(name).await;
        Ok(())
    }

    async fn promote_now(&self, name: &str, reason: &str) {
        let promoted = self.ledger().promote(&self.registry, name, reason.to_owned());
        let Some((generation, former)) = promoted else { return };
        let number = generation.number();
        tracing::info!(plugin.name = name, plugin.generation = number, reason, "a build that was tried serves alone");
        self.tell_canary(name, CanaryState::Promoted, Some(number), reason);
        self.tell(name, PluginChange::Serving { generation: number });
        if let Some(former) = former {
            self.retire(former);
        }
        self.remember(name).await;
    }

    /// Ends a canary if there is one. What else is to be done about it is the caller's.
    pub(super) fn end_canary(&self, name: &str, state: CanaryState, reason: &str) {
        if !self.ledger().has_canary(name) {
            return;
        }
        let tried = self.ledger().end_canary(&self.registry, name, state, reason);
        let number = tried.as_ref().map(|generation| generation.number());
        if state == CanaryState::RolledBack {
            tracing::warn!(
                plugin.name = name,
                plugin.generation = number,
                reason,
                "a build that was tried is rolled back"
            );
        } else {
            tracing::info!(plugin.name = name, plugin.generation = number, reason, "a build is tried no longer");
        }
        self.tell_canary(name, state, number, reason);
        if let Some(generation) = tried {
            self.retire(generation);
        }
    }

    fn tell_canary(&self, name: &str, state: CanaryState, generation: Option<u64>, reason: &str) {
        self.tell(name, PluginChange::Canary { state, generation, reason: reason.to_owned() });
    }

    /// Takes a build back if, for a time after it was swapped in, it fails far more than the former one.
    pub(super) fn guard(&self, generation: &Arc<Generation>, former: Former) {
        let Some(time) = self.settings.swap_guard else { return };
        let (name, number) = (Arc::clone(generation.plugin()), generation.number());
        let until = std::time::Instant::now() + time;
        let former = Arc::new(former);
        self.watch("plugin-guard", move |supervisor| {
            let (name, former) = (Arc::clone(&name), Arc::clone(&former));
            async move { supervisor.guard_now(&name, number, &former).await && std::time::Instant::now() < until }
        });
    }

    /// Looks at a build that was swapped in; returns whether it still serves.
    async fn guard_now(&self, name: &str, number: u64, former: &Former) -> bool {
        let Some((counts, is_stuck)) = self.ledger().did(name, number) else { return false };
        let stuck = is_stuck.then(|| "a cancelled call of it does not return".to_owned());
        let Some(reason) = stuck.or_else(|| judge::fails_after_swap(&counts, &former.counts)) else { return true };
        let Ok(file) = self.ledger().file_of_enabled(name) else { return false };
        let turn = self.turn(&file);
        let _turn = turn.lock().await;
        if self.ledger().did(name, number).is_none() {
            return false;
        }
        let Ok(next) = self.ledger().next_number(name) else { return false };
        let message = format!(
            "generation {number} was rolled back by itself: {reason}; it is not loaded again until its file changes or somebody asks"
        );
        match self.go_back(&file, &former.hash, next).await {
            Ok(()) => {
                tracing::warn!(plugin.name = name, plugin.generation = number, reason, "a build is rolled back");
                let error = LoadError::new(LoadCode::RolledBack, message);
                self.ledger().rolled_back(name, &error);
                self.tell(name, PluginChange::RolledBack { generation: number, reason });
            }
            Err(error) => {
                let text = format!("generation {number} fails ({reason}) and the former build does not load: {error}");
                self.failed(&file, LoadError::new(error.code, text));
            }
        }
        false
    }

    /// Calls `look` from time to time until it returns false, or the host ends.
    fn watch<F>(&self, name: &'static str, look: impl Fn(Arc<Self>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        // Not kept alive by this: who drops the plugins of a host wants them gone.
        let (me, every) = (self.me.clone(), self.settings.judge_every);
        let work = async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(supervisor) = me.upgrade() else { return };
                if !look(supervisor).await {
                    return;
                }
            }
        };
        self.spawn(name, Box::pin(work));
    }
}
