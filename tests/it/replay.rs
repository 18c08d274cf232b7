//! The recorded sessions of the wire contract, played against a real host.

use hotbay_tests::TestHost;
use hotbay_tests::replay::{self, Differences, Session, session};

/// Plays an area against a host that offers what the recorded server offered.
async fn replay(area: &str) {
    let config = session::contract_dir().join("hotbay.toml");
    let host = TestHost::builder().config(config).plugin("hotbay-test-reference").start().await.unwrap();
    let (session, differences) = (Session::of_area(area).unwrap(), Differences::of_contract().unwrap());
    let report = replay::replay(&host.url(""), &session, &differences).await.unwrap();
    println!("{report}");
    assert!(report.is_success(), "{report}");
}

#[tokio::test]
async fn agents_answer_as_recorded() {
    replay("agents").await;
}

#[tokio::test]
async fn tools_answer_as_recorded() {
    replay("tools").await;
}

#[tokio::test]
async fn workflows_answer_as_recorded() {
    replay("workflows").await;
}

#[tokio::test]
async fn system_routes_answer_as_recorded() {
    replay("system").await;
}

#[tokio::test]
async fn memory_answers_as_recorded() {
    replay("memory").await;
}

#[tokio::test]
async fn logs_answer_as_recorded() {
    replay("logs").await;
}

#[tokio::test]
async fn traces_answer_as_recorded() {
    replay("telemetry").await;
}

#[tokio::test]
async fn vector_stores_answer_as_recorded() {
    replay("vectors").await;
}

#[tokio::test]
async fn mcp_answers_as_recorded() {
    replay("mcp").await;
}

#[test]
fn every_listed_area_has_a_session() {
    let areas = session::areas(&session::contract_dir()).unwrap();
    for area in Differences::of_contract().unwrap().areas() {
        assert!(areas.iter().any(|known| known == area), "differences.toml has a table for `{area}`");
    }
}
