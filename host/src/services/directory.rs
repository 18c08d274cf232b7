//! `data.directory`: a directory of a plugin's own, below the host's data.

use std::path::{Path, PathBuf};

use hotbay_plugin::{Error, error::code};

/// Makes a plugin's directory if it is not there and returns its absolute path.
pub(super) async fn of(parent: &Path, plugin: &str) -> Result<PathBuf, Error> {
    // A name of dots alone would lead elsewhere.
    if plugin.chars().all(|letter| letter == '.') {
        return Err(Error::with_code(code::UNSUPPORTED, "a plugin of this name has no directory"));
    }
    let directory = std::path::absolute(parent.join(plugin)).map_err(unavailable)?;
    tokio::fs::create_dir_all(&directory).await.map_err(unavailable)?;
    Ok(directory)
}

fn unavailable(error: std::io::Error) -> Error {
    Error::with_code(code::UNAVAILABLE, format!("the plugin's directory cannot be made: {error}"))
}
