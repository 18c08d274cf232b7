//! The official client of the API, from npm, against a real host: `tests/client` walks it.
//!
//! `HOTBAY_TEST_NODE` is a Node.js the client runs on; without it nothing is run.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    process::Stdio,
};

use hotbay_tests::TestHost;
use tokio::{process::Command, time};

/// The longest a walk may take.
const LIMIT: time::Duration = time::Duration::from_secs(300);

#[tokio::test]
async fn the_official_client_finds_what_it_expects() {
    #[expect(clippy::disallowed_methods, reason = "not the host: a test finds its programs in the environment")]
    let Some(node) = std::env::var_os("HOTBAY_TEST_NODE").filter(|path| !path.is_empty()) else {
        println!("not run: HOTBAY_TEST_NODE is not set");
        return;
    };
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract/hotbay.toml");
    let host = TestHost::builder()
        .config(config)
        .plugin("hotbay-test-reference")
        .plugin("hotbay-test-memory")
        .start()
        .await
        .unwrap();
    walk(&node, "client", &[("HOTBAY_URL", host.url("").into())]).await;
}

/// Runs the tests of a directory on a Node.js, with these variables.
pub(crate) async fn walk(node: &OsStr, directory: &str, variables: &[(&str, OsString)]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let walk = Command::new(node)
        // One file at a time: they share the host.
        .args(["--test", "--test-concurrency=1", "--test-reporter=spec"])
        .current_dir(&directory)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = time::timeout(LIMIT, walk).await.expect("the walk ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "a client did not find what it expected: {}", output.status);
    // A walk that finds no tests is a success to Node.js.
    assert!(said.contains(&format!("pass {}", tests_of(&directory))), "not all of the walk was run");
}

/// How many tests the files of the walk hold.
fn tests_of(directory: &Path) -> usize {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|it| it == "js")).map(fs::read_to_string);
    texts.map(|text| text.unwrap().lines().filter(|line| line.starts_with("test(")).count()).sum()
}
