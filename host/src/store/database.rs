//! The database: found, opened, brought to the schema, read from and written to.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, AnyRow},
};

use super::{
    error::StoreError,
    fault::Fault,
    group::GroupWriter,
    health::{Health, Statistics},
    mark::Mark,
    migrations, sqlite,
    statement::{Batch, Statement},
    writer::{Changes, Writer, WriterTask},
};

/// The embedded database, in the data directory.
pub(super) const FILE: &str = "hotbay.db";
/// Connections to PostgreSQL, reading and writing.
const CONNECTIONS: u32 = 16;
/// PostgreSQL ends a transaction that hears nothing for this long: a host that is stopped in the
/// middle of one, or whose machine is gone, would keep its rows from all others.
const SILENCE: Duration = Duration::from_secs(5);
/// A connection that was used within this time is taken to be there still.
const IDLE: Duration = Duration::from_secs(1);
/// How long a read waits for a connection before it is an error.
pub(super) const ACQUIRE: Duration = Duration::from_secs(10);

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where the embedded database is.
    pub data: PathBuf,
    /// `postgres://...`; the embedded database if absent.
    pub url: Option<String>,
    /// Where a test wants the host to die, in builds with debug assertions.
    pub fault: Option<String>,
}

/// Which of the two databases it is, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// An open database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Database {
    pub(super) readers: AnyPool,
    writer: Writer,
    pub(super) health: Health,
    pub(super) data: PathBuf,
    /// Held by the one that tries whether the store can be written.
    pub(super) probing: Arc<tokio::sync::Mutex<()>>,
    pub(crate) dialect: Dialect,
}

impl Database {
    /// Opens the database and returns the writer's task, if there is one to run.
    pub(super) async fn open(settings: &StoreSettings) -> Result<(Self, Option<WriterTask>), StoreError> {
        sqlx::any::install_default_drivers();
        let fault = Fault::parse(settings.fault.as_deref());
        match &settings.url {
            Some(url) => Ok((Self::open_postgres(settings, url, fault).await?, None)),
            None => Self::open_sqlite(settings, fault).await.map(|(database, task)| (database, Some(task))),
        }
    }

    /// As [`Database::open`], where another process has brought the schema up to date.
    pub(super) async fn open_beside(settings: &StoreSettings) -> Result<(Self, Option<WriterTask>), StoreError> {
        sqlx::any::install_default_drivers();
        if settings.url.is_some() {
            return Self::open(settings).await;
        }
        let file = settings.data.join(FILE);
        Self::connect_sqlite(settings, &file, Fault::parse(None))
            .await
            .map(|(database, task)| (database, Some(task)))
            .map_err(|error| error.at(file.display()))
    }

    async fn open_postgres(settings: &StoreSettings, url: &str, fault: Fault) -> Result<Self, StoreError> {
        let options = options(url)?;
        let failed = |error: StoreError| error.at("PostgreSQL cannot be used");
        // A connection of its own: what goes wrong while the schema is applied goes with it, a
        // lock on the schema as well. It tells at once what a pool would try again until its deadline.
        let connect = tokio::time::timeout(ACQUIRE, AnyConnection::connect_with(&options)).await;
        let connect = connect.map_err(|_| failed(StoreError::from(sqlx::Error::PoolTimedOut)))?;
        let mut connection = connect.map_err(|error| failed(error.into()))?;
        // That the schema is there already is no news.
        connection.execute("SET client_min_messages = warning").await.map_err(|error| failed(error.into()))?;
        migrations::apply(&mut connection).await.map_err(failed)?;
        connection.close().await?;
        let readers = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let limit = format!("SET idle_in_transaction_session_timeout = {}", SILENCE.as_millis());
                    connection.execute(AssertSqlSafe(limit)).await.map(drop)
                })
            })
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    // One that was idle may be gone; asking each time would double what a read takes.
                    if used.idle_for > IDLE && connection.ping().await.is_err() {
                        return Ok(false);
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        let health = Health::default();
        let writer = Writer::Pool(readers.clone(), health.clone(), fault);
        Ok(Self::of(settings, Dialect::Postgres, readers, writer, health))
    }

    async fn open_sqlite(settings: &StoreSettings, fault: Fault) -> Result<(Self, WriterTask), StoreError> {
        let file = settings.data.join(FILE);
        let failed = |error: StoreError| error.at(file.display());
        sqlite::prepare(&file).await?;
        let mut connection = sqlite::connect(&file).await.map_err(failed)?;
        migrations::apply(&mut connection).await.map_err(failed)?;
        // Before the other one is closed: the last to close would first write the whole log back.
        let connected = Self::connect_sqlite(settings, &file, fault).await.map_err(failed)?;
        connection.close().await.map_err(|error| failed(error.into()))?;
        Ok(connected)
    }

    async fn connect_sqlite(
        settings: &StoreSettings,
        file: &Path,
        fault: Fault,
    ) -> Result<(Self, WriterTask), StoreError> {
        let group = GroupWriter::open(file, fault)?;
        let readers = sqlite::connect_readers(file).await?;
        let health = Health::default();
        let (writer, task) = Writer::queue(group, health.clone());
        Ok((Self::of(settings, Dialect::Sqlite, readers, writer, health), task))
    }

    /// Whether other hosts may use it at the same time.
    pub(super) fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    fn of(settings: &StoreSettings, dialect: Dialect, readers: AnyPool, writer: Writer, health: Health) -> Self {
        Self { readers, writer, health, data: settings.data.clone(), probing: Arc::default(), dialect }
    }

    /// Writes statements together; they are on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if a guard found nothing to change; nothing was written then.
    pub(crate) async fn write(&self, batch: impl Into<Batch> + Send) -> Result<Changes, StoreError> {
        self.writer.write(batch).await
    }

    /// Returns all rows of a query.
    pub(crate) async fn rows(&self, query: Statement) -> Result<Vec<AnyRow>, StoreError> {
        query.query().fetch_all(&self.readers).await.map_err(|error| self.read_failed(error))
    }

    /// Returns the first row of a query.
    pub(crate) async fn row(&self, query: Statement) -> Result<Option<AnyRow>, StoreError> {
        query.query().fetch_optional(&self.readers).await.map_err(|error| self.read_failed(error))
    }

    fn read_failed(&self, error: sqlx::Error) -> StoreError {
        let error = error.into();
        self.health.read_failed(&error);
        error
    }

    /// Returns what was written so far.
    pub(super) fn statistics(&self) -> Statistics {
        self.health.statistics()
    }

    /// Takes how it stands.
    pub(super) fn mark(&self) -> Mark {
        match self.dialect {
            Dialect::Sqlite => Mark::of(sqlite::log_of(&self.data.join(FILE))),
            Dialect::Postgres => Mark::default(),
        }
    }

    /// Closes every connection once it is no longer used.
    pub(super) async fn close(&self) {
        self.readers.close().await;
    }
}

pub(super) fn options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    let options: AnyConnectOptions = url
        .parse()
        .map_err(|error: sqlx::Error| StoreError::Schema(format!("the database's URL cannot be used: {error}")))?;
    Ok(options.disable_statement_logging())
}

/// Reads a column.
pub(crate) fn column<'r, T>(row: &'r AnyRow, name: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    use sqlx::Row;
    Ok(row.try_get(name)?)
}
