//! The `hotbay` command.

use std::{env, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(command), Some(file)) if command == "probe" => hotbay::plugin::probe::probe_main(&PathBuf::from(file)),
        _ => ExitCode::from(2),
    }
}
