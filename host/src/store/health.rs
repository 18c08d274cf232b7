//! Whether the store can be written, as the last write found it.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::StoreError;

/// What the last write came to. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Health {
    // Held for a comparison; the sentence changes only when the state does.
    problem: Arc<Mutex<Option<String>>>,
}

impl Health {
    /// Takes note of how a write went. Errors that are the caller's say nothing about the store.
    pub(super) fn note(&self, error: Option<&StoreError>) {
        let found = match error {
            None => None,
            Some(StoreError::Unavailable(_) | StoreError::Corrupt(_) | StoreError::Schema(_)) => {
                error.map(ToString::to_string)
            }
            Some(StoreError::NotFound(_) | StoreError::Conflict(_) | StoreError::Refused(_)) => return,
        };
        let mut problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*problem, &found) {
            (None, Some(sentence)) => tracing::error!("{sentence}"),
            (Some(_), None) => tracing::info!("the store can be written again"),
            _ => {}
        }
        *problem = found;
    }

    /// Returns what is wrong, `None` if nothing is.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
