//! Answers made of what plugins offer: written once for each snapshot of the registry.

use axum::{body::Body, response::Response};
use http::{HeaderValue, header};
use serde::Serialize;

use crate::plugin::registry::Snapshot;

/// Answers with a document that depends on the snapshot and its name alone.
///
/// `name` is one the snapshot has, or empty for a whole list: callers cannot make up others.
pub(super) fn rendered<T: Serialize>(
    snapshot: &Snapshot,
    kind: &'static str,
    name: &str,
    make: impl FnOnce() -> T,
) -> Response {
    let write = || serde_json::to_vec(&make()).expect("what is shown of plugins is JSON");
    json(snapshot.kept.document(kind, name, write))
}

/// Answers with a JSON document that is text already.
pub(super) fn json(document: impl Into<Body>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let mut response = Response::new(document.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
