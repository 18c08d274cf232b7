//! The schema's steps, embedded and applied at the start.
//!
//! A step that was released is never changed; what changes the schema is a further step.

use sqlx::{
    SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use super::error::StoreError;

const STEPS: [(i64, &str, &str); 7] = [
    (1, "first", include_str!("0001_first.sql")),
    (2, "open spans", include_str!("0002_open_spans.sql")),
    (3, "run totals", include_str!("0003_run_totals.sql")),
    (4, "verdicts", include_str!("0004_verdicts.sql")),
    (5, "embeddings", include_str!("0005_embeddings.sql")),
    (6, "tokens", include_str!("0006_tokens.sql")),
    (7, "runs of all", include_str!("0007_runs_of_all.sql")),
];

/// Brings a database to the schema this host knows.
pub(super) async fn apply<C: Migrate + Send>(connection: &mut C) -> Result<(), StoreError> {
    let steps = STEPS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.into()).run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => StoreError::Schema(format!(
            "the database has schema {version}, this host knows up to {}: a newer Hotbay has written it; run that one, or name another database",
            STEPS.len()
        )),
        MigrateError::VersionMismatch(version) => StoreError::Schema(format!(
            "step {version} of the database's schema is not the one this host knows: another build has written it; run that one, or name another database"
        )),
        MigrateError::Dirty(version) => StoreError::Schema(format!(
            "step {version} of the database's schema was applied in part: restore a backup"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Schema(format!("the database's schema cannot be brought up to date: {other}")),
    })
}
