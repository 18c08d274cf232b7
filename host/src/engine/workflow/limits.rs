//! How many runs of a workflow go on at once, and how many may wait for their turn.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use hotbay_plugin::manifest::ConcurrencyLimits;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StartRequest;
use crate::{engine::error::EngineError, plugin::registry::WorkflowEntry};

/// When a caller who was turned away may try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Settings of workflows that are not named.
const OTHERS: &str = "*";

/// How many runs of one workflow go on at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConcurrencySettings {
    /// In all; no limit if absent.
    pub max: Option<usize>,
    /// What tells runs apart: `resourceId`, or a dotted path into the input.
    pub key: Option<String>,
    /// Of those with the same key.
    #[serde(alias = "max_per_key")]
    pub max_per_key: Option<usize>,
    /// How many may wait for their turn; one more is turned away.
    pub queue: Option<usize>,
}

impl From<&ConcurrencyLimits> for ConcurrencySettings {
    fn from(limits: &ConcurrencyLimits) -> Self {
        let count = |limit: Option<u32>| limit.map(|limit| limit as usize);
        Self {
            max: count(limits.max),
            key: limits.key.clone(),
            max_per_key: count(limits.max_per_key),
            queue: count(limits.queue),
        }
    }
}

/// Turns of all workflows.
pub(super) struct Limits {
    settings: HashMap<String, ConcurrencySettings>,
    // Held for a lookup.
    turns: Mutex<HashMap<String, Arc<Turns>>>,
}

/// The turns of one workflow, or of one key of it.
struct Turns {
    semaphore: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Leave to begin as soon as there is room.
pub(super) enum Admission {
    /// There is room.
    Granted(Permit),
    /// A place in the queue.
    Queued(BoxFuture<'static, Permit>),
}

/// A run's turn; the next one comes when it is dropped.
#[derive(Default)]
pub(super) struct Permit {
    _turns: Vec<OwnedSemaphorePermit>,
}

/// How many may wait if nothing is said.
const QUEUE: usize = 1000;

impl Limits {
    pub(super) fn new(settings: HashMap<String, ConcurrencySettings>) -> Self {
        Self { settings, turns: Mutex::default() }
    }

    /// Admits a run, or turns it away.
    ///
    /// # Errors
    /// [`EngineError::Overloaded`] if too many wait already.
    pub(super) fn admit(&self, entry: &WorkflowEntry, request: &StartRequest) -> Result<Admission, EngineError> {
        let turns = self.turns_of(entry, request.resource_id.as_deref(), request.input.as_ref());
        let mut places = Vec::with_capacity(turns.len());
        for turn in &turns {
            let place = Arc::clone(&turn.waiting).try_acquire_owned();
            let full = |_| EngineError::Overloaded { what: entry.id.to_string(), retry_after: RETRY_AFTER };
            places.push(place.map_err(full)?);
        }
        Ok(Admission::new(turns, places))
    }

    /// Admits a run that was admitted before: it waits for its turn like others, but is not turned away.
    pub(super) fn readmit(&self, entry: &WorkflowEntry, resource_id: Option<&str>, input: Option<&Value>) -> Admission {
        let turns = self.turns_of(entry, resource_id, input);
        let places = turns.iter().filter_map(|turn| Arc::clone(&turn.waiting).try_acquire_owned().ok()).collect();
        Admission::new(turns, places)
    }

    /// Returns what a run takes its turn in.
    fn turns_of(&self, entry: &WorkflowEntry, resource_id: Option<&str>, input: Option<&Value>) -> Vec<Arc<Turns>> {
        let declared = entry.manifest.concurrency.as_ref().map(ConcurrencySettings::from);
        let id = &*entry.id;
        let settings = self.settings.get(id).cloned().or(declared).or_else(|| self.settings.get(OTHERS).cloned());
        let Some(settings) = settings else { return Vec::new() };
        let queue = settings.queue.unwrap_or(QUEUE);
        let mut turns = Vec::new();
        if let (Some(path), Some(max)) = (&settings.key, settings.max_per_key) {
            turns.push(self.turns(format!("{id}\n{}", key_of(path, resource_id, input)), max, queue));
        }
        if let Some(max) = settings.max {
            turns.push(self.turns(id.to_owned(), max, queue));
        }
        turns
    }

    fn turns(&self, name: String, max: usize, queue: usize) -> Arc<Turns> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of keys nobody uses any more.
        if turns.len() > 4096 {
            turns.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let made = turns.entry(name).or_insert_with(|| {
            let max = max.clamp(1, Semaphore::MAX_PERMITS / 2);
            let places = max.saturating_add(queue).min(Semaphore::MAX_PERMITS);
            Arc::new(Turns { semaphore: Arc::new(Semaphore::new(max)), waiting: Arc::new(Semaphore::new(places)) })
        });
        Arc::clone(made)
    }
}

impl Admission {
    fn new(turns: Vec<Arc<Turns>>, places: Vec<OwnedSemaphorePermit>) -> Self {
        let mut turn: BoxFuture<'static, Permit> = Box::pin(async move {
            let mut held = places;
            for turns in turns {
                match Arc::clone(&turns.semaphore).acquire_owned().await {
                    Ok(turn) => held.push(turn),
                    Err(error) => tracing::error!(%error, "a limit is gone"),
                }
            }
            Permit { _turns: held }
        });
        // Asked once at this moment, which puts it in the queue: who was admitted first is first.
        match (&mut turn).now_or_never() {
            Some(permit) => Self::Granted(permit),
            None => Self::Queued(turn),
        }
    }

    /// Whether the run can begin at once.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// Waits for the run's turn.
    pub(super) async fn wait(self) -> Permit {
        match self {
            Self::Granted(permit) => permit,
            Self::Queued(turn) => turn.await,
        }
    }
}

fn key_of(path: &str, resource_id: Option<&str>, input: Option<&Value>) -> String {
    if path == "resourceId" {
        return resource_id.unwrap_or_default().to_owned();
    }
    let found = input.and_then(|input| path.split('.').try_fold(input, |value, key| value.get(key)));
    found.map(Value::to_string).unwrap_or_default()
}
