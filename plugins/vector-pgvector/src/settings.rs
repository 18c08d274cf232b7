//! The plugin's settings: what may be set, and what is checked before a database is asked.

use std::{str::FromStr, time::Duration};

use hotbay_plugin::{error::code, prelude::*, vector_store::check_index_name};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};

/// The plugin's settings: the table `[plugins.hotbay-vector-pgvector.config]` of `hotbay.toml`.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the database is, as `postgres://user:password@host:port/database`, or `{ secret = "NAME" }`
    url: Option<Text>,
    /// The schema the tables are in; it is made if it is not there
    schema: String,
    /// How many connections there may be at once
    connections: u32,
    /// How long a call waits for a connection
    timeout_seconds: u64,
    /// Settings of the graphs
    hnsw: Hnsw,
}

/// A text, or the name of the secret it is in.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Secret { secret: String },
}

/// How graphs are built and searched, as pgvector has it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Hnsw {
    /// How many neighbours an entry of a new index has on each layer
    pub(crate) m: u32,
    /// How many candidates are weighed when an entry is added to a new index
    pub(crate) ef_construction: u32,
    /// How many candidates a search weighs
    pub(crate) ef_search: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            schema: "hotbay_vectors".to_owned(),
            connections: 8,
            timeout_seconds: 5,
            hnsw: Hnsw::default(),
        }
    }
}

impl Default for Hnsw {
    fn default() -> Self {
        Self { m: 16, ef_construction: 64, ef_search: 100 }
    }
}

/// Settings that were checked.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) options: PgConnectOptions,
    /// A name of letters, digits and underscores.
    pub(crate) schema: String,
    pub(crate) connections: u32,
    pub(crate) timeout: Duration,
    pub(crate) hnsw: Hnsw,
}

impl Config {
    /// Checks the settings, and gets the URL where it is kept; `None` without one.
    pub(crate) async fn read(&self, ctx: &Ctx) -> Result<Option<Settings>> {
        if check_index_name(&self.schema).is_err() || self.schema.starts_with("pg_") {
            let message = format!(
                "`schema` is `{}`: it must be of letters, digits and underscores, begin with none of the digits and \
                 not with `pg_`, and take 63 of them at most",
                self.schema
            );
            return Err(Error::with_code(code::CONFIG, message));
        }
        let Hnsw { m, ef_construction, ef_search } = self.hnsw;
        check("connections", self.connections, 1, 1000)?;
        check("timeout_seconds", self.timeout_seconds, 1, 600)?;
        check("hnsw.m", m, 2, 100)?;
        check("hnsw.ef_construction", ef_construction, (m * 2).max(4), 1000)?;
        check("hnsw.ef_search", ef_search, 1, 1000)?;
        let url = match &self.url {
            None => return Ok(None),
            Some(Text::Plain(url)) => url.clone(),
            Some(Text::Secret { secret }) => {
                ctx.secret(secret).await.map_err(|error| Error::with_code(code::CONFIG, error.message))?
            }
        };
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(Error::with_code(code::CONFIG, "`url` must begin with `postgres://`"));
        }
        // The parser's own sentence may quote the URL, and the URL has a password in it.
        let options = PgConnectOptions::from_str(&url)
            .map_err(|_| Error::with_code(code::CONFIG, "`url` is no URL of a PostgreSQL database"))?;
        Ok(Some(Settings {
            options: options.application_name("hotbay").disable_statement_logging(),
            schema: self.schema.clone(),
            connections: self.connections,
            timeout: Duration::from_secs(self.timeout_seconds),
            hnsw: self.hnsw,
        }))
    }
}

fn check<T: PartialOrd + std::fmt::Display>(name: &str, value: T, least: T, most: T) -> Result<()> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Error::with_code(code::CONFIG, format!("`{name}` is {value}: it must be between {least} and {most}")))
}
