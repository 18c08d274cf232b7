//! Traces, log records and metrics as Studio and the official client ask for them.
//!
//! Everything is asked of [`Observe`](crate::observe::Observe). [`context`] has what all of them
//! are found by, [`page`] how they are cut into pages, [`span`] how a span is shown.

mod around;
mod context;
pub(super) mod discovery;
pub(super) mod erase;
pub(super) mod logs;
pub(super) mod metrics;
mod page;
pub(super) mod query;
pub(super) mod range;
mod series;
mod span;
mod sum;
pub(super) mod trace;
pub(super) mod traces;
mod trajectory;
pub(super) mod verdicts;

pub(super) use context::short;
pub(super) use page::FURTHEST;
