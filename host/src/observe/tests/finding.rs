//! Every condition and every window, against a list.

use std::{path::PathBuf, sync::Arc};

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::{
    Host,
    making::{any_filter, any_log, any_span},
};
use crate::{
    observe::{
        Found, LITTLE, ObserveError, Order, Window,
        attrs::Key,
        filter::Filter,
        record::{Record, RecordKind},
    },
    types::{
        id::Millis,
        log::LogRecord,
        span::{Span, SpanKind},
    },
};

const ORDERS: [Order; 4] = [Order::NewestFirst, Order::OldestFirst, Order::LatestEndFirst, Order::EarliestEndFirst];

/// What is recorded in one go, and whether it is committed then.
type Steps<T> = Vec<(Vec<T>, bool)>;

fn window() -> impl Strategy<Value = Window> {
    (select(&ORDERS[..]), 0u64..30, 0u64..20).prop_map(|(order, offset, limit)| Window { order, offset, limit })
}

/// Returns what stands in a window of a list.
fn expected<T>(all: &[T], filter: &Filter, window: Window, view: fn(&T) -> Record<'_>) -> Found<T>
where
    T: Clone,
{
    let time = |record: &T| match window.order {
        Order::NewestFirst | Order::OldestFirst => view(record).time().0,
        Order::LatestEndFirst | Order::EarliestEndFirst => view(record).ended_at().map_or(i64::MAX, |end| end.0),
        // Not asked for here.
        Order::Arrival(_) => 0,
    };
    let mut found: Vec<T> = all.iter().filter(|record| filter.matches(view(record))).cloned().collect();
    // Stable: those of one time stay in the order they came in.
    found.sort_by_key(time);
    if matches!(window.order, Order::NewestFirst | Order::LatestEndFirst) {
        found.reverse();
    }
    let total = found.len() as u64;
    let (offset, limit) = (window.offset as usize, window.limit as usize);
    Found { records: found.into_iter().skip(offset).take(limit).collect(), positions: Vec::new(), total }
}

fn check<T: Clone + PartialEq + std::fmt::Debug>(
    found: Result<Found<Arc<T>>, ObserveError>,
    expected: &Found<T>,
) -> Result<(), TestCaseError> {
    let found = found.map_err(|error| TestCaseError::fail(error.to_string()))?;
    let records: Vec<T> = found.records.iter().map(|record| (**record).clone()).collect();
    prop_assert_eq!(&records, &expected.records);
    prop_assert_eq!(found.total, expected.total);
    Ok(())
}

fn run<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: 10, failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    TestRunner::new(config).run(strategy, check).unwrap();
}

/// Nothing here depends on the disk, and in memory its latency is not waited for.
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// Returns the same condition, as one that only an index can tell.
fn by_index(filter: Filter) -> Filter {
    Filter::And(vec![Filter::Query("*".to_owned()), filter])
}

fn questions() -> impl Strategy<Value = Vec<(Filter, Window)>> {
    vec((any_filter(), window()), 1..100)
}

#[test]
fn logs_are_found_as_in_a_list() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let steps = vec((vec(any_log(), 0..40), any::<bool>()), 1..4);
    run(&(steps, questions()), |(steps, questions): (Steps<LogRecord>, _)| {
        runtime.block_on(async {
            let directory = tempfile::tempdir_in(place()).unwrap();
            let host = Host::start(directory.path());
            let mut all = Vec::new();
            for (logs, is_committed) in steps {
                all.extend(logs.iter().cloned());
                host.record(logs, Vec::new()).await;
                if is_committed {
                    host.observe.commit().await;
                }
            }
            for (filter, window) in questions {
                let expected = expected(&all, &filter, window, |log| Record::Log(log));
                for filter in [filter.clone(), by_index(filter)] {
                    let found = host.observe.logs(filter.clone(), window).await;
                    check(found, &expected)
                        .map_err(|error| TestCaseError::fail(format!("{filter:?} {window:?}: {error}")))?;
                }
            }
            host.stop().await;
            Ok(())
        })
    });
}

#[test]
fn spans_are_found_as_in_a_list() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let steps = vec((vec(any_span(), 0..30), any::<bool>()), 1..4);
    run(&(steps, questions()), |(steps, questions): (Steps<Span>, _)| {
        runtime.block_on(async {
            let directory = tempfile::tempdir_in(place()).unwrap();
            let host = Host::start(directory.path());
            let mut all = Vec::new();
            for (mut spans, is_committed) in steps {
                // As they are put together: by trace.
                spans.sort_by(|a, b| a.trace_id.cmp(&b.trace_id));
                all.extend(spans.iter().cloned());
                host.record(Vec::new(), spans).await;
                if is_committed {
                    host.observe.commit().await;
                }
            }
            for (filter, window) in questions {
                let expected = expected(&all, &filter, window, |span| Record::Span(span));
                let met = all.iter().filter(|span| filter.matches(Record::Span(span)));
                let took = met.clone().map(|span| span.duration().unwrap()).sum::<u64>();
                let mut entities: Vec<&str> = met.filter_map(|span| Record::Span(span).get(Key::EntityId)).collect();
                entities.sort_unstable();
                entities.dedup();
                for filter in [filter.clone(), by_index(filter.clone())] {
                    let found = host.observe.spans(filter.clone(), window).await;
                    check(found, &expected)
                        .map_err(|error| TestCaseError::fail(format!("{filter:?} {window:?}: {error}")))?;
                    let mut counted = 0;
                    let mut tokens = 0;
                    let add = |it: crate::observe::Counted| {
                        counted += 1;
                        tokens += it.input_tokens.unwrap_or_default();
                    };
                    host.observe.count(filter.clone(), &[Key::EntityId], add).await.unwrap();
                    prop_assert_eq!(counted, expected.total, "counted by {:?}", &filter);
                    prop_assert_eq!(tokens, took);
                    let values = host.observe.values(RecordKind::Spans, Key::EntityId, filter.clone()).await.unwrap();
                    prop_assert_eq!(&values, &entities, "values by {:?}", &filter);
                }
            }
            host.stop().await;
            Ok(())
        })
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_among_many_is_found_without_looking_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let begin = Millis::now().0 - 50_000;
    let mut all = Vec::new();
    for part in 0..10 {
        let logs = (0..5000).map(|index| {
            let number = part * 5000 + index;
            // In no order, as records of several services are.
            let time = Millis(begin + (number * 7919) % 50_000);
            super::making::log(&number.to_string(), if number % 2 == 0 { "even" } else { "odd" }, time)
        });
        let logs: Vec<_> = logs.collect();
        all.extend(logs.iter().cloned());
        host.record(logs, Vec::new()).await;
        host.observe.commit().await;
    }
    for filter in [Filter::All, Filter::Text("even".to_owned())] {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            for offset in [0, 100, 24_990, 30_000] {
                let window = Window { order, offset, limit: 20 };
                let expected = expected(&all, &filter, window, |log| Record::Log(log));
                check(host.observe.logs(filter.clone(), window).await, &expected).unwrap();
            }
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn queries_are_tantivys_and_bad_ones_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let mut late = super::log("late", "the request ran into a timeout");
    late.run_id = Some("run-1".to_owned());
    late.span_id = Some("00f067aa0ba902b7".to_owned());
    late.fields.insert("city".to_owned(), "Rome".into());
    late.fields.insert("took".to_owned(), 12.into());
    host.record(vec![late, super::log("other", "all is well, no timeouts")], Vec::new()).await;
    let ids = async |query: &str| host.ids(Filter::Query(query.to_owned())).await;
    let expected = [
        ("timeout", vec!["late"]),
        ("TIMEOUT request", vec!["late"]),
        ("timeout well", vec![]),
        ("timeout OR well", vec!["late", "other"]),
        ("\"ran into\"", vec!["late"]),
        ("\"into ran\"", vec![]),
        ("runId:run-1", vec!["late"]),
        ("spanId:00f067aa0ba902b7", vec!["late"]),
        ("runId: IN [run-1 run-2]", vec!["late"]),
        ("runId: IN [run-2 run-3]", vec![]),
        ("spanId: IN [00f067aa0ba902b7 00f067aa0ba902b8]", vec!["late"]),
        ("NOT spanId: IN [00f067aa0ba902b7 00f067aa0ba902b8]", vec!["other"]),
        ("logId:late OR logId:other", vec!["late", "other"]),
        ("timeout AND NOT spanId:00f067aa0ba902b7", vec![]),
        ("fields.city:Rome", vec!["late"]),
        ("city:Rome", vec!["late"]),
        ("fields.took:12", vec!["late"]),
        ("level:info AND NOT timeout", vec!["other"]),
        ("time:[2020-01-01T00:00:00Z TO *]", vec!["late", "other"]),
        ("*", vec!["late", "other"]),
    ];
    for (query, expected) in &expected {
        assert_eq!(ids(query).await, *expected, "{query}");
    }
    assert_eq!(host.observe.in_memory(), 2, "what is little is not put into the index of its day for a question");
    host.observe.commit().await;
    assert_eq!(host.observe.in_memory(), 0);
    for (query, expected) in &expected {
        assert_eq!(ids(query).await, *expected, "{query}");
    }
    // The index ends names with these.
    for name in ["\0city", "\u{1}city", "ci\0ty"] {
        let field = |value: serde_json::Value| host.ids(Filter::Field(name.to_owned(), value));
        assert_eq!((field("Rome".into()).await, field(12.into()).await), (vec![], vec![]), "{name:?}");
    }
    let long = "x ".repeat(5000);
    for bad in
        ["\"open", "level:[a TO", "time:yesterday", "(a", &long, "\0city:Rome", "ci\u{1}ty:Rome", "\0\u{e3}:\u{8}O"]
    {
        let window = Window { limit: 1, ..Window::default() };
        let error = host.observe.logs(Filter::Query(bad.to_owned()), window).await.unwrap_err();
        assert!(matches!(&error, ObserveError::Query(_)), "{bad}: {error}");
    }
    host.stop().await;
}

/// To put much into an index for one search alone would cost that each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn much_is_in_the_index_of_its_day_after_a_query() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let message = format!("the request ran into a timeout {}", "x".repeat(1 << 10));
    let many = LITTLE >> 10;
    let logs = (0..many).map(|number| super::log(&format!("log-{number:04}"), &message));
    host.record(logs.collect(), Vec::new()).await;
    assert_eq!(host.observe.in_memory(), many);
    assert_eq!(host.ids(Filter::Query("timeout".to_owned())).await.len(), many);
    assert_eq!(host.observe.in_memory(), 0);
    host.stop().await;
}

/// Spans of runs that take long are handed over as they end: those below first.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_span_stands_before_those_below_it_however_they_came() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let begun = Millis::now();
    let span = |id: &str, parent: Option<&str>| {
        let mut span = Span::begin(SpanKind::ToolCall, id, "trace", id.to_owned());
        (span.started_at, span.ended_at) = (begun, Some(begun));
        span.parent_id = parent.map(str::to_owned);
        span
    };
    for spans in [
        vec![span("below-2", Some("below")), span("alone", Some("elsewhere"))],
        vec![span("below", Some("root")), span("round", Some("about")), span("about", Some("round"))],
        vec![span("root", None)],
    ] {
        host.record(Vec::new(), spans).await;
    }
    let ids = async || -> Vec<String> {
        host.observe.trace("trace").await.unwrap().iter().map(|span| span.span_id.clone()).collect()
    };
    let expected = ["root", "below", "below-2", "alone", "about", "round"];
    assert_eq!(ids().await, expected);
    host.observe.commit().await;
    assert_eq!(ids().await, expected);
    host.stop().await;
}

/// What shares a body lies in one segment, though it is more than is written into one otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn spans_that_share_a_body_have_it_however_large_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let span = |number: usize| {
        let mut span = Span::begin(SpanKind::ToolCall, number.to_string(), "trace", format!("{number:016x}"));
        span.ended_at = Some(span.started_at);
        let words: Vec<String> = (0..20_000).map(|word| format!("{:x}", number << 24 | word)).collect();
        span.input = Some(words.join(" ").into());
        span
    };
    let spans: Vec<Span> = (1..=20).map(span).collect();
    host.record(Vec::new(), spans.clone()).await;
    host.observe.commit().await;
    for span in spans {
        let filter = Filter::is(Key::SpanId, span.span_id.as_str());
        let found = host.observe.spans(filter, Window { limit: 1, ..Window::default() }).await.unwrap();
        assert_eq!(found.records[0].input, span.input, "{}", span.name);
    }
    host.stop().await;
}
