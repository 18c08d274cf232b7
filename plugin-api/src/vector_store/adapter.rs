//! A [`VectorStore`] behind the boundary: operations by name, vectors as rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;

use super::{
    CreateIndex, Delete, Entry, Hit, MAX_DIMENSION, Query, Selection, Update, Upsert, VectorStore, check_index_name,
};
use crate::{
    Ctx, Error, Result,
    abi::{
        self, AbiResult, CallCtx, VectorReply, VectorStoreBox,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RString, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
    },
    error::code,
    guard::{Guarded, catch},
    manifest::VectorStoreManifest,
    opened::Opened,
    wire,
};

/// A vector store a plugin offers, not opened yet.
#[derive(Clone)]
pub(crate) struct StoreEntry {
    name: &'static str,
    description: &'static str,
    kind: &'static str,
    make: fn(Arc<Opened>) -> VectorStoreBox,
}

impl StoreEntry {
    pub(crate) fn of<S: VectorStore>() -> Self {
        let make = |plugin| {
            let adapter = Adapter::<S> { plugin, store: Arc::new(Guard(Some(OnceCell::new()))) };
            abi::VectorStore_TO::from_value(adapter, TD_Opaque)
        };
        Self { name: S::NAME, description: S::DESCRIPTION, kind: S::KIND, make }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn manifest(&self) -> VectorStoreManifest {
        VectorStoreManifest {
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            kind: self.kind.to_owned(),
        }
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> VectorStoreBox {
        (self.make)(plugin)
    }
}

struct Adapter<S> {
    plugin: Arc<Opened>,
    // Opened by the first operation: handing out a store must not block.
    store: Arc<Guard<S>>,
}

/// Drops the author's store where a panic is contained.
struct Guard<S>(Option<OnceCell<S>>);

impl<S> Drop for Guard<S> {
    fn drop(&mut self) {
        let store = self.0.take();
        drop(catch(move || drop(store)));
    }
}

impl<S: VectorStore> abi::VectorStore for Adapter<S> {
    fn call(&self, ctx: CallCtx, op: RString, body: RVec<u8>, vectors: RVec<f32>) -> FfiFuture<AbiResult<VectorReply>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let (store, call) = (Arc::clone(&self.store), ctx.clone());
        let future = async move {
            let cell = store.0.as_ref().expect("the store is taken out only when it is dropped");
            let store = cell.get_or_try_init(|| S::open(&call)).await?;
            perform(store, &call, &op, &body, &vectors).await
        };
        Guarded::new(ctx, future).into_ffi()
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct UpsertBody {
    index: String,
    count: usize,
    #[serde(default)]
    ids: Vec<Option<String>>,
    #[serde(default)]
    metadata: Vec<Option<Map<String, Value>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryBody {
    index: String,
    top_k: usize,
    #[serde(default)]
    filter: Value,
    #[serde(default)]
    include_vector: bool,
}

#[derive(Deserialize)]
struct SelectBody {
    index: String,
    ids: Option<Vec<String>>,
    filter: Option<Value>,
    metadata: Option<Map<String, Value>>,
}

impl SelectBody {
    fn selection(&mut self) -> Result<Selection> {
        match (self.ids.take(), self.filter.take()) {
            (Some(ids), None) => Ok(Selection::Ids(ids)),
            (None, Some(filter)) => Ok(Selection::Filter(filter)),
            _ => Err(Error::input("say which entries are meant: either `ids` or `filter`")),
        }
    }
}

async fn perform<S: VectorStore>(store: &S, ctx: &Ctx, op: &str, body: &[u8], rows: &[f32]) -> Result<VectorReply> {
    match op {
        "create_index" => {
            let index: CreateIndex = wire::from_slice(body, op)?;
            check_index_name(&index.name)?;
            if !(1..=MAX_DIMENSION).contains(&index.dimension) {
                return Err(Error::input(format!("create_index: `dimension` must be between 1 and {MAX_DIMENSION}")));
            }
            reply(&store.create_index(ctx, index).await?)
        }
        "list_indexes" => reply(&store.list_indexes(ctx).await?),
        "describe_index" => reply(&store.describe_index(ctx, &wire::from_slice::<Named>(body, op)?.name).await?),
        "delete_index" => reply(&store.delete_index(ctx, &wire::from_slice::<Named>(body, op)?.name).await?),
        "upsert" => reply(&store.upsert(ctx, upsert(wire::from_slice(body, op)?, rows)?).await?),
        "query" => {
            let body: QueryBody = wire::from_slice(body, op)?;
            let QueryBody { index, top_k, filter, include_vector } = body;
            let query = Query { index, vector: rows.to_vec(), top_k, filter, include_vector };
            hits(store.query(ctx, query).await?)
        }
        "update" => {
            let mut body: SelectBody = wire::from_slice(body, op)?;
            let selection = body.selection()?;
            let vector = (!rows.is_empty()).then(|| rows.to_vec());
            let update = Update { index: body.index, selection, vector, metadata: body.metadata };
            reply(&store.update(ctx, update).await?)
        }
        "delete" => {
            let mut body: SelectBody = wire::from_slice(body, op)?;
            let selection = body.selection()?;
            reply(&store.delete(ctx, Delete { index: body.index, selection }).await?)
        }
        _ => Err(Error::with_code(code::UNSUPPORTED, format!("vector store `{}` has no operation `{op}`", S::NAME))),
    }
}

fn upsert(body: UpsertBody, rows: &[f32]) -> Result<Upsert> {
    let UpsertBody { index, count, mut ids, mut metadata } = body;
    if count == 0 || rows.is_empty() || !rows.len().is_multiple_of(count) {
        return Err(Error::input(format!("upsert: {} values do not make {count} vectors of one length", rows.len())));
    }
    for (name, length) in [("ids", ids.len()), ("metadata", metadata.len())] {
        if length != 0 && length != count {
            return Err(Error::input(format!("upsert: {length} `{name}` for {count} vectors")));
        }
    }
    ids.resize(count, None);
    metadata.resize(count, None);
    let vectors = rows.chunks_exact(rows.len() / count);
    let entries = vectors.zip(ids).zip(metadata).map(|((vector, id), metadata)| Entry {
        id,
        vector: vector.to_vec(),
        metadata: metadata.unwrap_or_default(),
    });
    Ok(Upsert { index, entries: entries.collect() })
}

fn hits(hits: Vec<Hit>) -> Result<VectorReply> {
    #[derive(Serialize)]
    struct HitBody {
        id: String,
        score: f32,
        #[serde(skip_serializing_if = "Map::is_empty")]
        metadata: Map<String, Value>,
    }
    // Rows are matched to hits by position, so either all hits have one or none counts.
    let vectors: Option<Vec<f32>> =
        hits.iter().map(|hit| hit.vector.as_deref()).collect::<Option<Vec<_>>>().map(|rows| rows.concat());
    let body: Vec<HitBody> =
        hits.into_iter().map(|Hit { id, score, metadata, .. }| HitBody { id, score, metadata }).collect();
    Ok(VectorReply { body: serde_json::to_vec(&body)?.into(), vectors: vectors.unwrap_or_default().into() })
}

fn reply(value: &impl Serialize) -> Result<VectorReply> {
    Ok(VectorReply { body: serde_json::to_vec(value)?.into(), vectors: RVec::new() })
}
