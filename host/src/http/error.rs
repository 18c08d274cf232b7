//! [`ApiError`]: the only maker of error bodies, and the only mapping from the errors of
//! the layers below to a status.
//!
//! The body is `{"error": "<sentence>"}`. When the request itself is wrong, `issues` says
//! where; older clients read the same array from `details`. Sentences of plugins and models
//! are passed on, since their authors wrote them for callers. What goes wrong inside
//! the host is not: the caller reads "Internal server error", the log gets the cause.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use hotbay_plugin::error::code;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    engine::error::EngineError,
    memory::MemoryError,
    model::ModelError,
    observe::ObserveError,
    plugin::{
        call::CallError,
        error::{LoadCode, LoadError},
    },
    store::StoreError,
    types::schema::Issue,
};

/// When to come back if nothing says more.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Which part of a request is not what its endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// The body.
    Body,
    /// The query string.
    Query,
    /// A part of the path.
    Path,
}

impl Invalid {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Body => "Invalid request body",
            Self::Query => "Invalid query parameters",
            Self::Path => "Invalid path parameters",
        }
    }
}

/// One thing that is wrong with a request, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldIssue {
    /// The dotted path, `root` for the whole, `body` for a body that is not JSON.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl FieldIssue {
    /// Returns the issue with this field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl From<Issue> for FieldIssue {
    fn from(issue: Issue) -> Self {
        Self { field: issue.field(), message: issue.message }
    }
}

/// An answer that is no success.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// A sentence for people.
    pub message: String,
    /// What is wrong with the request, and where.
    pub issues: Vec<FieldIssue>,
    // Boxed, since errors travel in results.
    details: Option<Box<Value>>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

/// Why an answer is a failure, for the log. Travels as an extension of the response.
#[derive(Clone)]
pub(super) struct Cause(Arc<dyn Error + Send + Sync>);

impl ApiError {
    /// Returns an error of any status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), issues: Vec::new(), details: None, retry_after: None, cause: None }
    }

    /// Returns a 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Returns a 400 that says what is wrong with a part of the request.
    pub fn invalid<I>(part: Invalid, issues: impl IntoIterator<Item = I>) -> Self
    where
        FieldIssue: From<I>,
    {
        Self::bad_request(part.sentence()).with_issues(issues)
    }

    /// Returns a 400 with one issue.
    pub fn invalid_field(part: Invalid, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(part, [FieldIssue::new(field, message)])
    }

    /// Returns a 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Returns a 403: it is there, but not for this caller.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Returns a 409: the thing is not in a state that allows this.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// Returns a 422: understood, but it cannot be done.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// Returns a 503: the same request may succeed after `retry_after`.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        error.retry_after = Some(retry_after);
        error
    }

    /// Returns a 429: there is too much of this now.
    pub fn too_many(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// Returns a 500 that keeps its cause from the caller and gives it to the log.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error").because(cause)
    }

    /// Adds what is wrong where.
    #[must_use]
    pub fn with_issues<I>(mut self, issues: impl IntoIterator<Item = I>) -> Self
    where
        FieldIssue: From<I>,
    {
        self.issues.extend(issues.into_iter().map(FieldIssue::from));
        self
    }

    /// Adds what programs may want to know; issues take its place if there are some.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Adds the cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Cause(Arc::from(cause.into())));
        self
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({"error": self.message});
        if !self.issues.is_empty() {
            let issues = json!(self.issues);
            body["issues"] = issues.clone();
            body["details"] = issues;
        } else if let Some(details) = &self.details {
            body["details"] = details.as_ref().clone();
        }
        body
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status.is_server_error() {
            let cause = self.cause.unwrap_or_else(|| Cause(Arc::from(Box::from(self.message))));
            response.extensions_mut().insert(cause);
        }
        response
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ApiError {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Issue> for ApiError {
    fn from(issue: Issue) -> Self {
        Self::invalid(Invalid::Body, [issue])
    }
}

impl From<Vec<Issue>> for ApiError {
    fn from(issues: Vec<Issue>) -> Self {
        Self::invalid(Invalid::Body, issues)
    }
}

impl From<ObserveError> for ApiError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Query(message) => Self::invalid_field(Invalid::Query, "q", message),
            ObserveError::Index(_) => Self::internal(error),
            ObserveError::Busy(message) => Self::unavailable(message, RETRY_AFTER),
        }
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        let status = match error.code {
            LoadCode::Unknown => StatusCode::NOT_FOUND,
            LoadCode::Conflict | LoadCode::State | LoadCode::GenerationBudget => StatusCode::CONFLICT,
            LoadCode::Untrusted => StatusCode::FORBIDDEN,
            LoadCode::OpenTimeout | LoadCode::ProbeTimeout => StatusCode::GATEWAY_TIMEOUT,
            LoadCode::Io => StatusCode::INTERNAL_SERVER_ERROR,
            // The rest is what the file is, or does when it is opened.
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let details = json!({"code": error.code.as_str()});
        if error.code == LoadCode::Io {
            // Its sentence names the host's directories.
            return Self::internal(error).with_details(details);
        }
        Self::new(status, error.message.clone()).with_details(details).because(error)
    }
}

impl From<&CallError> for ApiError {
    fn from(error: &CallError) -> Self {
        let answer = match error {
            CallError::Failed { code: code::INPUT, message, .. } => Self::bad_request(message),
            CallError::Failed { code: code::NOT_FOUND, message, .. } => Self::not_found(message),
            CallError::Failed { code: code::UNAVAILABLE, message, .. } => Self::unavailable(message, RETRY_AFTER),
            CallError::Failed { message, .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
            // What a panic says is about the plugin's source, not about the request.
            CallError::Panicked { plugin, .. } => {
                Self::new(StatusCode::BAD_GATEWAY, format!("plugin `{plugin}` panicked"))
            }
            CallError::TimedOut { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()),
            CallError::Crashed { retryable: false, .. } => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
            CallError::Cancelled { .. } | CallError::Unavailable { .. } | CallError::Crashed { .. } => {
                Self::unavailable(error.to_string(), RETRY_AFTER)
            }
            CallError::Unsupported { .. } => Self::not_found(error.to_string()),
        };
        answer.because(error.clone())
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        Self::from(&error)
    }
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        if let ModelError::Plugin(error) = &error
            && !matches!(**error, CallError::Failed { .. })
        {
            return Self::from(&**error);
        }
        // Clients of the reference server know a failed model as a 500 with its sentence.
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).because(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(message) => Self::not_found(message),
            StoreError::Conflict(message) => Self::conflict(message),
            // Its sentence names the host's files.
            StoreError::Unavailable(_) => {
                Self::unavailable("the store is not available; try again", RETRY_AFTER).because(error)
            }
            StoreError::Corrupt(_) | StoreError::Schema(_) | StoreError::Refused(_) => Self::internal(error),
        }
    }
}

impl From<MemoryError> for ApiError {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::Denied => Self::forbidden(error.to_string()),
            MemoryError::Store(error) => Self::from(error),
            MemoryError::Processor(error) => Self::from(&*error),
            MemoryError::Invalid(message) => Self::bad_request(message),
            MemoryError::UnknownProcessor(_) | MemoryError::Garbled { .. } => Self::unprocessable(error.to_string()),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Call(error) => Self::from(&*error),
            EngineError::Model(error) => Self::from(error),
            EngineError::Memory(error) => Self::from(error),
            EngineError::Store(error) => Self::from(error),
            EngineError::InvalidInput { message, issues } => Self::bad_request(message).with_issues(issues),
            EngineError::UnknownAgent(_)
            | EngineError::UnknownTool(_)
            | EngineError::UnknownRun(_)
            | EngineError::UnknownWorkflow
            | EngineError::UnknownWorkflowRun => Self::not_found(error.to_string()),
            EngineError::NotSuspended(message) | EngineError::Conflict(message) => Self::conflict(message),
            EngineError::Misfit { .. } => Self::bad_request(error.to_string()),
            EngineError::Overloaded { retry_after, .. } => Self::too_many(error.to_string(), retry_after),
            EngineError::TooDeep(_) | EngineError::Definition(_) => Self::unprocessable(error.to_string()),
            EngineError::TimedOut(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()),
            EngineError::Source { .. } => Self::new(StatusCode::BAD_GATEWAY, error.to_string()),
            EngineError::Answer(_) | EngineError::Structured { .. } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
        }
    }
}
