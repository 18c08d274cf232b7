//! `hotbay serve`.

use std::process::ExitCode;

use super::{Failure, block_on, log};
use crate::config::{Config, Flags};

pub(super) const EXAMPLES: &str = "\
Every flag is also a variable (HOTBAY_LISTEN) and a setting of hotbay.toml (listen); the flag counts
first, then the variable, then the file.

Examples:
  hotbay serve
  hotbay serve --listen 127.0.0.1:0 --data /var/lib/hotbay --plugins /usr/lib/hotbay
  HOTBAY_LOG=hotbay=debug hotbay serve --log-format json";

pub(super) fn run(flags: &Flags) -> Result<ExitCode, Failure> {
    let config = Config::load(flags)?;
    log::start(&config.log, &config.record)?;
    block_on(async { Ok(crate::serve(config).await?) })?;
    Ok(ExitCode::SUCCESS)
}
