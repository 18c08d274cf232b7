//! Plugins: from a file to a capability that can be called.

pub mod call;
