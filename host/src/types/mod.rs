//! Plain data, no I/O.

pub mod plugin;
pub mod schema;
