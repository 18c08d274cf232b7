//! The `hotbay` command line: what there is to say, and who does it.
//!
//! Owns arguments, output and exit codes; the work is elsewhere in the library.

mod backup;
mod client;
mod config;
mod dev;
mod log;
mod mcp_stdio;
mod memory;
mod model;
mod plugin;
mod serve;
mod sign;
mod table;
mod token;

use std::{future::Future, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::{
    config::Flags,
    plugin::{
        account::AccountArguments,
        control_group::GroupArgument,
        probe::probe_main,
        process,
        runner::{RunnerArguments, runner_main},
    },
};

/// What a command fails with; its text is printed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// An agent server whose agents, tools and models live in hot-swappable plugins.
#[derive(Parser)]
#[command(name = "hotbay", version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  hotbay dev                               build this workspace's plugins, serve them, swap on save
  hotbay serve --plugins ./plugins.d       serve the plugins in a directory
  hotbay plugin new weather --kind tool    begin a plugin
  hotbay plugin check libweather.so        say whether a host would load it
  hotbay config check                      show the settings that count";

#[derive(Subcommand)]
enum Command {
    /// Serve what is in the plugin directories
    #[command(after_help = serve::EXAMPLES)]
    Serve(Flags),
    /// Build the workspace's plugins, serve them, rebuild and swap on save
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::DevArguments),
    /// Make, check and direct plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// See what agents find by its meaning, and have it embedded again
    #[command(subcommand)]
    Memory(memory::MemoryCommand),
    /// Fetch files of models that run on this machine
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Give out, list and revoke tokens that callers show
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Carry what an MCP client says over standard input and output to a running server
    #[command(after_help = mcp_stdio::EXAMPLES)]
    McpStdio(mcp_stdio::McpStdioArguments),
    /// Copy the embedded database into one file, also while a server uses it
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::BackupArguments),
    /// Map one file and say whether that went well; the host starts this itself
    #[command(hide = true)]
    Probe {
        /// The file
        path: PathBuf,
        #[command(flatten)]
        account: AccountArguments,
        #[command(flatten)]
        group: GroupArgument,
    },
    /// Run one plugin for the host that starts this itself
    #[command(hide = true)]
    PluginRunner(RunnerArguments),
}

/// Runs the command of this process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        // Before anything has threads: the child limits itself.
        Command::Probe { path, account, group } => return probe_main(&path, &account, &group),
        Command::PluginRunner(arguments) => return runner_main(&arguments),
        Command::Serve(flags) => serve::run(&flags),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Plugin(command) => plugin::run(command),
        Command::Memory(command) => memory::run(command),
        Command::Model(command) => model::run(command),
        Command::Token(command) => token::run(command),
        Command::Config(command) => config::run(command),
        Command::McpStdio(arguments) => mcp_stdio::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
    };
    done.unwrap_or_else(|failure| {
        complain(&*failure);
        ExitCode::FAILURE
    })
}

/// How long a thread for what blocks is kept without work. Each has memory of its own, and as they take turns, what
/// little there is to do while the host is idle would keep all of them that a load has needed.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Runs a command's work on the host's runtime.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    process::note_linked_files();
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    // What blocks a thread for good must not keep the process.
    runtime.shutdown_background();
    done
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_park(process::return_memory_of_thread)
        .thread_keep_alive(KEEP_ALIVE)
        .build()
}

#[expect(clippy::print_stderr, reason = "the command's own complaint")]
fn complain(failure: &(dyn std::error::Error + Send + Sync)) {
    eprintln!("hotbay: {failure}");
}

/// Says something about the command's progress.
#[expect(clippy::print_stderr, reason = "not the command's output, which others may read")]
fn note(text: impl std::fmt::Display) {
    eprintln!("hotbay: {text}");
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    /// Returns how much of this process is in memory and no page of a file, in bytes.
    fn anonymous() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    #[test]
    fn threads_of_the_runtime_give_back_what_others_have_freed_of_theirs() {
        const BYTES: usize = 1 << 10;
        const BLOCKS: usize = 128 << 10;
        let runtime = runtime().unwrap();
        let blocks = runtime.spawn(async { (0..BLOCKS).map(|_| process::Block::new(BYTES)).collect::<Vec<_>>() });
        let blocks = runtime.block_on(blocks).unwrap();
        let held = anonymous();
        drop(blocks);
        process::return_memory_of_all();
        let began = Instant::now();
        while anonymous() + BYTES * BLOCKS / 2 > held {
            assert!(began.elapsed() < Duration::from_secs(30), "{} of {held} bytes are kept", anonymous());
            // It wakes a thread, which goes to sleep after that.
            runtime.block_on(runtime.spawn(async {})).unwrap();
        }
    }
}
