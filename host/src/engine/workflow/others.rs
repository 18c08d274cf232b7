//! What other hosts that share the store do with runs this host drives or streams.
//!
//! A database tells nobody that it changed in a way both kinds know, so it is looked at, once
//! for all runs, and only where it can have other writers.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Workflows, feed::Feed};
use crate::store::StoreError;

/// How often runs that somebody else drives are looked at.
pub(super) const GLANCE: Duration = Duration::from_millis(250);

impl Workflows {
    /// Follows what other hosts do until it is cancelled; returns at once if there can be none.
    pub async fn watch_others(self, cancel: CancellationToken) {
        if !self.shared.runs.are_shared() {
            return;
        }
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(GLANCE) => {}
                () = cancel.cancelled() => return,
            }
            let glance = self.glance().await;
            if let Err(error) = &glance
                && !is_failing
            {
                tracing::warn!(%error, "what other hosts do with runs cannot be seen");
            }
            is_failing = glance.is_err();
        }
    }

    async fn glance(&self) -> Result<(), StoreError> {
        self.end_unwanted().await?;
        self.catch_up(&self.followed()).await
    }

    /// Lets those who listen to runs that this host does not drive know how far they have come.
    pub(super) async fn catch_up(&self, followed: &[Followed]) -> Result<(), StoreError> {
        let ids: Vec<&str> = followed.iter().map(|followed| &*followed.run_id).collect();
        let told = self.shared.runs.told(&ids).await?;
        for Followed { run_id, feed, drives } in followed {
            match told.get(&**run_id) {
                Some(&told) => feed.overtake(*drives, told),
                // It was deleted.
                None => feed.end(),
            }
        }
        Ok(())
    }

    /// Ends the runs this host drives and somebody wants to end.
    pub(super) async fn end_unwanted(&self) -> Result<(), StoreError> {
        if self.active().is_empty() {
            return Ok(());
        }
        let unwanted = self.shared.runs.to_cancel(&self.shared.settings.owner).await?;
        let active = self.active();
        unwanted.iter().filter_map(|run| active.get(run.as_str())).for_each(|run| run.execution.cancel.cancel());
        Ok(())
    }

    /// Returns the runs somebody here listens to that this host does not drive.
    fn followed(&self) -> Vec<Followed> {
        let feeds = self.feeds();
        feeds.iter().filter_map(|(run_id, feed)| Followed::of(run_id, &feed.upgrade()?)).collect()
    }
}

/// A run somebody here listens to that this host does not drive.
pub(super) struct Followed {
    run_id: Arc<str>,
    feed: Arc<Feed>,
    /// How often this host began to drive it: what was seen before it did so again is old.
    drives: u64,
}

impl Followed {
    /// Returns the run of a feed, unless this host drives it.
    pub(super) fn of(run_id: &Arc<str>, feed: &Arc<Feed>) -> Option<Self> {
        let drives = feed.undriven()?;
        Some(Self { run_id: Arc::clone(run_id), feed: Arc::clone(feed), drives })
    }
}
