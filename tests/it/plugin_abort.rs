//! A plugin that really is built with `panic = "abort"`, which neither layouts nor the loader notice.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hotbay::types::plugin::PluginState;
use hotbay_tests::plugin_host::{PluginHost, SOON, artifact, put};
use serde_json::json;

/// Needs the SDK alone, and nothing that derives would name.
const SOURCE: &str = r"
use hotbay_plugin::prelude::*;

/// Answers.
#[tool(untyped_output)]
async fn answer() -> Result<u8> {
    Ok(42)
}

plugin!(tools: [answer]);
";

/// Compiles the plugin against the SDK this test was built with, which is built to unwind: only
/// the plugin's own code has the strategy asked for. Cargo has no setting for that.
fn build(directory: &Path, strategy: &str) -> PathBuf {
    let source = directory.join("source.rs");
    fs::write(&source, SOURCE).unwrap();
    let output = directory.join(format!("{strategy}.so"));
    let sdk = artifact("libhotbay_plugin.rlib");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "--crate-name", strategy, "--crate-type", "cdylib", "-C"])
        .arg(format!("panic={strategy}"))
        .arg("-L")
        .arg(format!("dependency={}", sdk.with_file_name("deps").display()))
        .arg("--extern")
        .arg(format!("hotbay_plugin={}", sdk.display()))
        .args(["-o".as_ref(), output.as_os_str(), source.as_os_str()])
        .env("CARGO_PKG_NAME", strategy)
        .env("CARGO_PKG_VERSION", "1.0.0")
        .output()
        .expect("rustc is what this was compiled with");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    output
}

#[tokio::test]
async fn a_plugin_that_aborts_on_panic_is_refused_and_its_unwinding_twin_serves() {
    let scratch = tempfile::tempdir().unwrap();
    let host = PluginHost::start_with(|directory, settings| {
        settings.probe_deadline = SOON;
        for strategy in ["abort", "unwind"] {
            put(directory, &format!("{strategy}.so"), &fs::read(build(scratch.path(), strategy)).unwrap());
        }
    })
    .await;
    let status = host.plugins.get("abort").expect("refused files are listed");
    assert_eq!((status.state, status.generation), (PluginState::Refused, None));
    let error = status.last_error.expect("with the reason");
    assert_eq!(error.code, "E_PANIC_ABORT");
    assert_eq!(
        error.message,
        "it was built with panic = \"abort\", so its first panic would end the host; build it with panic = \"unwind\""
    );
    let status = host.plugins.get("unwind").unwrap();
    assert_eq!(status.state, PluginState::Serving, "{status:?}");
    assert_eq!(host.tool("answer", json!({})).await.unwrap(), 42);
}
