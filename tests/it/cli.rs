//! The command line as a program: what it prints, and how it ends.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
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
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", held.local_addr().unwrap());
    drop(held);
    let done = hotbay(home.path(), &["plugin", "list", "--url", &url]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stderr).contains(&url), "{}", text(&done.stderr));
}

/// Writes what a model's files begin with; a whole one, as far as a pull can see.
pub(crate) fn write_model(directory: &Path) {
    std::fs::write(directory.join("tokenizer.json"), "{}").unwrap();
    std::fs::write(directory.join("model.safetensors"), b"\x02\0\0\0\0\0\0\0{}").unwrap();
}

#[test]
fn model_pull_puts_files_where_list_finds_them() {
    let (home, from) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_model(from.path());
    let before = hotbay(home.path(), &["model", "list", "--data", "kept"]);
    assert!(before.status.success() && text(&before.stdout).contains("not here"), "{}", text(&before.stdout));

    let from = from.path().to_str().unwrap();
    let done = hotbay(home.path(), &["model", "pull", "all-minilm-l6-v2", "--from", from, "--data", "kept"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("blake3"), "{}", text(&done.stderr));
    assert!(home.path().join("kept/models/all-minilm-l6-v2/model.safetensors").exists());
    let after = hotbay(home.path(), &["model", "list", "--data", "kept"]);
    assert!(!text(&after.stdout).contains("not here"), "{}", text(&after.stdout));

    let unknown = hotbay(home.path(), &["model", "pull", "gpt-4"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there is no model `gpt-4`"), "{}", text(&unknown.stderr));
}

#[test]
fn model_pull_that_is_interrupted_leaves_nothing_half() {
    let home = TempDir::new().unwrap();
    let hub = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hub.local_addr().unwrap());
    let pulling = Command::new(artifact("hotbay"))
        .args(["model", "pull", "all-minilm-l6-v2", "--from", &url])
        .current_dir(home.path())
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut pulling = pulling.unwrap();
    // Half of the first file, and the connection stays open.
    let (mut connection, _) = hub.accept().unwrap();
    let request = BufReader::new(&connection).lines().map(Result::unwrap);
    assert!(request.take_while(|line| !line.is_empty()).any(|line| line == "GET /tokenizer.json HTTP/1.1"));
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4000000\r\n\r\n").unwrap();
    connection.write_all(&[b' '; 2_000_000]).unwrap();
    let mut said = BufReader::new(pulling.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("tokenizer.json: 1 of 4 MB"), "{line}");

    let id = pulling.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(pulling.wait().unwrap().code(), Some(1));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stopped"), "{rest}");
    let left = std::fs::read_dir(home.path().join(".hotbay/models/all-minilm-l6-v2")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
}
