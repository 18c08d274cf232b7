//! What the integration tests share.

pub mod plugin_host;
