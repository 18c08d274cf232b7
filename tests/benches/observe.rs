//! What recording costs, and how long it takes to find what was recorded.
//!
//! `cargo bench -p hotbay-tests --bench observe` records a million log records, as another service
//! sends them and as the host writes its own, and spans of traces of agents' runs; then it asks for
//! what people ask for, each question two hundred times. CPU is that of this process, all threads.
//! `-- --records 20000 --traces 2000` is a quick look.

use std::{
    collections::BTreeSet,
    fs,
    future::Future,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use hotbay::{
    config::RecordSettings,
    observe::{
        Counted, Observe, Order, Window,
        attrs::Key,
        filter::{Between, Filter},
    },
    tasks::Tasks,
    types::{
        id::Millis,
        log::{Level, LogRecord},
        span::{Entity, Span, SpanKind},
    },
};
use hotbay_tests::process;
use serde_json::json;
use tempfile::TempDir;

/// Records another service sends at once.
const BATCH: u64 = 500;
/// Records that share a run.
const RUN: u64 = 20;
/// The time records are spread over: two days.
const SPREAD: u64 = 48 * 60 * 60 * 1000;

const COMMON: [&str; 12] = [
    "request", "agent", "answered", "model", "started", "finished", "tool", "memory", "thread", "stored", "step",
    "workflow",
];

/// Measures recording and finding.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many log records are sent in batches
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// How many log records the host writes one by one
    #[arg(long, default_value_t = 200_000)]
    own: u64,
    /// How many traces, of five spans each
    #[arg(long, default_value_t = 200_000)]
    traces: u64,
    /// How often each question is asked
    #[arg(long, default_value_t = 200)]
    asks: u64,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// What recording so many took.
struct Cost {
    count: u64,
    raw: u64,
    cpu: Duration,
    wall: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `cargo test --benches` must not take minutes.
    let arguments = Arguments::parse();
    if !arguments.bench {
        return Ok(());
    }
    let home = TempDir::new()?;
    say(format!(
        "{:<34}{:>10}{:>12}{:>12}{:>12}{:>9}",
        "recorded", "records", "us CPU each", "per CPU s", "per s", "raw MB"
    ));
    logs(&arguments, &home.path().join("logs")).await?;
    traces(&arguments, &home.path().join("traces")).await?;
    let peak = peak()?;
    say(format!("\npeak resident memory: {:.0} MB", peak as f64 / 1e6));
    Ok(())
}

fn start(directory: &Path) -> (Observe, Tasks) {
    let settings = RecordSettings { filter: "info".to_owned(), content: true, days: 14, bytes: 64 << 30 };
    let tasks = Tasks::default();
    (Observe::start(&settings, directory, &tasks), tasks)
}

async fn logs(arguments: &Arguments, directory: &Path) -> anyhow::Result<()> {
    let (observe, tasks) = start(directory);
    let begin = Millis::now().0 - SPREAD as i64;
    let total = arguments.records + arguments.own;
    let at = |number: u64| Millis(begin + (number as u128 * u128::from(SPREAD) / u128::from(total.max(1))) as i64);

    let made = |number| log(number, at(number));
    let batches = measured(0..arguments.records, made, async || {
        let mut number = 0;
        while number < arguments.records {
            let end = (number + BATCH).min(arguments.records);
            let batch: Vec<_> = (number..end).map(|number| log(number, at(number))).collect();
            observe.recorder().batch(batch, Vec::new()).await.map_err(anyhow::Error::msg)?;
            number = end;
        }
        observe.commit().await;
        Ok(())
    })
    .await?;
    show("logs, in batches of 500", &batches);
    let indexed = bytes(directory)?;

    let own = measured(arguments.records..total, made, async || {
        for number in arguments.records..total {
            let record = log(number, at(number));
            observe.recorder().log(record);
            keep_pace(&observe).await;
        }
        wait(|| observe.recorder().depth().0 == 0).await;
        observe.commit().await;
        Ok(())
    })
    .await?;
    show("logs, one by one", &own);
    let found = observe.logs(Filter::All, Window { limit: 1, ..Window::default() }).await?.total;
    ensure!(found == total, "{total} were recorded and {found} are found: some were shed");
    say(format!(
        "\nindex of logs: {:.1} MB, {:.2} of the raw JSON ({} in memory only)",
        indexed as f64 / 1e6,
        indexed as f64 / batches.raw.max(1) as f64,
        observe.in_memory()
    ));

    heading();
    let page = |offset, limit| Window { order: Order::NewestFirst, offset, limit };
    let search = async |name: &str, filter: &dyn Fn(u64) -> Filter, window: Window| {
        question(arguments.asks, name, async |number| {
            let found = observe.logs(filter(number), window).await?;
            Ok((found.records.len() as u64, found.total))
        })
        .await
    };
    search("newest page of 100", &|_| Filter::All, page(0, 100)).await?;
    let run = |number: u64| format!("run-{}", number * 7919 % (total / RUN).max(1));
    search("page of a run", &|number| Filter::is(Key::RunId, run(number)), page(0, 100)).await?;
    let rare = |number: u64| {
        let from = begin + (number % 8) as i64 * (SPREAD / 8) as i64;
        let six_hours = Between { from: Some(Millis(from)), to: Some(Millis(from + 6 * 60 * 60 * 1000)) };
        Filter::And(vec![
            Filter::Text("timeout".to_owned()),
            Filter::Level(vec![Level::Error]),
            Filter::Time(six_hours),
        ])
    };
    search("rare word, errors, 6 hours", &rare, page(0, 100)).await?;
    let two = |_| Filter::Text("request answered".to_owned());
    search("two common words", &two, page(0, 100)).await?;
    search("offset 10,000", &|_| Filter::All, page(10_000, 100)).await?;
    search("offset 10,000, two common words", &two, page(10_000, 100)).await?;
    question(arguments.asks, "time until a record is found", async |number| {
        let id = format!("fresh-{number}");
        observe.recorder().log(LogRecord { id: id.clone(), ..log(number, Millis::now()) });
        loop {
            let found = observe.logs(Filter::is(Key::LogId, &id), page(0, 1)).await?;
            if found.total > 0 {
                return Ok((1, found.total));
            }
        }
    })
    .await?;
    tasks.shut_down(Duration::from_secs(60)).await;
    Ok(())
}

async fn traces(arguments: &Arguments, directory: &Path) -> anyhow::Result<()> {
    let (observe, tasks) = start(directory);
    let begin = Millis::now().0 - SPREAD as i64;
    let count = arguments.traces;
    let at = |number: u64| begin + (number as u128 * u128::from(SPREAD) / u128::from(count.max(1))) as i64;
    say(String::new());
    let cost = measured(
        0..count,
        |number| trace(number, at(number)),
        async || {
            for number in 0..count {
                let spans = trace(number, at(number));
                observe.recorder().spans(spans);
                keep_pace(&observe).await;
            }
            wait(|| observe.recorder().depth().0 == 0).await;
            observe.commit().await;
            Ok(())
        },
    )
    .await?;
    show("traces of five spans", &cost);
    let indexed = bytes(directory)?;
    let found = observe.spans(Filter::Root, Window { limit: 1, ..Window::default() }).await?.total;
    ensure!(found == count, "{count} traces were recorded and {found} are found: some were shed");
    say(format!(
        "\nindex of spans: {:.1} MB, {:.2} of the raw JSON",
        indexed as f64 / 1e6,
        indexed as f64 / cost.raw.max(1) as f64
    ));

    heading();
    let roots = || Filter::Root;
    let page = Window { order: Order::NewestFirst, offset: 0, limit: 25 };
    question(arguments.asks, "newest page of 25 roots", async |_| {
        let found = observe.spans(roots(), page).await?;
        Ok((found.records.len() as u64, found.total))
    })
    .await?;
    question(arguments.asks, "failed roots of an agent", async |number| {
        let agent = Filter::is(Key::EntityId, format!("agent-{}", number % 7));
        let failed = roots().and(Filter::is(Key::Status, "error")).and(agent);
        let found = observe.spans(failed, page).await?;
        Ok((found.records.len() as u64, found.total))
    })
    .await?;
    question(arguments.asks, "one trace", async |number| {
        let found = observe.trace(&format!("{:032x}", number * 7919 % count.max(1))).await?;
        ensure!(found.len() == 5, "a trace has {} spans", found.len());
        Ok((5, 5))
    })
    .await?;
    // These read all there is: fewer times.
    let few = arguments.asks.div_ceil(10);
    let runs = |time| Filter::is(Key::SpanType, "agent_run").and(Filter::Ended(time));
    let count = async |filter, keys: &[Key]| {
        let (mut count, mut groups) = (0, BTreeSet::new());
        let each = |span: Counted| {
            count += 1;
            groups.extend(span.keys.first().cloned().flatten());
        };
        observe.count(filter, keys, each).await?;
        anyhow::Ok((groups.len() as u64, count))
    };
    question(few, "metric, all", async |_| count(runs(Between::default()), &[]).await).await?;
    question(few, "metric, 6 hours", async |number| {
        let from = begin + (number % 8) as i64 * (SPREAD / 8) as i64;
        let time = Between { from: Some(Millis(from)), to: Some(Millis(from + 6 * 60 * 60 * 1000)) };
        count(runs(time), &[]).await
    })
    .await?;
    question(few, "metric by agent, all", async |_| count(runs(Between::default()), &[Key::EntityName]).await).await?;
    tasks.shut_down(Duration::from_secs(60)).await;
    Ok(())
}

/// Returns a log record: words of its own, of a run, sometimes rare ones.
fn log(number: u64, time: Millis) -> LogRecord {
    let word = |by: u64| COMMON[(number.wrapping_mul(by) / 3 % 12) as usize];
    let level = match number % 100 {
        0 | 1 => Level::Error,
        2..=6 => Level::Warn,
        _ => Level::Info,
    };
    let rare = if number.is_multiple_of(1000) { " timeout" } else { "" };
    let message = format!("{} {} {} of {} after {} ms{rare}", word(1), word(5), word(7), word(11), number % 977);
    let run = number / RUN;
    LogRecord {
        id: format!("{number:016x}"),
        time,
        level,
        transport: if number.is_multiple_of(3) { "host".to_owned() } else { format!("plugin-{}", number % 5) },
        component: "AGENT".to_owned(),
        message,
        run_id: Some(format!("run-{run}")),
        trace_id: Some(format!("{run:032x}")),
        span_id: Some(format!("{number:016x}")),
        request_id: None,
        thread_id: Some(format!("thread-{}", run / 10)),
        resource_id: Some(format!("user-{}", run % 1000)),
        service_name: None,
        environment: None,
        fields: json!({"took": number % 977, "city": word(13), "attempt": number % 3})
            .as_object()
            .cloned()
            .unwrap_or_default(),
    }
}

/// Returns the spans of a run of an agent: itself, a generation, a step, a request, a call.
fn trace(number: u64, begin: i64) -> Vec<Span> {
    let trace_id = format!("{number:032x}");
    let took = 50 + (number * 7919 % 1000) as i64;
    let agent = format!("agent-{}", number % 7);
    let kinds = [
        SpanKind::AgentRun,
        SpanKind::ModelGeneration,
        SpanKind::ModelStep,
        SpanKind::ModelInference,
        SpanKind::ToolCall,
    ];
    let spans = kinds.into_iter().zip(0u64..).map(|(kind, place)| {
        let id = |place: u64| format!("{:016x}", number * 8 + place);
        let mut span = Span::begin(kind, format!("{}: '{agent}'", kind.as_str()), &trace_id, id(place));
        span.parent_id = place.checked_sub(1).map(id);
        span.started_at = Millis(begin + place as i64);
        span.ended_at = Some(Millis(begin + took - place as i64));
        span.entity = Some(match kind {
            SpanKind::ToolCall => Entity::new("tool", "lookup", "lookup"),
            _ => Entity::new("agent", &agent, &agent),
        });
        span.run_id = Some(format!("run-{number}"));
        span.thread_id = Some(format!("thread-{}", number / 10));
        span.resource_id = Some(format!("user-{}", number % 1000));
        span.input =
            Some(json!({"messages": [{"role": "user", "content": format!("where is order {number}, please?")}]}));
        span.output = Some(json!({"text": format!("order {number} has left the house and will be there soon")}));
        if kind == SpanKind::ModelGeneration {
            span.attributes.insert("model".to_owned(), "gpt-5".into());
            span.attributes.insert("provider".to_owned(), "openai".into());
            span.attributes.insert("usage".to_owned(), json!({"inputTokens": 100 + number % 900, "outputTokens": 40}));
        }
        if number.is_multiple_of(50) && place == 0 {
            span.error = Some(json!({"message": "the tool did not answer"}));
        }
        span
    });
    spans.collect()
}

/// Waits before so much waits to be written, by number or by size, that some is shed.
async fn keep_pace(observe: &Observe) {
    /// Bytes, a third of what may wait.
    const MUCH: usize = 8 << 20;
    let waits = |part: usize| {
        let (waiting, room) = observe.recorder().depth();
        waiting > room / part || observe.recorder().waiting_bytes() > MUCH * 4 / part
    };
    if waits(4) {
        wait(|| !waits(8)).await;
    }
}

/// Returns what recording took. What making the records takes, with which `record` begins as
/// well, is taken off.
async fn measured<T, F>(
    numbers: Range<u64>,
    make: impl Fn(u64) -> T,
    record: impl FnOnce() -> F,
) -> anyhow::Result<Cost>
where
    T: serde::Serialize,
    F: Future<Output = anyhow::Result<()>>,
{
    let (own, count) = (std::process::id(), numbers.end - numbers.start);
    let mut raw = 0;
    for number in numbers.clone() {
        raw += serde_json::to_vec(&make(number))?.len() as u64;
    }
    let before = process::cpu_time(own)?;
    numbers.for_each(|number| drop(std::hint::black_box(make(number))));
    let making = process::cpu_time(own)?.saturating_sub(before);
    let (before, began) = (process::cpu_time(own)?, Instant::now());
    record().await?;
    let cpu = process::cpu_time(own)?.saturating_sub(before);
    Ok(Cost { count, raw, cpu: cpu.saturating_sub(making), wall: began.elapsed() })
}

fn show(name: &str, cost: &Cost) {
    let (count, cpu, wall) = (cost.count as f64, cost.cpu.as_secs_f64(), cost.wall.as_secs_f64());
    say(format!(
        "{name:<34}{:>10}{:>12.2}{:>12.0}{:>12.0}{:>9.1}",
        cost.count,
        cpu * 1e6 / count,
        count / cpu,
        count / wall,
        cost.raw as f64 / 1e6
    ));
}

fn heading() {
    say(format!("\n{:<34}{:>10}{:>12}{:>12}{:>12}{:>9}", "asked", "found", "total", "p50 ms", "p99 ms", "CPU ms"));
}

/// Asks so often and shows how long it took; `ask` returns how many records came and how many there are.
async fn question<F>(asks: u64, name: &str, ask: impl Fn(u64) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<(u64, u64)>>,
{
    let own = std::process::id();
    let mut times = Vec::new();
    let mut seen = (0, 0);
    let cpu = process::cpu_time(own)?;
    for number in 0..asks {
        let began = Instant::now();
        seen = ask(number).await.with_context(|| name.to_owned())?;
        times.push(began.elapsed());
    }
    let cpu = process::cpu_time(own)?.saturating_sub(cpu);
    times.sort_unstable();
    let quantile = |share: f64| {
        let place = (times.len().saturating_sub(1) as f64 * share) as usize;
        times.get(place).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    say(format!(
        "{name:<34}{:>10}{:>12}{:>12.2}{:>12.2}{:>9.2}",
        seen.0,
        seen.1,
        quantile(0.5),
        quantile(0.99),
        cpu.as_secs_f64() * 1e3 / asks.max(1) as f64
    ));
    Ok(())
}

/// Waits until something is so; it is looked at each millisecond.
async fn wait(is: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(1));
    while !is() {
        looks.tick().await;
    }
}

/// Returns how many bytes the files of a directory have, the write-ahead log's apart.
fn bytes(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A merge may take a file away meanwhile.
        let Ok(data) = entry.metadata() else { continue };
        if data.is_file() {
            bytes += data.len();
        } else if entry.file_name() != "wal" {
            bytes += self::bytes(&entry.path())?;
        }
    }
    Ok(bytes)
}

/// Returns the most memory this process ever had in RAM, in bytes.
fn peak() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a process has a VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn say(text: String) {
    println!("{text}");
}
