//! What `cargo build --workspace` has made: the programs, and the plugins' libraries.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The file of the plugin that is built from a crate.
///
/// # Errors
///
/// When it is not built.
pub fn built_plugin(crate_name: &str) -> anyhow::Result<PathBuf> {
    let name = crate_name.replace('-', "_");
    built(&format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// A file of the build directory in which the running test lies, or one above it.
///
/// # Errors
///
/// When it is not built.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let found = test.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("`{name}` is not built beside {}: run `cargo build --workspace` first", test.display())
    })
}

/// Puts a built plugin into a directory. The temporary name has no plugin's ending, and the rename makes the file appear whole.
pub(crate) fn copy_plugin(crate_name: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    let built = built_plugin(crate_name)?;
    let name = built.file_name().context("a plugin's file has a name")?;
    let partial = directory.join(format!(".{}.partial", name.to_string_lossy()));
    std::fs::copy(&built, &partial)?;
    let path = directory.join(name);
    std::fs::rename(&partial, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_not_built_says_how_to_build_it() {
        let error = built_plugin("hotbay-no-such-plugin").unwrap_err().to_string();
        assert!(error.contains("hotbay_no_such_plugin") && error.contains("cargo build --workspace"), "{error}");
    }

    #[test]
    fn a_plugin_appears_whole_under_its_own_name() {
        let directory = TempDir::new().unwrap();
        let path = copy_plugin("hotbay-test-reference", directory.path()).unwrap();
        let built = built_plugin("hotbay-test-reference").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(built).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
