//! The recorded sessions of the wire contract, played against a real host, wherever its plugins run.

use hotbay::plugin::settings::Isolation;
use hotbay_tests::TestHost;
use hotbay_tests::replay::{self, Differences, Session, session};

use crate::modes::in_both_modes;

/// Plays an area against a host that offers what the recorded server offered.
async fn replay(isolation: Isolation, area: &str) {
    let config = session::contract_dir().join("hotbay.toml");
    let mut host = TestHost::builder().config(config).plugin("hotbay-test-reference");
    if isolation == Isolation::Process {
        host = host.isolated();
    }
    let host = host.start().await.unwrap();
    let (session, differences) = (Session::of_area(area).unwrap(), Differences::of_contract().unwrap());
    let report = replay::replay(&host.url(""), &session, &differences).await.unwrap();
    println!("{report}");
    assert!(report.is_success(), "{report}");
}

async fn agents_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "agents").await;
}

async fn tools_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "tools").await;
}

async fn workflows_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "workflows").await;
}

async fn system_routes_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "system").await;
}

async fn memory_answers_as_recorded(isolation: Isolation) {
    replay(isolation, "memory").await;
}

async fn logs_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "logs").await;
}

async fn traces_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "telemetry").await;
}

async fn vector_stores_answer_as_recorded(isolation: Isolation) {
    replay(isolation, "vectors").await;
}

async fn mcp_answers_as_recorded(isolation: Isolation) {
    replay(isolation, "mcp").await;
}

#[test]
fn every_listed_area_has_a_session() {
    let areas = session::areas(&session::contract_dir()).unwrap();
    for area in Differences::of_contract().unwrap().areas() {
        assert!(areas.iter().any(|known| known == area), "differences.toml has a table for `{area}`");
    }
}

in_both_modes! {
    agents_answer_as_recorded,
    tools_answer_as_recorded,
    workflows_answer_as_recorded,
    system_routes_answer_as_recorded,
    memory_answers_as_recorded,
    logs_answer_as_recorded,
    traces_answer_as_recorded,
    vector_stores_answer_as_recorded,
    mcp_answers_as_recorded,
}
