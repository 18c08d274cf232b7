//! Plain data, no I/O.

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod caller;
pub mod event;
pub mod graph;
pub mod id;
pub mod json;
pub mod list;
pub mod log;
pub mod map;
pub mod message;
pub mod plugin;
pub mod recall;
pub mod run;
pub mod schema;
pub mod span;
pub mod spoken;
pub mod thread;
pub mod trace;
pub mod usage;
