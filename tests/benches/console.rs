//! What the console costs: until its first frame, at rest, and while much happens.
//!
//! `cargo bench -p hotbay-tests --bench console` builds the release console, host and plugin, and
//! runs the console in a pseudo terminal of 120 columns and 36 rows. At rest it watches a real
//! host; the flood comes from a server of this program, which tells of log records as fast as
//! it is asked to. CPU is that of the console's process, in percent of one processor.

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use hotbay_tests::{
    TestHost, cargo, process,
    pty::{Program, Terminal},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The crate of the plugin the host has.
const PLUGIN: &str = "hotbay-test-reference";
/// How often events are sent.
const TICK: Duration = Duration::from_millis(20);

/// Measures what the console costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often the start is measured; the median is shown
    #[arg(long, default_value_t = 15)]
    starts: usize,
    /// How many seconds it is looked at while nothing happens
    #[arg(long, default_value_t = 10)]
    idle: u64,
    /// Events in a second
    #[arg(long, default_value_t = 10_000)]
    rate: usize,
    /// Events in all
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// Takes the programs as they were built before
    #[arg(long)]
    no_build: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        cargo::build_released(&["hotbay", "hotbay-tui"], &[PLUGIN])?;
    }
    let host = TestHost::builder().plugin(PLUGIN).start().await?;
    let url = host.url("");
    let mut starts = Vec::new();
    for _ in 0..arguments.starts.max(1) {
        starts.push(start(&url)?);
    }
    starts.sort();
    let (first, live) = starts.get(starts.len() / 2).copied().context("it started")?;
    say(format!("first frame {:.1} ms after the start, all of it {:.1} ms (100)", millis(first), millis(live)));
    let (cpu, bytes) = rest(&url, Duration::from_secs(arguments.idle.max(1))).await?;
    say(format!("at rest {cpu:.2} % of a processor (0.5), {bytes} bytes written in {} s", arguments.idle));
    flood(&arguments).await
}

/// Returns how long it takes until there is a frame, and until it has what the server knows.
fn start(url: &str) -> anyhow::Result<(Duration, Duration)> {
    let began = Instant::now();
    let mut terminal = Program::built("hotbay-tui").arguments(&["--url", url, "--screen", "plugins"]).start()?;
    terminal.see("[2 Plugins]");
    let first = began.elapsed();
    terminal.see(PLUGIN);
    let live = began.elapsed();
    terminal.keys("q");
    terminal.ended()?;
    Ok((first, live))
}

/// Returns the percent of a processor and the bytes that are written while nothing happens.
async fn rest(url: &str, time: Duration) -> anyhow::Result<(f64, usize)> {
    let terminal = Program::built("hotbay-tui").arguments(&["--url", url]).start()?;
    terminal.see("live");
    terminal.settle();
    let id = terminal.process_id();
    let (before, written) = (process::cpu_time(id)?, terminal.bytes().len());
    tokio::time::sleep(time).await;
    let used = process::cpu_time(id)?.saturating_sub(before);
    Ok((used.as_secs_f64() * 100.0 / time.as_secs_f64(), terminal.bytes().len() - written))
}

async fn flood(arguments: &Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut tasks = JoinSet::new();
    let (rate, events) = (arguments.rate, arguments.events);
    tasks.spawn(async move { serve(listener, rate, events).await });
    let mut terminal = Program::built("hotbay-tui").arguments(&["--url", &url, "--screen", "logs"]).start()?;
    terminal.see("live");
    let id = terminal.process_id();
    let (before, began) = (process::cpu_time(id)?, Instant::now());
    let mut waits = Vec::new();
    let last = format!("number {events} ");
    loop {
        // A key, and the screen that answers it: another screen, so that no event can be taken for it.
        for (key, tab) in [("2", "[2 Plugins]"), ("7", "[7 Logs]")] {
            waits.push(answer(&mut terminal, key, tab));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if terminal.screen(|screen| screen.contents().contains(&last)) {
            break;
        }
    }
    let took = began.elapsed();
    let used = process::cpu_time(id)?.saturating_sub(before);
    waits.sort();
    let worst = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    let middle = waits.get(waits.len() / 2).copied().unwrap_or_default();
    say(format!(
        "{events} events, {:.0} in a second: {:.1} % of a processor (30), a key is answered after {:.1} ms, p99 {:.1} ms (50), \
         {} MB resident (60)",
        events as f64 / took.as_secs_f64(),
        used.as_secs_f64() * 100.0 / took.as_secs_f64(),
        millis(middle),
        millis(worst),
        process::resident(id)? / 1_000_000,
    ));
    Ok(())
}

fn answer(terminal: &mut Terminal, key: &str, tab: &str) -> Duration {
    let began = Instant::now();
    terminal.keys(key);
    terminal.see(tab);
    began.elapsed()
}

/// Tells of so many events in a second, and answers everything else with nothing.
async fn serve(listener: TcpListener, rate: usize, events: usize) {
    let mut connections = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        connections.spawn(async move {
            // Whoever hangs up is done.
            let _ended = talk(connection, rate, events).await.is_ok();
        });
    }
}

async fn talk(mut connection: TcpStream, rate: usize, events: usize) -> std::io::Result<()> {
    let mut head = vec![0; 8192];
    let length = connection.read(&mut head).await?;
    let request = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
    if !request.starts_with("GET /api/events") {
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        return connection.write_all(answer.as_bytes()).await;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    connection.write_all(head.as_bytes()).await?;
    let began = Instant::now();
    let mut sent = 0;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let due = (began.elapsed().as_secs_f64() * rate as f64) as usize;
        let mut piece = String::new();
        for number in sent + 1..=due.min(events) {
            piece.push_str(&event(number));
        }
        sent = due.min(events);
        if piece.is_empty() {
            piece.push_str(": here\n\n");
        }
        connection.write_all(piece.as_bytes()).await?;
    }
}

fn event(number: usize) -> String {
    format!(
        "id: 1-{number}\nevent: log\ndata: {{\"kind\":\"log\",\"type\":\"written\",\"time\":\"2026-11-26T22:08:18.569Z\",\"level\":\"info\",\
         \"runId\":\"01a219e6-fe81-74ef-b1d2-ad391d9ef759\",\"id\":\"01a219e6-fe89-76c1-{number:012x}\",\"transport\":\"host\",\
         \"component\":\"hotbay::engine::workflow::execution\",\"message\":\"a run of a workflow ended or waits, number {number} of them\",\
         \"traceId\":\"b0ae9e317a754c718bada5133b461633\"}}\n\n"
    )
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::print_stdout, reason = "the benchmark's own output")]
fn say(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}
