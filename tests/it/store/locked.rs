//! Another program holds the database for longer than a write waits.

use hotbay_tests::TestHost;
use sqlx::{Connection, Executor};

use super::{assert_no_panic, connect, number, until_not_ready, until_ready};

#[tokio::test]
async fn database_held_by_another_program_is_waited_for() {
    let host = TestHost::builder().start().await.unwrap();
    until_ready(&host).await;
    let mut other = connect(&host.data_dir()).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let reason = until_not_ready(&host, "another program holds the database").await;
    assert!(reason.contains("end it, or wait for it"), "{reason}");
    other.execute("COMMIT").await.unwrap();
    until_ready(&host).await;
    assert_eq!(number(&mut other, "SELECT COUNT(*) FROM counts WHERE scope = 'probe' AND n >= 2").await, 1);
    other.close().await.unwrap();
    assert_no_panic(&host.log());
}
