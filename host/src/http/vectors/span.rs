//! The span of what a caller has a store do: what, where, how much. The vectors themselves are not
//! recorded.

use std::future::Future;

use crate::{
    app::App,
    http::extract::Traced,
    services::span,
    types::{id, span::SpanKind},
    vector::{DEFAULT_INDEX, VectorError},
};

/// What a store is to do.
#[derive(Debug, Default)]
pub(super) struct Operation<'a> {
    /// `query`, `upsert`, `update` or `delete`.
    pub(super) name: &'static str,
    pub(super) store: &'a str,
    pub(super) index: Option<&'a str>,
    pub(super) top_k: Option<u32>,
    pub(super) dimensions: Option<usize>,
}

/// Has it done, in a span.
pub(super) async fn recorded<T>(
    app: &App,
    traced: Traced,
    operation: Operation<'_>,
    work: impl Future<Output = Result<T, VectorError>>,
) -> Result<T, VectorError> {
    let Operation { name, store, index, top_k, dimensions } = operation;
    let trace = traced.options();
    let trace_id = trace.trace_id.unwrap_or_else(id::trace);
    let recorder = app.observe.recorder();
    let title = format!("vector {name}: '{store}'");
    let span = recorder.begin(SpanKind::RagVectorOperation, title, &trace_id, &id::span(), trace.parent_id.as_deref());
    span.attribute("operation", name);
    span.attribute("store", store);
    span.attribute("indexName", index.unwrap_or(DEFAULT_INDEX));
    if let Some(top_k) = top_k {
        span.attribute("topK", top_k);
    }
    if let Some(dimensions) = dimensions {
        span.attribute("dimensions", dimensions);
    }
    let done = work.await;
    match &done {
        Ok(_) => span.end(),
        Err(error) => span.fail(span::error(&error.to_string())),
    }
    done
}
