//! Files that are no database, no longer one, or one with damaged pages.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use hotbay_tests::TestHost;

use super::{STOP, assert_no_panic, connect, fill, number, until_not_ready, until_ready};

const ROWS: i64 = 5000;

/// A host that was stopped, and has rows.
async fn stopped() -> TestHost {
    let mut host = TestHost::builder().start().await.unwrap();
    assert!(host.stop(STOP).await.unwrap().success());
    fill(&host.data_dir(), ROWS).await;
    host
}

/// Starts the host and returns why it did not.
async fn refusal(host: &mut TestHost) -> String {
    let error = host.restart().await.unwrap_err();
    let message = format!("{error:#}");
    assert_no_panic(&message);
    assert!(message.contains("hotbay.db"), "the file is named: {message}");
    message
}

fn overwrite(file: &Path, offset: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
}

#[tokio::test]
async fn file_that_is_no_database_is_refused_and_left_alone() {
    let mut host = stopped().await;
    let file = host.data_dir().join("hotbay.db");
    overwrite(&file, 0, &[b'x'; 100]);
    let before = fs::read(&file).unwrap();
    let message = refusal(&mut host).await;
    assert!(message.contains("file is not a database") && message.contains("restore a backup"), "{message}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn truncated_file_is_refused() {
    let mut host = stopped().await;
    let file = host.data_dir().join("hotbay.db");
    let length = fs::metadata(&file).unwrap().len();
    File::options().write(true).open(&file).unwrap().set_len(length / 2 / 4096 * 4096).unwrap();
    let message = refusal(&mut host).await;
    assert!(message.contains("malformed") && message.contains("restore a backup"), "{message}");
}

#[tokio::test]
async fn empty_file_is_not_taken_for_a_beginning() {
    let mut host = stopped().await;
    let file = host.data_dir().join("hotbay.db");
    File::create(&file).unwrap();
    let message = refusal(&mut host).await;
    assert!(message.contains("the file is empty") && message.contains("restore a backup"), "{message}");
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    fs::remove_file(&file).unwrap();
    host.restart().await.unwrap();
    until_ready(&host).await;
}

#[tokio::test]
async fn log_without_its_file_is_not_thrown_away() {
    let mut host = TestHost::builder().start().await.unwrap();
    until_ready(&host).await;
    host.kill().unwrap();
    let (file, kept) = (host.data_dir().join("hotbay.db"), host.data_dir().join("kept"));
    fs::rename(&file, &kept).unwrap();
    let message = refusal(&mut host).await;
    assert!(message.contains("hotbay.db-wal"), "{message}");
    fs::rename(&kept, &file).unwrap();
    host.restart().await.unwrap();
    let mut connection = connect(&host.data_dir()).await;
    assert_eq!(number(&mut connection, "SELECT n FROM counts WHERE scope = 'probe'").await, 1);
}

/// The page is in the middle of the file, so the host starts and finds it in use.
#[tokio::test]
async fn damaged_page_is_told_until_a_backup_is_restored() {
    let mut host = stopped().await;
    let (data, file) = (host.data_dir(), host.data_dir().join("hotbay.db"));
    let whole = fs::read(&file).unwrap();
    let mut connection = connect(&data).await;
    let page =
        number(&mut connection, "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_counts_1'").await;
    let size = number(&mut connection, "PRAGMA page_size").await;
    drop(connection);
    let offset = u64::try_from((page - 1) * size).unwrap();
    overwrite(&file, offset, &vec![0xff; usize::try_from(size).unwrap()]);
    host.restart().await.unwrap();
    let reason = until_not_ready(&host, "the store is damaged").await;
    assert!(reason.contains("restore a backup"), "{reason}");
    assert_no_panic(&host.log());
    host.kill().unwrap();
    for left in ["hotbay.db-wal", "hotbay.db-shm"] {
        fs::remove_file(data.join(left)).unwrap();
    }
    fs::write(&file, whole).unwrap();
    host.restart().await.unwrap();
    until_ready(&host).await;
}
