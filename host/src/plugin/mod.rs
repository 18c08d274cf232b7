//! Plugins: from a file to a capability that can be called.

mod bridge;
pub mod call;
mod elf;
pub mod error;
pub mod generation;
pub mod in_flight;
mod intake;
mod loader;
mod manifest;
mod pool;
pub mod probe;
mod process;
pub mod services;
pub mod settings;
