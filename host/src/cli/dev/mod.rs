//! `hotbay dev`: build the plugins of a workspace, serve them, rebuild and swap on save.
//!
//! `workspace` finds the plugins, `build` runs cargo, `sources` notices that something was
//! saved; here they are put together. The server is the same as `hotbay serve`'s.

mod build;
mod sources;
mod workspace;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Failure, block_on, log, note};
use crate::{
    announce,
    config::{Config, Flags},
    plugin::Plugins,
    server::Server,
    signals,
};
use build::Built;
use sources::Sources;
use workspace::{Demand, Workspace};

pub(super) const EXAMPLES: &str = "\
A plugin is a cdylib crate that depends on hotbay-plugin. One that says `on-demand = true` in
[package.metadata.hotbay] is built only if hotbay.toml has settings for it, or it is named. A compile
error is shown and what was built before goes on serving. `--plugins` adds directories of plugins that are built already.

Examples:
  hotbay dev
  hotbay dev -p my-plugin --listen 127.0.0.1:0
  hotbay dev --path ../my-plugins --release";

#[derive(Args)]
pub(super) struct DevArguments {
    /// The directory of the workspace or package
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Only this plugin, may be repeated [default: all of the workspace but those built on demand]
    #[arg(short, long, value_name = "NAME")]
    package: Vec<String>,
    /// Build with the release profile
    #[arg(long)]
    release: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(arguments: DevArguments) -> Result<ExitCode, Failure> {
    let mut config = Config::load(&arguments.flags)?;
    log::start(&config.log, &config.record)?;
    let built = std::path::absolute(config.data.join("dev"))?;
    // Nobody has to make an empty plugin directory only to develop.
    config.plugin_dirs.retain(|directory| directory.is_dir());
    config.plugin_dirs.insert(0, built.clone());
    // What was saved last is what its author wants to see, whatever it does.
    config.swap_guard = None;
    // What is built here is run here: a workspace that is mounted into a container is somebody else's.
    config.any_owner = true;
    block_on(develop(arguments, config, built))?;
    Ok(ExitCode::SUCCESS)
}

async fn develop(arguments: DevArguments, config: Config, directory: PathBuf) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(signals::asked_to_stop());
    let prefix = config.prefix.clone();
    let start = async {
        let configured: Vec<String> = config.plugins.keys().cloned().collect();
        let demand = Demand { only: &arguments.package, configured: &configured };
        let workspace = Workspace::find(&arguments.path, demand, arguments.release).await?;
        let names: Vec<&str> = workspace.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        note(format_args!("building {}", names.join(", ")));
        if !workspace.left_out.is_empty() {
            let names = workspace.left_out.join(", ");
            note(format_args!(
                "leaving out {names}: built if they have settings, [plugins.NAME], or are named with -p"
            ));
        }
        // Listened to before the build, so nothing saved during it is missed.
        let sources = Sources::watch(&workspace)?;
        let started = Instant::now();
        let built = build::build(&workspace, arguments.release).await?;
        build::keep_only(&directory, &built, &workspace)?;
        for plugin in &built.plugins {
            build::publish(plugin, &directory)?;
        }
        match built.is_complete {
            true => note(format_args!("built in {:.1} s", started.elapsed().as_secs_f32())),
            false => note("not everything builds; serving what does, save a file to try again"),
        }
        let server = Server::bind(config).await?;
        Ok::<_, Failure>((workspace, sources, server))
    };
    // Dropped by a signal, and the running cargo with it.
    let (workspace, mut sources, server) = tokio::select! {
        started = start => started?,
        () = &mut stop => return Ok(()),
    };
    report_refused(&server.app().plugins);
    announce(&server.url());
    note(suggestion(&server, &prefix));
    let ended = CancellationToken::new();
    let plugins = server.app().plugins.clone();
    let rebuild = async {
        while sources.saved().await {
            rebuild(&workspace, arguments.release, &directory, &plugins).await;
        }
        // Without a watcher there is nothing more to do here, but the server goes on.
        std::future::pending::<()>().await;
    };
    // A build ends at once, also while answers under way have time left.
    let stop = async {
        stop.await;
        ended.cancel();
    };
    let serve = async {
        let result = server.run(stop).await;
        ended.cancel();
        result
    };
    let (served, _) = tokio::join!(serve, ended.run_until_cancelled(rebuild));
    Ok(served?)
}

/// Builds again and swaps what changed.
async fn rebuild(workspace: &Workspace, is_release: bool, directory: &Path, plugins: &Plugins) {
    let started = Instant::now();
    note("a source was saved, building");
    let built = match build::build(workspace, is_release).await {
        Ok(built) => built,
        Err(failure) => return note(format_args!("cannot build: {failure}")),
    };
    let seconds = started.elapsed().as_secs_f32();
    let mut swapped = 0;
    for plugin in &built.plugins {
        match swap(plugin, directory, plugins).await {
            Ok(false) => {}
            Ok(true) => {
                swapped += 1;
                let all = started.elapsed().as_secs_f32();
                note(format_args!("swapped {} in {all:.1} s (build {seconds:.1} s)", plugin.name));
            }
            Err(failure) => note(format_args!("{} is refused, what served before goes on: {failure}", plugin.name)),
        }
    }
    if !built.is_complete {
        note("not everything builds; what was built before goes on serving");
    } else if swapped == 0 {
        note("nothing changed in the plugins");
    }
}

/// Puts a library where the server looks and loads it at once; false if it is the same as before.
async fn swap(plugin: &Built, directory: &Path, plugins: &Plugins) -> Result<bool, Failure> {
    let Some(file) = build::publish(plugin, directory)? else { return Ok(false) };
    plugins.load_file(&file).await?;
    Ok(true)
}

fn report_refused(plugins: &Plugins) {
    for plugin in plugins.list() {
        if let Some(error) = plugin.last_error {
            note(format_args!("{} is refused, {}: {}", plugin.name, error.code, error.message));
        }
    }
}

/// Returns a command to try first.
fn suggestion(server: &Server, prefix: &str) -> String {
    let base = format!("{}{prefix}", server.url());
    let post =
        |path: &str, body: &str| format!("try: curl -s {base}/{path} -H 'content-type: application/json' -d '{body}'");
    let snapshot = server.app().plugins.registry().snapshot();
    if let Some(agent) = snapshot.agents.iter().next() {
        let body = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
        return post(&format!("agents/{}/generate", agent.manifest.id), body);
    }
    match snapshot.tools.iter().next() {
        Some(tool) => post(&format!("tools/{}/execute", tool.id), r#"{"data":{}}"#),
        None => format!("try: curl -s {base}/agents"),
    }
}
