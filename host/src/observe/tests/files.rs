//! What is on the disk: found after a restart, whatever happened to it meanwhile.

use std::{fs, path::Path};

use jiff::{ToSpan, civil::Date};

use super::{Host, log, making, settings};
use crate::{
    observe::{Filter, day::date_of, filter::Between},
    types::id::Millis,
};

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn record(host: &Host, range: std::ops::Range<u32>) {
    // One at a time, so that they are written one by one.
    for number in range {
        host.record(vec![log(&number.to_string(), "x")], Vec::new()).await;
    }
}

fn wal_files(root: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(root.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn set_aside(root: &Path) -> usize {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".damaged-")).count()
}

fn day_of(root: &Path) -> std::path::PathBuf {
    root.join("logs").join(date_of(Millis::now()).to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_written_is_there_once_after_any_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut all = 0;
    for round in 0..4 {
        let host = Host::start(directory.path());
        assert_eq!(host.ids(Filter::All).await, numbers(0..all), "round {round}");
        record(&host, all..all + 5).await;
        all += 5;
        if round % 2 == 1 {
            host.observe.commit().await;
            record(&host, all..all + 3).await;
            all += 3;
        }
        assert_eq!(host.ids(Filter::All).await, numbers(0..all));
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn torn_end_of_the_write_ahead_log_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    record(&host, 0..3).await;
    host.observe.commit().await;
    record(&host, 3..6).await;
    host.stop().await;
    let file = wal_files(directory.path()).pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // The last record is half written.
    bytes[end - 40..=end].fill(0);
    fs::write(&file, bytes).unwrap();
    let host = Host::start(directory.path());
    assert_eq!(host.ids(Filter::All).await, numbers(0..5));
    record(&host, 6..8).await;
    host.stop().await;
    let host = Host::start(directory.path());
    assert_eq!(host.ids(Filter::All).await, [numbers(0..5), numbers(6..8)].concat());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn write_ahead_log_that_was_made_and_not_written_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("wal")).unwrap();
    fs::write(directory.path().join("wal/wal-00000000000000000000"), "").unwrap();
    let host = Host::start(directory.path());
    record(&host, 0..2).await;
    host.stop().await;
    let host = Host::start(directory.path());
    assert_eq!(host.ids(Filter::All).await, numbers(0..2));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn damaged_index_is_set_aside_and_the_rest_is_found() {
    for damage in ["meta.json", ".managed.json", "segment"] {
        let directory = tempfile::tempdir().unwrap();
        let yesterday = Millis(Millis::now().0 - 86_400_000);
        let host = Host::start(directory.path());
        host.record(vec![making::log("old", "x", yesterday)], Vec::new()).await;
        record(&host, 0..2).await;
        host.observe.commit().await;
        record(&host, 2..4).await;
        host.stop().await;
        let day = day_of(directory.path());
        match damage {
            "segment" => {
                let store = fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().path());
                for path in store.filter(|path| path.extension().is_some_and(|it| it == "fast" || it == "store")) {
                    fs::write(path, "no segment").unwrap();
                }
            }
            file => fs::write(day.join(file), "{").unwrap(),
        }
        let host = Host::start(directory.path());
        let found = host.ids(Filter::All).await;
        assert_eq!(set_aside(directory.path()), 1, "{damage}");
        // What the write-ahead log has is there, and what other days have.
        assert_eq!(found, ["old", "2", "3"], "{damage}");
        record(&host, 4..5).await;
        host.observe.commit().await;
        assert_eq!(host.ids(Filter::All).await, ["old", "2", "3", "4"]);
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn directory_that_cannot_be_used_costs_nothing_but_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("observe");
    // A file where the directory should be; root may write to directories that are read-only.
    fs::write(&root, "in the way").unwrap();
    let host = Host::start(&root);
    host.observe.recorder().log(log("0", "x"));
    let refused = host.observe.recorder().batch(vec![log("1", "x")], Vec::new()).await;
    assert!(refused.is_err(), "nothing is on the disk");
    assert_eq!(host.ids(Filter::All).await, numbers(0..2));
    fs::remove_file(&root).unwrap();
    // It is tried again, and what came before is written as well.
    while host.observe.recorder().batch(vec![log("2", "x")], Vec::new()).await.is_err() {
        tokio::task::yield_now().await;
    }
    let before = host.ids(Filter::All).await;
    assert!(before.starts_with(&numbers(0..2)), "{before:?}");
    host.stop().await;
    let host = Host::start(&root);
    assert_eq!(host.ids(Filter::All).await, before);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn days_that_are_too_old_or_too_many_go_and_readers_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let now = Millis::now();
    let ago = |days: i64| Millis(now.0 - days * 86_400_000);
    let host = Host::start(directory.path());
    let logs: Vec<_> = (0..10).map(|days| making::log(&days.to_string(), "x", ago(days))).collect();
    host.record(logs, Vec::new()).await;
    host.observe.commit().await;
    host.stop().await;
    let of_days = |days: u64, bytes: u64| crate::config::RecordSettings { days, bytes, ..settings() };
    let host = Host::with(&of_days(4, 1 << 30), directory.path());
    let expected: Vec<String> = (0..5).rev().map(|days| days.to_string()).collect();
    while host.ids(Filter::All).await != expected {
        tokio::task::yield_now().await;
    }
    host.stop().await;
    assert_eq!(fs::read_dir(directory.path().join("logs")).unwrap().count(), 5);
    // Bytes for today alone, which stays whatever it takes.
    let host = Host::with(&of_days(4, 1), directory.path());
    while host.ids(Filter::All).await != ["0"] {
        tokio::task::yield_now().await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn times_of_all_kinds_are_kept_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let midnight = Millis(Millis::now().0 / 86_400_000 * 86_400_000);
    let times = [
        ("zero", Millis(0)),
        ("before", Millis(-1)),
        ("first", Millis(-4_000_000_000_000)),
        ("yesterday", Millis(midnight.0 - 1)),
        ("today", midnight),
        ("future", Millis(253_402_300_799_000)),
    ];
    host.record(times.iter().map(|(id, time)| making::log(id, "x", *time)).collect(), Vec::new()).await;
    let expected = ["first", "before", "zero", "yesterday", "today", "future"];
    assert_eq!(host.ids(Filter::All).await, expected);
    host.observe.commit().await;
    assert_eq!(host.ids(Filter::All).await, expected);
    let until = Filter::Time(Between { from: Some(Millis(0)), to: Some(Millis(midnight.0 - 1)) });
    assert_eq!(host.ids(until).await, ["zero", "yesterday"]);
    host.stop().await;
    // No time makes an index of its own.
    let days = fs::read_dir(directory.path().join("logs")).unwrap();
    let days: Vec<Date> = days.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let today = date_of(Millis::now());
    let oldest = today.saturating_sub(15.days());
    assert!(days.iter().all(|day| *day >= oldest && *day <= today.saturating_add(1.day())), "{days:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn days_are_utc_whatever_clocks_on_the_wall_do() {
    let directory = tempfile::tempdir().unwrap();
    let settings = crate::config::RecordSettings { days: 365_000, ..settings() };
    let host = Host::with(&settings, directory.path());
    // Around midnight in Berlin and in UTC; half past two twice, and the hour that is not there.
    let times = [
        ("spring-before", "2025-03-30T01:59:59.999+01:00"),
        ("spring-after", "2025-03-30T03:00:00+02:00"),
        ("autumn-berlin-midnight", "2025-10-26T00:00:00+02:00"),
        ("autumn-first", "2025-10-26T02:30:00+02:00"),
        ("autumn-second", "2025-10-26T02:30:00+01:00"),
        ("autumn-utc-midnight", "2025-10-26T01:00:00+01:00"),
    ];
    let at = |text: &str| Millis::parse(text).unwrap();
    host.record(times.iter().map(|(id, time)| making::log(id, "x", at(time))).collect(), Vec::new()).await;
    for _ in 0..2 {
        let expected = [
            "spring-before",
            "spring-after",
            "autumn-berlin-midnight",
            "autumn-utc-midnight",
            "autumn-first",
            "autumn-second",
        ];
        assert_eq!(host.ids(Filter::All).await, expected);
        let within = async |from: &str, to: &str| {
            host.ids(Filter::Time(Between { from: Some(at(from)), to: Some(at(to)) })).await
        };
        assert_eq!(within("2025-03-30T00:59:59.999Z", "2025-03-30T01:00:00Z").await, expected[..2]);
        assert_eq!(within("2025-10-26", "2025-10-26T00:30:00Z").await, expected[3..5]);
        assert_eq!(within("2025-10-26T00:30:00.001Z", "2025-10-27").await, expected[5..]);
        assert_eq!(within("2025-10-25", "2025-10-25T23:59:59.999Z").await, expected[2..3]);
        host.observe.commit().await;
    }
    host.stop().await;
    let mut days: Vec<String> = fs::read_dir(directory.path().join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    days.sort_unstable();
    assert_eq!(days, ["2025-03-30", "2025-10-25", "2025-10-26"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clock_that_goes_back_loses_nothing_and_doubles_nothing() {
    use crate::observe::{Order, Window};
    let directory = tempfile::tempdir().unwrap();
    let midnight = Millis::now().0 / 86_400_000 * 86_400_000;
    // An hour back over midnight, again and again, some of it committed and some of it not.
    let times: Vec<i64> = (0..12).map(|n| midnight + (n % 4) * 1_200_000 - (n / 4) * 3_600_000).collect();
    let host = Host::start(directory.path());
    for (number, time) in times.iter().enumerate() {
        host.record(vec![making::log(&number.to_string(), "x", Millis(*time))], Vec::new()).await;
        if number % 5 == 4 {
            host.observe.commit().await;
        }
    }
    let mut by_time: Vec<usize> = (0..12).collect();
    by_time.sort_by_key(|number| times[*number]);
    let by_time: Vec<String> = by_time.iter().map(usize::to_string).collect();
    assert_eq!(host.ids(Filter::All).await, by_time);
    host.stop().await;
    let host = Host::start(directory.path());
    assert_eq!(host.ids(Filter::All).await, by_time);
    let window = Window { order: Order::Arrival(0), offset: 0, limit: 99 };
    let arrived = host.observe.logs(Filter::All, window).await.unwrap();
    let ids: Vec<&str> = arrived.records.iter().map(|log| log.id.as_str()).collect();
    assert_eq!(ids, (0..12).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(arrived.positions.is_sorted(), "{:?}", arrived.positions);
    let next = host.observe.position().await;
    let late = Window { order: Order::Arrival(next), ..window };
    assert_eq!(host.observe.logs(Filter::All, late).await.unwrap().total, 0);
    host.record(vec![making::log("late", "x", Millis(0))], Vec::new()).await;
    assert_eq!(host.observe.logs(Filter::All, late).await.unwrap().records[0].id, "late");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_records_are_kept_whole() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let message = "word ".repeat(220_000);
    host.record(vec![log("large", &message)], Vec::new()).await;
    host.observe.commit().await;
    let found = host.logs(Filter::Text("word".to_owned())).await;
    assert_eq!(found.records[0].message, message);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_burst_is_kept_or_counted_and_what_matters_more_is_kept_longer() {
    use crate::types::log::Level;
    use std::sync::atomic::Ordering::Relaxed;
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(directory.path());
    let recorder = host.observe.recorder();
    let mut given = [0u64; 5];
    for number in 0..300_000u32 {
        let level = Level::ALL[(number % 4) as usize];
        given[level as usize] += 1;
        recorder.log(crate::types::log::LogRecord { level, ..log("burst", "x") });
    }
    let kept = async |level| host.logs(Filter::Level(vec![level])).await.total;
    let mut shed = Vec::new();
    // What is on the disk is behind all that waited.
    while host.observe.recorder().depth().0 > 0 {
        tokio::task::yield_now().await;
    }
    host.record(Vec::new(), Vec::new()).await;
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        let counted = recorder.shed().unwrap().logs[level as usize].load(Relaxed);
        assert_eq!(kept(level).await + counted, given[level as usize], "{level:?}");
        shed.push(counted);
    }
    assert!(shed[0] > 0, "nothing was shed, so nothing is shown: {shed:?}");
    assert!(shed.is_sorted_by(|more, less| more >= less), "{shed:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn span_a_dead_host_left_open_is_recorded_once_as_interrupted() {
    use crate::{
        observe::{Window, attrs::Key},
        store::{Store, StoreSettings},
        tasks::Tasks,
        types::span::{Span, SpanKind, SpanStatus},
    };
    let directory = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let settings = StoreSettings { data: directory.path().to_owned(), url: None, fault: None };
    let (store, writer) = Store::open(&settings).await.unwrap();
    tasks.spawn("store", |cancel| writer.unwrap().run(cancel));
    let root = directory.path().join("observe");
    let keep = |host: &Host| {
        let (observe, store) = (host.observe.clone(), store.clone());
        host.tasks.spawn("open", |cancel| observe.keep_open_spans(store, "host".into(), cancel));
    };
    let written = async || store.open_spans().of("host").await.unwrap().len();

    let host = Host::start(&root);
    keep(&host);
    let long = host.observe.recorder().begin(SpanKind::AgentRun, "long", "trace", "long", None);
    long.with(|span| span.started_at = Millis(span.started_at.0 - 5000));
    let ends = long.child(SpanKind::ToolCall, "ends");
    ends.with(|span| span.started_at = Millis(span.started_at.0 - 5000));
    while written().await != 2 {
        tokio::task::yield_now().await;
    }
    let found = host.observe.trace("trace").await.unwrap();
    assert_eq!(found.iter().map(|span| span.status()).collect::<Vec<_>>(), [SpanStatus::Running; 2]);
    ends.end();
    while written().await != 1 {
        tokio::task::yield_now().await;
    }
    // It dies: nothing tells the span that it ends.
    std::mem::forget(long);
    host.stop().await;

    for _ in 0..2 {
        let host = Host::start(&root);
        keep(&host);
        let is_long = || Filter::is(Key::SpanId, "long");
        while host.observe.spans(is_long(), Window::default()).await.unwrap().total == 0 || written().await > 0 {
            tokio::task::yield_now().await;
        }
        let found = host.observe.spans(is_long(), Window { limit: 9, ..Window::default() }).await.unwrap();
        let spans: Vec<&Span> = found.records.iter().map(|span| &**span).collect();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        assert_eq!(spans[0].status(), SpanStatus::Error);
        // As if it had died before it could forget it.
        let again = serde_json::to_string(spans[0]).unwrap();
        store.open_spans().change("host", &[("long".to_owned(), again)], &[]).await.unwrap();
        host.stop().await;
    }
    tasks.shut_down(std::time::Duration::from_secs(9)).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_of_a_directory_that_is_away_at_the_start_stand_behind_those_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let (root, away) = (directory.path().join("observe"), directory.path().join("away"));
    let host = Host::start(&root);
    record(&host, 0..3).await;
    host.observe.commit().await;
    record(&host, 3..5).await;
    host.stop().await;
    fs::rename(&root, &away).unwrap();
    fs::write(&root, "in the way").unwrap();
    let host = Host::start(&root);
    host.observe.recorder().log(log("5", "x"));
    assert_eq!(host.ids(Filter::All).await, numbers(5..6));
    fs::remove_file(&root).unwrap();
    fs::rename(&away, &root).unwrap();
    while host.observe.recorder().batch(vec![log("6", "x")], Vec::new()).await.is_err() {
        tokio::task::yield_now().await;
    }
    // What was refused stays in memory, so the last one may be there more than once.
    let found = host.ids(Filter::All).await;
    assert!(found.starts_with(&numbers(0..7)), "{found:?}");
    host.stop().await;
    let host = Host::start(&root);
    assert_eq!(host.ids(Filter::All).await, found);
    host.stop().await;
}
