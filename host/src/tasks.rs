//! The only spawner: every background task has an owner, a name and a way to be told to end.
//!
//! Owns nothing of what the tasks do. The order in which groups of tasks end is written in
//! [`crate::app`].

use std::{
    collections::HashMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::task::AbortHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A group of tasks that ends together. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tracker: TaskTracker,
    cancel: CancellationToken,
    next: AtomicU64,
    /// Those that run, to name and to end them. Held for one line, but across a spawn: a
    /// task must be in here before it can take itself out.
    running: Mutex<HashMap<u64, (&'static str, AbortHandle)>>,
}

impl Tasks {
    /// Starts a task. It gets the group's token and should end soon after it is cancelled.
    ///
    /// A task that panics is logged and gone; the others go on.
    pub fn spawn<F>(&self, name: &'static str, task: impl FnOnce(CancellationToken) -> F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = &self.shared;
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        let listed = Listed { id, shared: Arc::clone(shared) };
        let work = AssertUnwindSafe(task(shared.cancel.child_token())).catch_unwind();
        let work = async move {
            let _listed = listed;
            if let Err(panic) = work.await {
                tracing::error!(task = name, "a task panicked: {}", panic_message(&*panic));
            }
        };
        let mut running = shared.running();
        #[expect(clippy::disallowed_methods, reason = "this is the one place tasks are started")]
        let handle = tokio::spawn(shared.tracker.track_future(work)).abort_handle();
        running.insert(id, (name, handle.clone()));
        handle
    }

    /// Returns a token that is cancelled when the group is told to end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.shared.cancel.child_token()
    }

    /// Tells every task of the group to end.
    pub fn cancel(&self) {
        self.shared.cancel.cancel();
    }

    /// Returns how many tasks run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.running().len()
    }

    /// Whether no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells every task to end and waits for it; `false` if some run on after `deadline`.
    pub async fn end(&self, deadline: Duration) -> bool {
        self.shared.cancel.cancel();
        self.shared.tracker.close();
        tokio::time::timeout(deadline, self.shared.tracker.wait()).await.is_ok()
    }

    /// Tells every task to end and waits for it; those that run on after `deadline` are dropped.
    pub async fn shut_down(&self, deadline: Duration) {
        if self.end(deadline).await {
            return;
        }
        let late: Vec<_> = self.shared.running().values().map(|(name, handle)| (*name, handle.clone())).collect();
        for (name, handle) in late {
            tracing::warn!(task = name, "the task did not end in time and is dropped");
            handle.abort();
        }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<u64, (&'static str, AbortHandle)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a task out of the list, however it ends.
struct Listed {
    id: u64,
    shared: Arc<Shared>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let gone = self.shared.running().remove(&self.id);
        drop(gone);
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn shutdown_waits_for_tasks_that_end_when_told() {
        let tasks = Tasks::default();
        let (done, mut ended) = tokio::sync::mpsc::channel(1);
        tasks.spawn("obedient", |cancel| async move {
            cancel.cancelled().await;
            done.send(()).await.unwrap();
        });
        assert_eq!(tasks.len(), 1);
        tasks.shut_down(Duration::from_secs(30)).await;
        assert!(ended.try_recv().is_ok());
        assert!(tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_drops_tasks_that_do_not_end() {
        let tasks = Tasks::default();
        let (held, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
        tasks.spawn("stubborn", |_| async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tasks.shut_down(Duration::from_millis(10)).await;
        assert_eq!(dropped.recv().await, None);
    }

    #[tokio::test]
    async fn panicking_task_leaves_the_others_alone() {
        let tasks = Tasks::default();
        tasks.spawn("broken", |_| async { panic!("boom") });
        tasks.spawn("good", |_| async {});
        tasks.shut_down(Duration::from_secs(30)).await;
        assert!(tasks.is_empty());
    }
}
