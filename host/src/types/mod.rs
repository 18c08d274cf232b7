//! Plain data, no I/O.

pub mod id;
pub mod message;
pub mod plugin;
pub mod schema;
pub mod spoken;
pub mod thread;
pub mod usage;
