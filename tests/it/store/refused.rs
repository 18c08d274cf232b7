//! Data directories a host does not start on, each with a sentence that says what to do.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use hotbay_tests::{TestHost, plugin_host::artifact};
use sqlx::{Connection, Executor};
use tempfile::TempDir;

use super::{NOTICE, STOP, assert_no_panic, connect, until_ready};

/// Runs `hotbay serve` on a data directory, which must fail, and returns what it says.
async fn refusal(mut hotbay: Command, data: &Path) -> String {
    let home = data.parent().unwrap();
    hotbay.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).arg("--plugins").arg(home);
    hotbay.current_dir(home);
    // One that serves all the same must not be waited for.
    let done = tokio::process::Command::from(hotbay).kill_on_drop(true).output();
    let done = tokio::time::timeout(NOTICE, done).await.expect("it serves").unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(done.stdout.is_empty(), "it never says that it listens");
    assert_no_panic(&said);
    said
}

#[tokio::test]
async fn directory_of_another_host_is_refused() {
    let host = TestHost::builder().start().await.unwrap();
    let said = refusal(Command::new(artifact("hotbay")), &host.data_dir()).await;
    let holder = format!("in use by process {}", host.process_id());
    assert!(said.contains(&holder) && said.contains("--data"), "{said}");
    until_ready(&host).await;
}

#[tokio::test]
async fn directory_of_a_killed_host_is_free() {
    let mut host = TestHost::builder().start().await.unwrap();
    host.kill().unwrap();
    host.restart().await.unwrap();
    until_ready(&host).await;
}

#[tokio::test]
async fn database_of_a_newer_host_is_refused() {
    let mut host = TestHost::builder().start().await.unwrap();
    assert!(host.stop(STOP).await.unwrap().success());
    let mut connection = connect(&host.data_dir()).await;
    let newest =
        "UPDATE _sqlx_migrations SET version = 1000 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
    connection.execute(newest).await.unwrap();
    connection.close().await.unwrap();
    let said = refusal(Command::new(artifact("hotbay")), &host.data_dir()).await;
    assert!(said.contains("a newer Hotbay has written it; run that one"), "{said}");
}

/// A directory with a data directory in it that its user may not write to, and a `hotbay` that
/// runs as that user: what is forbidden is not forbidden to root.
fn forbidden() -> (TempDir, PathBuf, Command) {
    const NOBODY: u32 = 65534;
    let home = TempDir::new().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    let is_root = fs::metadata(&data).unwrap().uid() == 0;
    let hotbay = if is_root {
        // Where the workspace lies may be nothing to that user.
        let copy = home.path().join("hotbay");
        fs::copy(artifact("hotbay"), &copy).unwrap();
        let mut hotbay = Command::new(copy);
        hotbay.uid(NOBODY).gid(NOBODY);
        hotbay
    } else {
        Command::new(artifact("hotbay"))
    };
    (home, data, hotbay)
}

#[tokio::test]
async fn directory_that_cannot_be_written_is_refused() {
    let (_home, data, hotbay) = forbidden();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    let said = refusal(hotbay, &data).await;
    assert!(said.contains("hotbay.lock cannot be written") && said.contains("let this user write there"), "{said}");
}

#[tokio::test]
async fn database_that_cannot_be_written_is_refused() {
    let (_home, data, hotbay) = forbidden();
    // Made by a host of the one who runs the tests.
    let mut host = TestHost::builder().data(&data).start().await.unwrap();
    assert!(host.stop(STOP).await.unwrap().success());
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        let mode = if path.is_dir() { 0o777 } else { 0o666 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(data.join("hotbay.db"), fs::Permissions::from_mode(0o444)).unwrap();
    let said = refusal(hotbay, &data).await;
    assert!(said.contains("hotbay.db") && said.contains("let this user write to it"), "{said}");
}
