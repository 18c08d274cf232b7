//! The host dies at each of its first commits: just before it, and just after, when nobody
//! was told yet. `host/src/store/fault.rs` is where.

use futures::{StreamExt, stream};
use hotbay_tests::TestHost;
use tempfile::TempDir;

use super::{assert_no_panic, ledger::Ledger, until_ready};

const COMMITS: usize = 20;
/// Hosts at once; the machine is not ours alone.
const AT_ONCE: usize = 4;

/// Writes until the host dies at a commit; returns what was acknowledged.
async fn write_until_death(data: &TempDir, fault: &str) -> Ledger {
    let host = TestHost::builder().data(data.path()).variable("HOTBAY_TEST_FAULT", fault).start().await.unwrap();
    let mut ledger = Ledger::default();
    // Making the thread is the first commit.
    if Ledger::begin(&host).await.is_err() {
        return ledger;
    }
    for number in 0..=COMMITS {
        match ledger.save(&host, &format!("write {number}")).await {
            Ok((status, error)) => assert_eq!(status, 200, "{error}"),
            Err(_) => return ledger,
        }
    }
    panic!("{fault}: the host does not die");
}

/// Starts a host on what is left; returns how many writes are there.
async fn survivors(data: &TempDir, ledger: &Ledger) -> usize {
    let host = TestHost::builder().data(data.path()).start().await.unwrap();
    let found = ledger.check(&host).await;
    Ledger::begin(&host).await.unwrap();
    let mut later = Ledger::default();
    assert_eq!(later.save(&host, "later").await.unwrap().0, 200);
    assert_eq!(later.check(&host).await, found + 1);
    until_ready(&host).await;
    assert_no_panic(&host.log());
    found
}

/// Dies at each commit in turn; `kept` says whether that commit's write must be there.
async fn die_at_each_commit(point: &str, kept: usize) {
    let deaths = stream::iter(1..=COMMITS).map(async |commit| {
        let data = TempDir::new().unwrap();
        let ledger = write_until_death(&data, &format!("{point}:{commit}")).await;
        // One commit made the thread, the last one told nobody.
        assert_eq!(ledger.len(), commit.saturating_sub(2), "{point}:{commit}");
        let found = survivors(&data, &ledger).await;
        let expected = if commit == 1 { 0 } else { ledger.len() + kept };
        assert_eq!(found, expected, "{point}:{commit}");
    });
    deaths.buffer_unordered(AT_ONCE).collect::<()>().await;
}

#[tokio::test]
async fn host_that_dies_before_a_commit_has_nothing_of_it() {
    die_at_each_commit("before", 0).await;
}

#[tokio::test]
async fn host_that_dies_after_a_commit_has_all_of_it() {
    die_at_each_commit("after", 1).await;
}

/// Many writers, so that a commit is of several writes.
#[tokio::test]
async fn host_that_dies_among_many_writers_keeps_what_it_acknowledged() {
    for fault in ["before:12", "after:12"] {
        let data = TempDir::new().unwrap();
        let host = TestHost::builder().data(data.path()).variable("HOTBAY_TEST_FAULT", fault).start().await.unwrap();
        Ledger::begin(&host).await.unwrap();
        let writers = (0..16).map(async |writer| {
            let mut ledger = Ledger::default();
            for number in 0..=COMMITS {
                if ledger.save(&host, &format!("write {writer} {number}")).await.is_err() {
                    return ledger;
                }
            }
            panic!("{fault}: the host does not die");
        });
        let ledgers = futures::future::join_all(writers).await;
        drop(host);
        assert!(ledgers.iter().map(Ledger::len).sum::<usize>() > 0);
        let again = TestHost::builder().data(data.path()).start().await.unwrap();
        for ledger in &ledgers {
            ledger.check(&again).await;
        }
    }
}
