//! The vector store `qdrant`: indexes on a Qdrant server, shared by any number of hosts.
//!
//! An index is a collection, named as the index with a prefix; collections with another name are left alone.
//! Qdrant's ids are numbers and UUIDs, so the id of a point is made from the id of the entry (UUID version 5) and the
//! real one is in the payload. Metadata is in the payload as JSON text, exactly as it was given, and beside it in terms
//! a filter can look up (`terms`). `settings` are checked when the plugin is opened, `collection` reads and writes one
//! index, `conditions` turns filters into Qdrant's, `failure` says what errors mean.
//!
//! # Promises
//!
//! Writes are acknowledged when Qdrant has applied them (`wait`). An upsert of up to 1,000 entries is one call; more are
//! several, and if one fails the earlier ones stay: putting all of it again is safe. Changes by a filter first look up
//! what is meant; an entry that is put meanwhile is not changed. A server that is away is an error worth a
//! retry (`E_UNAVAILABLE`); the connection is made anew by itself.
//!
//! # Filters
//!
//! | in Qdrant | left to the evaluator |
//! |---|---|
//! | `$eq`, `$ne`, `$in`, `$nin`, `$all`, `$exists`, `$size`, `$contains` in arrays | values longer than 64 bytes, numbers of 2^53 and beyond: found by a hash or a double first |
//! | `$gt`, `$gte`, `$lt`, `$lte` with a number | the same with text |
//! | `$and`, `$or`, `$nor`, `$not` | `$regex`, `$contains` in text, `$elemMatch` |
//!
//! What is left is weighed here on what Qdrant finds, which is never less than what matches. If too few of the nearest
//! match, all points that may are looked at, a page at a time, and the best of those that match are asked for by id.
//! Terms have one keyword index; ranges have none, which a server in strict mode may refuse.
//!
//! # Limits
//!
//! Vectors of a cosine index are one long in Qdrant. Their lengths are kept, so they come back as they were to within
//! what a float rounds. Indexes are listed by name: Qdrant does not say which is the oldest.

mod collection;
mod conditions;
mod failure;
mod settings;
mod terms;
#[cfg(test)]
mod tests;

use hotbay_plugin::{
    VectorStore,
    error::code,
    prelude::*,
    vector_store::{
        Chosen, CreateIndex, Delete, Entry, Filter, Hit, IndexStats, Metric, Query, Update, Upsert, check_index_name,
        unknown_index,
    },
};
use qdrant_client::{
    Qdrant as Client,
    qdrant::{
        CreateCollection, CreateFieldIndexCollection, Distance, FieldType, VectorParams, VectorsConfig, vectors_config,
    },
};
use uuid::Uuid;

use collection::Collection;
use failure::failed;
use settings::{Config, Settings};

/// What is open as long as the plugin is.
struct State {
    /// Absent without a URL.
    settings: Option<Settings>,
}

async fn open(ctx: &Ctx, config: &Config) -> Result<State> {
    Ok(State { settings: config.read(ctx).await? })
}

/// Vectors on a Qdrant server.
struct Qdrant {
    client: Client,
    prefix: String,
}

impl VectorStore for Qdrant {
    const NAME: &'static str = "qdrant";
    const DESCRIPTION: &'static str = "Vectors on a Qdrant server";

    async fn open(ctx: &Ctx) -> Result<Self> {
        let Some(Settings { client, prefix }) = &ctx.state::<State>().settings else {
            let message = "vector store `qdrant` has no server: set `url` in [plugins.hotbay-vector-qdrant.config]";
            return Err(Error::with_code(code::UNAVAILABLE, message));
        };
        Ok(Self { client: client.clone(), prefix: prefix.clone() })
    }

    async fn create_index(&self, _: &Ctx, index: CreateIndex) -> Result<()> {
        check_index_name(&index.name)?;
        let name = self.name_of(&index.name);
        if !self.client.collection_exists(&name).await.map_err(failed)? {
            let distance = match index.metric {
                Metric::Cosine => Distance::Cosine,
                Metric::Euclidean => Distance::Euclid,
                Metric::DotProduct => Distance::Dot,
            };
            let params =
                VectorParams { size: index.dimension.into(), distance: distance.into(), ..VectorParams::default() };
            let create = CreateCollection {
                collection_name: name.clone(),
                vectors_config: Some(VectorsConfig { config: Some(vectors_config::Config::Params(params)) }),
                ..CreateCollection::default()
            };
            if let Err(error) = self.client.create_collection(create).await
                // Somebody else may have made it just now.
                && !self.client.collection_exists(&name).await.map_err(failed)?
            {
                return Err(failed(error));
            }
        }
        // Asked for each time: whoever made the collection may have ended before this.
        let field = CreateFieldIndexCollection {
            collection_name: name,
            wait: Some(true),
            field_name: conditions::TERMS.to_owned(),
            field_type: Some(FieldType::Keyword.into()),
            ..CreateFieldIndexCollection::default()
        };
        self.client.create_field_index(field).await.map(drop).map_err(failed)
    }

    async fn list_indexes(&self, _: &Ctx) -> Result<Vec<String>> {
        let listed = self.client.list_collections().await.map_err(failed)?;
        let names = listed.collections.iter().filter_map(|collection| collection.name.strip_prefix(&self.prefix));
        let mut names: Vec<String> = names.filter(|name| check_index_name(name).is_ok()).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn describe_index(&self, _: &Ctx, name: &str) -> Result<IndexStats> {
        self.collection(name).await?.describe().await
    }

    async fn delete_index(&self, _: &Ctx, name: &str) -> Result<()> {
        if check_index_name(name).is_err() {
            return Ok(());
        }
        match self.client.delete_collection(self.name_of(name)).await.map_err(failed) {
            Err(error) if error.code != code::NOT_FOUND => Err(error),
            _ => Ok(()),
        }
    }

    async fn upsert(&self, _: &Ctx, upsert: Upsert) -> Result<Vec<String>> {
        let Upsert { index, mut entries, .. } = upsert;
        let name = |entry: &mut Entry| entry.id.take().unwrap_or_else(|| Uuid::new_v4().to_string());
        let ids: Vec<String> = entries.iter_mut().map(name).collect();
        self.collection(&index).await?.upsert(&ids, &entries).await?;
        Ok(ids)
    }

    async fn query(&self, _: &Ctx, query: Query) -> Result<Vec<Hit>> {
        let filter = Filter::parse(&query.filter)?;
        self.collection(&query.index).await?.query(&query, &filter).await
    }

    async fn update(&self, _: &Ctx, update: Update) -> Result<u64> {
        let chosen = Chosen::of(&update.selection)?;
        let collection = self.collection(&update.index).await?;
        collection.update(&chosen, update.vector.as_deref(), update.metadata.as_ref()).await
    }

    async fn delete(&self, _: &Ctx, delete: Delete) -> Result<u64> {
        let chosen = Chosen::of(&delete.selection)?;
        self.collection(&delete.index).await?.delete(&chosen).await
    }
}

impl Qdrant {
    fn name_of(&self, index: &str) -> String {
        format!("{}{index}", self.prefix)
    }

    /// Returns the collection of an index, as it is now: somebody else may have made it anew.
    async fn collection<'a>(&'a self, index: &'a str) -> Result<Collection<'a>> {
        if check_index_name(index).is_err() {
            return Err(unknown_index(index));
        }
        let name = self.name_of(index);
        let info = match self.client.collection_info(&name).await.map_err(failed) {
            Ok(info) => info,
            Err(error) if error.code == code::NOT_FOUND => return Err(unknown_index(index)),
            Err(error) => return Err(error),
        };
        let params = info.result.and_then(|info| info.config?.params?.vectors_config?.config);
        let Some(vectors_config::Config::Params(params)) = params else {
            return Err(Error::new(format!("collection `{name}` is not one of this store: its vectors have names")));
        };
        let metric = match params.distance() {
            Distance::Cosine => Metric::Cosine,
            Distance::Euclid => Metric::Euclidean,
            Distance::Dot => Metric::DotProduct,
            other => {
                let message =
                    format!("collection `{name}` is not one of this store: it measures {}", other.as_str_name());
                return Err(Error::new(message));
            }
        };
        let dimension = u32::try_from(params.size).unwrap_or(u32::MAX);
        Ok(Collection { client: &self.client, index, name, dimension, metric })
    }
}

plugin!(description: "A vector store on Qdrant", vector_stores: [Qdrant], config: Config, open: open);
