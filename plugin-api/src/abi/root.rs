//! The root module a plugin exports, and the open plugin behind it.

use abi_stable::{
    StableAbi,
    library::RootModule,
    sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RBox, RStr, RVec},
};
use async_ffi::FfiFuture;

use super::{AbiResult, AgentBox, EmbedderBox, HostArc, ModelBox, ServiceBox, ToolBox, VectorStoreBox, WorkflowBox};

/// A plugin of another major does not load.
pub const ABI_MAJOR: u32 = 1;
/// Raised by one with each release that appends to a layout.
pub const ABI_MINOR: u32 = 0;

/// The table every plugin exports under the root module's symbol.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootRef, prefix_fields = RootPrefix)))]
#[sabi(missing_field(option))]
pub struct Root {
    /// The ABI minor the plugin was built with.
    pub abi_minor: u32,
    /// Returns [`crate::manifest::Manifest`] as JSON. Pure: no thread, no I/O, no host; called before `open`.
    pub manifest: extern "C" fn() -> RVec<u8>,
    /// Opens the plugin with its configuration (a JSON document the host has validated). May block.
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(HostArc, RVec<u8>) -> AbiResult<PluginBox>,
}

impl RootModule for RootRef {
    abi_stable::declare_root_module_statics! {RootRef}
    const BASE_NAME: &'static str = "hotbay_plugin";
    const NAME: &'static str = "hotbay_plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings { version: RStr::from_str("1.0.0") };
}

/// An open plugin: hands out its capabilities by the names in its manifest.
///
/// An unknown name is `E_UNSUPPORTED`. None of these blocks.
#[sabi_trait]
pub trait Plugin: Send + Sync {
    /// Returns the tool with this id.
    fn tool(&self, id: RStr<'_>) -> AbiResult<ToolBox>;
    /// Returns the code of the agent with this id.
    fn agent(&self, id: RStr<'_>) -> AbiResult<AgentBox>;
    /// Returns the code of the workflow with this id.
    fn workflow(&self, id: RStr<'_>) -> AbiResult<WorkflowBox>;
    /// Returns the vector store with this name.
    fn vector_store(&self, name: RStr<'_>) -> AbiResult<VectorStoreBox>;
    /// Returns the chat model with this id (`provider/model`).
    fn model(&self, id: RStr<'_>) -> AbiResult<ModelBox>;
    /// Returns the embedder with this id (`provider/model`).
    fn embedder(&self, id: RStr<'_>) -> AbiResult<EmbedderBox>;
    /// Returns a capability of a kind that has no trait of its own.
    fn service(&self, kind: RStr<'_>, name: RStr<'_>) -> AbiResult<ServiceBox>;
    /// Ends what the plugin has running. Called once, after the last call has ended
    /// or was cancelled; resolves within `deadline_ms`.
    #[sabi(last_prefix_field)]
    fn shutdown(&self, deadline_ms: u64) -> FfiFuture<AbiResult<()>>;
}

/// An owned, open plugin.
pub type PluginBox = Plugin_TO<'static, RBox<()>>;
