//! Another program holds the database for longer than a write waits.

use hotbay_tests::TestHost;
use sqlx::{Connection, Executor};

use super::{assert_no_panic, connect, ledger::Ledger, until_not_ready, until_ready};

#[tokio::test]
async fn database_held_by_another_program_is_waited_for() {
    let host = TestHost::builder().start().await.unwrap();
    until_ready(&host).await;
    Ledger::begin(&host).await.unwrap();
    let mut ledger = Ledger::default();
    assert_eq!(ledger.save(&host, "before").await.unwrap().0, 200);
    let mut other = connect(&host.data_dir()).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let (status, error) = ledger.save(&host, "held").await.unwrap();
    assert_eq!((status, error.as_str()), (503, "the store is not available; try again"));
    assert_eq!(ledger.check(&host).await, 1, "reads go on");
    let reason = until_not_ready(&host, "another program holds the database").await;
    assert!(reason.contains("end it, or wait for it"), "{reason}");
    other.execute("COMMIT").await.unwrap();
    until_ready(&host).await;
    assert_eq!(ledger.save(&host, "after").await.unwrap().0, 200);
    assert_eq!(ledger.check(&host).await, 2);
    other.close().await.unwrap();
    assert_no_panic(&host.log());
}
