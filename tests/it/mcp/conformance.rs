//! The official conformance suite of MCP against a real host, for each generation of the protocol.
//!
//! `HOTBAY_TEST_MCP_NODE` is a Node.js the suite runs on; it is installed in `tests/mcp`. Without the
//! variable nothing of this is built.
#![cfg(hotbay_test_mcp_node)]

use std::{path::Path, process::Stdio, time::Duration};

use hotbay_tests::TestHost;
use tokio::{process::Command, time};

use super::{CONFORMANCE, NEWER, OLDER};

/// The longest the suite may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs all scenarios of a version; so many there are.
async fn conforms(version: &str, scenarios: usize) {
    #[expect(clippy::disallowed_methods, reason = "not the host: a test finds its programs in the environment")]
    let node = std::env::var_os("HOTBAY_TEST_MCP_NODE").expect("it was set when this was built");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp");
    let host = TestHost::builder().plugin(CONFORMANCE).start().await.unwrap();
    let results = tempfile::tempdir().unwrap();
    let suite = Command::new(node)
        .arg("node_modules/@modelcontextprotocol/conformance/dist/index.js")
        .args(["server", "--suite", "all", "--spec-version", version])
        .args(["--url", &host.url("/api/mcp/conformance/mcp")])
        .arg("-o")
        .arg(results.path())
        .current_dir(&directory)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = time::timeout(LIMIT, suite).await.expect("the suite ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the host does not conform: {}", output.status);
    let (_, summary) = said.split_once("=== SUMMARY ===").expect("the suite sums up");
    let passed = summary.lines().filter(|line| line.starts_with('\u{2713}')).count();
    assert_eq!(passed, scenarios, "scenarios that passed");
}

#[tokio::test]
async fn the_host_conforms_to_the_protocol_with_sessions() {
    conforms(OLDER, 33).await;
}

#[tokio::test]
async fn the_host_conforms_to_the_protocol_without() {
    conforms(NEWER, 40).await;
}
