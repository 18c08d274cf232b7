//! Which crates of a workspace are plugins, and which directories they are made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use tokio::process::Command;

use crate::{cli::Failure, config};

/// The SDK: what depends on it and is a dylib is a plugin.
const SDK: &str = "hotbay-plugin";

/// The plugins of a workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Where cargo is run.
    pub(super) root: PathBuf,
    /// At least one.
    pub(super) plugins: Vec<PluginCrate>,
    /// Names of plugins that are built on demand, and nobody demands.
    pub(super) left_out: Vec<String>,
    /// Packages to name when the plugins are built, see [`companions`].
    pub(super) companions: Vec<String>,
    /// Directories of the plugins' crates and of those of the workspace they are built from.
    pub(super) sources: BTreeSet<PathBuf>,
}

/// A crate that is a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PluginCrate {
    /// The package's name.
    pub(super) name: String,
    /// The package's id, as cargo's messages have it.
    pub(super) id: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

/// Which plugins are built.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand<'a> {
    /// Only these, if there are any.
    pub(super) only: &'a [String],
    /// These have settings.
    pub(super) configured: &'a [String],
}

/// Where this program comes from.
struct Origin {
    /// The directory of its crate.
    krate: PathBuf,
    /// The directory the program is in.
    directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    id: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
    #[serde(default)]
    metadata: Option<PackageMetadata>,
}

/// `[package.metadata]`, which others use as well.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PackageMetadata {
    hotbay: PluginMetadata,
}

/// `[package.metadata.hotbay]`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct PluginMetadata {
    /// It is built only if it is named or has settings: without them it could do nothing.
    on_demand: bool,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo about the workspace `directory` is in.
    pub(super) async fn find(directory: &Path, demand: Demand<'_>, is_release: bool) -> Result<Self, Failure> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(directory);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| format!("cannot run cargo: {error}; `hotbay dev` needs a Rust toolchain"))?;
        if !output.status.success() {
            return Err(format!("cargo cannot read the workspace in {}", directory.display()).into());
        }
        let program = std::env::current_exe()?;
        let directory = program.parent().unwrap_or(Path::new("/")).to_owned();
        let origin = Origin { krate: env!("CARGO_MANIFEST_DIR").into(), directory };
        Self::read(&output.stdout, demand, is_release, &origin)
    }

    fn read(metadata: &[u8], demand: Demand<'_>, is_release: bool, origin: &Origin) -> Result<Self, Failure> {
        let Demand { only, configured } = demand;
        let Metadata { packages, workspace_root, target_directory } = serde_json::from_slice(metadata)?;
        let tests = workspace_root.join("tests");
        let is_wanted = |package: &Package| match only.is_empty() {
            // Plugins under `tests` are there to misbehave.
            true => !package.manifest_path.starts_with(&tests),
            false => only.contains(&package.name),
        };
        let wanted = packages.iter().filter(|package| package.is_plugin() && is_wanted(package));
        let (found, left_out): (Vec<&Package>, Vec<&Package>) =
            wanted.partition(|it| !only.is_empty() || !it.is_on_demand() || configured.contains(&it.name));
        if let Some(missing) = only.iter().find(|name| !found.iter().any(|package| package.name == **name)) {
            return Err(format!("`{missing}` is no plugin of this workspace").into());
        }
        let left_out: Vec<String> = left_out.into_iter().map(|package| package.name.clone()).collect();
        if found.is_empty() && !left_out.is_empty() {
            return Err(format!(
                "no plugin of {} has settings, and all are built on demand: name one of {} with -p",
                workspace_root.display(),
                left_out.join(", ")
            )
            .into());
        }
        if found.is_empty() {
            return Err(format!(
                "there is no plugin in {}: a plugin is a crate with `crate-type = [\"cdylib\"]` that depends on {SDK}; \
                 `hotbay plugin new NAME --kind tool` makes one",
                workspace_root.display()
            )
            .into());
        }
        let sources = sources(&packages, &found);
        let build = target_directory.join(if is_release { "release" } else { "debug" });
        let companions = match origin.is(&packages, &build) {
            true => companions(&packages, &tests),
            false => Vec::new(),
        };
        let plugins = found.into_iter().map(|it| PluginCrate { name: it.name.clone(), id: it.id.clone() }).collect();
        Ok(Self { root: workspace_root, plugins, left_out, companions, sources })
    }
}

impl Origin {
    /// Whether this program is of one of these packages, and lies where builds of them go.
    fn is(&self, packages: &[Package], build: &Path) -> bool {
        let build = build.canonicalize().unwrap_or_else(|_| build.to_owned());
        packages.iter().any(|package| package.directory() == self.krate) && build == self.directory
    }
}

impl Package {
    fn is_plugin(&self) -> bool {
        let is_dylib = self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "cdylib"));
        is_dylib && self.dependencies.iter().any(|dependency| dependency.name == SDK)
    }

    fn is_on_demand(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.hotbay.on_demand)
    }

    fn is_program(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "bin"))
    }

    fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("/"))
    }
}

/// Returns the directories of `plugins` and of the local packages they depend on.
fn sources(packages: &[Package], plugins: &[&Package]) -> BTreeSet<PathBuf> {
    let by_directory: BTreeMap<&Path, &Package> = packages.iter().map(|it| (it.directory(), it)).collect();
    let mut todo: Vec<PathBuf> = plugins.iter().map(|plugin| plugin.directory().to_owned()).collect();
    let mut found = BTreeSet::new();
    while let Some(directory) = todo.pop() {
        if let Some(package) = by_directory.get(directory.as_path()) {
            todo.extend(package.dependencies.iter().filter_map(|it| it.path.clone()).filter(|it| !found.contains(it)));
        }
        found.insert(directory);
    }
    found
}

/// Returns the programs of a workspace this host was built from.
///
/// Cargo chooses the features of shared dependencies by the packages it is told to build. The
/// host came from a build of the whole workspace, so a plugin built alone would mostly differ from
/// that, and all it depends on be compiled again. It is the programs that ask for more features. Of
/// them only libraries are built, which are there already.
fn companions(packages: &[Package], tests: &Path) -> Vec<String> {
    let programs = packages.iter().filter(|it| it.is_program() && !it.manifest_path.starts_with(tests));
    programs.map(|package| package.name.clone()).collect()
}

/// Returns the cargo to run: the one that runs us, if one does.
pub(super) fn cargo() -> Command {
    let mut command = Command::new(config::variable("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` says of the host's crate. Build scripts that look at it would run again, `ring`'s for one.
    for name in config::variables_beginning_with(&["CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"]) {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, directory: &str, kind: &str, dependencies: &[(&str, Option<&str>)]) -> serde_json::Value {
        let dependencies: Vec<_> =
            dependencies.iter().map(|(name, path)| json!({ "name": name, "path": path })).collect();
        json!({
            "name": name, "id": format!("path+file://{directory}#0.1.0"), "manifest_path": format!("{directory}/Cargo.toml"),
            "dependencies": dependencies, "targets": [{ "kind": [kind] }],
        })
    }

    fn metadata() -> Vec<u8> {
        let sdk = ("hotbay-plugin", Some("/w/sdk"));
        json!({ "workspace_root": "/w", "target_directory": "/w/target", "packages": [
            package("weather", "/w/plugins/weather", "cdylib", &[sdk, ("shared", Some("/w/shared"))]),
            package("shared", "/w/shared", "lib", &[("serde", None)]),
            package("hotbay-plugin", "/w/sdk", "lib", &[]),
            package("app", "/w/app", "bin", &[sdk]),
            package("suite", "/w/tests/suite", "bin", &[]),
            package("hostile", "/w/tests/plugins/hostile", "cdylib", &[sdk]),
        ]})
        .to_string()
        .into_bytes()
    }

    fn read(metadata: &[u8], only: &[String]) -> Result<Workspace, Failure> {
        demanded(metadata, Demand { only, configured: &[] })
    }

    fn demanded(metadata: &[u8], demand: Demand<'_>) -> Result<Workspace, Failure> {
        let installed = Origin { krate: "/elsewhere/host".into(), directory: "/usr/bin".into() };
        Workspace::read(metadata, demand, false, &installed)
    }

    fn names(workspace: &Workspace) -> Vec<&str> {
        workspace.plugins.iter().map(|plugin| plugin.name.as_str()).collect()
    }

    #[test]
    fn plugins_are_dylibs_with_the_sdk_outside_tests() {
        let workspace = read(&metadata(), &[]).unwrap();
        assert_eq!(names(&workspace), ["weather"]);
        let sources: Vec<_> = workspace.sources.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(sources, ["/w/plugins/weather", "/w/sdk", "/w/shared"]);
    }

    #[test]
    fn programs_are_built_along_only_where_the_host_comes_from() {
        let companions = |krate: &str, directory: &str, is_release| {
            let origin = Origin { krate: krate.into(), directory: directory.into() };
            Workspace::read(&metadata(), Demand::default(), is_release, &origin).unwrap().companions
        };
        assert_eq!(companions("/w/app", "/w/target/debug", false), ["app"]);
        assert_eq!(companions("/w/app", "/w/target/release", true), ["app"]);
        assert!(companions("/w/app", "/w/target/debug", true).is_empty());
        assert!(companions("/w/app", "/usr/bin", false).is_empty());
        assert!(companions("/elsewhere/host", "/w/target/debug", false).is_empty());
    }

    #[test]
    fn plugin_that_is_named_may_be_anywhere() {
        let workspace = read(&metadata(), &["hostile".into()]).unwrap();
        assert_eq!(workspace.plugins.len(), 1);
        let error = read(&metadata(), &["app".into()]).unwrap_err().to_string();
        assert!(error.contains("`app`"), "{error}");
    }

    #[test]
    fn plugin_that_is_built_on_demand_needs_settings_or_its_name() {
        let mut heavy = package("heavy", "/w/plugins/heavy", "cdylib", &[("hotbay-plugin", None)]);
        heavy["metadata"] = json!({"docs": {"x": 1}, "hotbay": {"on-demand": true}});
        let light = package("light", "/w/plugins/light", "cdylib", &[("hotbay-plugin", None)]);
        let of = |packages: &[&serde_json::Value]| {
            json!({"workspace_root": "/w", "target_directory": "/w/target", "packages": packages}).to_string()
        };
        let (both, alone, heavy) = (of(&[&heavy, &light]), of(&[&heavy]), ["heavy".to_owned()]);
        let workspace = read(both.as_bytes(), &[]).unwrap();
        assert_eq!((names(&workspace), &workspace.left_out[..]), (vec!["light"], &heavy[..]));
        let workspace = demanded(both.as_bytes(), Demand { only: &[], configured: &heavy }).unwrap();
        assert_eq!((names(&workspace), workspace.left_out.len()), (vec!["heavy", "light"], 0));
        assert_eq!(names(&read(both.as_bytes(), &heavy).unwrap()), ["heavy"]);
        let error = read(alone.as_bytes(), &[]).unwrap_err().to_string();
        assert!(error.contains("name one of heavy with -p"), "{error}");
    }

    #[test]
    fn workspace_without_plugins_says_how_to_make_one() {
        let error = read(br#"{"workspace_root": "/w", "target_directory": "/t", "packages": []}"#, &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("hotbay plugin new"), "{error}");
    }
}
