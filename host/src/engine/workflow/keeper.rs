//! Keeping leases, and taking up runs nobody drives: after a crash, after a wait, after
//! another host died.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Workflows, resume};
use crate::{
    engine::error::EngineError,
    store::{
        Mark, StoreError,
        runs::{Abandoned, Change, Progress, RunRow},
    },
    types::{
        id::Millis,
        run::{RunOutcome, RunStatus},
    },
};

/// Runs taken up at once; the rest follow as these end or wait.
const AT_ONCE: u64 = 64;
/// Runs this host drives beyond which it takes up no others.
const ENOUGH: usize = 512;

/// What is there of runs nobody drives once some were taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Left {
    /// None of which this host knows the workflow.
    Nothing,
    /// Some that could not be taken up.
    Some,
    /// Perhaps more that can be.
    More,
}

impl Workflows {
    /// Keeps this host's leases and takes up what nobody drives, until it is cancelled.
    ///
    /// What a former process of this host was driving is taken up only if [`Self::release`]
    /// came before anything was begun.
    pub async fn keep(self, cancel: CancellationToken) {
        // Leases must not wait for what else is to be done.
        tokio::join!(self.keep_leases(&cancel), self.take_up_all(&cancel));
    }

    /// Returns how often leases are renewed and abandoned runs are looked for.
    fn beat(&self) -> Duration {
        (self.shared.settings.lease / 3).max(Duration::from_millis(50))
    }

    async fn keep_leases(&self, cancel: &CancellationToken) {
        let mut beats = tokio::time::interval(self.beat());
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(beats.tick()).await.is_some() {
            self.renew().await;
        }
    }

    async fn take_up_all(&self, cancel: &CancellationToken) {
        let shared = &self.shared;
        let mut registry = shared.engine.subscribe();
        loop {
            // Both from before anything is looked for: what comes meanwhile is not over yet.
            let (mark, now) = (shared.store.mark(), Millis::now().0);
            let left = self.take_up_abandoned().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "runs that nobody drives cannot be looked for");
                Left::Some
            });
            let (mark, look) = match left {
                Left::Nothing => (mark, self.beat()),
                Left::Some => (Mark::default(), self.beat()),
                Left::More => (Mark::default(), Duration::from_millis(20)),
            };
            let wake = shared.runs.next_wake(now).await;
            let (mark, wake) = wake.map_or_else(|_| (Mark::default(), None), |wake| (mark, wake.map(Millis)));
            tokio::select! {
                () = mark.wait(look, wake) => {}
                () = shared.news.notified() => {}
                _ = registry.changed() => {}
                () = cancel.cancelled() => return,
            }
        }
    }

    /// Keeps the leases and learns which runs somebody wants to end.
    async fn renew(&self) {
        let shared = &self.shared;
        self.let_go().await;
        if self.active().is_empty() {
            return;
        }
        if let Err(error) = shared.runs.keep(self.lease()).await {
            tracing::warn!(%error, "leases of runs cannot be kept");
            return;
        }
        if let Err(error) = self.end_unwanted().await {
            tracing::warn!(%error, "which runs are to end cannot be read");
        }
    }

    /// Ends the leases of runs this host stopped driving without being able to say so.
    async fn let_go(&self) {
        let lost = std::mem::take(&mut *self.lost());
        for (run_id, fence) in lost {
            let release = Progress { release: true, ..Progress::default() };
            match self.shared.runs.advance(&run_id, fence, release, Millis::now().0).await {
                Ok(()) | Err(StoreError::NotFound(_)) => {}
                Err(error) => {
                    tracing::warn!(run.id = &*run_id, %error, "a run's lease cannot be given back yet");
                    self.lost().push((run_id, fence));
                }
            }
        }
    }

    /// Takes up runs nobody drives.
    pub(in crate::engine) async fn take_up_abandoned(&self) -> Result<Left, StoreError> {
        let snapshot = self.shared.engine.snapshot();
        let begun = snapshot.workflows.iter().filter(|entry| !entry.manifest.internal);
        let known: Vec<&str> = begun.map(|entry| &*entry.id).collect();
        // Those that stay as they are: who looks for others looks behind them.
        let mut left = 0;
        loop {
            if self.active().len() >= ENOUGH {
                return Ok(Left::More);
            }
            let abandoned = self.shared.runs.abandoned(&known, Millis::now().0, left, AT_ONCE).await?;
            let is_all = (abandoned.len() as u64) < AT_ONCE;
            let mut is_any_taken = false;
            for Abandoned { run_id, row } in abandoned {
                if self.active().contains_key(run_id.as_str()) {
                    left += 1;
                    continue;
                }
                let taken = match row {
                    Ok(row) => self.take_up_one(row).await,
                    Err(error) => Err(error.into()),
                };
                match taken {
                    // Another host was faster.
                    Ok(()) | Err(EngineError::Store(StoreError::NotFound(_))) => is_any_taken = true,
                    Err(error) => {
                        tracing::warn!(run.id = run_id, %error, "a run cannot be taken up");
                        left += 1;
                    }
                }
            }
            if is_all || is_any_taken {
                return Ok(match (is_all, left) {
                    (false, _) => Left::More,
                    (true, 0) => Left::Nothing,
                    (true, _) => Left::Some,
                });
            }
        }
    }

    async fn take_up_one(&self, row: RunRow) -> Result<(), EngineError> {
        let program = match self.program_of(&row.workflow_id, &row.run_id, &row.graph_hash) {
            Ok(program) if *program.hash == *row.graph_hash => program,
            // With another graph, what its steps came to would mean something else.
            Ok(_) => return self.park(&row, resume::changed(&row).to_string()).await,
            Err(EngineError::Definition(reason)) => return self.park(&row, reason).await,
            Err(error) => return Err(error),
        };
        let records = self.shared.runs.records(&row.run_id).await?;
        let (run_id, workflow_id) = (row.run_id.clone(), row.workflow_id.clone());
        self.claim(row, program, records, Change::default()).await?;
        tracing::info!(run.id = run_id, workflow.id = workflow_id, "going on with a run nobody drove");
        Ok(())
    }

    async fn park(&self, row: &RunRow, reason: String) -> Result<(), EngineError> {
        tracing::warn!(run.id = row.run_id, reason, "a run is parked");
        let outcome = RunOutcome { parked: Some(reason), ..row.outcome.clone() };
        self.shared.runs.settle(row, RunStatus::Suspended, &outcome, Millis::now().0).await?;
        self.settled_as(row, RunStatus::Suspended);
        Ok(())
    }

    /// Gives every lease of this host back: those a former process of it held, before this one
    /// begins anything, and its own when it ends, so that others need not wait.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn release(&self) -> Result<(), StoreError> {
        self.shared.runs.give_up_all(&self.shared.settings.owner).await
    }
}
