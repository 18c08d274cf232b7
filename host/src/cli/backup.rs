//! `hotbay backup`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Failure, block_on, say};
use crate::{
    config::{Config, Flags},
    store,
};

pub(super) const EXAMPLES: &str = "\
The file is whole and can be opened as a data directory's hotbay.db.

Examples:
  hotbay backup monday.db                   the data directory of the settings that count
  hotbay backup monday.db --data /srv/hb    another one";

#[derive(Args)]
pub(super) struct BackupArguments {
    /// The file to write; it must not exist
    file: PathBuf,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(arguments: &BackupArguments) -> Result<ExitCode, Failure> {
    let config = Config::load(&arguments.flags)?;
    if config.database_url.is_some() {
        return Err("the settings name PostgreSQL, which has its own tool for this: pg_dump".into());
    }
    let written = block_on(async {
        store::back_up(&config.data, &arguments.file).await?;
        Ok(std::fs::metadata(&arguments.file)?.len())
    })?;
    say(format_args!("wrote {} ({written} bytes)", arguments.file.display()));
    Ok(ExitCode::SUCCESS)
}
