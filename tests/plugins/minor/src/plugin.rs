//! A plugin with two tools, built for the newer minor.

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
    "tools": [{"id": "minor:echo", "description": "gives the input back", "inputSchema": {}},
              {"id": "minor:later", "description": "asks the host for what older ones lack", "inputSchema": {}}]
}"#;

pub(crate) extern "C" fn manifest() -> RVec<u8> {
    MANIFEST.as_bytes().to_vec().into()
}

pub(crate) extern "C" fn later() -> u32 {
    1
}

pub(crate) extern "C" fn open(host: HostArc, _: RVec<u8>) -> AbiResult<PluginBox> {
    RResult::ROk(Plugin_TO::from_value(Minor(host), TD_Opaque))
}

struct Minor(HostArc);

struct Echo;

struct Later(HostArc);

fn unsupported<T>() -> AbiResult<T> {
    RResult::RErr(AbiError { code: 6, flags: 0, message: RString::from("only a tool here"), detail_json: RVec::new() })
}

impl Plugin for Minor {
    fn tool(&self, id: RStr<'_>) -> AbiResult<ToolBox> {
        match id.as_str() {
            "minor:echo" => RResult::ROk(Tool_TO::from_value(Echo, TD_Opaque)),
            "minor:later" => RResult::ROk(Tool_TO::from_value(Later(self.0.clone()), TD_Opaque)),
            _ => unsupported(),
        }
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

fn value(body: RVec<u8>) -> AbiResult<Reply> {
    RResult::ROk(Reply { kind: 0, flags: 0, body, meta_json: RVec::new() })
}

impl Tool for Echo {
    fn call(&self, _: CallCtx, input: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        async move { value(input) }.into_ffi()
    }

    fn cost_hint(&self) -> u64 {
        5
    }
}

impl Tool for Later {
    fn call(&self, _: CallCtx, _: RVec<u8>) -> FfiFuture<AbiResult<Reply>> {
        let said = self.0.later();
        async move { value(said.to_string().into_bytes().into()) }.into_ffi()
    }
}
