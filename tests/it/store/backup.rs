//! `hotbay backup` as a command, beside a host that goes on. What is in a backup made while
//! others write is `host/src/store/backup.rs`'s to show.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use hotbay_tests::{TestHost, plugin_host::artifact};
use sqlx::Row;
use tempfile::TempDir;

use super::{STOP, assert_no_panic, connect, fill, number, until_ready};

fn backup(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(artifact("hotbay"));
    command.arg("backup").args(arguments).arg("--data").arg(data).current_dir(data).env_clear();
    command.output().unwrap()
}

fn refusal(arguments: &[&str], data: &Path) -> String {
    let done = backup(arguments, data);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    said
}

#[tokio::test]
async fn backup_of_a_running_host_serves_as_its_database() {
    let mut host = TestHost::builder().start().await.unwrap();
    assert!(host.stop(STOP).await.unwrap().success());
    fill(&host.data_dir(), 3000).await;
    host.restart().await.unwrap();
    let other = TempDir::new().unwrap();
    let file = other.path().join("hotbay.db");
    let done = backup(&[file.to_str().unwrap()], &host.data_dir());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "nothing is left beside it");
    until_ready(&host).await;

    let again = TestHost::builder().data(other.path()).start().await.unwrap();
    until_ready(&again).await;
    let mut connection = connect(other.path()).await;
    let check = sqlx::Executor::fetch_one(&mut connection, "PRAGMA integrity_check").await.unwrap();
    assert_eq!(check.get::<String, _>(0), "ok");
    let rows = number(&mut connection, "SELECT COUNT(*) FROM counts WHERE scope LIKE 'row %'").await;
    assert_eq!(rows, 3000);
    assert_no_panic(&again.log());
}

#[tokio::test]
async fn backup_is_made_of_what_a_crash_left() {
    let mut host = TestHost::builder().start().await.unwrap();
    until_ready(&host).await;
    host.kill().unwrap();
    let other = TempDir::new().unwrap();
    let file = other.path().join("hotbay.db");
    assert!(backup(&[file.to_str().unwrap()], &host.data_dir()).status.success());
    let mut connection = connect(other.path()).await;
    assert_eq!(number(&mut connection, "SELECT n FROM counts WHERE scope = 'probe'").await, 1);
}

#[tokio::test]
async fn backup_refuses_what_it_cannot_do() {
    let host = TestHost::builder().start().await.unwrap();
    let data = host.data_dir();
    fs::write(data.join("there"), "something").unwrap();
    let said = refusal(&["there"], &data);
    assert!(said.contains("there is there already; name another file"), "{said}");
    assert_eq!(fs::read_to_string(data.join("there")).unwrap(), "something");

    let said = refusal(&["no/such/directory"], &data);
    assert!(said.contains("no/such/directory cannot be written"), "{said}");

    let said = refusal(&["new", "--database-url", "postgres://nobody@127.0.0.1:1/none"], &data);
    assert!(said.contains("pg_dump"), "{said}");

    let empty = TempDir::new().unwrap();
    let said = refusal(&["new"], empty.path());
    assert!(said.contains("there is no database in") && said.contains("--data"), "{said}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn help_says_what_a_backup_is() {
    let home = TempDir::new().unwrap();
    let done = backup(&["--help"], home.path());
    assert!(done.status.success());
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("hotbay backup monday.db") && said.contains("must not exist"), "{said}");
}
