//! The code behind a graph's nodes, by node id.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Ctx, Error, Result,
    abi::{
        self, AbiResult, CallCtx, Reply, WorkflowBox,
        abi_stable::{
            sabi_trait::TD_Opaque,
            std_types::{RString, RVec},
        },
        async_ffi::{FfiFuture, FutureExt},
    },
    ctx::NodeId,
    error::code,
    guard::{Guarded, catch},
    opened::Opened,
    wire,
};

type BoxFuture = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// The code of one node.
#[derive(Clone)]
pub(crate) struct Code {
    run: Arc<dyn Fn(Ctx, RVec<u8>) -> BoxFuture + Send + Sync>,
    /// Names the function it came from; the same step may stand in a graph twice.
    origin: Option<&'static str>,
}

impl Code {
    pub(crate) fn raw<C, F>(origin: Option<&'static str>, code: C) -> Self
    where
        C: Fn(Ctx, RVec<u8>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        Self { run: Arc::new(move |ctx, input| Box::pin(code(ctx, input))), origin }
    }

    /// Returns the code of an author's closure.
    pub(crate) fn closure<I, O, C, F>(what: &'static str, closure: C) -> Self
    where
        I: DeserializeOwned + Send,
        O: Serialize,
        C: Fn(Ctx, I) -> F + Send + Sync + 'static,
        F: Future<Output = Result<O>> + Send + 'static,
    {
        let closure = Arc::new(closure);
        Self::raw(None, move |ctx, input: RVec<u8>| {
            let closure = Arc::clone(&closure);
            async move {
                let future = {
                    let input: I = wire::from_slice(&input, what)?;
                    closure(ctx, input)
                };
                wire::reply(future.await)
            }
        })
    }
}

/// All the code of one workflow.
#[derive(Clone, Default)]
pub(crate) struct CodeTable(HashMap<String, Code>);

impl CodeTable {
    /// Adds the code of a node.
    ///
    /// # Panics
    /// If another node has this id.
    pub(crate) fn add(&mut self, workflow: &str, node: &str, code: Code) {
        let earlier = self.0.get(node);
        let is_same = earlier.is_none_or(|earlier| earlier.origin.is_some() && earlier.origin == code.origin);
        assert!(is_same, "workflow `{workflow}` has two nodes with the id `{node}`: give one of them another id");
        self.0.insert(node.to_owned(), code);
    }

    pub(crate) fn instantiate(&self, workflow: &str, plugin: Arc<Opened>) -> WorkflowBox {
        let adapter = Adapter { workflow: workflow.into(), code: self.clone(), plugin };
        abi::Workflow_TO::from_value(adapter, TD_Opaque)
    }
}

struct Adapter {
    workflow: Arc<str>,
    code: CodeTable,
    plugin: Arc<Opened>,
}

impl abi::Workflow for Adapter {
    fn call(&self, ctx: CallCtx, node: RString, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let running = NodeId { workflow: Arc::clone(&self.workflow), id: node.as_str().into() };
        let ctx = Ctx::of_node(Arc::clone(&self.plugin), ctx, Some(running));
        let found = self.code.0.get(node.as_str()).cloned();
        let call = ctx.clone();
        let missing = || format!("workflow `{}` has no code for node `{node}`", self.workflow);
        let found = found.ok_or_else(|| Error::with_code(code::UNSUPPORTED, missing()));
        let future = async move { (found?.run)(call, input).await };
        Guarded::new(ctx, future).into_ffi()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // The closures hold whatever the author put there.
        let code = std::mem::take(&mut self.code);
        drop(catch(move || drop(code)));
    }
}
