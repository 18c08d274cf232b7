//! The command line as a program: what it prints, and how it ends.

use std::{
    path::Path,
    process::{Command, Output},
};

use hotbay_tests::plugin_host::{artifact, library};
use serde_json::Value;
use tempfile::TempDir;

/// Runs `hotbay` in a directory, with nothing of the test's own environment.
pub(crate) fn hotbay(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(artifact("hotbay")).args(arguments).current_dir(directory).env_clear().output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn config_check_prints_the_settings_that_count_without_secrets() {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("hotbay.toml"), "prefix = '/v1'\n[secrets]\ntoken = 'hush'\n").unwrap();
    let done = hotbay(home.path(), &["config", "check", "--listen", "127.0.0.1:0"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let shown: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(shown["prefix"], "/v1");
    assert_eq!(shown["listen"], "127.0.0.1:0");
    assert!(!text(&done.stdout).contains("hush"));
}

#[test]
fn wrong_setting_ends_the_command_with_a_sentence() {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("hotbay.toml"), "listne = 'x'\n").unwrap();
    let done = hotbay(home.path(), &["serve"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains("listne"), "{}", text(&done.stderr));
    assert!(done.stdout.is_empty());
}

#[test]
fn plugin_check_tells_a_plugin_from_any_file() {
    let home = TempDir::new().unwrap();
    let good = hotbay(home.path(), &["plugin", "check", "--json", library("hotbay-test-minor").to_str().unwrap()]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    let report: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(report["hash"].as_str().unwrap().len(), 64);
    let file = home.path().join("libbad.so");
    std::fs::write(&file, "no library").unwrap();
    let bad = hotbay(home.path(), &["plugin", "check", file.to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad.stderr).contains("would be refused"), "{}", text(&bad.stderr));
}

#[test]
fn server_that_does_not_run_is_named() {
    let home = TempDir::new().unwrap();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", held.local_addr().unwrap());
    drop(held);
    let done = hotbay(home.path(), &["plugin", "list", "--url", &url]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains(&url), "{}", text(&done.stderr));
}
