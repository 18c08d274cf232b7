//! What runs of workflows and conversations cost when everything is stored.
//!
//! `cargo bench -p hotbay-tests --bench workflows` builds the release host and its plugins,
//! starts it on a data directory of its own and asks over connections that stay open. CPU is
//! that of the server's process. The disk is measured in the same run, for nothing that is
//! stored can be faster than it is.
//!
//! `session` asks, `cases` says what, `rows` fills the store for lists.

mod cases;
mod rows;
mod session;

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use clap::Parser;
use hotbay_tests::{TestHost, cargo};

/// The crates of the plugins the host is started with.
const PLUGINS: [&str; 2] = ["hotbay-test-reference", "hotbay-test-durable"];

/// Measures what is stored.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each case is measured; medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many connections ask at once where CPU is measured
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How many operations are one round
    #[arg(long, default_value_t = 1000)]
    operations: usize,
    /// How many threads the long list has
    #[arg(long, default_value_t = 1_000_000)]
    threads: u64,
    /// Takes the host and the plugins as they were built before
    #[arg(long)]
    no_build: bool,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        cargo::build_released(&["hotbay"], &PLUGINS)?;
    }
    let ledger = tempfile::NamedTempFile::new()?;
    let config = format!("[plugins.hotbay-test-durable.config]\nledger = {:?}\n", ledger.path().display().to_string());
    let mut builder = TestHost::builder().config_text(config);
    for plugin in PLUGINS {
        builder = builder.plugin(plugin);
    }
    let host = builder.start().await?;
    let sync = fdatasync(&host.data_dir())?;
    head(&arguments);
    figure("fdatasync of 4 KB, p50", sync.as_secs_f64() * 1e3, "ms", None);
    cases::measure(&host, &arguments, sync).await?;
    rows::measure(&host, &arguments).await
}

/// Returns what half of many syncs of the disk under a directory did not exceed.
fn fdatasync(directory: &Path) -> anyhow::Result<Duration> {
    let path = directory.join("sync-of-the-benchmark");
    let mut file = File::create(&path)?;
    let block = vec![7; 4096];
    // Written before, so that the file's length stays.
    file.write_all(&vec![0; 4096 * 64])?;
    file.sync_all()?;
    let mut times = Vec::new();
    for at in 0..256_u64 {
        file.seek(SeekFrom::Start(at % 64 * 4096))?;
        file.write_all(&block)?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    std::fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// Returns the middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn head(arguments: &Arguments) {
    say(format!(
        "\nmedians of {} rounds of {} operations, {} processors, load average before: {}",
        arguments.rounds,
        arguments.operations,
        std::thread::available_parallelism().map_or(0, usize::from),
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    ));
}

/// Prints a figure, and whether it is as low as it should be.
fn figure(name: &str, value: f64, unit: &str, most: Option<f64>) {
    let target = most.map_or_else(
        || "-".to_owned(),
        |most| format!("<= {most:.2} {unit} {}", if value <= most { "ok" } else { "OVER" }),
    );
    say(format!("{name:<58} {value:>9.3} {unit:<3} {target}"));
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the output of a benchmark")]
fn say(line: String) {
    println!("{line}");
}
