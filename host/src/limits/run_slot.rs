//! The place of a run, which may outlive the request that asked for it.

use std::{future::Future, sync::Arc};

use super::Slot;

tokio::task_local! {
    static CURRENT: RunSlot;
}

/// The place of a run: it is free again once the last copy is dropped.
#[derive(Debug, Clone)]
pub struct RunSlot(#[expect(dead_code, reason = "held until it is dropped")] Arc<Slot>);

impl RunSlot {
    pub(super) fn new(slot: Slot) -> Self {
        Self(Arc::new(slot))
    }

    /// Answers a request that may begin a run which goes on afterwards.
    pub async fn scope<F: Future>(self, answer: F) -> F::Output {
        CURRENT.scope(self, answer).await
    }

    /// Returns the place of the run that this request asked for, if one did.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }
}
