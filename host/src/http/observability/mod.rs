//! Traces, log records and metrics as Studio and the official client ask for them.
//!
//! Everything is asked of [`Observe`](crate::observe::Observe). [`context`] has what all of them
//! are found by, [`page`] how they are cut into pages, [`span`] how a span is shown.

mod context;
pub(super) mod discovery;
pub(super) mod logs;
pub(super) mod metrics;
pub(super) mod none;
mod page;
pub(super) mod query;
pub(super) mod range;
mod span;
pub(super) mod trace;
pub(super) mod traces;
mod trajectory;

pub(super) use context::short;
pub(super) use page::FURTHEST;
