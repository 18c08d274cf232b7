//! What the plugin layer remembers over a restart: which plugins an
//! operator turned off, which builds serve in place of their files, and of which
//! plugins the next build is tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The file's content; unknown keys of a newer host are lost, nothing else is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeptState {
    /// Names of plugins that are not to be loaded.
    pub(crate) disabled: BTreeSet<String>,
    /// Plugins that serve another build than their file's, by name.
    pub(crate) held: BTreeMap<String, Held>,
    /// Plugins whose next build is tried, by name.
    pub(crate) canaries: BTreeMap<String, Awaited>,
}

/// What serves in place of a file: hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The file's build; another one is loaded as it is.
    pub(crate) file: String,
    /// The build that serves.
    pub(crate) serves: String,
}

/// How the next build of a plugin is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Awaited {
    /// The share of calls it gets.
    pub(crate) percent: f64,
    /// For how many milliseconds.
    pub(crate) for_ms: u64,
    /// Calls that are needed to judge it.
    pub(crate) min_calls: u64,
    /// The hash of the build it is compared with.
    pub(crate) serves: String,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// Returns the file in the directory of private copies.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { path: directory.join("state.json") }
    }

    /// Reads it. A missing file is an empty state.
    pub(crate) fn read(&self) -> io::Result<KeptState> {
        match fs::read(&self.path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KeptState::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces it in one step. Callers take turns.
    pub(crate) fn write(&self, state: &KeptState) -> io::Result<()> {
        let temporary = self.path.with_extension("json.tmp");
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(state)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)
    }
}
