//! What readers of live events cost the runs they watch.
//!
//! `cargo bench -p hotbay-tests --bench events` builds the release host and its plugins, asks an
//! agent over connections that stay open, and does so with no reader, with a thousand, and with a
//! thousand of whom a hundred never read. The cases take turns, so that what else the machine does
//! meets all of them. CPU is that of the server's process, for each run; throughput shares the
//! processors with the readers, who run here, on a thread of their own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use futures::future::{join_all, try_join_all};
use hotbay_tests::{
    TestHost, cargo,
    http::{self, Address, Connection, Outgoing},
    process,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::task::JoinSet;

/// The crate of the plugin whose agent is asked.
const PLUGIN: &str = "hotbay-test-reference";

/// Measures what readers of live events cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each case is measured; medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many connections ask at once
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How many runs are one round
    #[arg(long, default_value_t = 5000)]
    runs: usize,
    /// How many readers
    #[arg(long, default_value_t = 1000)]
    readers: usize,
    /// How many of them never read
    #[arg(long, default_value_t = 100)]
    stalled: usize,
    /// Which events they want, as a query; all if it is empty
    #[arg(long, default_value = "")]
    wanted: String,
    /// Takes the host and the plugins as they were built before
    #[arg(long)]
    no_build: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Who reads while runs go on.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    reading: usize,
    stalled: usize,
}

/// What one round showed.
#[derive(Debug, Clone)]
struct Sample {
    /// Runs each second.
    rate: f64,
    /// The server's CPU time for each run, in microseconds.
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    /// What all readers were sent, in megabytes each second.
    sent: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        cargo::build_released(&["hotbay"], &[PLUGIN])?;
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let Arguments { readers, stalled, .. } = arguments;
    let cases = [
        Case { name: "no reader", reading: 0, stalled: 0 },
        Case { name: "all read", reading: readers, stalled: 0 },
        Case { name: "some stall", reading: readers.saturating_sub(stalled), stalled },
    ];
    let host = TestHost::builder().plugin(PLUGIN).start().await?;
    // Warm before anything counts.
    load(&host, &arguments, arguments.runs / 2).await?;
    let mut samples = cases.map(|_| Vec::new());
    for _ in 0..arguments.rounds {
        for (case, samples) in cases.iter().zip(&mut samples) {
            samples.push(round(&host, *case, &arguments).await.context(case.name)?);
        }
    }
    report(&arguments, &cases, &samples);
    Ok(())
}

async fn round(host: &TestHost, case: Case, arguments: &Arguments) -> anyhow::Result<Sample> {
    let readers = Readers::start(host.address(), case, &arguments.wanted).await?;
    let (before, sent) = (process::cpu_time(host.process_id())?, readers.sent.load(Ordering::Relaxed));
    let began = Instant::now();
    let mut latencies = load(host, arguments, arguments.runs).await?;
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), process::cpu_time(host.process_id())? - before);
    let sent = readers.sent.load(Ordering::Relaxed) - sent;
    readers.stop(host).await?;
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let place = ((latencies.len() - 1) as f64 * share) as usize;
        latencies.get(place).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    Ok(Sample {
        rate: latencies.len() as f64 / elapsed,
        cpu_us: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        sent: sent as f64 / 1e6 / elapsed,
    })
}

/// Asks the agent so often; returns how long each answer took.
async fn load(host: &TestHost, arguments: &Arguments, runs: usize) -> anyhow::Result<Vec<Duration>> {
    let body = json!({"messages": "hello"});
    let ask = async |count: usize| {
        let mut connection = Connection::open(host.address()).await?;
        let mut latencies = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            let (status, _) = connection.send(Outgoing::post("/api/agents/echo-agent/generate", &body)).await?;
            ensure!(status == 200, "an answer has status {status}");
            latencies.push(began.elapsed());
        }
        Ok(latencies)
    };
    let each = runs / arguments.connections.max(1);
    Ok(try_join_all((0..arguments.connections).map(|_| ask(each))).await?.concat())
}

/// Readers on a thread of their own.
struct Readers {
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Readers {
    /// Returns once all are let in.
    async fn start(address: &Address, case: Case, wanted: &str) -> anyhow::Result<Self> {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (ready, all_in) = tokio::sync::oneshot::channel();
        let (address, path) = (address.clone(), format!("/api/events?{wanted}"));
        let shared = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(read(address, path, case, ready, shared))
        });
        all_in.await.context("the readers were not let in")?;
        Ok(Self { thread, stop, sent })
    }

    /// Ends them all, and waits until the host knows.
    async fn stop(self, host: &TestHost) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        ended.map_err(|_| anyhow::anyhow!("a reader panicked"))??;
        hotbay_tests::eventually(Duration::from_secs(60), async || {
            let answer = host.send(Outgoing::get("/metrics")).await.ok()?;
            answer.text().contains("\nhotbay_event_readers 0\n").then_some(())
        })
        .await;
        Ok(())
    }
}

async fn read(
    address: Address,
    path: String,
    case: Case,
    ready: tokio::sync::oneshot::Sender<()>,
    (stop, sent): (Arc<AtomicBool>, Arc<AtomicU64>),
) -> anyhow::Result<()> {
    let mut answers = Vec::new();
    // Not all at once: a listener's queue is shorter.
    while answers.len() < case.reading + case.stalled {
        let few = (case.reading + case.stalled - answers.len()).min(50);
        let opened = join_all((0..few).map(|_| http::send(&address, Outgoing::get(&path)))).await;
        answers.extend(opened.into_iter().collect::<anyhow::Result<Vec<_>>>()?);
    }
    let _stalled = answers.split_off(case.reading);
    let mut reading = JoinSet::new();
    for mut answer in answers {
        let sent = Arc::clone(&sent);
        reading.spawn(async move {
            while let Ok(Some(piece)) = answer.chunk().await {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        });
    }
    ready.send(()).ok();
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    while !stop.load(Ordering::Relaxed) {
        looks.tick().await;
    }
    Ok(())
}

fn report(arguments: &Arguments, cases: &[Case], samples: &[Vec<Sample>]) {
    let wanted = if arguments.wanted.is_empty() { "all events" } else { &arguments.wanted };
    say(format!(
        "\n{} runs a round over {} connections, medians of {} rounds; readers want {wanted}\n",
        arguments.runs, arguments.connections, arguments.rounds
    ));
    say(format!(
        "{:<12}{:>9}{:>9}{:>10}{:>7}{:>12}{:>7}{:>10}{:>10}{:>10}",
        "case", "reading", "stalled", "runs/s", "ratio", "CPU us/run", "ratio", "p50 us", "p99 us", "MB/s sent"
    ));
    let of = |samples: &[Sample], field: fn(&Sample) -> f64| median(samples.iter().map(field).collect());
    let none = samples.first().map(Vec::as_slice).unwrap_or_default();
    // The median of the rounds' ratios, which is not the ratio of the medians.
    let ratio = |samples: &[Sample], field: fn(&Sample) -> f64| {
        median(samples.iter().zip(none).map(|(own, none)| field(own) / field(none)).collect())
    };
    for (case, own) in cases.iter().zip(samples) {
        say(format!(
            "{:<12}{:>9}{:>9}{:>10.0}{:>7.2}{:>12.1}{:>7.2}{:>10.0}{:>10.0}{:>10.1}",
            case.name,
            case.reading,
            case.stalled,
            of(own, |it| it.rate),
            ratio(own, |it| it.rate),
            of(own, |it| it.cpu_us),
            ratio(own, |it| it.cpu_us),
            of(own, |it| it.p50_us),
            of(own, |it| it.p99_us),
            of(own, |it| it.sent),
        ));
    }
}

/// Returns the middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn say(text: String) {
    println!("{text}");
}
