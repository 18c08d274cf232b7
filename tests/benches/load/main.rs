//! What a request costs Hotbay, beside what a bare axum route costs that returns the very
//! same bytes.
//!
//! `cargo bench -p hotbay-tests --bench load` builds the release host and its plugins, starts
//! both servers as children and loads them in turns over kept-alive connections. What counts
//! is the CPU time of the server's process, which a busy machine changes little; latency and
//! throughput share the processors with this client and are there for comparison only.
//!
//! `jobs` says what is asked, `bare` is the other server, `load` asks, `start` measures cold
//! starts and memory, `report` prints.

mod bare;
mod jobs;
mod load;
mod report;
mod start;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use hotbay_tests::{TestHost, cargo, http::Address};

use bare::Bare;
use jobs::Job;
use load::Sample;
use report::Row;

/// The crates of the plugins the host is started with.
const PLUGINS: [&str; 3] = ["hotbay-test-reference", "hotbay-example-weather", "hotbay-test-hostile"];

/// Measures what requests, starts and memory cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each job is measured; medians are shown
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How many connections ask at once
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How many cold starts of each kind
    #[arg(long, default_value_t = 11)]
    starts: usize,
    /// What the host records: a level, or `off`
    #[arg(long, default_value = "info")]
    record: String,
    /// Has the host ask callers who they are
    #[arg(long)]
    auth: bool,
    /// Measures only jobs whose name contains this; leaves starts out
    #[arg(long)]
    only: Option<String>,
    /// Takes the host and the plugins as they were built before
    #[arg(long)]
    no_build: bool,
    /// Plays the bare server with the answers in this file
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.bare.is_none() {
        if !arguments.no_build {
            cargo::build_released(&["hotbay"], &PLUGINS)?;
        }
        return measure(&arguments).await;
    }
    bare::serve(&arguments.bare.context("looked at above")?).await
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = |job: &Job| arguments.only.as_ref().is_none_or(|part| job.name.contains(part.as_str()));
    let jobs: Vec<Job> = jobs::all().into_iter().filter(wanted).collect();
    let settings = if arguments.auth { jobs::AUTH } else { "" };
    let host = host(&arguments.record).config_text(settings).plugin(PLUGINS[0]).start().await?;
    let mut answers = Vec::new();
    for job in &jobs {
        answers.push(job.record(&host).await.with_context(|| format!("record `{}`", job.name))?);
    }
    let bare = Bare::start(&answers)?;
    report::head(arguments.connections, arguments.rounds);
    for job in &jobs {
        let row = compare(job, host.address(), host.process_id(), &bare, arguments).await;
        report::row(&row.with_context(|| format!("measure `{}`", job.name))?);
    }
    drop((host, bare));
    if arguments.only.is_none() {
        start::measure(arguments.starts, &arguments.record).await?;
    }
    Ok(())
}

/// Returns a host of the default settings that records so much.
fn host(record: &str) -> hotbay_tests::host::Builder {
    TestHost::builder().argument("--record").argument(record)
}

/// Loads both servers in turns.
async fn compare(job: &Job, host: &Address, host_id: u32, bare: &Bare, arguments: &Arguments) -> anyhow::Result<Row> {
    let (ours, theirs) = (job.request(host, job.path), job.request(bare.address(), job.bare_path));
    let load = |request, id, count| load::run(request, id, arguments.connections, count, job.frames);
    // Both are warm before anything counts.
    load(&ours, host_id, job.requests / 2).await?;
    load(&theirs, bare.process_id(), job.requests / 2).await?;
    let (mut host_samples, mut bare_samples): (Vec<Sample>, Vec<Sample>) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        // Who goes first changes, so that neither always meets the other's caches.
        for turn in [round % 2 == 0, round % 2 == 1] {
            if turn {
                host_samples.push(load(&ours, host_id, job.requests).await?);
            } else {
                bare_samples.push(load(&theirs, bare.process_id(), job.requests).await?);
            }
        }
    }
    Ok(Row::new(job, &host_samples, &bare_samples))
}
