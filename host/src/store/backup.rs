//! A copy of the embedded database, made while it is used.

use std::{io, path::Path};

use sqlx::{Connection, Executor};
use tempfile::NamedTempFile;

use super::{database::FILE, error::StoreError, sqlite, statement::Statement};

/// Copies the embedded database of a data directory into a file, whether a host uses it or not.
///
/// The copy is what was committed when it began. Writers go on meanwhile: a reader never
/// stops them. It appears under its name when it is whole and on the disk, so a copy that is
/// interrupted leaves no file that looks like one.
pub(super) async fn back_up(data: &Path, file: &Path) -> Result<(), StoreError> {
    let there = || StoreError::Conflict(format!("{} is there already; name another file", file.display()));
    if file.exists() {
        return Err(there());
    }
    let failed = |error: &io::Error| StoreError::Unavailable(format!("{} cannot be written: {error}", file.display()));
    sqlx::any::install_default_drivers();
    let database = data.join(FILE);
    if !database.exists() {
        return Err(StoreError::NotFound(format!(
            "there is no database in {}; name the data directory with --data",
            data.display()
        )));
    }
    let mut connection = sqlite::connect(&database).await.map_err(|error| error.at(database.display()))?;
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let copy = NamedTempFile::with_prefix_in(".hotbay-backup-", directory).map_err(|error| failed(&error))?;
    let name = copy.path().to_str().ok_or_else(|| StoreError::Refused("a backup's path must be UTF-8".into()))?;
    // An empty file is the one kind of file that is not refused as being there.
    let copied = connection.execute(Statement::new("VACUUM INTO $1").bind(name).query()).await;
    copied.map_err(|error| StoreError::from(error).at(format_args!("copying to {}", file.display())))?;
    connection.close().await?;
    copy.as_file().sync_all().map_err(|error| failed(&error))?;
    copy.persist_noclobber(file).map_err(|kept| match kept.error.kind() {
        io::ErrorKind::AlreadyExists => there(),
        _ => failed(&kept.error),
    })?;
    // The name is on the disk as well then.
    let listed = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    listed.map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
        time::{Duration, Instant},
    };

    use sqlx::Row;

    use super::*;
    use crate::{
        store::contract::{open, place::Place},
        tasks::Tasks,
    };

    fn row(writer: usize, number: i64) -> Statement {
        let scope = format!("writer {writer} row {number} {}", "x".repeat(500));
        Statement::new("INSERT INTO counts (scope, n) VALUES ($1, $2)").bind(scope).bind(number)
    }

    /// A large database is copied while eight writers go on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn backup_made_while_others_write_is_whole() {
        let place = Place::sqlite().await;
        let opened = place.open().await.unwrap();
        let database = &opened.store.database;
        // Enough that copying takes longer than a commit.
        let filled = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
            INSERT INTO counts (scope, n) SELECT 'filler ' || n || hex(zeroblob(500)), n FROM numbers";
        database.write(Statement::new(filled)).await.unwrap();

        let tasks = Tasks::default();
        // The rows each writer had acknowledged.
        let ledgers: Vec<Arc<AtomicI64>> = (0..8).map(|_| Arc::default()).collect();
        for (writer, ledger) in ledgers.iter().enumerate() {
            let (store, ledger) = (opened.store.clone(), Arc::clone(ledger));
            tasks.spawn("writer", move |cancel| async move {
                while !cancel.is_cancelled() {
                    // Two rows that belong together.
                    let number = ledger.load(Ordering::SeqCst);
                    let pair = [row(writer, number), row(writer, number + 1)];
                    store.database.write(pair).await.unwrap();
                    ledger.store(number + 2, Ordering::SeqCst);
                }
            });
        }
        let all_beyond = async |number: i64| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while ledgers.iter().any(|ledger| ledger.load(Ordering::SeqCst) <= number) {
                assert!(Instant::now() < deadline, "the writers do not write");
                tokio::task::yield_now().await;
            }
        };
        all_beyond(10).await;
        let before: Vec<i64> = ledgers.iter().map(|ledger| ledger.load(Ordering::SeqCst)).collect();
        let copied = tempfile::tempdir().unwrap();
        back_up(&place.settings.data, &copied.path().join(FILE)).await.unwrap();
        let after: Vec<i64> = ledgers.iter().map(|ledger| ledger.load(Ordering::SeqCst)).collect();
        all_beyond(after.iter().copied().max().unwrap()).await;
        tasks.shut_down(Duration::from_secs(60)).await;
        assert!(
            after.iter().zip(&before).all(|(after, before)| after > before),
            "writers went on: {before:?} {after:?}"
        );
        opened.close().await;

        let settings = crate::store::StoreSettings { data: copied.path().to_owned(), ..place.settings.clone() };
        let copy = open(&settings).await.unwrap();
        let database = &copy.store.database;
        let check = database.row(Statement::new("PRAGMA integrity_check")).await.unwrap().unwrap();
        assert_eq!(check.get::<String, _>(0), "ok");
        for (writer, (before, after)) in before.into_iter().zip(after).enumerate() {
            let query = Statement::new("SELECT COUNT(*) AS rows, MAX(n) AS last FROM counts WHERE scope LIKE $1");
            let found = database.row(query.bind(format!("writer {writer} %"))).await.unwrap().unwrap();
            let (rows, last) = (found.get::<i64, _>("rows"), found.get::<i64, _>("last"));
            assert_eq!(rows, last + 1, "none is missing in between");
            assert_eq!(rows % 2, 0, "no half batch");
            assert!((before..=after + 2).contains(&rows), "{rows} of at least {before}");
        }
        database.write(row(9, 9)).await.unwrap();
        copy.close().await;
    }
}
