//! Answers as text: JSON documents; and those made of what plugins offer, written once for each snapshot of
//! the registry.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::Value;

use crate::{plugin::registry::Snapshot, types};

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

/// A JSON document as an answer.
#[derive(Debug)]
pub(super) struct Document(pub(super) Value);

impl IntoResponse for Document {
    fn into_response(self) -> Response {
        json(types::json::write(&self.0))
    }
}

/// Answers with a JSON document that is text already.
pub(super) fn json(document: impl Into<Body>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    let mut response = Response::new(document.into());
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
