//! Notices that plugin files appeared, changed or went away.
//!
//! Events are only hints that it is time to look: what counts is what the directories
//! hold, compared with what they held before. So lost, doubled and reordered events do
//! no harm, and a burst of a thousand is one look. Loading is [`super::supervisor`]'s.

mod scan;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event::AccessKind};
use tokio::sync::Notify;

use super::supervisor::{Supervisor, Why};
use scan::Signature;
pub(crate) use scan::{Scan, scan};

/// The task that watches the plugin directories.
pub(crate) struct Watcher {
    supervisor: Arc<Supervisor>,
    /// Files as they were when they were last handed on.
    seen: HashMap<PathBuf, Signature>,
    /// The system's events; `None` where there are none, then polling does it alone.
    events: Option<RecommendedWatcher>,
    /// Directories that are registered for events, by what identifies them.
    registered: HashMap<PathBuf, (u64, u64)>,
    hint: Arc<Notify>,
}

/// A steady stream of events cannot put the look off for longer than this many debounces.
const MAX_DEBOUNCES: u32 = 10;

impl Watcher {
    /// Starts from what `scan` found, all of which has been handed on.
    pub(crate) fn new(supervisor: Arc<Supervisor>, scan: Scan) -> Self {
        let hint = Arc::new(Notify::new());
        let events = if supervisor.settings.watch.events { subscribe(&hint) } else { None };
        let mut watcher = Self { supervisor, seen: HashMap::new(), events, registered: HashMap::new(), hint };
        watcher.register(&scan);
        watcher.seen = scan.files;
        watcher
    }

    /// Watches until the task is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let watch = &self.supervisor.settings.watch;
            tokio::select! {
                () = self.hint.notified() => debounce(&self.hint, watch.debounce).await,
                () = tokio::time::sleep(watch.poll) => {}
            }
            while self.look().await == Look::Unsettled {}
        }
    }

    /// Reads the directories and hands on what is different and has settled.
    async fn look(&mut self) -> Look {
        let Some(found) = self.scan().await else { return Look::Done };
        self.register(&found);
        let changed = self.changed(&found);
        let settle = self.supervisor.settings.watch.settle;
        let mut settled = found.clone();
        if !changed.is_empty() {
            for _ in 0..2 {
                tokio::time::sleep(settle).await;
                let Some(again) = self.scan().await else { return Look::Done };
                settled.files.retain(|file, signature| again.files.get(file) == Some(signature));
            }
        }
        let ready: Vec<PathBuf> = changed.iter().filter(|file| settled.files.contains_key(*file)).cloned().collect();
        for file in &ready {
            if let Some(signature) = settled.files.get(file) {
                self.seen.insert(file.clone(), *signature);
            }
        }
        let removed: Vec<PathBuf> = self.seen.keys().filter(|file| found.is_gone(file)).cloned().collect();
        for file in &removed {
            self.seen.remove(file);
        }
        let unsettled = ready.len() < changed.len();
        self.hand_on(ready, removed);
        if unsettled { Look::Unsettled } else { Look::Done }
    }

    /// Loads in the background, so that a slow plugin does not keep others from being noticed.
    fn hand_on(&self, ready: Vec<PathBuf>, removed: Vec<PathBuf>) {
        if ready.is_empty() && removed.is_empty() {
            return;
        }
        let supervisor = Arc::clone(&self.supervisor);
        let work = async move {
            join_all(ready.iter().map(async |file| {
                // The failure is in the plugin's status and in the log.
                drop(supervisor.load(file, Why::Changed).await);
            }))
            .await;
            // After the loads: a renamed file then takes its plugin along without a gap.
            join_all(removed.iter().map(|file| supervisor.file_removed(file))).await;
        };
        self.supervisor.spawn("plugin-load", Box::pin(work));
    }

    fn changed(&self, found: &Scan) -> Vec<PathBuf> {
        let is_new = |(file, signature): &(&PathBuf, &Signature)| self.seen.get(*file) != Some(signature);
        let mut changed: Vec<_> = found.files.iter().filter(is_new).map(|(file, _)| file.clone()).collect();
        changed.sort();
        changed
    }

    async fn scan(&self) -> Option<Scan> {
        let directories = self.supervisor.settings.directories.clone();
        tokio::task::spawn_blocking(move || scan(&directories)).await.ok()
    }

    /// Registers directories that are new, or new under an old name.
    fn register(&mut self, found: &Scan) {
        let Some(events) = &mut self.events else { return };
        for (directory, identity) in &found.directories {
            if self.registered.get(directory) == Some(identity) {
                continue;
            }
            if self.registered.remove(directory).is_some() {
                // Fails if the old one is gone, which is why it is registered anew.
                drop(events.unwatch(directory));
            }
            match events.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.registered.insert(directory.clone(), *identity);
                }
                Err(error) => {
                    tracing::warn!(directory = %directory.display(), %error, "no file events here, polling instead");
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    Done,
    /// Some files are still being written: look again.
    Unsettled,
}

/// Waits until no event came for a while.
async fn debounce(hint: &Notify, quiet: Duration) {
    for _ in 0..MAX_DEBOUNCES {
        if tokio::time::timeout(quiet, hint.notified()).await.is_err() {
            return;
        }
    }
}

fn subscribe(hint: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let hint = Arc::clone(hint);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file is an event, too; acting on it would make every look cause the next.
        let is_read = event.as_ref().is_ok_and(|event| {
            matches!(event.kind, EventKind::Access(kind) if !matches!(kind, AccessKind::Close(notify::event::AccessMode::Write)))
        });
        if !is_read {
            hint.notify_one();
        }
    });
    watcher.inspect_err(|error| tracing::warn!(%error, "no file events on this system, polling instead")).ok()
}
