//! The span of what a caller has a store do.

use std::future::Future;

use crate::{
    app::App,
    http::extract::Traced,
    services::span,
    types::{id, span::SpanKind},
    vector::{VectorError, operation::Operation},
};

/// Has it done, in a span.
pub(super) async fn recorded<T>(
    app: &App,
    traced: Traced,
    operation: Operation<'_>,
    work: impl Future<Output = Result<T, VectorError>>,
) -> Result<T, VectorError> {
    let trace = traced.options();
    let trace_id = trace.trace_id.unwrap_or_else(id::trace);
    let (kind, recorder) = (SpanKind::RagVectorOperation, app.observe.recorder());
    let span = recorder.begin(kind, operation.title(), &trace_id, &id::span(), trace.parent_id.as_deref());
    operation.describe(&span);
    let done = work.await;
    match &done {
        Ok(_) => span.end(),
        Err(error) => span.fail(span::error(&error.to_string())),
    }
    done
}
