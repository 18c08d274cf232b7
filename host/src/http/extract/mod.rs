//! What handlers read from a request: [`Body`], [`Query`], [`PathId`], [`Path`], `Traced`. All reject
//! with [`ApiError`], in the reference server's words.
//!
//! A type's JSON Schema, made from its definition, decides what is accepted; serde only
//! fills in the type afterwards. Schemas are in `shape`, query strings in `query`.

mod depth;
mod query;
mod shape;
mod traced;

use axum::extract::{FromRequestParts, Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) use query::pairs;
pub(super) use shape::Shape;
pub(super) use traced::Traced;

use super::{
    endpoint::{Argument, Takes},
    error::{ApiError, FieldIssue, Invalid},
};
use crate::{
    limits::{Limit, Limits},
    types::json,
};

/// A JSON body that fits `T`. A request without a body counts as `{}` where that fits.
///
/// A body is read only if the content type is JSON. List [`Query`] before it: a caller is
/// told of a wrong query first.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

/// A query string that fits `T`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

/// The one parameter of a path.
#[derive(Debug, Clone)]
pub struct PathId(pub String);

/// The parameters of a path, a tuple if there are several.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// The body of a request, as it came and parsed, on its way from [`read_json`] to [`Body`].
#[derive(Debug, Clone)]
struct JsonBody(Option<(Bytes, Value)>);

/// What a JSON body may be at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Its length in bytes.
    pub(super) bytes: usize,
    /// How deep it may be nested.
    pub(super) depth: usize,
}

/// Reads and parses a request's body, which [`Body`] takes then. A body that is not JSON is told of
/// before anything else about the request.
///
/// # Errors
/// If it is too long, nested too deep, no JSON, or does not come.
pub(super) async fn read_json(most: Most, limits: &Limits, request: &mut Request) -> Result<(), ApiError> {
    let mut document = None;
    if is_json(request.headers()) {
        let body = std::mem::take(request.body_mut());
        let too_large = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large");
        // One that says so beforehand need not be read.
        if usize::try_from(body.size_hint().lower()).is_ok_and(|length| length > most.bytes) {
            return Err(too_large());
        }
        let whole = Limited::new(body, most.bytes).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return too_large();
            }
            ApiError::bad_request("the request ended before its body was complete")
        })?;
        let bytes = whole.to_bytes();
        if !bytes.is_empty() {
            depth::check(&bytes, most.depth).inspect_err(|_| limits.hit(Limit::JsonDepth))?;
            let parsed = parse(&bytes)?;
            document = Some((bytes, parsed));
        }
    }
    request.extensions_mut().insert(JsonBody(document));
    Ok(())
}

/// The content type of JSON.
const JSON: &str = "application/json";

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value == JSON || value.to_ascii_lowercase().contains(JSON))
}

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    json::read(bytes).map_err(|error| {
        let message = if error.is_eof() { "Unexpected end of JSON input".to_owned() } else { error.to_string() };
        ApiError::invalid_field(Invalid::Body, "body", message)
    })
}

impl<T, S> FromRequestParts<S> for Body<T>
where
    T: DeserializeOwned + JsonSchema + 'static,
    S: Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let JsonBody(body) = parts
            .extensions
            .remove()
            .ok_or_else(|| ApiError::internal("a handler reads a body its route does not parse"))?;
        let shape = Shape::of::<T>();
        let (bytes, document) = match body {
            Some(body) => body,
            None => {
                let empty = Value::Object(serde_json::Map::new());
                if !shape.schema().accepts(&empty) {
                    let message = "Invalid input: expected object, received undefined";
                    return Err(ApiError::invalid_field(Invalid::Body, "root", message));
                }
                (Bytes::from_static(b"{}"), empty)
            }
        };
        typed(shape, document, Invalid::Body, || parse(&bytes)).map(Self)
    }
}

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + JsonSchema + 'static,
    S: Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let shape = Shape::of::<T>();
        let document = || match parts.uri.query() {
            // Most requests have none, and then there is nothing to read or convert.
            None | Some("") => Ok(Value::Object(serde_json::Map::new())),
            Some(query) => query::document(query, shape).map_err(|issues| ApiError::invalid(Invalid::Query, issues)),
        };
        typed(shape, document()?, Invalid::Query, document).map(Self)
    }
}

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(parameters)) => Ok(Self(parameters)),
            Err(rejection) if rejection.status().is_server_error() => Err(ApiError::internal(rejection)),
            Err(rejection) => Err(ApiError::invalid_field(Invalid::Path, "root", rejection.body_text())),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Path::from_request_parts(parts, state).await.map(|Path(id)| Self(id))
    }
}

/// Checks a document and fills in the type. `again` makes the document once more.
fn typed<T: DeserializeOwned>(
    shape: &Shape,
    document: Value,
    part: Invalid,
    again: impl FnOnce() -> Result<Value, ApiError>,
) -> Result<T, ApiError> {
    let issues = shape.schema().issues(&document);
    if !issues.is_empty() {
        return Err(ApiError::invalid(part, issues));
    }
    if let Ok(filled) = serde_json::from_value(document) {
        return Ok(filled);
    }
    // The schema is made from the type, so this is rare: a number too large for its type. Where it
    // is costs more to know than all the rest, so that is found out only now.
    serde_path_to_error::deserialize(again()?).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "root".to_owned() } else { path };
        ApiError::invalid(part, [FieldIssue::new(field, "Invalid input")])
    })
}

impl<T: JsonSchema + 'static> Argument for Body<T> {
    fn describe(takes: &mut Takes) {
        takes.body = Some(Shape::of::<T>());
    }
}

impl<T: JsonSchema + 'static> Argument for Query<T> {
    fn describe(takes: &mut Takes) {
        takes.query = Some(Shape::of::<T>());
    }
}

impl<T> Argument for Path<T> {}
impl Argument for PathId {}
