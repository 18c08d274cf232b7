//! `hotbay model`: files of models that run on this machine.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, block_on, note, say, table::Table};
use crate::{
    config::{Config, Flags},
    pull::{self, KNOWN, Known, Progress, Source},
    signals,
};

/// What `hotbay model` does.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum ModelCommand {
    /// Fetch a model's files into the data directory; those that are there and whole stay
    Pull(PullArguments),
    /// List the models that can be pulled, and whether they are here
    List(Flags),
}

const EXAMPLES: &str = "\
Examples:
  hotbay model pull all-minilm-l6-v2                           from where its makers publish it
  hotbay model pull all-minilm-l6-v2 --from /media/usb/minilm  from a directory
  hotbay model pull all-minilm-l6-v2 --data /srv/hb            for another data directory";

#[derive(Args)]
pub(super) struct PullArguments {
    /// The model's name
    name: String,
    /// A directory that has the files, or the URL their names are appended to
    #[arg(long, value_name = "DIR|URL")]
    from: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(command: ModelCommand) -> Result<ExitCode, Failure> {
    match command {
        ModelCommand::Pull(arguments) => pull_one(&arguments),
        ModelCommand::List(flags) => list(&flags),
    }
}

fn pull_one(arguments: &PullArguments) -> Result<ExitCode, Failure> {
    let config = Config::load(&arguments.flags)?;
    let known = Known::of(&arguments.name)?;
    let from = arguments.from.as_deref().map_or_else(|| known.hub(), Source::parse);
    let mut teller = Teller::default();
    block_on(async {
        tokio::select! {
            done = pull::pull(known, &from, &config.data, |progress| teller.tell(&progress)) => Ok(done?),
            () = signals::asked_to_stop() => Err("stopped: what was not complete is gone, pull again".into()),
        }
    })?;
    say(format_args!("{} is in {}", known.name, known.directory(&config.data).display()));
    Ok(ExitCode::SUCCESS)
}

/// Tells of each tenth of a file, or of each 10 MB if nobody says how long it is.
#[derive(Default)]
struct Teller {
    told: u64,
}

impl Teller {
    fn tell(&mut self, progress: &Progress<'_>) {
        match *progress {
            Progress::Kept { path } => note(format_args!("{} is there already, and whole", path.display())),
            Progress::Done { path, bytes, blake3 } => {
                note(format_args!("{}: {bytes} bytes, blake3 {blake3}", path.display()));
                self.told = 0;
            }
            Progress::Coming { file, bytes, of } => {
                let step = of.map_or(10_000_000, |of| of.div_ceil(10)).max(1_000_000);
                if bytes / step > self.told {
                    self.told = bytes / step;
                    match of {
                        Some(of) => note(format_args!("{file}: {} of {} MB", bytes / 1_000_000, of / 1_000_000)),
                        None => note(format_args!("{file}: {} MB", bytes / 1_000_000)),
                    }
                }
            }
        }
    }
}

fn list(flags: &Flags) -> Result<ExitCode, Failure> {
    let config = Config::load(flags)?;
    let mut table = Table::new(&["MODEL", "STATE", "FOR", "DIRECTORY"]);
    for known in &KNOWN {
        let state = if known.is_here(&config.data) { "here" } else { "not here" };
        let directory = known.directory(&config.data).display().to_string();
        table.row(vec![known.name.into(), state.into(), known.purpose.into(), directory]);
    }
    say(table);
    Ok(ExitCode::SUCCESS)
}
