//! Traces that are erased.

use std::path::Path;

use super::Host;
use crate::{
    observe::{Filter, Window},
    types::{
        id::Millis,
        span::{Span, SpanKind},
    },
};

fn span(trace: &str, id: &str, days_ago: i64) -> Span {
    let mut span = Span::begin(SpanKind::ToolCall, id, trace, id.to_owned());
    span.started_at = Millis(span.started_at.0 - days_ago * 86_400_000);
    span.ended_at = Some(span.started_at);
    span
}

async fn ids(host: &Host) -> Vec<String> {
    let window = Window { limit: 99, ..Window::default() };
    let found = host.observe.spans(Filter::All, window).await.unwrap();
    assert_eq!(found.total, found.records.len() as u64);
    let mut ids: Vec<String> = found.records.iter().map(|span| span.span_id.clone()).collect();
    ids.sort_unstable();
    ids
}

async fn erase(host: &Host, traces: &[&str]) {
    let traces: Vec<String> = traces.iter().map(|trace| (*trace).to_owned()).collect();
    host.observe.erase(&traces).await.unwrap();
}

/// Stops a host and looks at what it left.
async fn after_a_restart(host: Host, directory: &Path) -> (Host, Vec<String>) {
    host.stop().await;
    let host = Host::start(directory);
    let ids = ids(&host).await;
    (host, ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn erased_traces_are_gone_wherever_they_were_and_stay_gone() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    host.record(Vec::new(), vec![span("a", "a1", 0), span("a", "a2", 2), span("b", "b1", 0), span("c", "c1", 3)]).await;
    host.observe.commit().await;
    // In an index and in memory, in the write-ahead log, and nowhere but in memory.
    host.record(Vec::new(), vec![span("a", "a3", 0), span("b", "b2", 0)]).await;
    host.observe.recorder().spans(vec![span("a", "a4", 1)]);
    erase(&host, &["a", "unknown"]).await;
    assert_eq!(ids(&host).await, ["b1", "b2", "c1"]);
    let (host, found) = after_a_restart(host, directory.path()).await;
    assert_eq!(found, ["b1", "b2", "c1"]);
    // What the index held of others is whole: spans of one trace share a body.
    assert_eq!(host.observe.trace("b").await.unwrap()[0].name, "b1");
    erase(&host, &["b", "c"]).await;
    erase(&host, &[]).await;
    assert!(ids(&host).await.is_empty());
    host.record(Vec::new(), vec![span("a", "a5", 0)]).await;
    let (host, found) = after_a_restart(host, directory.path()).await;
    assert_eq!(found, ["a5"], "what is recorded after that is another matter");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn erasing_while_recording_loses_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    for round in 0..20 {
        let (kept, gone) = (format!("kept-{round:02}"), format!("gone-{round:02}"));
        host.observe.recorder().spans(vec![span(&gone, &gone, round % 3)]);
        host.observe.recorder().spans(vec![span("kept", &kept, round % 3)]);
        erase(&host, &[&gone]).await;
    }
    let expected: Vec<String> = (0..20).map(|round| format!("kept-{round:02}")).collect();
    assert_eq!(ids(&host).await, expected);
    let (host, found) = after_a_restart(host, directory.path()).await;
    assert_eq!(found, expected);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_erased_says_so_and_is_still_there() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("observe");
    std::fs::write(&root, "in the way").unwrap();
    let host = Host::start(&root);
    host.observe.recorder().spans(vec![span("a", "a1", 0)]);
    let error = host.observe.erase(&["a".to_owned()]).await.unwrap_err();
    assert!(error.to_string().contains("try again"), "{error}");
    assert_eq!(ids(&host).await, ["a1"]);
    std::fs::remove_file(&root).unwrap();
    while host.observe.erase(&["a".to_owned()]).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(ids(&host).await.is_empty());
    host.stop().await;
}
