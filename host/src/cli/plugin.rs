//! `hotbay plugin`.
use super::Failure;
use std::process::ExitCode;
#[derive(clap::Subcommand)]
pub(super) enum PluginCommand {}
pub(super) fn run(command: PluginCommand) -> Result<ExitCode, Failure> {
    match command {}
}
