//! Spans that take long: in the store while they go on, for the time the host dies.
//!
//! Most spans end before anybody could ask for them; those that are open for a second are
//! written down. What a host finds of its own when it starts was interrupted, and is recorded
//! as such.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Filter, Observe, Window, attrs::Key};
use crate::{
    store::{Store, StoreError},
    types::{id::Millis, span::Span},
};

/// How long a span is open before it is written down, and how often that is looked for.
const LONG: Duration = Duration::from_secs(1);

impl Observe {
    /// Records what a former process of this host left open, then writes down what takes long,
    /// until it is cancelled. `owner` names this host, also after a restart.
    pub async fn keep_open_spans(self, store: Store, owner: Arc<str>, cancel: CancellationToken) {
        if !self.recorder().is_on() {
            return;
        }
        let mut known = HashSet::new();
        let mut is_clean = false;
        let mut ticks = interval(LONG);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            if !is_clean {
                match self.close_interrupted(&store, &owner).await {
                    Ok(()) => is_clean = true,
                    Err(reason) => {
                        tracing::warn!(reason, "spans a former process left open are not recorded yet");
                        continue;
                    }
                }
            }
            if let Err(error) = self.write_down(&store, &owner, &mut known).await {
                tracing::debug!(%error, "spans that go on are not written down");
            }
        }
    }

    /// Ends what was left open. What was recorded before a crash in here is not recorded again.
    async fn close_interrupted(&self, store: &Store, owner: &str) -> Result<(), String> {
        let left = store.open_spans().of(owner).await.map_err(|error| error.to_string())?;
        let mut spans = Vec::new();
        for (span_id, document) in &left {
            let Ok(mut span) = serde_json::from_str::<Span>(document) else { continue };
            let filter = Filter::is(Key::SpanId, span_id.as_str());
            let known = self.spans(filter, Window::default()).await.map_err(|error| error.to_string())?;
            if known.total == 0 {
                span.ended_at = Some(Millis::now());
                span.error = Some(json!({"name": "Interrupted", "message": "the host stopped before it ended"}));
                spans.push(span);
            }
        }
        if !spans.is_empty() {
            self.recorder().batch(Vec::new(), spans).await?;
        }
        if left.is_empty() {
            return Ok(());
        }
        let ended: Vec<String> = left.into_iter().map(|(span_id, _)| span_id).collect();
        store.open_spans().change(owner, &[], &ended).await.map_err(|error| error.to_string())
    }

    async fn write_down(&self, store: &Store, owner: &str, known: &mut HashSet<String>) -> Result<(), StoreError> {
        let long_ago = Millis::now().0 - i64::try_from(LONG.as_millis()).unwrap_or(0);
        let open: Vec<Span> = self.recorder().live().iter().flat_map(|trace| trace.open()).collect();
        let now: HashSet<&str> = open.iter().map(|span| span.span_id.as_str()).collect();
        let ended: Vec<String> = known.iter().filter(|span_id| !now.contains(span_id.as_str())).cloned().collect();
        let is_new = |span: &&Span| span.started_at.0 <= long_ago && !known.contains(&span.span_id);
        let document = |span: &Span| Some((span.span_id.clone(), serde_json::to_string(span).ok()?));
        let opened: Vec<(String, String)> = open.iter().filter(is_new).filter_map(document).collect();
        if opened.is_empty() && ended.is_empty() {
            return Ok(());
        }
        store.open_spans().change(owner, &opened, &ended).await?;
        known.retain(|span_id| !ended.contains(span_id));
        known.extend(opened.into_iter().map(|(span_id, _)| span_id));
        Ok(())
    }
}
