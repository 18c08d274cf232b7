//! Settings.

use crate::http::system::SystemSettings;

/// Every setting of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The API's path prefix.
    pub prefix: String,
    /// Longest body in bytes.
    pub body_limit: usize,
    /// Origins browsers may ask from; `*` or none is any.
    pub cors_origins: Vec<String>,
    /// What clients are told the server is made of.
    pub system: SystemSettings,
}
