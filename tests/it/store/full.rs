//! A disk that is full, and then is not. `HOTBAY_TEST_SMALL_DISK` names a small file system;
//! `.ci/run` mounts one.

use std::{fs::File, io::Write, path::PathBuf};

use hotbay_tests::TestHost;
use tempfile::TempDir;

use super::{assert_no_panic, ledger::Ledger, until_not_ready, until_ready};

#[expect(clippy::disallowed_methods, reason = "not the host: a test cannot mount a file system")]
fn small_disk() -> PathBuf {
    const VARIABLE: &str = "HOTBAY_TEST_SMALL_DISK";
    std::env::var_os(VARIABLE).unwrap_or_else(|| panic!("{VARIABLE} was set when this was built")).into()
}

/// Writes until nothing more fits.
fn fill_up(path: PathBuf) {
    const MOST: usize = 1 << 30;
    let mut file = File::create(path).unwrap();
    // Large pieces first; what a small one still finds room for is filled as well.
    for piece in [1 << 20, 4096, 64] {
        let bytes = vec![0; piece];
        let mut written = 0;
        while file.write_all(&bytes).is_ok() {
            written += piece;
            assert!(written < MOST, "HOTBAY_TEST_SMALL_DISK is not small");
        }
    }
}

#[tokio::test]
async fn full_disk_stops_writes_until_there_is_space() {
    let data = TempDir::new_in(small_disk()).unwrap();
    let mut host = TestHost::builder().data(data.path()).start().await.unwrap();
    until_ready(&host).await;
    Ledger::begin(&host).await.unwrap();
    let mut ledger = Ledger::default();
    assert_eq!(ledger.save(&host, "before").await.unwrap().0, 200);
    let filler = data.path().join("filler");
    fill_up(filler.clone());
    // What the database's files still have room for is acknowledged, and then nothing is.
    let mut refused = 0;
    for number in 0.. {
        let (status, error) = ledger.save(&host, &format!("full {number}")).await.unwrap();
        assert!(status == 200 || error == "the store is not available; try again", "{status}: {error}");
        refused += usize::from(status == 503);
        if refused == 10 {
            break;
        }
        assert!(number < 10_000, "the disk is not full");
    }
    ledger.check(&host).await;
    let reason = until_not_ready(&host, "full").await;
    std::fs::remove_file(filler).unwrap();
    assert!(reason.contains("free space"), "{reason}");
    until_ready(&host).await;
    assert_eq!(ledger.save(&host, "after").await.unwrap().0, 200);
    host.restart().await.unwrap();
    assert_eq!(ledger.check(&host).await, ledger.len());
    assert_no_panic(&host.log());
}
