//! What the operator of the benchmark reads.

use crate::{
    jobs::{Job, Target},
    load::Sample,
};

/// One line of the table: a job on both servers.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    host: Sample,
    bare: Sample,
    /// The median of the rounds' ratios, which is not the ratio of the medians.
    ratio: f64,
    target: Option<Target>,
}

impl Row {
    /// Makes medians of rounds.
    pub(crate) fn new(job: &Job, host: &[Sample], bare: &[Sample]) -> Self {
        let ratios = host.iter().zip(bare).map(|(host, bare)| host.cpu_us / bare.cpu_us).collect();
        Self { name: job.name, host: middle(host), bare: middle(bare), ratio: median(ratios), target: job.target }
    }
}

/// Returns the middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn middle(samples: &[Sample]) -> Sample {
    let of = |field: fn(&Sample) -> f64| median(samples.iter().map(field).collect());
    Sample {
        cpu_us: of(|sample| sample.cpu_us),
        rate: of(|sample| sample.rate),
        p50_us: of(|sample| sample.p50_us),
        p99_us: of(|sample| sample.p99_us),
    }
}

/// Prints what the table's columns are.
pub(crate) fn head(connections: usize, rounds: usize) {
    let others = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    say(format!(
        "\n{connections} connections, medians of {rounds} rounds, {} processors, load average before: {others}\
         CPU in microseconds a request, of the server's process alone; latency in microseconds, host / bare axum",
        std::thread::available_parallelism().map_or(0, usize::from),
    ));
    say(format!(
        "{:<26} {:>9} {:>9} {:>7}  {:<18} {:>15} {:>17} {:>17}",
        "", "host CPU", "bare CPU", "ratio", "target", "p50", "p99", "requests/s"
    ));
}

/// Prints one line of it.
pub(crate) fn row(row: &Row) {
    let pair = |host: f64, bare: f64| format!("{host:.0} / {bare:.0}");
    let target = match row.target {
        None => "-".to_owned(),
        Some(Target::Ratio(most)) => verdict(row.ratio <= most, format!("<= {most}x")),
        Some(Target::Cpu(most)) => verdict(row.host.cpu_us <= most, format!("<= {most} us")),
    };
    say(format!(
        "{:<26} {:>9.1} {:>9.1} {:>6.2}x  {target:<18} {:>15} {:>17} {:>17}",
        row.name,
        row.host.cpu_us,
        row.bare.cpu_us,
        row.ratio,
        pair(row.host.p50_us, row.bare.p50_us),
        pair(row.host.p99_us, row.bare.p99_us),
        pair(row.host.rate, row.bare.rate),
    ));
}

/// Prints a figure that has no counterpart.
pub(crate) fn figure(name: &str, value: f64, unit: &str, most: Option<f64>) {
    let target = most.map_or_else(|| "-".to_owned(), |most| verdict(value <= most, format!("<= {most} {unit}")));
    say(format!("{name:<46} {value:>9.1} {unit:<4} {target}"));
}

fn verdict(is_met: bool, target: String) -> String {
    format!("{target} {}", if is_met { "ok" } else { "OVER" })
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the output of a benchmark")]
pub(crate) fn say(line: String) {
    println!("{line}");
}
