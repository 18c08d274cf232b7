//! A plugin with one tool, built for the newer minor.

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RResult, RStr, RString, RVec},
};
use async_ffi::{FfiFuture, FutureExt};

use crate::newer::{
    AbiError, AbiResult, AgentBox, CallCtx, EmbedderBox, HostArc, ModelBox, Plugin, Plugin_TO, PluginBox, Reply,
    ServiceBox, Tool, Tool_TO, ToolBox, VectorStoreBox, WorkflowBox,
};

const MANIFEST: &str = r#"{
    "name": "minor", "version": "1.1.0", "build": {"panic": "unwind"}, "fromTheFuture": {"any": "thing"},
    "tools": [{"id": "minor:echo", "description": "gives the input back", "inputSchema": {}}]
}"#;

pub(crate) extern "C" fn manifest() -> RVec<u8> {
    MANIFEST.as_bytes().to_vec().into()
}

pub(crate) extern "C" fn later() -> u32 {
    1
}

pub(crate) extern "C" fn open(_: HostArc, _: RVec<u8>) -> AbiResult<PluginBox> {
    RResult::ROk(Plugin_TO::from_value(Minor, TD_Opaque))
}

struct Minor;

fn unsupported<T>() -> AbiResult<T> {
    RResult::RErr(AbiError { code: 6, flags: 0, message: RString::from("only a tool here"), detail_json: RVec::new() })
}

impl Plugin for Minor {
    fn tool(&self, _: RStr<'_>) -> AbiResult<ToolBox> {
        RResult::ROk(Tool_TO::from_value(Self, TD_Opaque))
    }

    fn agent(&self, _: RStr<'_>) -> AbiResult<AgentBox> {
        unsupported()
    }

    fn workflow(&self, _: RStr<'_>) -> AbiResult<WorkflowBox> {
        unsupported()
    }

    fn vector_store(&self, _: RStr<'_>) -> AbiResult<VectorStoreBox> {
        unsupported()
    }

    fn model(&self, _: RStr<'_>) -> AbiResult<ModelBox> {
        unsupported()
    }

    fn embedder(&self, _: RStr<'_>) -> AbiResult<EmbedderBox> {
        unsupported()
    }

    fn service(&self, _: RStr<'_>, _: RStr<'_>) -> AbiResult<ServiceBox> {
        unsupported()
    }

    fn shutdown(&self, _: u64) -> FfiFuture<AbiResult<()>> {
        async { RResult::ROk(()) }.into_ffi()
    }
}

impl Tool for Minor {
    fn call(&self, _: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        async move { RResult::ROk(Reply { kind: 0, flags: 0, body: input, meta_json: RVec::new() }) }.into_ffi()
    }

    fn cost_hint(&self) -> u64 {
        5
    }
}
