//! Notices that a source was saved.

use std::{path::Path, time::Duration};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use tokio::sync::mpsc;

use super::workspace::Workspace;
use crate::cli::Failure;

/// Editors save in several steps, and people save several files.
const QUIET: Duration = Duration::from_millis(150);

/// Watches the directories plugins are built from.
pub(super) struct Sources {
    /// One place: that something was saved is all there is to know, however often.
    saved: mpsc::Receiver<()>,
    /// Ends with this.
    _watcher: RecommendedWatcher,
}

impl Sources {
    /// Begins to watch.
    pub(super) fn watch(workspace: &Workspace) -> Result<Self, Failure> {
        let (sender, saved) = mpsc::channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if is_change(event.kind) && event.paths.iter().any(|path| is_source(path)) {
                // Full means that the news is there already.
                sender.try_send(()).ok();
            }
        })?;
        for directory in &workspace.sources {
            // Not the whole tree: `target` may be in it, with more directories than can be watched.
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            let sources = directory.join("src");
            if sources.is_dir() {
                watcher.watch(&sources, RecursiveMode::Recursive)?;
            }
        }
        Ok(Self { saved, _watcher: watcher })
    }

    /// Returns once something was saved and quiet followed; false if nothing will be noticed any more.
    pub(super) async fn saved(&mut self) -> bool {
        if self.saved.recv().await.is_none() {
            return false;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.saved.recv()).await {}
        true
    }
}

/// Whether an event means that content may be different; reading a file is an event, too.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// Whether a build may depend on the path: editors' own files and what cargo writes do not count.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_editors = name.starts_with(['.', '#']) || name.ends_with('~') || name == "4913";
    let is_cargos = name == "Cargo.lock" || name == "target";
    let is_made = path.extension().is_some_and(|ending| ["swp", "swx", "tmp", "orig"].iter().any(|it| ending == *it));
    !(is_editors || is_cargos || is_made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_editors_and_of_cargo_are_no_sources() {
        for path in ["src/.lib.rs.swp", "src/lib.rs~", "src/#lib.rs#", "src/4913", "Cargo.lock", "target"] {
            assert!(!is_source(Path::new(path)), "{path}");
        }
        for path in ["src/lib.rs", "Cargo.toml", "build.rs", "src/prompt.txt"] {
            assert!(is_source(Path::new(path)), "{path}");
        }
    }

    #[tokio::test]
    async fn saving_a_source_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("src/deep")).unwrap();
        let root = home.path().to_owned();
        let sources = [root.clone()].into();
        let workspace = Workspace { root, plugins: Vec::new(), left_out: Vec::new(), companions: Vec::new(), sources };
        let mut sources = Sources::watch(&workspace).unwrap();
        std::fs::write(home.path().join("src/deep/lib.rs"), "fn main() {}").unwrap();
        let noticed = tokio::time::timeout(Duration::from_secs(30), sources.saved()).await;
        assert_eq!(noticed, Ok(true));
    }
}
