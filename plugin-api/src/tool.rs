//! Tools: one function an agent, a workflow or a caller may use.

use std::{future::Future, sync::Arc};

use crate::{
    Ctx, Result,
    abi::{
        self, AbiResult, CallCtx, Reply, ToolBox,
        abi_stable::{sabi_trait::TD_Opaque, std_types::RVec},
        async_ffi::{FfiFuture, FutureExt},
    },
    guard::Guarded,
    manifest::ToolManifest,
    opened::Opened,
};

/// A tool as `#[tool]` declares it.
///
/// The attribute turns `async fn weather(..)` into `fn weather() -> Tool`; the code
/// itself is then `weather::run(..)`.
#[derive(Clone)]
pub struct Tool {
    id: &'static str,
    manifest: fn() -> ToolManifest,
    make: Arc<dyn Fn(Arc<Opened>) -> ToolBox + Send + Sync>,
}

impl Tool {
    /// Returns a tool made of its parts; `#[tool]` calls this.
    #[doc(hidden)]
    pub fn new<C, F>(id: &'static str, manifest: fn() -> ToolManifest, code: C) -> Self
    where
        C: Fn(Ctx, RVec<u8>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        let make = move |plugin| abi::Tool_TO::from_value(Adapter { plugin, code: code.clone() }, TD_Opaque);
        Self { id, manifest, make: Arc::new(make) }
    }

    /// Returns the tool's id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// Returns what the host is told about the tool.
    #[must_use]
    pub fn manifest(&self) -> ToolManifest {
        (self.manifest)()
    }

    pub(crate) fn instantiate(&self, plugin: Arc<Opened>) -> ToolBox {
        (self.make)(plugin)
    }
}

impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tool").field("id", &self.id).finish_non_exhaustive()
    }
}

struct Adapter<C> {
    plugin: Arc<Opened>,
    code: C,
}

impl<C, F> abi::Tool for Adapter<C>
where
    C: Fn(Ctx, RVec<u8>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Reply>> + Send + 'static,
{
    fn call(&self, ctx: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let ctx = Ctx::of_call(Arc::clone(&self.plugin), ctx);
        let future = (self.code)(ctx.clone(), input);
        Guarded::new(ctx, future).into_ffi()
    }
}
