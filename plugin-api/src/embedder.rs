//! Embedding models offered by a plugin.

use std::{future::Future, sync::Arc};

use crate::{
    Ctx, Error, Result,
    abi::{
        self, AbiResult, CallCtx, EmbedderBox, Embeddings,
        abi_stable::{sabi_trait::TD_Opaque, std_types::RVec},
        async_ffi::{FfiFuture, FutureExt},
    },
    guard::Guarded,
    manifest::EmbedderManifest,
    opened::Opened,
    wire,
};

/// An embedder as `#[embedder]` declares it.
#[derive(Clone)]
pub struct Embedder {
    manifest: EmbedderManifest,
    make: Arc<dyn Fn(Arc<Opened>) -> EmbedderBox + Send + Sync>,
}

impl Embedder {
    /// Returns an embedder made of its parts; `#[embedder]` calls this.
    #[doc(hidden)]
    pub fn new<C, F>(id: &str, dimension: u32, code: C) -> Self
    where
        C: Fn(Ctx, Vec<String>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Vec<Vec<f32>>>> + Send + 'static,
    {
        let make =
            move |plugin| abi::Embedder_TO::from_value(Adapter { plugin, dimension, code: code.clone() }, TD_Opaque);
        Self { manifest: EmbedderManifest { id: id.to_owned(), dimension }, make: Arc::new(make) }
    }

    /// Returns the embedder's id, `provider/model`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
    }

    /// Returns what the host is told about the embedder.
    #[must_use]
    pub fn manifest(&self) -> &EmbedderManifest {
        &self.manifest
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> EmbedderBox {
        (self.make)(plugin)
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

struct Adapter<C> {
    plugin: Arc<Opened>,
    dimension: u32,
    code: C,
}

impl<C, F> abi::Embedder for Adapter<C>
where
    C: Fn(Ctx, Vec<String>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Vec<Vec<f32>>>> + Send + 'static,
{
    fn embed(&self, ctx: CallCtx, texts: RVec<u8>) -> FfiFuture<AbiResult<Embeddings>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let (code, dimension, call) = (self.code.clone(), self.dimension, ctx.clone());
        let future = async move {
            let texts: Vec<String> = wire::from_slice(&texts, "texts")?;
            let expected = texts.len();
            let rows = code(call, texts).await?;
            flatten(&rows, expected, dimension)
        };
        Guarded::new(ctx, future).into_ffi()
    }
}

fn flatten(rows: &[Vec<f32>], expected: usize, dimension: u32) -> Result<Embeddings> {
    if rows.len() != expected {
        return Err(Error::new(format!("the embedder returned {} vectors for {expected} texts", rows.len())));
    }
    let length = usize::try_from(dimension)?;
    if let Some(row) = rows.iter().find(|row| row.len() != length) {
        let found = row.len();
        return Err(Error::new(format!("the embedder returned a vector of {found} values instead of {length}")));
    }
    Ok(Embeddings { dimension, flags: 0, values: rows.concat().into(), meta_json: RVec::new() })
}
