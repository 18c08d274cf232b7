//! `hotbay dev`.
use super::Failure;
use std::process::ExitCode;
pub(super) const EXAMPLES: &str = "";
#[derive(clap::Args)]
pub(super) struct DevArguments {
    #[command(flatten)]
    flags: crate::config::Flags,
}
pub(super) fn run(arguments: DevArguments) -> Result<ExitCode, Failure> {
    super::serve::run(&arguments.flags)
}
