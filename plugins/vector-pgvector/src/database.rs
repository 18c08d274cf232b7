//! The database: connections to it, the extension, the schema and the catalogue of indexes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hotbay_plugin::{
    Error, Result,
    error::code,
    vector_store::{CreateIndex, Metric, unknown_index},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, Row,
    postgres::{PgPoolOptions, PgRow},
};

use crate::{
    failure::Failure,
    settings::{Hnsw, Settings},
    statement::quoted,
    table::Table,
};

/// Taken by whoever makes the extension and the schema, so that several hosts may begin at once.
const LOCK: i64 = 0x686f_7462_6179_7665;
/// The longest vectors pgvector keeps.
const MAX_DIMENSION: u32 = 16_000;
/// The longest vectors pgvector has graphs of.
const MAX_GRAPH_DIMENSION: u32 = 2_000;
/// The first version with graphs.
const LEAST_VERSION: [u32; 2] = [0, 5];
/// A connection that was used within this time is taken to be there still.
const IDLE: Duration = Duration::from_secs(1);
/// PostgreSQL ends a transaction that hears nothing for this long: a host that is stopped in the middle of one would
/// keep its rows from all others.
const SILENCE: Duration = Duration::from_secs(30);

/// Returns connections that are made when they are needed.
pub(crate) fn connect(settings: &Settings) -> PgPool {
    let ef_search = settings.hnsw.ef_search;
    PgPoolOptions::new()
        .max_connections(settings.connections)
        .acquire_timeout(settings.timeout)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(prepare_session(connection, ef_search)))
        .before_acquire(|connection, used| {
            Box::pin(async move {
                // One that was idle may be gone; asking each time would double what a search takes.
                Ok(used.idle_for <= IDLE || connection.ping().await.is_ok())
            })
        })
        .connect_lazy_with(settings.options.clone())
}

async fn prepare_session(connection: &mut PgConnection, ef_search: u32) -> Result<(), sqlx::Error> {
    let settings = format!(
        "SET client_min_messages = warning; SET idle_in_transaction_session_timeout = {}; SET hnsw.ef_search = {ef_search}",
        SILENCE.as_millis()
    );
    connection.execute(AssertSqlSafe(settings)).await?;
    // A scan of a graph goes on until it has found enough, from version 0.8 on.
    let goes_on = "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', false) FROM pg_extension \
                   WHERE extname = 'vector' AND extversion !~ '^0[.][0-7]([^0-9]|$)'";
    connection.execute(goes_on).await.map(drop)
}

/// A database that is ready.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    schema: String,
    /// The schema the extension is in.
    extension: String,
    hnsw: Hnsw,
    /// Indexes that were asked for. Held for a line.
    tables: Mutex<HashMap<String, Arc<Table>>>,
}

impl Database {
    /// Makes what is not there yet: the extension, the schema, the catalogue.
    pub(crate) async fn open(pool: PgPool, settings: &Settings) -> Result<Self> {
        // A connection of its own: the pool would try one that is refused until its deadline.
        let connect = tokio::time::timeout(settings.timeout, settings.options.connect()).await;
        let mut connection = connect.map_err(|_| Failure::from(sqlx::Error::PoolTimedOut))?.map_err(Failure::from)?;
        let extension = prepare(&mut connection, &settings.schema).await?;
        connection.close().await.map_err(Failure::from)?;
        let (schema, hnsw) = (settings.schema.clone(), settings.hnsw);
        Ok(Self { pool, schema, extension, hnsw, tables: Mutex::default() })
    }

    /// Creates an index; one that is there stays as it is.
    pub(crate) async fn create(&self, index: &CreateIndex) -> Result<()> {
        if index.dimension > MAX_DIMENSION {
            let message =
                format!("pgvector keeps vectors of at most {MAX_DIMENSION} dimensions, not {}", index.dimension);
            return Err(Error::input(message));
        }
        match self.make(index).await {
            // Somebody has dropped the schema.
            Err(Failure::Gone) => {
                let mut connection = self.pool.acquire().await.map_err(Failure::from)?;
                prepare(&mut connection, &self.schema).await?;
                drop(connection);
                Ok(self.make(index).await?)
            }
            made => Ok(made?),
        }
    }

    async fn make(&self, index: &CreateIndex) -> Result<(), Failure> {
        let mut transaction = self.pool.begin().await?;
        let catalogue = self.catalogue();
        // Who comes second waits here for the first, and then has nothing to do.
        let insert = format!(
            "INSERT INTO {catalogue} (name, dimension, metric) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING RETURNING number"
        );
        let made: Option<i64> = sqlx::query_scalar(AssertSqlSafe(insert))
            .bind(&index.name)
            .bind(i32::try_from(index.dimension).unwrap_or(i32::MAX))
            .bind(name_of(index.metric))
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(number) = made else { return Ok(()) };
        let table = self.name_of_table(number);
        let (extension, dimension) = (quoted(&self.extension), index.dimension);
        let mut statements = vec![
            format!(
                "CREATE TABLE {table} (id TEXT COLLATE \"C\" PRIMARY KEY, embedding {extension}.vector({dimension}) NOT NULL, \
                 metadata JSONB NOT NULL)"
            ),
            format!("CREATE INDEX ON {table} USING gin (metadata jsonb_path_ops)"),
        ];
        if dimension <= MAX_GRAPH_DIMENSION {
            let Hnsw { m, ef_construction, .. } = self.hnsw;
            let class = match index.metric {
                Metric::Cosine => "vector_cosine_ops",
                Metric::Euclidean => "vector_l2_ops",
                Metric::DotProduct => "vector_ip_ops",
            };
            statements.push(format!(
                "CREATE INDEX ON {table} USING hnsw (embedding {extension}.{class}) WITH (m = {m}, ef_construction = {ef_construction})"
            ));
        }
        for statement in statements {
            transaction.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Returns the names of all indexes, oldest first.
    pub(crate) async fn list(&self) -> Result<Vec<String>> {
        let select = format!("SELECT name FROM {} ORDER BY number", self.catalogue());
        match sqlx::query_scalar(AssertSqlSafe(select)).fetch_all(&self.pool).await.map_err(Failure::from) {
            Err(Failure::Gone) => Ok(Vec::new()),
            names => Ok(names?),
        }
    }

    /// Deletes an index; one that is not there is deleted already.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.lock_tables().remove(name);
        match self.unmake(name).await {
            Ok(()) | Err(Failure::Gone) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn unmake(&self, name: &str) -> Result<(), Failure> {
        let mut transaction = self.pool.begin().await?;
        let delete = format!("DELETE FROM {} WHERE name = $1 RETURNING number", self.catalogue());
        let gone: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(delete)).bind(name).fetch_optional(&mut *transaction).await?;
        let Some(number) = gone else { return Ok(()) };
        let drop = format!("DROP TABLE IF EXISTS {}", self.name_of_table(number));
        transaction.execute(AssertSqlSafe(drop)).await?;
        Ok(transaction.commit().await?)
    }

    /// Returns the table of an index.
    pub(crate) async fn table(&self, name: &str) -> Result<Arc<Table>> {
        if let Some(table) = self.lock_tables().get(name) {
            return Ok(Arc::clone(table));
        }
        let select = format!("SELECT number, dimension, metric FROM {} WHERE name = $1", self.catalogue());
        let row = sqlx::query(AssertSqlSafe(select)).bind(name).fetch_optional(&self.pool).await;
        let row = match row.map_err(Failure::from) {
            Ok(Some(row)) => row,
            Ok(None) | Err(Failure::Gone) => return Err(unknown_index(name)),
            Err(failure) => return Err(failure.into()),
        };
        let table = Arc::new(self.read(name, &row)?);
        self.lock_tables().insert(name.to_owned(), Arc::clone(&table));
        Ok(table)
    }

    /// Forgets a table that is gone: the index may be there again, in another one.
    pub(crate) fn forget(&self, table: &Arc<Table>) {
        let mut tables = self.lock_tables();
        if tables.get(&table.index).is_some_and(|known| Arc::ptr_eq(known, table)) {
            tables.remove(&table.index);
        }
    }

    fn read(&self, name: &str, row: &PgRow) -> Result<Table> {
        let (number, dimension): (i64, i32) =
            (row.try_get(0).map_err(Failure::from)?, row.try_get(1).map_err(Failure::from)?);
        let metric: String = row.try_get(2).map_err(Failure::from)?;
        let metric = metric_of(&metric).ok_or_else(|| {
            Error::new(format!("index {name} has the metric `{metric}`, which this version does not know"))
        })?;
        let dimension = u32::try_from(dimension).unwrap_or_default();
        Ok(Table {
            index: name.to_owned(),
            name: self.name_of_table(number),
            extension: quoted(&self.extension),
            dimension,
            metric,
            has_graph: dimension <= MAX_GRAPH_DIMENSION,
        })
    }

    fn catalogue(&self) -> String {
        catalogue_in(&self.schema)
    }

    fn name_of_table(&self, number: i64) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&format!("index_{number}")))
    }

    fn lock_tables(&self) -> MutexGuard<'_, HashMap<String, Arc<Table>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn catalogue_in(schema: &str) -> String {
    format!("{}.{}", quoted(schema), quoted("indexes"))
}

/// Brings the database to what is needed and returns the schema the extension is in.
async fn prepare(connection: &mut PgConnection, schema: &str) -> Result<String> {
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(&mut *connection)
        .await
        .map_err(Failure::from)?;
    if encoding != "UTF8" {
        let message =
            format!("the database has the encoding {encoding}: texts are compared as UTF8, use a database that has it");
        return Err(Error::with_code(code::CONFIG, message));
    }
    let mut found = extension(connection).await?;
    let catalogue = catalogue_in(schema);
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(&catalogue)
        .fetch_one(&mut *connection)
        .await
        .map_err(Failure::from)?;
    if found.is_none() || !is_there {
        make(connection, schema, found.is_none()).await?;
        found = extension(connection).await?;
    }
    let Some((version, place)) = found else { return Err(no_extension("nobody has created it")) };
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers.as_slice() < LEAST_VERSION.as_slice() {
        let message =
            format!("pgvector is of version {version}: 0.5 is needed at least, run ALTER EXTENSION vector UPDATE");
        return Err(Error::with_code(code::CONFIG, message));
    }
    Ok(place)
}

/// Returns the extension's version and its schema.
async fn extension(connection: &mut PgConnection) -> Result<Option<(String, String)>, Failure> {
    let select = "SELECT extversion, nspname::text FROM pg_extension \
                  JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'";
    Ok(sqlx::query_as(select).fetch_optional(connection).await?)
}

async fn make(connection: &mut PgConnection, schema: &str, with_extension: bool) -> Result<()> {
    let mut transaction = connection.begin().await.map_err(Failure::from)?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await;
    lock.map_err(Failure::from)?;
    // That something is there already is no news.
    transaction.execute("SET LOCAL client_min_messages = warning").await.map_err(Failure::from)?;
    if with_extension && let Err(error) = transaction.execute("CREATE EXTENSION IF NOT EXISTS vector").await {
        return Err(match error.as_database_error() {
            Some(database) => no_extension(database.message()),
            None => Failure::from(error).into(),
        });
    }
    let catalogue = catalogue_in(schema);
    for statement in [
        format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(schema)),
        format!(
            "CREATE TABLE IF NOT EXISTS {catalogue} (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             name TEXT COLLATE \"C\" NOT NULL UNIQUE, dimension INTEGER NOT NULL, metric TEXT NOT NULL)"
        ),
    ] {
        transaction.execute(AssertSqlSafe(statement)).await.map_err(Failure::from)?;
    }
    Ok(transaction.commit().await.map_err(Failure::from)?)
}

fn no_extension(why: &str) -> Error {
    let message = format!(
        "this database does not have pgvector ({why}): install it, and let an administrator run CREATE EXTENSION vector"
    );
    Error::with_code(code::CONFIG, message)
}

fn name_of(metric: Metric) -> &'static str {
    match metric {
        Metric::Cosine => "cosine",
        Metric::Euclidean => "euclidean",
        Metric::DotProduct => "dotproduct",
    }
}

fn metric_of(name: &str) -> Option<Metric> {
    [Metric::Cosine, Metric::Euclidean, Metric::DotProduct].into_iter().find(|metric| name_of(*metric) == name)
}
