//! The functions behind the root module `plugin!` exports.
//!
//! The macro writes the `extern "C"` functions and the header into the author's crate,
//! since a symbol must be born there; all they do is call these.

use abi_stable::{library::__call_root_module_loader, prefix_type::PrefixTypeTrait};
use serde::{Serialize, de::DeserializeOwned};

pub use abi_stable::{
    library::{CheckTypeLayout, LibHeader, RootModuleResult as Loaded},
    std_types::RVec,
};

pub use crate::abi::{AbiResult, HostArc, PluginBox, RootRef};
pub use crate::model::{answer, model_result};
use crate::{
    Error, Plugin, Result,
    abi::{ABI_MINOR, Reply, Root},
    guard,
    manifest::Manifest,
    panic_hook, wire,
};

/// Describes the plugin. A panic becomes [`Manifest::error`], so the host can say what is wrong.
pub fn manifest(plugin: fn() -> Plugin) -> RVec<u8> {
    panic_hook::install();
    let bytes = guard::catch(|| -> Result<Vec<u8>> { Ok(serde_json::to_vec(&plugin().manifest())?) });
    let bytes = bytes.and_then(|bytes| bytes).unwrap_or_else(|error| {
        let manifest = Manifest { error: Some(error.message), ..Manifest::default() };
        serde_json::to_vec(&manifest).unwrap_or_default()
    });
    bytes.into()
}

/// Opens the plugin for the host that has loaded this dylib.
pub fn open(plugin: fn() -> Plugin, host: HostArc, config: RVec<u8>) -> AbiResult<PluginBox> {
    guard::catch_abi(|| {
        let plugin = plugin();
        panic_hook::set_host(&host, plugin.name());
        plugin.open_on(host, &config)
    })
}

/// Builds the root module from the two functions.
#[must_use]
pub fn root(
    manifest: extern "C" fn() -> RVec<u8>,
    open: extern "C" fn(HostArc, RVec<u8>) -> AbiResult<PluginBox>,
) -> RootRef {
    Root { abi_minor: ABI_MINOR, manifest, open }.leak_into_prefix()
}

/// Runs the constructor of the root module; its panic becomes an error for the loader.
#[must_use]
pub fn load(root: fn() -> RootRef) -> Loaded {
    __call_root_module_loader(root)
}

/// Parses an input once, typed.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    wire::from_slice(bytes, what)
}

/// What a tool or step function returns: `Result<Output, Error>`.
#[diagnostic::on_unimplemented(
    message = "a tool or step returns `Result<..>`, not `{Self}`",
    label = "wrap it: `Result<{Self}>`, and end with `Ok(..)`"
)]
pub trait Returned {
    /// What it gives when it succeeds.
    type Output;

    /// Converts the error.
    fn plain(self) -> Result<Self::Output>;
}

impl<T, E: Into<Error>> Returned for Result<T, E> {
    type Output = T;

    fn plain(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// Serialises what a function returned, once.
pub fn reply<R>(returned: R) -> Result<Reply>
where
    R: Returned,
    R::Output: Serialize,
{
    wire::reply(returned.plain())
}

/// Converts the error of a function that gives no document.
pub fn plain_result<R: Returned>(returned: R) -> Result<R::Output> {
    returned.plain()
}
