//! The database: found, opened, brought to the schema, read from and written to.

use std::{
    fs::{File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, AnyRow},
};

use super::{
    error::StoreError,
    fault::Fault,
    health::Health,
    migrations,
    statement::{Batch, Statement},
    writer::{Changes, Writer, WriterTask},
};

/// The embedded database, in the data directory.
const FILE: &str = "hotbay.db";
/// Held while a host uses the data directory.
const LOCK: &str = "hotbay.lock";
/// Connections that read an SQLite file. Each has a thread and a page cache of its own.
const READERS: u32 = 4;
/// Connections to PostgreSQL, reading and writing.
const CONNECTIONS: u32 = 16;
/// How long a read waits for a connection before it is an error.
const ACQUIRE: Duration = Duration::from_secs(10);

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
    readers: AnyPool,
    writer: Writer,
    health: Health,
    pub(crate) dialect: Dialect,
}

/// Keeps other hosts out of a data directory until it is dropped.
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory.
    pub(super) fn take(data: &Path) -> Result<Self, StoreError> {
        let path = data.join(LOCK);
        let failed = |error: &std::io::Error| {
            StoreError::Unavailable(format!(
                "{} cannot be used: {error}; name another directory with --data",
                path.display()
            ))
        };
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let holder = match file.read_to_string(&mut holder) {
                    Ok(_) if !holder.trim().is_empty() => format!("process {}", holder.trim()),
                    _ => "another process".to_owned(),
                };
                return Err(StoreError::Conflict(format!(
                    "the data directory {} is in use by {holder}; stop it, or name another one with --data",
                    data.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        // For people; the lock itself is what counts.
        let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the lock file does not name the process");
        }
        Ok(Self { _file: file })
    }
}

impl Database {
    /// Opens the database and returns the writer's task, if there is one to run.
    pub(super) async fn open(settings: &StoreSettings) -> Result<(Self, Option<WriterTask>), StoreError> {
        sqlx::any::install_default_drivers();
        let fault = Fault::parse(settings.fault.as_deref());
        let health = Health::default();
        if let Some(url) = &settings.url {
            let options = options(url)?;
            let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE);
            let readers = pool.connect_with(options).await.map_err(|error| {
                StoreError::Unavailable(format!("PostgreSQL does not answer: {}", StoreError::from(error)))
            })?;
            let mut connection = readers.acquire().await?;
            migrations::apply(&mut *connection).await?;
            let writer = Writer::Pool(readers.clone(), health.clone(), fault);
            return Ok((Self { readers, writer, health, dialect: Dialect::Postgres }, None));
        }
        let url = file_url(&settings.data.join(FILE));
        let mut connection = AnyConnection::connect_with(&options(&format!("{url}?mode=rwc"))?).await?;
        for pragma in [
            "PRAGMA busy_timeout=5000",
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA temp_store=MEMORY",
            "PRAGMA journal_size_limit=67108864",
        ] {
            connection.execute(pragma).await?;
        }
        migrations::apply(&mut connection).await?;
        let readers = AnyPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("PRAGMA busy_timeout=5000").await?;
                    connection.execute("PRAGMA query_only=ON").await?;
                    Ok(())
                })
            })
            .connect_with(options(&format!("{url}?mode=rw"))?)
            .await?;
        let (writer, task) = Writer::queue(connection, health.clone(), fault);
        Ok((Self { readers, writer, health, dialect: Dialect::Sqlite }, Some(task)))
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
        Ok(query.query().fetch_all(&self.readers).await?)
    }

    /// Returns the first row of a query.
    pub(crate) async fn row(&self, query: Statement) -> Result<Option<AnyRow>, StoreError> {
        Ok(query.query().fetch_optional(&self.readers).await?)
    }

    /// Returns what is wrong with the store, `None` if it can be read and written.
    pub(super) async fn problem(&self) -> Option<String> {
        if let Err(error) = self.row(Statement::new("SELECT 1")).await {
            return Some(error.to_string());
        }
        self.health.problem()?;
        // The last write failed: only another one can tell whether it would still.
        let probe = Statement::new(
            "INSERT INTO counts (scope, n) VALUES ('probe', 1) ON CONFLICT (scope) DO UPDATE SET n = counts.n + 1",
        );
        self.write(probe).await.err().map(|error| error.to_string())
    }

    /// Copies the database into a file that is whole, while it is used.
    pub(super) async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        back_up(&mut *self.readers.acquire().await?, file).await
    }

    /// Closes every connection once it is no longer used.
    pub(super) async fn close(&self) {
        self.readers.close().await;
    }
}

/// Copies the embedded database of a data directory, whether a host uses it or not.
pub(super) async fn back_up_directory(data: &Path, file: &Path) -> Result<(), StoreError> {
    sqlx::any::install_default_drivers();
    let database = data.join(FILE);
    if !database.exists() {
        return Err(StoreError::NotFound(format!("there is no database in {}", data.display())));
    }
    let mut connection = AnyConnection::connect_with(&options(&format!("{}?mode=rw", file_url(&database)))?).await?;
    connection.execute("PRAGMA busy_timeout=5000").await?;
    back_up(&mut connection, file).await?;
    Ok(connection.close().await?)
}

async fn back_up(connection: &mut AnyConnection, file: &Path) -> Result<(), StoreError> {
    if file.exists() {
        return Err(StoreError::Conflict(format!("{} is there already", file.display())));
    }
    let name = file.to_str().ok_or_else(|| StoreError::Refused("the name of a backup must be UTF-8".into()))?;
    let copy = Statement::new("VACUUM INTO $1").bind(name);
    connection.execute(copy.query()).await?;
    let written = File::open(file).and_then(|file| file.sync_all());
    written.map_err(|error| StoreError::Unavailable(format!("{name} cannot be written: {error}")))
}

fn options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    let options: AnyConnectOptions = url
        .parse()
        .map_err(|error: sqlx::Error| StoreError::Schema(format!("the database's URL cannot be used: {error}")))?;
    Ok(options.disable_statement_logging())
}

/// Returns the URL of a file; what has a meaning in URLs is escaped.
fn file_url(path: &Path) -> String {
    let mut url = "sqlite://".to_owned();
    for character in path.to_string_lossy().chars() {
        match character {
            '%' => url.push_str("%25"),
            '?' => url.push_str("%3F"),
            '#' => url.push_str("%23"),
            ' ' => url.push_str("%20"),
            other => url.push(other),
        }
    }
    url
}

/// Reads a column.
pub(crate) fn column<'r, T>(row: &'r AnyRow, name: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    use sqlx::Row;
    Ok(row.try_get(name)?)
}
