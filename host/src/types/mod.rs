//! Plain data, no I/O.

pub mod schema;
