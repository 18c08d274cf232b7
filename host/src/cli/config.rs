//! `hotbay config`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, say};
use crate::config::{Config, Flags};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Validate the settings and print those that count, secrets hidden
    Check(Flags),
}

pub(super) fn run(command: ConfigCommand) -> Result<ExitCode, Failure> {
    let ConfigCommand::Check(flags) = command;
    let config = Config::load(&flags)?;
    say(format_args!("{:#}", config.redacted()));
    Ok(ExitCode::SUCCESS)
}
