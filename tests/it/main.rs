//! The integration tests: one binary, one file for each area.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "the whole crate is tests, what they share included")]

mod models;
mod replay;
