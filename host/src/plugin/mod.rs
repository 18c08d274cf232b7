//! Plugins: from a file to a capability that can be called.

pub mod call;
mod elf;
pub mod error;
pub mod in_flight;
mod intake;
mod loader;
mod manifest;
pub mod probe;
mod process;
pub mod settings;
