//! Seeing that nothing was written without asking the database.
//!
//! Who looks again and again for something to do would mostly ask the database for nothing, which
//! costs time and keeps its code in memory. The embedded one writes everything to its log first,
//! whoever it is that writes: a log that has not changed tells that nothing has. PostgreSQL has no
//! such thing; there, it is asked each time.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use crate::types::id::Millis;

/// How long ago a file must have changed for its time to tell that it has not changed since: file
/// systems keep times in steps, of two seconds at most.
const STEP: Duration = Duration::from_secs(3);
/// From when on a commit takes so long that its log has to be touched after it; well below [`STEP`].
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// The shortest wait, also for what was to be done long ago.
const LEAST: Duration = Duration::from_millis(20);

/// How a database stood. The default tells nothing: anything may have been written since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark {
    was: Option<(PathBuf, State)>,
}

/// What of the log changes with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    inode: u64,
    length: u64,
    changed: SystemTime,
}

impl Mark {
    /// Takes how the database with this log stands. It comes before what is read: what is written
    /// meanwhile is new.
    pub(super) fn of(log: PathBuf) -> Self {
        let state = State::of(&log);
        Self { was: state.map(|state| (log, state)) }
    }

    /// Waits until something may have been written since the mark was taken, or it is `until` by the
    /// clock; looks whenever `look` has passed.
    pub(crate) async fn wait(&self, look: Duration, until: Option<Millis>) {
        loop {
            let left = until.map(|until| u64::try_from(until.0.saturating_sub(Millis::now().0)).unwrap_or(0));
            sleep(left.map_or(look, |left| look.min(Duration::from_millis(left))).max(LEAST)).await;
            if until.is_some_and(|until| until <= Millis::now()) || !self.holds() {
                return;
            }
        }
    }

    /// Whether nothing was written since the mark was taken.
    pub(crate) fn holds(&self) -> bool {
        match &self.was {
            None => false,
            Some((log, state)) => State::of(log) == Some(*state),
        }
    }
}

impl State {
    /// Returns the state of a log; `None` if that cannot be told from its state after one more write.
    fn of(log: &Path) -> Option<Self> {
        // Not away from the async threads: it takes a microsecond, and would keep a thread for what blocks.
        let found = std::fs::metadata(log).ok()?;
        let changed = found.modified().ok()?;
        let is_settled = changed.elapsed().is_ok_and(|passed| passed > STEP);
        is_settled.then(|| Self { inode: found.ino(), length: found.len(), changed })
    }
}

/// Makes a log that was written say so now: what a commit has written to it can be read only once it is
/// on the disk, and who looked in between has seen the log as it is after the write. This blocks.
pub(super) fn touch(log: &Path) -> io::Result<()> {
    File::options().append(true).open(log)?.set_modified(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::{
        super::contract::place::{Opened, Place},
        *,
    };
    use crate::{
        store::{Store, schedules::Definition},
        tasks::Tasks,
    };

    const LOOK: Duration = Duration::from_millis(20);

    async fn write(store: &Store, id: &str) {
        store.schedules().put(id, "w", &Definition::default(), None, 1).await.unwrap();
    }

    fn log(place: &Place) -> PathBuf {
        place.settings.data.join("hotbay.db-wal")
    }

    /// Makes what was written be written long ago.
    fn age(place: &Place) {
        File::options().write(true).open(log(place)).unwrap().set_modified(SystemTime::now() - STEP * 2).unwrap();
    }

    /// Opens a store in which something was written, long ago.
    async fn written() -> (Place, Opened) {
        let place = Place::sqlite().await;
        let opened = place.open().await.unwrap();
        write(&opened.store, "first").await;
        age(&place);
        (place, opened)
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
        let (place, opened) = written().await;
        let store = &opened.store;
        write(store, "second").await;
        // Another write may not be told from one just now.
        told(&store.mark()).await;
        age(&place);
        let mark = store.mark();
        assert!(!is_told(&mark).await, "nothing was written");
        // A reader changes nothing.
        store.schedules().list(None).await.unwrap();
        assert!(!is_told(&mark).await);
        write(store, "here").await;
        told(&mark).await;
        age(&place);
        let mark = store.mark();
        let (beside, task) = Store::open_beside(&place.settings).await.unwrap();
        assert!(!is_told(&mark).await, "another process came");
        let (tasks, task) = (Tasks::default(), task.unwrap());
        tasks.spawn("store-writer", |cancel| task.run(cancel));
        write(&beside, "there").await;
        told(&mark).await;
        tasks.shut_down(Duration::from_secs(30)).await;
        beside.close().await;
        opened.close().await;
    }

    #[tokio::test]
    async fn who_looked_while_a_commit_waited_for_the_disk_is_told_of_it() {
        // As the log stands for somebody who looks long after it was written.
        let (place, opened) = written().await;
        let mark = opened.store.mark();
        touch(&log(&place)).unwrap();
        told(&mark).await;
        opened.close().await;
    }

    #[tokio::test]
    async fn who_waits_for_a_time_waits_for_the_clock() {
        let (_place, opened) = written().await;
        let mark = opened.store.mark();
        let until = Millis(Millis::now().0 + 50);
        mark.wait(LOOK, Some(until)).await;
        assert!(Millis::now() >= until);
        mark.wait(Duration::MAX, Some(Millis(0))).await;
        assert!(mark.wait(Duration::ZERO, Some(Millis(i64::MAX))).now_or_never().is_none());
        opened.close().await;
    }
}
