//! Plugins made by `hotbay plugin new`, and the cargo that builds them for real; and what benchmarks measure.
//!
//! All plugins that are made are built into one directory beside the workspace's own, so that what
//! they depend on is compiled once, and nothing is downloaded: they get the
//! workspace's `Cargo.lock`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, ensure};

use crate::plugin_host::artifact;

/// What cargo and rustup need of the environment. Not what cargo says of the test's own crate:
/// build scripts that look at it would run again.
const VARIABLES: [&str; 5] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// A program in a directory, with an environment in which cargo works without a network.
#[must_use]
pub fn command(program: impl AsRef<Path>, directory: &Path) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(directory).env_clear();
    command.envs(VARIABLES.iter().filter_map(|name| Some((name, variable(name)?))));
    command.env("CARGO", cargo()).env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target_directory());
    // Less to write and to link; the code is the same.
    command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_TERM_COLOR", "never");
    command
}

/// Runs cargo in a directory and returns its standard output.
///
/// # Panics
///
/// When it fails; the message has what it printed.
#[track_caller]
pub fn run(directory: &Path, arguments: &[&str]) -> String {
    let done = command(cargo(), directory).args(arguments).output().expect("cargo runs");
    let (out, error) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "cargo {arguments:?} in {}: {}\n{out}\n{error}", directory.display(), done.status);
    out
}

/// Builds programs and plugins of the workspace as they are released, for a benchmark to measure. Cargo tells
/// how far it is.
///
/// # Errors
///
/// If they do not build.
pub fn build_released(programs: &[&str], plugins: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(cargo());
    // Together with this crate: dependencies then have the same features here and there, and most
    // of them are built already.
    command.args(["build", "--release", "--lib", "-p", "hotbay-tests"]);
    command.args(programs.iter().flat_map(|program| ["--bin", program, "-p", program]));
    command.args(plugins.iter().flat_map(|plugin| ["-p", plugin]));
    // What cargo says about the benchmark's package would make build scripts of others run again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

/// Makes a plugin with `hotbay plugin new` in a directory of its name; returns the directory.
///
/// # Panics
///
/// When it is not made.
pub fn new_plugin(parent: &Path, name: &str, kind: &str) -> PathBuf {
    let made = command(artifact("hotbay"), parent).args(["plugin", "new", name, "--kind", kind]).output();
    let Output { status, stderr, .. } = made.expect("hotbay runs");
    assert!(status.success(), "{name}: {}", text(&stderr));
    let directory = parent.join(name);
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    fs::copy(lock, directory.join("Cargo.lock")).expect("the workspace has a Cargo.lock");
    directory
}

/// The library of a plugin that [`run`] has built.
#[must_use]
pub fn made_library(name: &str) -> PathBuf {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    target_directory().join("debug").join(format!("{prefix}{}{suffix}", name.replace('-', "_")))
}

/// Kept from one run of the tests to the next, as the workspace's own is.
fn target_directory() -> PathBuf {
    let profile = artifact("hotbay").parent().expect("a file is in a directory").to_owned();
    profile.with_file_name("made-plugins")
}

fn cargo() -> PathBuf {
    variable("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

#[expect(clippy::disallowed_methods, reason = "not the host: passes on what cargo was started with")]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
