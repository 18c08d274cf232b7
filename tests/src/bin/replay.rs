//! Replays recorded sessions by hand against a server that runs already.
//!
//! ```text
//! cargo run -p hotbay-tests --bin replay -- --base http://127.0.0.1:4111 --area agents --verbose
//! ```
//!
//! The server should have been started on an empty data directory.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use hotbay_tests::http::Address;
use hotbay_tests::replay::mismatch::shown_up_to;
use hotbay_tests::replay::player::Player;
use hotbay_tests::replay::{Case, Differences, Report, Session, Verdict, play, session};
use regex::Regex;

/// How many paths of an answer's extra keys a line names.
const EXTRA: usize = 8;

#[derive(Parser)]
#[command(name = "replay", about = "Replays recorded sessions against a running server")]
struct Arguments {
    /// The server, freshly started on an empty data directory.
    #[arg(long)]
    base: String,
    /// The directory of the sessions.
    #[arg(long, default_value_os_t = session::contract_dir())]
    sessions: PathBuf,
    /// Only this area (repeatable); all in the directory otherwise.
    #[arg(long)]
    area: Vec<String>,
    /// Reports only the names that match; what comes before them is still played.
    #[arg(long)]
    grep: Option<Regex>,
    /// The listed differences; none when absent.
    #[arg(long)]
    differences: Option<PathBuf>,
    /// Seconds for one answer.
    #[arg(long, default_value_t = 15)]
    timeout: u64,
    /// All that differs in an answer that fails, and the answer.
    #[arg(long)]
    verbose: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut sessions = Vec::new();
    for area in areas(&arguments)? {
        sessions.push(Session::load(&arguments.sessions.join(format!("{area}.jsonl")))?);
    }
    sessions.sort_by_key(|session| session.head.order);
    let differences = arguments.differences.as_deref().map(Differences::load).transpose()?.unwrap_or_default();
    let mut reports = Vec::new();
    for session in &sessions {
        reports.push(replay(&arguments, session, &differences).await?);
    }
    let sum = |count: fn(&Report) -> usize| reports.iter().map(count).sum::<usize>();
    let (passed, failed, listed) = (sum(Report::passed), sum(Report::failed), sum(Report::listed));
    say(&format!("{passed} passed, {failed} failed, {listed} listed"));
    let is_played = passed + failed + listed > 0;
    let is_success = is_played && failed == 0 && reports.iter().all(|report| report.unmatched.is_empty());
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The areas asked for, or all that need no server with settings of its own.
fn areas(arguments: &Arguments) -> anyhow::Result<Vec<String>> {
    let known = session::areas(&arguments.sessions)?;
    ensure!(!known.is_empty(), "there are no sessions in {}", arguments.sessions.display());
    for area in &arguments.area {
        ensure!(known.contains(area), "there is no session of area `{area}`: known are {}", known.join(", "));
    }
    Ok(if arguments.area.is_empty() { known } else { arguments.area.clone() })
}

async fn replay(arguments: &Arguments, session: &Session, differences: &Differences) -> anyhow::Result<Report> {
    let mut report = Report { area: session.area.clone(), cases: Vec::new(), unmatched: Vec::new() };
    if !session.head.env.is_empty() && arguments.area.is_empty() {
        say(&format!("note: {} left out: it needs {}; ask for it with --area", session.area, session.head.needs));
        return Ok(report);
    }
    let is_wanted = |name: &str| arguments.grep.as_ref().is_none_or(|grep| grep.is_match(name));
    let last = session.steps.iter().rposition(|step| is_wanted(&step.name));
    let mut player = Player::new(Address::parse(&arguments.base)?).limit(Duration::from_secs(arguments.timeout));
    for step in session.steps.iter().take(last.map_or(0, |last| last + 1)) {
        let case = play(&mut player, step, differences).await;
        if let Some(case) = case.filter(|case| is_wanted(&case.name)) {
            tell(&case, arguments.verbose);
            report.cases.push(case);
        }
    }
    if arguments.grep.is_none() {
        report.unmatched = differences.unmatched(&session.area, session.steps.iter().map(|step| step.name.as_str()));
    }
    for name in &report.unmatched {
        say(&format!("FAIL {name}: it is in the differences file but in no session"));
    }
    Ok(report)
}

fn tell(case: &Case, verbose: bool) {
    say(&case.to_string());
    if !case.extra.is_empty() {
        let shown = case.extra.iter().take(EXTRA).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = case.extra.len().saturating_sub(EXTRA);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        say(&format!("  extra {}: {shown}{more}", case.name));
    }
    if verbose && case.verdict == Verdict::Failed {
        for mismatch in case.mismatches.iter().skip(1).take(19) {
            say(&format!("    {mismatch}"));
        }
        say(&format!("    answer: {}", shown_up_to(Some(&case.answer), 4000)));
    }
}

#[expect(clippy::print_stdout, reason = "printing the outcome is what this program is for")]
fn say(line: &str) {
    println!("{line}");
}
