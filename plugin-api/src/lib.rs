//! Placeholder crate docs.
#![allow(non_local_definitions, unsafe_code, missing_docs, clippy::all)]
pub mod abi;
pub mod chat;
pub mod error;
pub mod manifest;
pub use error::{Error, Result};
