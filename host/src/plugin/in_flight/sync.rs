//! What the count synchronises with.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use tokio::sync::Notify;
