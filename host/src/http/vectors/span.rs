//! The span of what a caller has a store do.

use std::future::Future;

use crate::{
    app::App,
    http::extract::Traced,
    services::span,
    types::span::SpanKind,
    vector::{VectorError, operation::Operation},
};

/// Has it done, in a span.
pub(super) async fn recorded<T>(
    app: &App,
    traced: Traced,
    operation: Operation<'_>,
    work: impl Future<Output = Result<T, VectorError>>,
) -> Result<T, VectorError> {
    let (kind, recorder) = (SpanKind::RagVectorOperation, app.observe.recorder());
    let span = recorder.begin_for(&traced.options(), kind, || operation.title());
    operation.describe(&span);
    let done = work.await;
    match &done {
        Ok(_) => span.end(),
        Err(error) => span.fail(span::error(&error.to_string())),
    }
    done
}
