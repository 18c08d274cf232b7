//! `hotbay token`: where the data is, before and beside a server, and over the API.

use std::{path::Path, process::Command, time::Duration};

use hotbay_tests::{TestHost, eventually, http::Outgoing, plugin_host::artifact};
use serde_json::Value;
use tempfile::TempDir;

use super::ask;
use crate::cli::{hotbay, text};

/// Runs `hotbay token` on a data directory and returns what it prints.
fn token(data: &Path, arguments: &[&str]) -> Result<String, String> {
    let arguments = [&["token"], arguments, &["--data", data.to_str().unwrap()]].concat();
    let done = hotbay(data, &arguments);
    if done.status.success() { Ok(text(&done.stdout).trim().to_owned()) } else { Err(text(&done.stderr)) }
}

#[tokio::test]
async fn a_token_made_before_the_first_start_lets_in_after_it() {
    let data = TempDir::new().unwrap();
    let made = token(data.path(), &["new", "ops", "--role", "admin"]).unwrap();
    assert!(made.starts_with("hotbay_") && made.len() == 50, "it alone goes to the output: {made}");
    let host = TestHost::builder().data(data.path()).argument("--auth").start().await.unwrap();
    assert_eq!(ask(&host, &made, "GET", "/api/plugins", None).await.0, 200);
    assert_eq!(host.send(Outgoing::get("/api/plugins")).await.unwrap().status, Some(401));
}

#[tokio::test]
async fn tokens_made_and_revoked_beside_a_running_server_count_there() {
    let host = TestHost::builder().argument("--auth").start().await.unwrap();
    let data = host.data_dir();
    assert!(host.log().contains("hotbay token new"), "who starts it is told how to be let in: {}", host.log());
    let made = token(&data, &["new", "ci", "--role", "viewer", "--expires", "1d", "--resource", "ann"]).unwrap();
    // At most a quarter of a second after others were read.
    eventually(Duration::from_secs(10), || async {
        (ask(&host, &made, "GET", "/api/tools", None).await.0 == 200).then_some(())
    })
    .await;
    let listed: Value = serde_json::from_str(&token(&data, &["list", "--json"]).unwrap()).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["role"]), (&"ci".into(), &"viewer".into()));
    assert_eq!((&listed[0]["resourceId"], &listed[0]["createdBy"]), (&"ann".into(), &"hotbay token".into()));
    let table = token(&data, &["list"]).unwrap();
    assert!(table.contains("ci") && table.contains("good") && !table.contains(&made), "{table}");
    let taken = token(&data, &["new", "ci", "--role", "viewer"]).unwrap_err();
    assert!(taken.contains("revoke it first"), "{taken}");
    token(&data, &["revoke", "ci"]).unwrap();
    eventually(Duration::from_secs(10), || async {
        (ask(&host, &made, "GET", "/api/tools", None).await.0 == 401).then_some(())
    })
    .await;
    assert!(token(&data, &["list"]).unwrap().contains("revoked"));
    assert!(token(&data, &["revoke", "ci"]).unwrap_err().contains("no token `ci`"));
}

#[tokio::test]
async fn commands_show_the_token_they_are_given_and_say_what_is_wrong_with_it() {
    let host = TestHost::builder().argument("--auth").start().await.unwrap();
    let admin = token(&host.data_dir(), &["new", "root", "--role", "admin"]).unwrap();
    let url = host.url("");
    let run = |token: Option<&str>, arguments: &[&str]| {
        let mut command = Command::new(artifact("hotbay"));
        command.args(arguments).args(["--url", &url]).env_clear();
        if let Some(token) = token {
            command.env("HOTBAY_TOKEN", token);
        }
        let done = command.output().unwrap();
        (done.status.success(), text(&done.stdout), text(&done.stderr))
    };
    eventually(Duration::from_secs(10), || async {
        (ask(&host, &admin, "GET", "/api/tools", None).await.0 == 200).then_some(())
    })
    .await;
    let (done, ..) = run(Some(&admin), &["plugin", "list"]);
    assert!(done);
    let (done, _, why) = run(None, &["plugin", "list"]);
    assert!(!done && why.contains("HOTBAY_TOKEN"), "{why}");
    let (done, _, why) = run(Some("bad"), &["memory", "status"]);
    assert!(!done && why.contains("expired or was revoked"), "{why}");
    let (done, made, why) = run(Some(&admin), &["token", "new", "far", "--role", "viewer"]);
    assert!(done && !why.contains(&admin), "{why}");
    let made = made.trim();
    assert_eq!(ask(&host, made, "GET", "/api/tools", None).await.0, 200);
    let (done, _, why) = run(Some(made), &["plugin", "reload", "x"]);
    assert!(!done && why.contains("needs the role `admin`"), "{why}");
    let (_, listed, _) = run(Some(&admin), &["token", "list"]);
    assert!(listed.contains("far") && listed.contains("root"), "{listed}");
    let (done, ..) = run(Some(&admin), &["token", "revoke", "far"]);
    assert!(done);
    assert_eq!(ask(&host, made, "GET", "/api/tools", None).await.0, 401, "at once");
}
