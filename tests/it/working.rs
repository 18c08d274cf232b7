//! A host with `durable-worker`, an agent whose tools take their time and write down that they ran.

use std::path::PathBuf;

use hotbay_tests::TestHost;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Working {
    pub(crate) host: TestHost,
    ledger: PathBuf,
    _home: TempDir,
}

impl Working {
    /// Starts it, with plugins beside the agent's own.
    pub(crate) async fn start(others: &[&str]) -> Self {
        let home = TempDir::new().unwrap();
        let ledger = home.path().join("ledger");
        let config = format!("[plugins.hotbay-test-durable.config]\nledger = {ledger:?}\n");
        let builder = TestHost::builder().plugin("hotbay-test-durable").config_text(config);
        let builder = others.iter().fold(builder, |builder, other| builder.plugin(other));
        Self { host: builder.start().await.unwrap(), ledger, _home: home }
    }

    /// The ledger's lines of bodies that began, the oldest first.
    pub(crate) fn begun(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.ledger).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["at"] == "start").collect()
    }
}
