//! New plugins: the files of a crate that builds and passes its tests at once.
//!
//! Owns the templates and where the SDK is taken from. Knows nothing of running plugins.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

/// What a new plugin offers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A tool that agents call.
    Tool,
    /// An agent with a tool.
    Agent,
    /// A workflow of two steps.
    Workflow,
    /// A vector store.
    Vector,
    /// A chat model.
    Model,
}

impl Kind {
    fn source(self) -> &'static str {
        match self {
            Self::Tool => include_str!("templates/tool.rs.in"),
            Self::Agent => include_str!("templates/agent.rs.in"),
            Self::Workflow => include_str!("templates/workflow.rs.in"),
            Self::Vector => include_str!("templates/vector.rs.in"),
            Self::Model => include_str!("templates/model.rs.in"),
        }
    }
}

/// Where the SDK of a new plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// A directory.
    Path(PathBuf),
    /// A git repository.
    Git(String),
}

/// Why a plugin was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScaffoldError {
    /// The name cannot be a crate's.
    #[error("`{0}` cannot be the name of a plugin: use lower-case letters, digits and `-`, and begin with a letter")]
    Name(String),
    /// The name means something in Rust.
    #[error("`{0}` cannot be the name of a plugin: Rust or cargo uses it for something else")]
    Reserved(String),
    /// The directory is there.
    #[error("{} exists already; remove it or name another directory with --path", .0.display())]
    Exists(PathBuf),
    /// The SDK is not where it was looked for.
    #[error("cannot find the SDK at {}; name the directory `plugin-api` of Hotbay's sources, or its git URL, with --sdk", .0.display())]
    NoSdk(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Sdk {
    /// Returns the SDK that is named, or the one this program was built beside.
    pub(crate) fn find(named: Option<&str>) -> Result<Self, ScaffoldError> {
        let path = match named {
            Some(url) if url.contains("://") || url.starts_with("git@") => return Ok(Self::Git(url.to_owned())),
            Some(path) => PathBuf::from(path),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api"),
        };
        match path.canonicalize() {
            Ok(path) if path.join("Cargo.toml").is_file() => Ok(Self::Path(path)),
            _ => Err(ScaffoldError::NoSdk(path)),
        }
    }

    /// Returns the value of the dependency. A TOML string that holds any path is a JSON string.
    fn dependency(&self) -> String {
        match self {
            Self::Path(path) => format!("{{ path = {} }}", quoted(&path.to_string_lossy())),
            Self::Git(url) => format!("{{ git = {} }}", quoted(url)),
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes a new plugin into a directory that does not exist.
pub(crate) fn create(name: &str, kind: Kind, directory: &Path, sdk: &Sdk) -> Result<(), ScaffoldError> {
    check_name(name)?;
    if directory.exists() {
        return Err(ScaffoldError::Exists(directory.to_owned()));
    }
    let fill = |template: &str| {
        template
            .replace("{{name}}", name)
            .replace("{{ident}}", &name.replace('-', "_"))
            .replace("{{sdk}}", &sdk.dependency())
    };
    for (path, template) in [
        ("Cargo.toml", include_str!("templates/Cargo.toml.in")),
        ("README.md", include_str!("templates/README.md.in")),
        (".gitignore", "/target\n/.hotbay\n"),
        ("src/lib.rs", kind.source()),
    ] {
        write(&directory.join(path), &fill(template))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), ScaffoldError> {
    let written = match path.parent() {
        Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(path, text)),
        None => fs::write(path, text),
    };
    written.map_err(|source| ScaffoldError::Write { path: path.to_owned(), source })
}

fn check_name(name: &str) -> Result<(), ScaffoldError> {
    /// What `cargo new` refuses: keywords, crates of the sysroot, directories of cargo's own.
    const RESERVED: &str = "abstract as async await become box break const continue crate do dyn else enum extern false \
        final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
        super trait true try type typeof unsafe unsized use virtual where while yield \
        alloc core proc-macro std test build deps examples incremental";
    /// A package cannot depend on one of its own name.
    const DEPENDENCIES: [&str; 3] = ["hotbay-plugin", "schemars", "serde"];
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && !name.contains("--")
        && name.len() <= 64;
    if !is_plain {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    if RESERVED.split_whitespace().any(|it| it == name) || DEPENDENCIES.contains(&name) {
        return Err(ScaffoldError::Reserved(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_plugin_has_its_name_everywhere_and_no_placeholder() {
        let home = tempfile::tempdir().unwrap();
        for kind in Kind::value_variants() {
            let name = format!("my-{kind:?}").to_lowercase();
            let name = name.as_str();
            let directory = home.path().join(name);
            create(name, *kind, &directory, &Sdk::Git("https://example.com/hotbay".into())).unwrap();
            for file in ["Cargo.toml", "README.md", "src/lib.rs"] {
                let text = fs::read_to_string(directory.join(file)).unwrap();
                assert!(!text.contains("{{"), "{file}: {text}");
            }
            let manifest: toml::Table = fs::read_to_string(directory.join("Cargo.toml")).unwrap().parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some(name));
            assert_eq!(manifest["dependencies"]["hotbay-plugin"]["git"].as_str(), Some("https://example.com/hotbay"));
        }
    }

    #[test]
    fn existing_directory_is_not_touched() {
        let home = tempfile::tempdir().unwrap();
        let error = create("weather", Kind::Tool, home.path(), &Sdk::Git("x://y".into())).unwrap_err();
        assert!(matches!(error, ScaffoldError::Exists(_)), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[track_caller]
    fn check_refused(name: &str) {
        assert!(check_name(name).is_err(), "{name}");
    }

    #[test]
    fn names_that_cannot_be_crates_are_refused() {
        for name in
            ["", "Weather", "1st", "-a", "a-", "a--b", "a b", "a/b", "../a", "a_b", "self", "test", "serde", "yield"]
        {
            check_refused(name);
        }
        assert!(check_name("weather-2").is_ok());
    }

    #[test]
    fn sdk_is_found_beside_the_sources_or_said_to_be_missing() {
        assert!(matches!(Sdk::find(None), Ok(Sdk::Path(_))));
        let error = Sdk::find(Some("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("--sdk"), "{error}");
    }
}
