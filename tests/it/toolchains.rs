//! A plugin that another toolchain built. `.ci/run` builds one where there is a second toolchain;
//! `cargo suite` says when there was none.

use std::{fs, path::PathBuf};

use hotbay::types::plugin::PluginState;
use hotbay_tests::plugin_host::PluginHost;
use serde_json::json;

/// Names the reference plugin, built by nightly. `tests/suite` knows the same name.
const VARIABLE: &str = "HOTBAY_TEST_NIGHTLY_PLUGIN";

#[expect(clippy::disallowed_methods, reason = "not the host: what this needs cannot be built by a test")]
fn nightly_plugin() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[tokio::test]
async fn a_plugin_of_another_toolchain_serves() {
    let Some(file) = nightly_plugin() else {
        println!("not run: {VARIABLE} is not set, see tests/suite/src/main.rs");
        return;
    };
    let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{VARIABLE}: {}: {error}", file.display()));
    let host = PluginHost::start().await;
    host.put("nightly.so", &bytes);
    let status = host.until("hotbay-test-reference", "loaded", |status| status.generation.is_some()).await;
    assert_eq!(status.state, PluginState::Serving, "{status:#?}");
    let build = &status.generations[0].build;
    assert!(build.rustc.contains("nightly"), "{VARIABLE} is no nightly build: {build:?}");
    let answer = host.tool("weather", json!({"city": "Paris"})).await.expect("answers");
    assert_eq!(answer["city"], "Paris");
}
