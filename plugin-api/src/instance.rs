//! An open plugin, seen from the host: hands out capabilities by name and shuts down.

use std::{sync::Arc, time::Duration};

use crate::{
    Ctx, Error, Plugin, Result,
    abi::{
        self, AbiResult, AgentBox, EmbedderBox, ModelBox, ServiceBox, ToolBox, VectorStoreBox, WorkflowBox,
        abi_stable::std_types::RStr,
        async_ffi::{FfiFuture, FutureExt},
    },
    error::code,
    guard::{Guarded, catch_abi},
    mcp,
    opened::Opened,
    processor,
};

/// The plugin behind [`abi::PluginBox`].
pub(crate) struct Instance {
    plugin: Plugin,
    opened: Arc<Opened>,
}

impl Instance {
    pub(crate) fn new(plugin: Plugin, opened: Arc<Opened>) -> Self {
        Self { plugin, opened }
    }

    fn find<T, B>(
        &self,
        what: &str,
        name: &str,
        found: Option<T>,
        make: impl FnOnce(T, Arc<Opened>) -> B,
    ) -> Result<B> {
        let Some(found) = found else {
            let message = format!("plugin `{}` has no {what} `{name}`", self.plugin.name());
            return Err(Error::with_code(code::UNSUPPORTED, message));
        };
        Ok(make(found, Arc::clone(&self.opened)))
    }
}

impl abi::Plugin for Instance {
    fn tool(&self, id: RStr<'_>) -> AbiResult<ToolBox> {
        catch_abi(|| {
            let found = self.plugin.tools.iter().find(|tool| tool.id() == id.as_str());
            self.find("tool", &id, found, |tool, opened| tool.instantiate(opened))
        })
    }

    fn agent(&self, id: RStr<'_>) -> AbiResult<AgentBox> {
        catch_abi(|| {
            let found = self.plugin.agents.iter().find(|agent| agent.id() == id.as_str());
            let code = found.and_then(|agent| agent.instantiate(Arc::clone(&self.opened)));
            self.find("code for agent", &id, code, |code, _| code)
        })
    }

    fn workflow(&self, id: RStr<'_>) -> AbiResult<WorkflowBox> {
        catch_abi(|| {
            let found = self.plugin.workflows.iter().find(|workflow| workflow.id() == id.as_str());
            self.find("workflow", &id, found, |workflow, opened| workflow.instantiate(opened))
        })
    }

    fn vector_store(&self, name: RStr<'_>) -> AbiResult<VectorStoreBox> {
        catch_abi(|| {
            let found = self.plugin.vector_stores.iter().find(|store| store.name() == name.as_str());
            self.find("vector store", &name, found, |store, opened| store.instantiate(opened))
        })
    }

    fn model(&self, id: RStr<'_>) -> AbiResult<ModelBox> {
        catch_abi(|| {
            let found = self.plugin.models.iter().find(|model| model.id() == id.as_str());
            self.find("model", &id, found, |model, opened| model.instantiate(opened))
        })
    }

    fn embedder(&self, id: RStr<'_>) -> AbiResult<EmbedderBox> {
        catch_abi(|| {
            let found = self.plugin.embedders.iter().find(|embedder| embedder.id() == id.as_str());
            self.find("embedder", &id, found, |embedder, opened| embedder.instantiate(opened))
        })
    }

    fn service(&self, kind: RStr<'_>, name: RStr<'_>) -> AbiResult<ServiceBox> {
        catch_abi(|| {
            let what = format!("service of kind `{kind}` named");
            if kind.as_str() == mcp::KIND {
                let server = self.plugin.mcp_servers.iter().find(|server| server.manifest().id == name.as_str());
                let code = server.and_then(|server| server.code.as_ref());
                return self.find(&what, &name, code, |code, opened| code.instantiate(opened));
            }
            let processors = (kind.as_str() == processor::KIND).then_some(&self.plugin.memory_processors);
            let found = processors.into_iter().flatten().find(|processor| processor.name() == name.as_str());
            self.find(&what, &name, found, |processor, opened| processor.instantiate(opened))
        })
    }

    fn shutdown(&self, deadline_ms: u64) -> FfiFuture<AbiResult<()>> {
        let opened = Arc::clone(&self.opened);
        let ctx = Ctx::outside(Arc::clone(&opened));
        let (code, call) = (self.plugin.shutdown.clone(), ctx.clone());
        let future = async move {
            let deadline = tokio::time::Instant::now() + Duration::from_millis(deadline_ms.min(MAX_SHUTDOWN_MS));
            let result = match code {
                None => Ok(()),
                Some(code) => {
                    // A guard of its own, so the runtime ends even if the author's code panics.
                    let guarded = Guarded::new(call.clone(), async move { code(call).await });
                    match tokio::time::timeout_at(deadline, guarded).await {
                        Ok(result) => result.into_result().map_err(Error::from),
                        Err(_) => Err(Error::with_code(code::DEADLINE, "shutting down took too long")),
                    }
                }
            };
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            opened.runtime().shutdown(left).await?;
            result
        };
        Guarded::new(ctx, future).into_ffi()
    }
}

/// A day; more would overflow the clock before anybody waited for it.
const MAX_SHUTDOWN_MS: u64 = 24 * 60 * 60 * 1000;

impl Drop for Instance {
    fn drop(&mut self) {
        // The fields' drops run the author's code only through `Opened`, which guards it, and
        // through the closures of a workflow, which are dropped here under guard.
        let workflows = std::mem::take(&mut self.plugin.workflows);
        drop(crate::guard::catch(move || drop(workflows)));
    }
}
