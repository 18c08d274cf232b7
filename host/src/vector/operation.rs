//! What a store is asked, as spans tell it: what, where, how much. The vectors themselves are not
//! recorded.

use super::DEFAULT_INDEX;
use crate::observe::tracer::ActiveSpan;

/// What a store is to do.
#[derive(Debug, Default)]
pub struct Operation<'a> {
    /// `query`, `upsert`, `update` or `delete`.
    pub name: &'static str,
    /// The store.
    pub store: &'a str,
    /// The index; [`DEFAULT_INDEX`] if absent.
    pub index: Option<&'a str>,
    /// The most hits of a query.
    pub top_k: Option<u32>,
    /// How long the vectors are that come with it.
    pub dimensions: Option<usize>,
}

impl Operation<'_> {
    /// Returns the name of its span.
    #[must_use]
    pub fn title(&self) -> String {
        format!("vector {}: '{}'", self.name, self.store)
    }

    /// Notes what it is about on its span.
    pub fn describe(&self, span: &ActiveSpan) {
        span.attribute("operation", self.name);
        span.attribute("store", self.store);
        span.attribute("indexName", self.index.unwrap_or(DEFAULT_INDEX));
        if let Some(top_k) = self.top_k {
            span.attribute("topK", top_k);
        }
        if let Some(dimensions) = self.dimensions {
            span.attribute("dimensions", dimensions);
        }
    }
}
