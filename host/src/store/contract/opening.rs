//! Opening a store: what is found is brought to the schema, or refused with a sentence.

use futures::future::join_all;
use sqlx::{Executor, Row};

use super::{
    super::{StoreError, StoreSettings, database::Dialect},
    batches::{insert, read, write},
    place::{Place, open},
    runs,
};

pub(super) async fn schema_is_applied_once(place: &Place) {
    for number in 0..3 {
        let opened = place.open().await.unwrap();
        for earlier in 0..number {
            assert_eq!(read(&opened.store, &format!("row {earlier}")).await, Some(earlier));
        }
        write(&opened.store, &format!("row {number}"), number).await;
        opened.close().await;
    }
    let mut connection = place.connect().await;
    let counted =
        "SELECT COUNT(*) AS n, COUNT(DISTINCT version) AS versions, MAX(version) AS last FROM _sqlx_migrations";
    let row = connection.fetch_one(counted).await.unwrap();
    let [rows, versions, last] = ["n", "versions", "last"].map(|name| row.get::<i64, _>(name));
    assert!(last > 0 && rows == last && versions == last, "{rows} rows of {versions} steps up to {last}");
}

/// As the schema's first two steps left it.
const OLDER: [&str; 12] = [
    "DROP INDEX workflow_runs_by_status",
    "CREATE INDEX workflow_runs_by_status ON workflow_runs (status, workflow_id)",
    "DROP INDEX workflow_runs_by_owner",
    "CREATE INDEX workflow_runs_by_owner ON workflow_runs (workflow_id, resource_id, created_at, run_id)",
    "DROP INDEX workflow_runs_of_all",
    "DROP INDEX workflow_runs_of_all_by_status",
    "DROP INDEX workflow_runs_of_all_by_owner",
    "DELETE FROM counts",
    "DROP TABLE verdicts",
    "DROP TABLE embeddings",
    "DROP TABLE tokens",
    "DELETE FROM _sqlx_migrations WHERE version > 2",
];

pub(super) async fn runs_of_an_older_schema_are_counted(place: &Place) {
    let stored = [("1", "w", Some("a")), ("2", "w", Some("b")), ("3", "w", None), ("4", "\u{e9}/a", Some("a"))];
    let opened = place.open().await.unwrap();
    for (run, workflow, owner) in stored {
        runs::insert(&opened.store, run, workflow, owner, 1).await;
    }
    opened.close().await;
    let mut connection = place.connect().await;
    for sql in OLDER {
        connection.execute(sql).await.unwrap();
    }
    drop(connection);
    let opened = place.open().await.unwrap();
    runs::check(&opened.store, "w", 3).await;
    runs::check(&opened.store, "\u{e9}/a", 1).await;
    assert!(opened.store.runs().delete("1").await.unwrap());
    runs::check(&opened.store, "w", 2).await;
    opened.close().await;
}

/// A file is one host's; a server serves all that ask, and the first of them makes the schema.
pub(super) async fn two_hosts_at_once(place: &Place) {
    let (other, _data) = place.of_another_host();
    let (first, second) = tokio::join!(place.open(), open(&other));
    match place.dialect {
        Dialect::Sqlite => {
            let first = first.unwrap();
            let error = second.err().unwrap();
            assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
            let sentence = error.to_string();
            let process = std::process::id().to_string();
            assert!(sentence.contains("in use by process") && sentence.contains(&process), "{sentence}");
            write(&first.store, "a", 1).await;
            first.close().await;
        }
        Dialect::Postgres => {
            let (first, second) = (first.unwrap(), second.unwrap());
            write(&first.store, "a", 1).await;
            assert_eq!(read(&second.store, "a").await, Some(1));
            first.close().await;
            second.close().await;
        }
    }
}

/// Opens a database after its list of schema steps was changed, and returns the refusal.
async fn refusal(place: &Place, change: &'static str) -> String {
    let opened = place.open().await.unwrap();
    write(&opened.store, "kept", 1).await;
    opened.close().await;
    let mut connection = place.connect().await;
    assert_eq!(connection.execute(change).await.unwrap().rows_affected(), 1);
    let error = place.open().await.err().unwrap();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    let row = connection.fetch_one("SELECT n FROM counts WHERE scope = 'kept'").await.unwrap();
    assert_eq!(row.get::<i64, _>("n"), 1, "what is stored is left alone");
    error.to_string()
}

pub(super) async fn newer_schema_is_refused(place: &Place) {
    let change = "UPDATE _sqlx_migrations SET version = 99 WHERE version = 1";
    let sentence = refusal(place, change).await;
    assert!(sentence.contains("schema 99") && sentence.contains("a newer Hotbay has written it"), "{sentence}");
}

pub(super) async fn schema_of_another_build_is_refused(place: &Place) {
    let change = match place.dialect {
        Dialect::Sqlite => "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1",
        Dialect::Postgres => "UPDATE _sqlx_migrations SET checksum = '\\x00'::bytea WHERE version = 1",
    };
    let sentence = refusal(place, change).await;
    assert!(sentence.contains("another build has written it"), "{sentence}");
}

pub(super) async fn schema_applied_in_part_is_refused(place: &Place) {
    let change = "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1";
    let sentence = refusal(place, change).await;
    assert!(sentence.contains("applied in part") && sentence.contains("restore a backup"), "{sentence}");
}

/// On SQLite a crash leaves the file and its log as they are on the disk at that moment, so a
/// copy of both, made while the host runs, is what the next one finds.
pub(super) async fn unclean_end_loses_nothing(place: &Place) {
    let opened = place.open().await.unwrap();
    for number in 0..50 {
        write(&opened.store, &format!("row {number}"), number).await;
    }
    let left = tempfile::tempdir().unwrap();
    let settings = match place.dialect {
        Dialect::Sqlite => {
            for file in ["hotbay.db", "hotbay.db-wal"] {
                std::fs::copy(place.settings.data.join(file), left.path().join(file)).unwrap();
            }
            StoreSettings { data: left.path().to_owned(), ..place.settings.clone() }
        }
        Dialect::Postgres => {
            drop(opened);
            place.settings.clone()
        }
    };
    let again = open(&settings).await.unwrap();
    for number in 0..50 {
        assert_eq!(read(&again.store, &format!("row {number}")).await, Some(number));
    }
    write(&again.store, "after", 1).await;
    again.close().await;
}

/// Who is told that the host ends has written nothing; SQLite's writer still writes what waits for it.
pub(super) async fn closing_keeps_what_was_acknowledged(place: &Place) {
    let opened = place.open().await.unwrap();
    let store = opened.store.clone();
    let scopes: Vec<String> = (0..100).map(|number| format!("row {number}")).collect();
    let writes = join_all(scopes.iter().map(|scope| store.database.write(insert(scope, 1))));
    let (results, ()) = tokio::join!(writes, opened.close());
    // A data directory is free once nobody has the store any more.
    drop(store);
    let again = place.open().await.unwrap();
    for (scope, result) in scopes.iter().zip(results) {
        assert!(result.is_ok() || place.dialect == Dialect::Postgres, "{result:?}");
        assert_eq!(read(&again.store, scope).await, result.is_ok().then_some(1));
    }
    again.close().await;
}
