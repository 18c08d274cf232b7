//! Who goes on with a run that waited: one at a time, for as long as it takes.
//!
//! The run's row stays until what came of it is stored. Should the host die before, the claim
//! ends, and the run waits as it did: at once when the same host is back, with the lease for
//! the others.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{
    store::{Store, StoreError, SuspendedClaim, SuspendedRow, runs::Lease},
    tasks::Tasks,
    types::id::Millis,
};

/// Whose claims on runs this host's are, and how long they last without news of it.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Names this host among those that share a store; the same after a restart.
    pub owner: String,
    /// How long a claim lasts unless it is kept.
    pub lease: Duration,
}

impl Holder {
    fn lease(&self) -> Lease<'_> {
        let lease = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        Lease { owner: &self.owner, until: Millis::now().0.saturating_add(lease) }
    }
}

/// A run this host goes on with. Dropped before it is settled, it gives the run back.
pub(super) struct Claim {
    pub(super) name: SuspendedClaim,
    held: oneshot::Sender<()>,
}

impl Claim {
    /// Claims a run as it was read, and keeps it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if somebody else has it.
    pub(super) async fn take(
        store: &Store,
        tasks: &Tasks,
        holder: &Holder,
        row: SuspendedRow,
    ) -> Result<Self, StoreError> {
        let name = row.attempt();
        let (held, settled) = oneshot::channel();
        let (told, answer) = oneshot::channel();
        let claim = Self { name: name.clone(), held };
        let (store, holder) = (store.clone(), holder.clone());
        // In a task of its own: whoever asked may be gone at any point, and what was claimed is
        // to be given back whether the answer was heard or not.
        tasks.spawn("agent-run-claim", |_| async move {
            let claimed = store.suspended().claim(&row, &name, holder.lease()).await;
            let is_claimed = claimed.is_ok();
            let is_heard = told.send(claimed).is_ok();
            match (is_claimed, is_heard) {
                (true, true) => keep(&store, &holder, &name, settled).await,
                (true, false) => give_back(&store, &name).await,
                (false, _) => {}
            }
        });
        let stopped = || StoreError::Unavailable("the host is shutting down".to_owned());
        answer.await.map_err(|_| stopped())??;
        Ok(claim)
    }

    /// Ends the claim with the row it was on.
    pub(super) fn settle(self) {
        // Nobody listens if the claim was lost, which the write that came before has found out.
        self.held.send(()).ok();
    }
}

/// Keeps a claim until it is settled, or given back.
async fn keep(store: &Store, holder: &Holder, name: &SuspendedClaim, mut settled: oneshot::Receiver<()>) {
    let beat = (holder.lease / 3).max(Duration::from_millis(50));
    loop {
        tokio::select! {
            end = &mut settled => {
                if end.is_err() {
                    give_back(store, name).await;
                }
                return;
            }
            () = tokio::time::sleep(beat) => {}
        }
        match store.suspended().keep(name, holder.lease()).await {
            Ok(()) => {}
            // Its row is gone with what came of the run, or somebody else has it.
            Err(StoreError::NotFound(_)) => return,
            Err(error) => tracing::warn!(%error, "the claim on a resumed run cannot be kept"),
        }
    }
}

async fn give_back(store: &Store, name: &SuspendedClaim) {
    if let Err(error) = store.suspended().give_back(name).await {
        tracing::warn!(%error, "a resumed run that broke off waits again once its claim has ended");
    }
}
