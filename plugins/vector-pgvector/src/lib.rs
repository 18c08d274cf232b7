//! The vector store `pgvector`: indexes in PostgreSQL with the extension [pgvector], shared by any number of hosts.
//!
//! [pgvector]: https://github.com/pgvector/pgvector
//!
//! An index is a table `index_<number>` of ids, vectors and metadata (`jsonb`), listed in the table `indexes` of the
//! same schema. A number is never given twice, so a host that knew an index which somebody else has deleted and made
//! again finds its table gone and looks anew. `settings` are checked when the plugin is opened; `database` has the
//! connections and the catalogue, `table` reads and writes one index, `pushdown` turns filters into SQL, and `failure`
//! says what errors mean.
//!
//! # Promises
//!
//! What is acknowledged is committed: an upsert, update or delete happens as a whole or not at all, as durable as the
//! server's `synchronous_commit` says. A server that is away is an error worth a retry (`E_UNAVAILABLE`); connections
//! are made anew by themselves. Writers that lock each other out are repeated. Several hosts may create the same index
//! at once.
//!
//! # Searches
//!
//! Up to 2,000 dimensions an index has an HNSW graph of the operator class of its metric; above, up to 16,000, which is
//! the most a `vector` has room for, all rows are looked at. PostgreSQL's planner decides whether a search walks the
//! graph, uses the index on metadata or looks at all rows. A walk weighs `hnsw.ef_search` candidates and, from pgvector 0.8
//! on, goes on until it has found as many as were asked for that match the filter (`hnsw.iterative_scan`). If it comes
//! to an end before, which is so when a filter leaves few, all rows that match are looked at.
//!
//! # Filters
//!
//! | in SQL | left to the evaluator |
//! |---|---|
//! | `$eq`, `$ne`, `$in`, `$nin`, `$all`, `$exists`, `$size`, `$elemMatch` | numbers of 2^53 and beyond, which doubles round |
//! | `$gt`, `$gte`, `$lt`, `$lte` between numbers, between texts (by code points) | text that is a number, beside a number |
//! | `$contains` in arrays | `$contains` in text, `$regex` |
//! | `$and`, `$or`, `$nor`, `$not` | |
//!
//! What is left is weighed here on what SQL lets through, which is never less than what matches. `$eq`, `$in`, `$nin`
//! and `$all` are found by a GIN index on metadata.
//!
//! # Limits
//!
//! pgvector computes with floats: vectors shorter than 1e-19 or longer than 1e19 have no cosine, and are not found by
//! it. Ids take 2,000 bytes at most. No text may have a NUL character in it. Objects in metadata come back with their keys
//! in PostgreSQL's order, whole numbers beyond 2^64 as doubles. The database's encoding must be UTF8, and
//! pgvector 0.5 or later; the user needs to create a schema (once) and tables in it.

mod database;
mod failure;
mod pushdown;
mod settings;
mod statement;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hotbay_plugin::{
    VectorStore,
    error::code,
    prelude::*,
    vector_store::{Chosen, CreateIndex, Delete, Filter, Hit, IndexStats, Query, Update, Upsert},
};
use sqlx::PgPool;
use uuid::Uuid;

use database::Database;
use failure::Failure;
use settings::{Config, Settings};
use table::{Rows, Table};

/// How often an operation is begun again when others are in its way.
const ATTEMPTS: u32 = 16;

/// What is open as long as the plugin is.
struct State {
    /// Absent without a URL.
    configured: Option<(Settings, PgPool)>,
}

async fn open(ctx: &Ctx, config: &Config) -> Result<State> {
    let settings = config.read(ctx).await?;
    let configured = settings.map(|settings| {
        let pool = database::connect(&settings);
        (settings, pool)
    });
    Ok(State { configured })
}

async fn close(ctx: &Ctx) -> Result<()> {
    if let Some((_, pool)) = &ctx.state::<State>().configured {
        pool.close().await;
    }
    Ok(())
}

/// Vectors in PostgreSQL.
struct Pgvector(Database);

impl VectorStore for Pgvector {
    const NAME: &'static str = "pgvector";
    const DESCRIPTION: &'static str = "Vectors in PostgreSQL";

    async fn open(ctx: &Ctx) -> Result<Self> {
        let Some((settings, pool)) = &ctx.state::<State>().configured else {
            let message =
                "vector store `pgvector` has no database: set `url` in [plugins.hotbay-vector-pgvector.config]";
            return Err(Error::with_code(code::UNAVAILABLE, message));
        };
        Database::open(pool.clone(), settings).await.map(Self)
    }

    async fn create_index(&self, _: &Ctx, index: CreateIndex) -> Result<()> {
        self.0.create(&index).await
    }

    async fn list_indexes(&self, _: &Ctx) -> Result<Vec<String>> {
        self.0.list().await
    }

    async fn describe_index(&self, _: &Ctx, name: &str) -> Result<IndexStats> {
        let mut attempt = 0;
        loop {
            let table = self.0.table(name).await?;
            match table.describe(&self.0.pool).await {
                Ok(stats) => return Ok(stats),
                Err(failure) => self.go_on(failure, &table, &mut attempt)?,
            }
        }
    }

    async fn delete_index(&self, _: &Ctx, name: &str) -> Result<()> {
        self.0.delete(name).await
    }

    async fn upsert(&self, _: &Ctx, upsert: Upsert) -> Result<Vec<String>> {
        let Upsert { index, mut entries, .. } = upsert;
        let name = |entry: &mut hotbay_plugin::vector_store::Entry| match entry.id.take() {
            Some(id) => id,
            None => Uuid::new_v4().to_string(),
        };
        let ids: Vec<String> = entries.iter_mut().map(name).collect();
        let rows = Rows::of(&ids, &entries)?;
        let mut attempt = 0;
        loop {
            let table = self.0.table(&index).await?;
            match table.upsert(&self.0.pool, &rows).await {
                Ok(()) => break,
                Err(failure) => self.go_on(failure, &table, &mut attempt)?,
            }
        }
        drop(rows);
        Ok(ids)
    }

    async fn query(&self, _: &Ctx, query: Query) -> Result<Vec<Hit>> {
        let filter = Filter::parse(&query.filter)?;
        let mut attempt = 0;
        loop {
            let table = self.0.table(&query.index).await?;
            match table.query(&self.0.pool, &query, &filter).await {
                Ok(hits) => return Ok(hits),
                Err(failure) => self.go_on(failure, &table, &mut attempt)?,
            }
        }
    }

    async fn update(&self, _: &Ctx, update: Update) -> Result<u64> {
        let chosen = Chosen::of(&update.selection)?;
        let mut attempt = 0;
        loop {
            let table = self.0.table(&update.index).await?;
            let changed = table.update(&self.0.pool, &chosen, update.vector.as_deref(), update.metadata.as_ref()).await;
            match changed {
                Ok(count) => return Ok(count),
                Err(failure) => self.go_on(failure, &table, &mut attempt)?,
            }
        }
    }

    async fn delete(&self, _: &Ctx, delete: Delete) -> Result<u64> {
        let chosen = Chosen::of(&delete.selection)?;
        let mut attempt = 0;
        loop {
            let table = self.0.table(&delete.index).await?;
            match table.delete(&self.0.pool, &chosen).await {
                Ok(count) => return Ok(count),
                Err(failure) => self.go_on(failure, &table, &mut attempt)?,
            }
        }
    }
}

impl Pgvector {
    /// Says whether an operation that failed is begun again: nothing of it was done.
    fn go_on(&self, failure: Failure, table: &Arc<Table>, attempt: &mut u32) -> Result<()> {
        *attempt += 1;
        match failure {
            Failure::Gone => self.0.forget(table),
            Failure::Conflict => {}
            Failure::Misfit(_) if *attempt == 1 => self.0.forget(table),
            Failure::Misfit(error) => return Err(error),
            Failure::Error(error) => return Err(error),
        }
        if *attempt < ATTEMPTS { Ok(()) } else { Err(failure.into()) }
    }
}

plugin!(
    description: "A vector store on PostgreSQL with pgvector",
    vector_stores: [Pgvector],
    config: Config,
    open: open,
    shutdown: close,
);
