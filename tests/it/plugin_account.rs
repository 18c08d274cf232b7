//! Plugins whose processes run as another user: what is kept from them then, and what still works.
//!
//! Only root may become somebody else. Where the tests run as anybody else they show that this is said.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use hotbay::plugin::settings::{Account, Isolation, PluginSettings};
use hotbay_tests::{
    TestHost,
    plugin_host::{PluginHost, SOON, build_of, eventually, hostile, isolate, put},
    wait,
};
use nix::unistd::Uid;
use serde_json::json;

/// Users that are nobody, and of whom each is one test's alone: limits count a user's processes.
const FIRST: u32 = 61_200;

/// A host, as far as it starts, of a plugin that is bad and one in the host's own process.
async fn host(user: u32, change: impl FnOnce(&mut PluginSettings)) -> PluginHost {
    PluginHost::start_with(|directory, settings| {
        put(directory, "bad.so", &hostile(&json!({"name": "bad", "prefix": "bad:", "faults": true})));
        put(directory, "good.so", &build_of("good", "1"));
        isolate(Isolation::Process, directory, settings);
        settings.plugins.entry("good".into()).or_default().isolation = Some(Isolation::Inline);
        settings.isolated_user = Some(Account { name: user.to_string(), user, group: user });
        change(settings);
    })
    .await
}

/// Whether this test may go on; if not, it has shown why.
fn may_become_others(host: &PluginHost) -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    let error = host.plugins.get("bad").expect("listed").last_error.expect("refused");
    assert!(error.message.contains("cannot become the user"), "{error:?}");
    false
}

/// The processes of a user.
fn processes_of(user: u32) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let is_theirs = |path: &Path| fs::metadata(path).is_ok_and(|facts| facts.uid() == user);
    entries
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|entry| is_theirs(&entry.path()))
        .count()
}

#[tokio::test]
async fn what_the_host_may_read_is_kept_from_a_plugin() {
    let user = FIRST;
    let host = host(user, |_| {}).await;
    if !may_become_others(&host) {
        return;
    }
    let data = host.directory.parent().unwrap().join("data");
    let secret = data.join("secret");
    fs::write(&secret, "of the host").unwrap();
    let copies: Vec<_> = fs::read_dir(data.join("plugins")).unwrap().flatten().map(|it| it.path()).collect();
    let copy = copies.iter().find(|path| path.extension().is_some_and(|end| end == "so")).unwrap();
    let paths = [secret.as_path(), copy, Path::new("/etc/shadow"), Path::new("/etc/passwd"), Path::new("mine")];
    let answer = host.tool("bad:who", json!({ "read": paths, "write": "mine" })).await.unwrap()["output"].take();
    assert_eq!(answer["users"], json!([user, user, user, user]), "{answer}");
    assert_eq!(answer["groups"], json!([user, user, user, user]), "{answer}");
    assert_eq!(answer["others"], json!([]), "no further groups: {answer}");
    assert_eq!(answer["read"], json!(["denied", "denied", "denied", "ok", "ok"]), "{answer}");
    // It works where it may, and what it left is its own.
    let mine = data.join("plugins/work/bad/mine");
    assert_eq!(fs::metadata(mine).unwrap().uid(), user);
    let seen = host.tool("bad:surroundings", json!({})).await.unwrap()["output"].take();
    assert_eq!(seen["noNewPrivileges"], true);
    // The one in the host's process is whoever the host is.
    host.tool("good:echo", json!(1)).await.expect("it answers");
}

#[tokio::test]
async fn faults_cost_as_much_as_they_do_otherwise() {
    let host = host(FIRST + 1, |_| {}).await;
    if !may_become_others(&host) {
        return;
    }
    for fault in ["segv", "abort", "overflow"] {
        host.tool(&format!("bad:{fault}"), json!({})).await.expect_err("it crashes");
        let answer = host.tool("bad:echo", json!(fault)).await.expect("it is back");
        assert_eq!(answer["output"], fault);
    }
    host.plugins.shutdown(Duration::from_secs(1)).await;
    eventually("nothing of the user's is left", || (processes_of(FIRST + 1) == 0).then_some(())).await;
}

#[tokio::test]
async fn processes_without_end_come_to_an_end_and_go_with_the_one_that_started_them() {
    let user = FIRST + 2;
    let allowed = |settings: &mut PluginSettings| {
        settings.plugins.entry("bad".into()).or_default().limits.processes = true;
    };
    let host = host(user, allowed).await;
    if !may_become_others(&host) {
        return;
    }
    let answer = host.tool("bad:fork_bomb", json!({"count": 3000})).await.unwrap()["output"].take();
    let made = answer["made"].as_u64().unwrap();
    assert!((500..1024).contains(&made), "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("temporarily unavailable"), "{answer}");
    host.tool("good:echo", json!(1)).await.expect("others are somebody else");
    host.tool("bad:abort", json!({})).await.expect_err("it crashes");
    // The next process of the plugin is there, and what the last one had started is not.
    eventually("they end", || (processes_of(user) <= 1).then_some(())).await;
    host.tool("bad:echo", json!(1)).await.expect("it is back");
}

#[tokio::test]
async fn a_host_is_told_whom_to_become_and_none_is_left_when_it_dies() {
    let started = TestHost::builder().isolated().argument("--isolated-user").argument("nobody").start().await;
    if !Uid::effective().is_root() {
        let error = started.expect_err("it does not start").to_string();
        assert!(error.contains("unless the host runs as root"), "{error}");
        return;
    }
    let mut host = started.unwrap();
    put(&host.plugin_dir(), "bad.so", &hostile(&json!({"name": "bad", "prefix": "bad-", "faults": true})));
    let serving = || async {
        let plugin = host.get_json("/api/plugins/bad").await.unwrap().1;
        plugin["process"]["pid"].as_u64().filter(|_| plugin["state"] == "serving")
    };
    let process = wait::eventually(SOON, serving).await;
    let (status, answer) = host.post_json("/api/tools/bad-who/execute", &json!({ "data": {} })).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("there is a nobody").uid;
    assert_eq!(answer["output"]["users"][1], json!(nobody.as_raw()), "{answer}");
    host.kill().unwrap();
    let gone = || async { (!Path::new(&format!("/proc/{process}")).exists()).then_some(()) };
    wait::eventually(SOON, gone).await;

    // What is stored must be closed to others.
    fs::set_permissions(host.data_dir(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = host.restart().await.expect_err("it does not start").to_string();
    assert!(error.contains("chmod 700"), "{error}");
}

#[test]
fn the_store_is_closed_to_others_from_the_beginning() {
    let home = tempfile::TempDir::new().unwrap();
    let data = home.path().join("deep/data");
    let output = std::process::Command::new(hotbay_tests::plugin_host::artifact("hotbay"))
        .args(["token", "new", "me", "--role", "admin", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
}
