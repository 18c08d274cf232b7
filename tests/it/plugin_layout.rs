//! Plugins of another minor of the ABI, older and newer, and of a layout that broke the rule.

use hotbay::{
    plugin::{error::LoadCode, layout},
    types::plugin::PluginState,
};
use hotbay_plugin::abi::{
    ABI_MINOR, Reply, RootRef,
    abi_stable::{StableAbi, type_layout::TypeLayout},
};
use hotbay_test_minor::{OlderPlugin, broken_layout, newer_layout, newer_reply_layout};
use hotbay_tests::plugin_host::{PluginHost, build_of, library, put};
use serde_json::json;

const PRESENT: &TypeLayout = <RootRef as StableAbi>::LAYOUT;

fn minor(version: &str) -> Vec<u8> {
    const MARKER: &[u8] = b"HOTBAY-TEST-MINOR:newer ";
    let mut bytes = std::fs::read(library("hotbay-test-minor")).expect("readable");
    let start = bytes.windows(MARKER.len()).position(|window| window == MARKER).expect("the marker is there");
    let text = format!("{:<32}", format!("HOTBAY-TEST-MINOR:{version}"));
    bytes[start..start + 32].copy_from_slice(text.as_bytes());
    bytes
}

#[tokio::test]
async fn a_plugin_of_a_newer_minor_loads_and_answers() {
    let host = PluginHost::start_with(|directory, _| drop(put(directory, "m.so", &minor("newer")))).await;
    let status = host.plugins.get("minor").expect("listed");
    assert_eq!(status.state, PluginState::Serving, "{:?}", status.last_error);
    assert_eq!(host.tool("minor:echo", json!([1])).await.expect("answers"), json!([1]));
    // The host lacks the method, so what the plugin's own SDK says instead counts.
    assert_eq!(host.tool("minor:later", json!({})).await.expect("answers"), json!(78));
}

#[tokio::test]
async fn a_plugin_of_an_older_minor_answers_a_newer_host() {
    let library = library("hotbay-test-reference");
    let plugin = OlderPlugin::open(&library, |theirs| layout::agree(newer_layout(), theirs).is_ok());
    assert_eq!(plugin.root(), (ABI_MINOR, None));
    let (cost, answer) = plugin.call("calculator", r#"{"op":"mul","a":6,"b":7}"#).await;
    assert_eq!((cost, answer.as_str()), (77, r#"{"result":42}"#));
}

#[test]
fn the_newer_minor_comes_from_another_version_of_the_sdk() {
    let [present, newer] = [<Reply as StableAbi>::LAYOUT, newer_reply_layout()].map(|layout| {
        let (package, version) = layout.package_and_version();
        assert_eq!(package.as_str(), "hotbay-plugin");
        version.parsed().expect("a version")
    });
    assert_eq!((newer.major, newer.minor), (present.major, present.minor + 1));
}

#[tokio::test]
async fn a_layout_with_something_inserted_is_refused_and_others_answer() {
    let host = PluginHost::start_with(|directory, _| {
        put(directory, "m.so", &minor("broken"));
        put(directory, "good.so", &build_of("good", "1"));
    })
    .await;
    let error = host.plugins.get("m").and_then(|status| status.last_error).expect("refused");
    assert_eq!(error.code, "E_LAYOUT");
    assert!(error.message.contains("rebuild it") && error.message.len() < 2000, "{}", error.message);
    host.tool("good:echo", json!(1)).await.expect("others answer");
}

#[test]
fn a_newer_host_accepts_a_present_plugin() {
    layout::agree(newer_layout(), PRESENT).expect("only appended");
}

#[test]
fn a_present_host_accepts_a_newer_plugin() {
    layout::agree(PRESENT, newer_layout()).expect("only appended");
}

#[test]
fn what_broke_the_rule_is_refused_in_both_roles() {
    for (ours, theirs) in [(PRESENT, broken_layout()), (broken_layout(), PRESENT), (newer_layout(), broken_layout())] {
        assert_eq!(layout::agree(ours, theirs).expect_err("differs").code, LoadCode::Layout);
    }
}
