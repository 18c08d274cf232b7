//! The vector store that needs nothing else: durable, on this machine, one log an index.
//!
//! What is acknowledged is on the disk. An index is an append-only log of checksummed
//! records (`log`), mapped into memory so that vectors are read where they lie (`mapped`); what it comes
//! to is a table of rows (`rows`). Searches look at all rows while there are few, and walk a
//! graph (`graph`) when there are many; a thread of its own builds it, and writes logs anew
//! that hold much that is dead (`builder`). `index` puts these together, `store` has the indexes.
//!
//! Two generations of a plugin are at work at once during a swap, so nothing here is held for longer than
//! a write: each generation has the files open by itself, writers take turns by a lock on a file, and
//! whoever searches first reads on to the end of the log.
//!
//! # A filter and recall
//!
//! A filter that leaves one row in five or more is weighed on the way through the graph, which goes on
//! until it has found as many as it would have without one. A filter that leaves fewer is exact: all
//! vectors are compared, and metadata is read only of those that would be among the best.
//!
//! # Why this engine
//!
//! The first was tried, the others were judged by what they say of themselves:
//!
//! | engine | what was found |
//! |---|---|
//! | `qdrant-edge` 0.9 | 355 crates; after 181 s of CPU in a dev build, with its own crate still to come, it stopped: it needs a library feature that Rust 1.95 does not have |
//! | `usearch` | needs a C++ compiler, which building Hotbay does not |
//! | `hannoy` 0.3 | on LMDB, which a process must not open twice: a swap does just that |
//! | `hnsw_rs` 0.3 | keeps a copy of every vector on the heap, cannot delete, and is saved as a whole |
//!
//! So the log and the graph are written here. The graph can always be made again from the log.
//!
//! # What it does
//!
//! In CPU time of one thread, for vectors of 384 dimensions in 300 groups with the ten best asked for, in a
//! dev build on a busy machine of 2 cores (fsync in 5 to 9 ms of wall time). Recall is against looking at everything:
//!
//! | | 1,000 | 10,000 | 100,000 |
//! |---|---|---|---|
//! | upsert of 100, durable | 0.6 ms | 0.6 ms | 0.7 ms |
//! | query, exact | 0.06 ms | 0.6 ms | 9.7 ms |
//! | query, graph | | 0.6 ms, recall 1.0 | 0.5 ms, recall 1.0 |
//! | query, a filter leaves half: exact / graph | 0.2 ms | 1.0 / 2.3 ms, 1.0 | 9.9 / 2.0 ms, 1.0 |
//! | query, a filter leaves 1 %: exact | 1.4 ms | 5.4 ms | 20 ms |
//! | building the graph, aside | | 3.7 s | 54 s |
//! | log, graph on the disk | | 16, 1.3 MB | 162, 13 MB |
//! | opening | | 34 ms | 188 ms |
//!
//! Below 20,000 vectors looking at all of them is as fast as the graph, and faster with a filter, so there
//! is none. What vectors take is in mapped files; the graph, ids and offsets are in memory of their own.

mod builder;
mod graph;
mod index;
mod log;
mod mapped;
mod rows;
mod selection;
mod store;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use hotbay_plugin::{
    VectorStore,
    prelude::*,
    vector_store::{CreateIndex, Delete, Hit, IndexStats, Query, Update, Upsert},
};
use uuid::Uuid;

use store::Store;

/// The plugin's settings: the table `[plugins.hotbay-vector-local.config]` of `hotbay.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Where the indexes are; a directory in the host's data directory if absent
    directory: Option<PathBuf>,
    /// From how many vectors on an index has a graph
    graph_from: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { directory: None, graph_from: 20_000 }
    }
}

/// Vectors on this machine.
struct Local(Arc<Store>);

impl VectorStore for Local {
    const NAME: &'static str = "local";
    const DESCRIPTION: &'static str = "Vectors on this machine, in files";

    async fn open(ctx: &Ctx) -> Result<Self> {
        let Config { directory, graph_from } = ctx.config::<Config>();
        let (graph_from, directory) = (*graph_from, directory.clone());
        let directory = match directory {
            Some(directory) => directory,
            None => ctx.data_directory().await?.join("indexes"),
        };
        let store = ctx.blocking(move || Store::open(&directory, graph_from)).await?;
        Ok(Self(Arc::new(store)))
    }

    async fn create_index(&self, ctx: &Ctx, index: CreateIndex) -> Result<()> {
        let store = Arc::clone(&self.0);
        ctx.blocking(move || store.create(&index)).await
    }

    async fn list_indexes(&self, ctx: &Ctx) -> Result<Vec<String>> {
        let store = Arc::clone(&self.0);
        ctx.blocking(move || store.list()).await
    }

    async fn describe_index(&self, ctx: &Ctx, name: &str) -> Result<IndexStats> {
        let (store, name) = (Arc::clone(&self.0), name.to_owned());
        ctx.blocking(move || store.with(&name, index::Index::describe)).await
    }

    async fn delete_index(&self, ctx: &Ctx, name: &str) -> Result<()> {
        let (store, name) = (Arc::clone(&self.0), name.to_owned());
        ctx.blocking(move || store.delete(&name)).await
    }

    async fn upsert(&self, ctx: &Ctx, upsert: Upsert) -> Result<Vec<String>> {
        let store = Arc::clone(&self.0);
        ctx.blocking(move || {
            let named = upsert.entries.into_iter().map(|mut entry| {
                let id = entry.id.take().unwrap_or_else(|| Uuid::new_v4().to_string());
                (id, entry)
            });
            let entries: Vec<_> = named.collect();
            store.with(&upsert.index, |index| index.upsert(&entries))?;
            Ok(entries.into_iter().map(|(id, _)| id).collect())
        })
        .await
    }

    async fn query(&self, ctx: &Ctx, query: Query) -> Result<Vec<Hit>> {
        let store = Arc::clone(&self.0);
        ctx.blocking(move || store.with(&query.index, |index| index.query(&query))).await
    }

    async fn update(&self, ctx: &Ctx, update: Update) -> Result<u64> {
        let store = Arc::clone(&self.0);
        ctx.blocking(move || store.with(&update.index, |index| index.update(&update))).await
    }

    async fn delete(&self, ctx: &Ctx, delete: Delete) -> Result<u64> {
        let store = Arc::clone(&self.0);
        ctx.blocking(move || store.with(&delete.index, |index| index.delete(&delete.selection))).await
    }
}

plugin!(description: "The vector store that needs nothing else", config: Config, vector_stores: [Local]);
