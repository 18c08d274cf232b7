use std::time::Duration;

use serde_json::{Map, json};

use super::{
    super::log_of_tool,
    bed::{Bed, SAID},
};
use crate::{
    engine::{options::RunOptions, workflow::StartRequest},
    observe::{
        filter::Filter,
        layer::{self, RecordLayer},
    },
    types::{
        log::{Level, LogRecord},
        trace::TraceOptions,
    },
};

/// Returns the log of a run once it has so many records.
async fn log(bed: &Bed, run_id: &str, records: usize) -> Vec<std::sync::Arc<LogRecord>> {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let filter = Filter::is(crate::observe::attrs::Key::RunId, run_id);
    let seen = async {
        loop {
            ticks.tick().await;
            let window = crate::observe::Window { limit: 99, order: crate::observe::Order::OldestFirst, offset: 0 };
            let found = bed.observe.logs(filter.clone(), window).await.unwrap().records;
            if found.len() == records {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), seen).await.unwrap()
}

#[tokio::test]
async fn the_log_says_which_run_and_span_a_record_belongs_to() {
    let bed = Bed::start().await;
    let _heard = layer::hear(RecordLayer { recorder: Some(bed.observe.recorder().clone()), file: None });

    let turn = bed.ask("worker", "call weather {}", RunOptions::default()).await;
    let records = log(&bed, &turn.run_id, 3).await;
    let told: Vec<_> = records.iter().map(|it| (it.level, it.message.as_str(), it.component.as_str())).collect();
    let expected = [
        (Level::Debug, "an agent's run begins", "AGENT"),
        (Level::Info, SAID, "fake"),
        (Level::Info, "an agent's run ended", "AGENT"),
    ];
    assert_eq!(told, expected);
    assert!(records.iter().all(|it| it.trace_id.as_ref() == Some(&turn.trace_id)));
    assert_eq!(records[2].span_id.as_ref(), Some(&turn.span_id));
    assert_eq!(records[2].fields["name"], "Mastra");
    let spans = bed.all().await;
    let tool = spans.iter().find(|span| span.name == "tool: 'weather'").unwrap();
    assert_eq!(records[1].span_id.as_ref(), Some(&tool.span_id));

    let request = StartRequest {
        workflow_id: "uses".to_owned(),
        input: Some(json!(1)),
        resource_id: Some("somebody".to_owned()),
        ..StartRequest::default()
    };
    let run = bed.workflows.start(request).await.unwrap();
    let (run_id, input) = (run.run_id().to_owned(), run.input().clone());
    run.end().await.unwrap();
    let records = log(&bed, &run_id, 3).await;
    let told: Vec<_> = records.iter().map(|it| (it.level, it.message.as_str())).collect();
    let expected = [
        (Level::Debug, "a workflow's run begins"),
        (Level::Info, SAID),
        (Level::Info, "a workflow's run ended or waits"),
    ];
    assert_eq!(told, expected);
    assert!(records.iter().all(|it| it.trace_id.as_ref() == Some(&input.trace_id)));
    assert!(records.iter().all(|it| it.resource_id.as_deref() == Some("somebody")));
    assert_eq!(records[2].span_id.as_ref(), Some(&input.span_id));
    assert_ne!(records[1].span_id.as_ref(), Some(&input.span_id));
}

#[tokio::test]
async fn a_tool_that_is_run_by_itself_logs_within_its_span() {
    let bed = Bed::start().await;
    let _heard = layer::hear(RecordLayer { recorder: Some(bed.observe.recorder().clone()), file: None });

    let (run_id, trace) = (Some("by-itself".to_owned()), TraceOptions::default());
    bed.engine.execute_tool("weather", &json!({}), Map::new(), run_id, &trace).await.unwrap();
    let records = log(&bed, "by-itself", 1).await;
    let spans = bed.all().await;
    assert_eq!((records[0].message.as_str(), spans.len()), (SAID, 1));
    assert_eq!(records[0].span_id.as_ref(), Some(&spans[0].span_id));
    assert_eq!(records[0].trace_id.as_ref(), Some(&spans[0].trace_id));
}

#[test]
fn a_span_of_the_log_that_would_say_nothing_is_none() {
    assert!(log_of_tool(None, None).is_none());
    assert!(!log_of_tool(Some("a run"), None).is_none());
}
