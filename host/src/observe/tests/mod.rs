//! Recording on real files, and finding again: held against a list of records and the meaning
//! of conditions ([`Filter::matches`]).

mod erasing;
mod files;
mod finding;
mod making;

use std::{path::Path, sync::Arc, time::Duration};

use super::{Filter, Found, Observe, Order, Window};
use crate::{
    config::RecordSettings,
    tasks::Tasks,
    types::{id::Millis, log::LogRecord, span::Span},
};

/// A host's part that records.
struct Host {
    observe: Observe,
    tasks: Tasks,
}

fn settings() -> RecordSettings {
    RecordSettings { filter: "info".to_owned(), content: true, days: 14, bytes: 1 << 30 }
}

impl Host {
    fn start(directory: &Path) -> Self {
        Self::with(&settings(), directory)
    }

    fn with(settings: &RecordSettings, directory: &Path) -> Self {
        let tasks = Tasks::default();
        let observe = Observe::start(settings, directory, &tasks);
        Self { observe, tasks }
    }

    async fn stop(self) {
        self.tasks.shut_down(Duration::from_secs(30)).await;
    }

    /// Records what is on the disk when this returns.
    async fn record(&self, logs: Vec<LogRecord>, spans: Vec<Span>) {
        self.observe.recorder().batch(logs, spans).await.unwrap();
    }

    async fn logs(&self, filter: Filter) -> Found<Arc<LogRecord>> {
        let window = Window { order: Order::OldestFirst, offset: 0, limit: u64::MAX };
        self.observe.logs(filter, window).await.unwrap()
    }

    async fn ids(&self, filter: Filter) -> Vec<String> {
        self.logs(filter).await.records.iter().map(|log| log.id.clone()).collect()
    }
}

/// Returns a log record of this moment.
fn log(id: &str, message: &str) -> LogRecord {
    making::log(id, message, Millis::now())
}
