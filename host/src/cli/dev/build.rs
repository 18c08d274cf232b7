//! Runs cargo and moves what it makes to where the server looks.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::workspace::{Workspace, cargo};
use crate::{cli::Failure, plugin::process};

/// A plugin's library as cargo left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    /// The package's name.
    pub(super) name: String,
    /// The library in cargo's target directory.
    pub(super) library: PathBuf,
}

/// What a build made.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The plugins that build.
    pub(super) plugins: Vec<Built>,
    /// Whether these are all.
    pub(super) is_complete: bool,
}

/// The one message of cargo that counts here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Cargo and all it has started: compilers, build scripts. They end with this.
struct Group {
    /// Nothing once cargo was waited for, since its number may then be another's.
    leader: Option<u32>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            process::kill_group(leader);
        }
    }
}

/// Builds all plugins; errors of the compiler go to standard error. Dropping it ends the build.
pub(super) async fn build(workspace: &Workspace, is_release: bool) -> Result<Outcome, Failure> {
    let mut command = cargo();
    // One plugin that does not build must not keep the others.
    command.args(["build", "--lib", "--keep-going", "--message-format=json-render-diagnostics"]);
    let plugins = workspace.plugins.iter().map(|plugin| &plugin.name);
    for package in plugins.chain(&workspace.companions) {
        command.args(["-p", package]);
    }
    if is_release {
        command.arg("--release");
    }
    let mut child = command
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    // After the child, so that it is dropped first.
    let mut group = Group { leader: child.id() };
    let mut lines = BufReader::new(child.stdout.take().ok_or("cargo has no output")?).lines();
    let mut plugins = Vec::new();
    while let Some(line) = lines.next_line().await? {
        plugins.extend(library(&line, workspace));
    }
    let status = child.wait().await?;
    group.leader = None;
    Ok(Outcome { plugins, is_complete: status.success() })
}

/// Returns the library a line of cargo's output speaks of, if it is a plugin's.
fn library(line: &str, workspace: &Workspace) -> Option<Built> {
    let message: Message = serde_json::from_str(line).ok().filter(|it: &Message| it.reason == "compiler-artifact")?;
    let plugin = workspace.plugins.iter().find(|plugin| plugin.id == message.package_id)?;
    let is_library = |file: &PathBuf| file.extension().is_some_and(|ending| ending == std::env::consts::DLL_EXTENSION);
    let library = message.filenames.into_iter().find(is_library)?;
    Some(Built { name: plugin.name.clone(), library })
}

/// Puts a library into `directory`, whole from the first moment; returns where, unless the
/// same bytes are there already.
pub(super) fn publish(plugin: &Built, directory: &Path) -> io::Result<Option<PathBuf>> {
    let file = directory.join(plugin.library.file_name().unwrap_or_default());
    let bytes = fs::read(&plugin.library)?;
    if fs::read(&file).is_ok_and(|present| present == bytes) {
        return Ok(None);
    }
    fs::create_dir_all(directory)?;
    // No plugin's ending, so that the server does not look at it before it is complete.
    let partial = file.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(&partial, &file)?;
    Ok(Some(file))
}

/// Removes libraries of crates that are plugins no longer. One that does not build now stays.
pub(super) fn keep_only(directory: &Path, built: &Outcome, workspace: &Workspace) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut wanted: HashSet<PathBuf> =
        built.plugins.iter().filter_map(|plugin| plugin.library.file_name()).map(PathBuf::from).collect();
    let file = |name: &str| {
        let name = name.replace('-', "_");
        format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX).into()
    };
    wanted.extend(workspace.plugins.iter().map(|plugin| file(&plugin.name)));
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !wanted.contains(Path::new(&entry.file_name())) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::workspace::PluginCrate, *};

    fn workspace() -> Workspace {
        let plugin = PluginCrate { name: "my-weather".into(), id: "id-1".into() };
        Workspace {
            root: "/w".into(),
            plugins: vec![plugin],
            left_out: Vec::new(),
            companions: Vec::new(),
            sources: BTreeSet::new(),
        }
    }

    #[test]
    fn only_libraries_of_plugins_are_taken_from_cargos_output() {
        let suffix = std::env::consts::DLL_SUFFIX;
        let line = |id: &str, reason: &str| {
            format!(r#"{{"reason":"{reason}","package_id":"{id}","filenames":["/t/x.d","/t/libmy_weather{suffix}"]}}"#)
        };
        let found = library(&line("id-1", "compiler-artifact"), &workspace()).unwrap();
        assert_eq!(found.library, PathBuf::from(format!("/t/libmy_weather{suffix}")));
        assert_eq!(library(&line("id-2", "compiler-artifact"), &workspace()), None);
        assert_eq!(library(&line("id-1", "build-script-executed"), &workspace()), None);
        assert_eq!(library("no json", &workspace()), None);
    }

    #[test]
    fn library_is_published_once_and_strangers_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let name = format!("{}my_weather{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let (library, directory) = (home.path().join(&name), home.path().join("dev"));
        fs::write(&library, "one").unwrap();
        let plugin = Built { name: "my-weather".into(), library: library.clone() };
        assert_eq!(publish(&plugin, &directory).unwrap(), Some(directory.join(&name)));
        assert_eq!(publish(&plugin, &directory).unwrap(), None);
        fs::write(&library, "two").unwrap();
        assert!(publish(&plugin, &directory).unwrap().is_some());
        fs::write(directory.join("libold.so"), "x").unwrap();
        keep_only(&directory, &Outcome { plugins: Vec::new(), is_complete: false }, &workspace()).unwrap();
        let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [std::ffi::OsString::from(name)]);
        assert_eq!(fs::read_to_string(directory.join(&left[0])).unwrap(), "two");
    }
}
