//! What the plugin directories hold at one moment.

use std::{
    collections::HashMap,
    env::consts::DLL_EXTENSION,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::plugin::trust::signature_file;

/// Changes when a file's content may have changed, or that of its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    file: Traits,
    /// A signature that comes later is how some refusals are answered.
    minisig: Option<Traits>,
}

/// What the file system says of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Traits {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    /// Owner and mode count, too: correcting them is how some refusals are answered.
    changed: (i64, i64),
}

impl Traits {
    fn of(facts: &fs::Metadata) -> Self {
        Self {
            inode: (facts.dev(), facts.ino()),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }
}

/// The plugin files that are there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    /// Files that may be plugins.
    pub(super) files: HashMap<PathBuf, Signature>,
    /// Directories that are there, with what identifies them.
    pub(super) directories: Vec<(PathBuf, (u64, u64))>,
    /// Directories that could not be read; nothing is known about their files.
    unreadable: Vec<PathBuf>,
}

impl Scan {
    /// Returns the files, sorted within each directory, in the order of the directories.
    pub(crate) fn in_order(&self, directories: &[PathBuf]) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.files.keys().cloned().collect();
        let place = |file: &Path| directories.iter().position(|directory| file.parent() == Some(directory));
        files.sort_by(|a, b| (place(a), a).cmp(&(place(b), b)));
        files
    }

    /// Whether a file is known not to be there.
    pub(super) fn is_gone(&self, file: &Path) -> bool {
        let unreadable = file.parent().is_some_and(|directory| self.unreadable.iter().any(|other| other == directory));
        !unreadable && !self.files.contains_key(file)
    }
}

/// Reads the directories. Blocks.
pub(crate) fn scan(directories: &[PathBuf]) -> Scan {
    let mut scan = Scan::default();
    for directory in directories {
        match read(directory, &mut scan) {
            Ok(()) => {}
            // A directory that is not there has no files; it may come later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "cannot read a plugin directory");
                scan.unreadable.push(directory.clone());
            }
        }
    }
    scan
}

fn read(directory: &Path, scan: &mut Scan) -> io::Result<()> {
    let facts = fs::metadata(directory)?;
    scan.directories.push((directory.to_owned(), (facts.dev(), facts.ino())));
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !is_candidate(&path) {
            continue;
        }
        // Gone since it was listed, or a link to nothing.
        let Ok(facts) = fs::metadata(&path) else { continue };
        if facts.is_dir() {
            continue;
        }
        let minisig = fs::metadata(signature_file(&path)).ok();
        let signature = Signature { file: Traits::of(&facts), minisig: minisig.as_ref().map(Traits::of) };
        scan.files.insert(path, signature);
    }
    Ok(())
}

/// Whether a file's name says that it is a finished library.
fn is_candidate(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let temporary = path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().ends_with(b".tmp"));
    !hidden && !temporary && path.extension().is_some_and(|extension| extension == DLL_EXTENSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_libraries_are_candidates() {
        for (name, expected) in [
            ("a.so", true),
            ("libx.so", true),
            (".a.so", false),
            ("a.so.tmp", false),
            ("a.tmp.so", false),
            ("a.txt", false),
            ("so", false),
        ] {
            assert_eq!(is_candidate(&Path::new("/p").join(name)), expected, "{name}");
        }
    }

    #[test]
    fn a_missing_directory_is_empty() {
        let scan = scan(&[PathBuf::from("/nonexistent/plugins.d")]);
        assert!(scan.files.is_empty());
        assert!(scan.is_gone(Path::new("/nonexistent/plugins.d/a.so")));
    }
}
