//! What can be wrong with the configuration.

use std::{net::SocketAddr, path::PathBuf};

/// A setting that cannot be used: which one, where it was set, what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}; name another with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has settings that do not exist.
    #[error("{} is not a valid configuration: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Where and what, with the line.
        message: String,
    },
    /// A value does not fit its setting.
    #[error("{place} is `{value}`, expected {expected}")]
    Setting {
        /// Where it was set.
        place: String,
        /// The value.
        value: String,
        /// What fits.
        expected: String,
    },
    /// The server would be open to everyone who can reach the machine.
    #[error(
        "refusing to listen on {listen}: callers are not asked who they are, so everyone who reaches this address could \
         run plugins; say --auth and give out tokens (hotbay token new NAME --role operator), or listen on 127.0.0.1"
    )]
    Exposed {
        /// The address.
        listen: SocketAddr,
    },
}
