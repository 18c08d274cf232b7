//! A host of the newer minor: enough of one to call a tool of an older plugin.

use std::{mem::ManuallyDrop, path::Path};

use abi_stable::{
    library::{AbiHeaderRef, LibHeader, ROOT_MODULE_LOADER_NAME_WITH_NUL},
    sabi_trait::TD_Opaque,
    std_types::{RArc, ROption, RResult, RSlice, RStr, RString, RVec},
    type_layout::TypeLayout,
};
use async_ffi::{FfiFuture, FutureExt};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::newer::{AbiError, AbiResult, CallCtx, HostApi, HostApi_TO, PluginBox, RootRef, SinkArc};

/// An open plugin, seen by the newer host.
pub struct OlderPlugin {
    root: RootRef,
    plugin: PluginBox,
}

impl OlderPlugin {
    /// Maps and opens a plugin whose layout `agree` accepts.
    ///
    /// # Panics
    ///
    /// When it is no plugin, is not accepted, or does not open.
    #[must_use]
    pub fn open(file: &Path, agree: impl FnOnce(&'static TypeLayout) -> bool) -> Self {
        let header = header(file);
        assert!(agree(header.layout().expect("it describes its types")), "the layouts do not agree");
        // SAFETY: the caller has just compared the layout with that of `RootRef`.
        let root = unsafe { header.unchecked_layout::<RootRef>() }.expect("the root module is made");
        let host = HostApi_TO::from_ptr(RArc::new(Host), TD_Opaque);
        let plugin = root.open()(host, b"{}".to_vec().into()).into_result();
        Self { root, plugin: plugin.unwrap_or_else(|error| panic!("{}", error.message)) }
    }

    /// The minor it was built with, and what it says to a function it does not have.
    #[must_use]
    pub fn root(&self) -> (u32, Option<u32>) {
        (self.root.abi_minor(), self.root.later().map(|later| later()))
    }

    /// What a tool says to a method it does not have, and its answer to a call.
    ///
    /// # Panics
    ///
    /// When there is no such tool or the call fails.
    pub async fn call(&self, tool: &str, input: &str) -> (u64, String) {
        let tool = self.plugin.tool(tool.into()).into_result().unwrap_or_else(|error| panic!("{}", error.message));
        let ctx = CallCtx { call_id: 1, deadline_ms: 0, sink: ROption::RNone, meta_json: RVec::new() };
        let reply = tool.call(ctx, input.as_bytes().to_vec().into()).await.into_result();
        let reply = reply.unwrap_or_else(|error| panic!("{}", error.message));
        (tool.cost_hint(), String::from_utf8(reply.body.into_vec()).expect("tools answer with JSON"))
    }
}

impl std::fmt::Debug for OlderPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OlderPlugin").field("root", &self.root()).finish_non_exhaustive()
    }
}

/// Maps a library for good, as a host does, and finds its header.
fn header(file: &Path) -> &'static LibHeader {
    // SAFETY: the file is a plugin of this workspace; its constructors are those of std.
    let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }.expect("the library is mapped");
    let library = ManuallyDrop::new(library);
    // SAFETY: `plugin!` exports a header under this name; `upgrade` compares its magic.
    let header = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    header.expect("it exports the header").upgrade().expect("the header is whole")
}

/// Takes everything and offers nothing.
#[derive(Clone)]
struct Host;

impl HostApi for Host {
    fn log(&self, _: u64, _: u8, _: RStr<'_>, _: RStr<'_>, _: RSlice<'_, u8>) {}

    fn span(&self, _: u64, _: u8, _: u64, _: RStr<'_>, _: RSlice<'_, u8>) -> u64 {
        0
    }

    fn request(&self, _: u64, op: RStr<'_>, _: RVec<u8>, _: ROption<SinkArc>) -> FfiFuture<AbiResult<RVec<u8>>> {
        let message = RString::from(format!("there is no `{op}` here"));
        async { RResult::RErr(AbiError { code: 6, flags: 0, message, detail_json: RVec::new() }) }.into_ffi()
    }

    fn later(&self) -> u64 {
        1
    }
}
