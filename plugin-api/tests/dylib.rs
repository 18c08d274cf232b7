//! The smallest plugin as a real dylib: found by its symbol, opened, called.
//!
//! Its statics are its own, so the panic hook and the runtime are not the test's.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(unsafe_code, reason = "a dylib is loaded")]

use std::time::Duration;

use hotbay_plugin::{
    Error,
    abi::{
        CallCtx, PluginBox, RootRef,
        abi_stable::{
            library::AbiHeaderRef,
            library::ROOT_MODULE_LOADER_NAME_WITH_NUL,
            std_types::{ROption, RVec},
        },
    },
    error::code,
    manifest::Manifest,
    testing::TestHost,
};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Cargo builds the examples before it runs the tests of a crate.
fn minimal() -> RootRef {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.push(format!("{}minimal{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    assert!(path.exists(), "{} is missing: build the examples first", path.display());
    // SAFETY: the file was just built from this workspace; its constructors are those of std.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.unwrap();
    // SAFETY: `plugin!` exports a header under this name.
    let header = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) }.unwrap();
    let header = header.upgrade().unwrap();
    // A plugin stays mapped for the life of the process.
    std::mem::forget(library);
    header.init_root_module::<RootRef>().unwrap()
}

fn open(host: &TestHost) -> PluginBox {
    minimal().open()(host.handle(), RVec::new()).into_result().map_err(Error::from).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), future).await }).unwrap()
}

fn call(plugin: &PluginBox, input: &str) -> Result<String, Error> {
    let tool = plugin.tool("weather".into()).into_result().map_err(Error::from).unwrap();
    let ctx = CallCtx { call_id: 1, deadline_ms: 1000, sink: ROption::RNone, meta_json: RVec::new() };
    let reply = block_on(tool.call(ctx, input.as_bytes().to_vec().into())).into_result().map_err(Error::from)?;
    Ok(String::from_utf8(reply.body.to_vec()).unwrap())
}

#[test]
fn manifest_is_read_before_the_plugin_is_opened() {
    let manifest: Manifest = serde_json::from_slice(&minimal().manifest()()).unwrap();
    assert_eq!(manifest.tools[0].description, "Weather forecast for a city.");
    assert_eq!(manifest.build.panic, "unwind");
    assert!(!manifest.build.target.is_empty());
}

#[test]
fn tool_is_called_and_logs_at_the_host() {
    let host = TestHost::new();
    let plugin = open(&host);
    assert_eq!(call(&plugin, r#"{"city":"Paris"}"#).unwrap(), r#"{"summary":"Paris: sunny"}"#);
    assert_eq!(host.logs()[0].message, "looking up");
    assert_eq!(call(&plugin, r#"{"city":1}"#).unwrap_err().code, code::INPUT);
    block_on(plugin.shutdown(5_000)).into_result().map_err(Error::from).unwrap();
}

#[test]
fn panic_in_the_image_comes_back_as_an_error_and_the_plugin_goes_on() {
    let plugin = open(&TestHost::new());
    let error = call(&plugin, r#"{"city":"Atlantis"}"#).unwrap_err();
    assert_eq!(error.code, code::PANIC);
    assert!(error.message.starts_with("there is no Atlantis at "), "{}", error.message);
    assert!(call(&plugin, r#"{"city":"Paris"}"#).is_ok());
}
