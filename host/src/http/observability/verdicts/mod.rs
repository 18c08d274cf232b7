//! Scores and feedback: what scorers and people said of traces. Kept in the store, word by word.
//!
//! [`document`] is what one says, [`filter`] which are wanted, [`list`] lists them, [`numbers`]
//! makes numbers of them. [`scores`] and [`feedback`] are the endpoints of each.

pub(super) mod document;
pub(in crate::http) mod feedback;
mod filter;
mod list;
mod numbers;
pub(in crate::http) mod scores;
