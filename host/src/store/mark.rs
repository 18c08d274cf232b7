//! Seeing that nothing was written without asking the database.
//!
//! Who looks again and again for something to do would mostly ask the database for nothing, which
//! costs time and keeps its code in memory. The embedded one writes everything to its log first,
//! whoever it is that writes: a log that has not changed tells that nothing has. PostgreSQL has no
//! such thing; there, it is asked each time.

use std::{
    os::unix::fs::MetadataExt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::health::Health;
use crate::types::id::Millis;

/// How long ago a file must have changed for its time to tell that it has not changed since: file
/// systems keep times in steps, of two seconds at most.
const STEP: Duration = Duration::from_secs(3);
/// The shortest wait, also for what was to be done long ago.
const LEAST: Duration = Duration::from_millis(20);

/// How a database stood. The default tells nothing: anything may have been written since.
#[derive(Clone, Default)]
pub(crate) struct Mark {
    was: Option<(Embedded, State)>,
}

/// An embedded database, as far as one sees that it is written.
#[derive(Clone)]
pub(super) struct Embedded {
    pub(super) log: PathBuf,
    pub(super) health: Health,
}

/// What changes with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Of this process. They are counted when they can be read, which is after the log was written.
    commits: u64,
    inode: u64,
    length: u64,
    changed: SystemTime,
}

impl Mark {
    /// Takes how a database stands. It comes before what is read: what is written meanwhile is new.
    pub(super) async fn of(database: Embedded) -> Self {
        let state = State::of(&database).await;
        Self { was: state.map(|state| (database, state)) }
    }

    /// Waits until something may have been written since the mark was taken, or it is `until` by the
    /// clock; looks whenever `look` has passed.
    pub(crate) async fn wait(&self, look: Duration, until: Option<Millis>) {
        loop {
            let left = until.map(|until| u64::try_from(until.0.saturating_sub(Millis::now().0)).unwrap_or(0));
            sleep(left.map_or(look, |left| look.min(Duration::from_millis(left))).max(LEAST)).await;
            if until.is_some_and(|until| until <= Millis::now()) || !self.holds().await {
                return;
            }
        }
    }

    async fn holds(&self) -> bool {
        match &self.was {
            None => false,
            Some((database, state)) => State::of(database).await == Some(*state),
        }
    }
}

impl State {
    /// Returns how a database stands; `None` if that cannot be told from how it stands after a write.
    async fn of(database: &Embedded) -> Option<Self> {
        let commits = database.health.statistics().commits;
        let found = tokio::fs::metadata(&database.log).await.ok()?;
        let changed = found.modified().ok()?;
        let is_settled = changed.elapsed().is_ok_and(|passed| passed > STEP);
        is_settled.then(|| Self { commits, inode: found.ino(), length: found.len(), changed })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use futures::FutureExt;

    use super::{super::contract::place::Place, *};
    use crate::store::{Store, schedules::Definition};

    const LOOK: Duration = Duration::from_millis(20);

    async fn write(store: &Store, id: &str) {
        store.schedules().put(id, "w", &Definition::default(), None, 1).await.unwrap();
    }

    /// Makes what was written be written long ago.
    fn age(place: &Place) {
        let log = File::options().write(true).open(place.settings.data.join("hotbay.db-wal")).unwrap();
        log.set_modified(SystemTime::now() - STEP * 2).unwrap();
    }

    /// Fails if nothing comes of it for a long time.
    async fn told(mark: &Mark) {
        tokio::time::timeout(Duration::from_secs(30), mark.wait(LOOK, None)).await.unwrap();
    }

    async fn is_told(mark: &Mark) -> bool {
        tokio::time::timeout(LOOK * 20, mark.wait(LOOK, None)).await.is_ok()
    }

    #[tokio::test]
    async fn who_waits_is_told_of_what_was_written_and_only_of_that() {
        let place = Place::sqlite().await;
        let opened = place.open().await.unwrap();
        let store = &opened.store;
        write(store, "first").await;
        // Another write may not be told from one just now.
        told(&store.mark().await).await;
        age(&place);
        let mark = store.mark().await;
        assert!(!is_told(&mark).await, "nothing was written");
        // A reader changes nothing.
        store.schedules().list(None).await.unwrap();
        assert!(!is_told(&mark).await);
        write(store, "here").await;
        // As if the log had not changed, as where it was written long before it could be read.
        age(&place);
        told(&mark).await;
        let mark = store.mark().await;
        assert!(!is_told(&mark).await);
        let (beside, task) = Store::open_beside(&place.settings).await.unwrap();
        assert!(!is_told(&mark).await, "another process came");
        let cancel = tokio_util::sync::CancellationToken::new();
        let writer = tokio::spawn(task.unwrap().run(cancel.clone()));
        write(&beside, "there").await;
        told(&mark).await;
        cancel.cancel();
        writer.await.unwrap();
        beside.close().await;
        opened.close().await;
    }

    #[tokio::test]
    async fn who_waits_for_a_time_waits_for_the_clock() {
        let place = Place::sqlite().await;
        let opened = place.open().await.unwrap();
        write(&opened.store, "first").await;
        age(&place);
        let mark = opened.store.mark().await;
        let until = Millis(Millis::now().0 + 50);
        mark.wait(LOOK, Some(until)).await;
        assert!(Millis::now() >= until);
        mark.wait(Duration::MAX, Some(Millis(0))).await;
        assert!(mark.wait(Duration::ZERO, Some(Millis(i64::MAX))).now_or_never().is_none());
        opened.close().await;
    }
}
