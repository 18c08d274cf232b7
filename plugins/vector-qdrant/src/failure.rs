//! What Qdrant's errors mean to who asked.

use hotbay_plugin::{Error, error::code};
use qdrant_client::QdrantError;
use tonic::{Code, Status};

/// Turns an error of the client into one for the caller.
pub(crate) fn failed(error: QdrantError) -> Error {
    match error {
        QdrantError::ResponseError { status } => of_status(&status),
        QdrantError::ResourceExhaustedError { status, retry_after_seconds } => {
            let wait = std::time::Duration::from_secs(retry_after_seconds);
            unavailable(format!("Qdrant is busy: {}", status.message())).retry_after(wait)
        }
        QdrantError::Io(error) => unavailable(format!("there is no connection to Qdrant ({error}); try again")),
        error => Error::new(format!("Qdrant answered something else than was asked: {error}")),
    }
}

fn of_status(status: &Status) -> Error {
    let message = status.message();
    match status.code() {
        Code::NotFound => Error::with_code(code::NOT_FOUND, format!("Qdrant has no such thing: {message}")),
        Code::InvalidArgument | Code::OutOfRange => Error::input(format!("Qdrant cannot do this: {message}")),
        Code::Unauthenticated | Code::PermissionDenied => {
            Error::with_code(code::CONFIG, format!("Qdrant refuses this client; check `api_key`: {message}"))
        }
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted | Code::Aborted => {
            unavailable(format!("Qdrant is not available now ({message}); try again"))
        }
        // The client says this of a server it cannot connect to, and a server of itself when it shuts down.
        Code::Internal | Code::Unknown if message.contains("connect") || message.contains("transport") => {
            unavailable(format!("there is no connection to Qdrant ({message}); try again"))
        }
        _ => Error::new(format!("Qdrant failed: {message}")),
    }
}

fn unavailable(message: String) -> Error {
    Error::with_code(code::UNAVAILABLE, message).retryable()
}
