//! HTTP to providers: the client, the time limits, and what a failure means.
//!
//! Shared by both adapters that go over the network; knows no provider's wire.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    ModelError, PartStream,
    retry::{Failure, Remedy, asked_wait},
};

/// A line of an answer longer than this is an attack or a mistake, not an event.
const LONGEST_LINE: usize = 16 << 20;

/// So much of a refusal is read; the sentence is at its beginning.
const LONGEST_REFUSAL: usize = 64 << 10;

/// How long each phase of a request may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From the request to the first byte of the answer's body.
    pub(super) first_byte: Duration,
    /// Between two pieces of the answer.
    pub(super) idle: Duration,
    /// Everything together, retries included.
    pub(super) overall: Duration,
}

/// Whom a request goes to, as far as both adapters need to know.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    /// `provider/model`, for messages.
    pub(super) model: String,
    /// The variable with the provider's key, for messages.
    pub(super) key_variable: String,
    /// The shared client.
    pub(super) client: reqwest::Client,
    /// The limits.
    pub(super) timeouts: Timeouts,
    /// Retries if the request does not say.
    pub(super) max_retries: u32,
}

/// Builds a client. Costly (it reads the system's certificates): built once, then cloned.
pub(crate) fn client(connect_timeout: Duration) -> Result<reqwest::Client, ModelError> {
    client_trusting(connect_timeout, &[])
}

/// As [`client`], for servers whose certificates these vouch for, too.
pub(crate) fn client_trusting(
    connect_timeout: Duration,
    certificates: &[reqwest::Certificate],
) -> Result<reqwest::Client, ModelError> {
    // reqwest is built without a default for TLS, and the process-wide choice may
    // be made only once.
    static TLS: OnceLock<()> = OnceLock::new();
    TLS.get_or_init(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS provider is installed already");
        }
    });
    let builder = || reqwest::Client::builder().connect_timeout(connect_timeout).tcp_nodelay(true);
    builder().tls_certs_merge(certificates.iter().cloned()).build().or_else(|error| {
        // A machine without certificates can still reach a server on its own network.
        tracing::warn!(%error, "no certificates found, https providers cannot be reached");
        builder().tls_certs_only(certificates.iter().cloned()).build().map_err(|error| ModelError::Unavailable {
            status: None,
            message: format!("cannot make an HTTP client: {error}"),
        })
    })
}

impl Destination {
    /// Says that a limit was passed.
    pub(super) fn timed_out(&self, limit: Duration) -> ModelError {
        ModelError::TimedOut { model: self.model.clone(), seconds: limit.as_millis().div_ceil(1000) as u64 }
    }

    /// Says that the answer is not what its protocol has.
    pub(super) fn garbled(&self, what: impl std::fmt::Display) -> ModelError {
        ModelError::Garbled(format!("model `{}` sent {what}", self.model))
    }

    /// Says that the connection ended before the answer did.
    pub(super) fn broken_off(&self, cause: &str) -> ModelError {
        ModelError::Unavailable {
            status: None,
            message: format!("the answer of model `{}` broke off: {cause}", self.model),
        }
    }

    /// Says what a failed request means.
    pub(super) fn unreachable(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        if error.is_builder() {
            return Failure::last(ModelError::Refused {
                status: None,
                message: format!("the request to model `{}` cannot be made: {}", self.model, chain(&error)),
            });
        }
        Failure::passing(ModelError::Unavailable {
            status: None,
            message: format!("cannot reach model `{}`: {}", self.model, chain(&error)),
        })
    }

    /// Says what a status other than success means.
    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &str) -> Failure {
        let document = serde_json::from_str::<Value>(body).ok();
        let said = document.as_ref().and_then(sentence).unwrap_or_else(|| excerpt(body));
        let code = Some(status.as_u16());
        let model = &self.model;
        if status == StatusCode::UNAUTHORIZED {
            return Failure::last(ModelError::Refused {
                status: code,
                message: format!(
                    "the provider of model `{model}` does not accept the API key, check the environment variable {}: {said}",
                    self.key_variable
                ),
            });
        }
        let out_of_credit = document.as_ref().is_some_and(|body| body["error"]["code"] == "insufficient_quota");
        if is_passing(status) && !out_of_credit {
            let remedy = asked_wait(headers, SystemTime::now()).map_or(Remedy::BackOff, Remedy::Wait);
            let message = format!("the provider of model `{model}` cannot answer now ({status}): {said}");
            return Failure { error: ModelError::Unavailable { status: code, message }, remedy };
        }
        let message = format!("the provider of model `{model}` refused the request ({status}): {said}");
        Failure::last(ModelError::Refused { status: code, message })
    }

    /// Says what an error document inside an answer that began well means.
    pub(super) fn error_document(&self, error: &Value) -> Failure {
        let said = sentence(error).unwrap_or_else(|| excerpt(&error.to_string()));
        let status = [&error["code"], &error["status"], &error["error"]["code"]]
            .into_iter()
            .find_map(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        let kind = [&error["type"], &error["error"]["type"], &error["code"]];
        let is_busy = kind.into_iter().filter_map(Value::as_str).any(|kind| {
            ["overloaded", "rate_limit", "server_error", "unavailable", "timeout", "api_error"]
                .iter()
                .any(|word| kind.contains(word))
        });
        let message = format!("the provider of model `{}` reports an error: {said}", self.model);
        let code = status.map(|status| status.as_u16());
        if is_busy || status.is_some_and(is_passing) {
            Failure::passing(ModelError::Unavailable { status: code, message })
        } else {
            Failure::last(ModelError::Refused { status: code, message })
        }
    }

    /// Returns the beginning of a refusal's body; what cannot be read is left out.
    pub(super) async fn refusal(&self, response: reqwest::Response) -> String {
        let mut body = Vec::new();
        let mut chunks = self.chunks(response, Instant::now() + self.timeouts.idle);
        while let Some(Ok(chunk)) = chunks.next().await {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_REFUSAL {
                break;
            }
        }
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Returns the pieces of a body within the time limits; ends after an error.
    pub(super) fn chunks(
        &self,
        response: reqwest::Response,
        first_by: Instant,
    ) -> BoxStream<'static, Result<Bytes, ModelError>> {
        let to = self.clone();
        let bytes = response.bytes_stream().boxed();
        stream::unfold(Some((bytes, Some(first_by), 0)), move |state| {
            let to = to.clone();
            async move {
                let (mut bytes, first_by, line) = state?;
                let (by, limit) = match first_by {
                    Some(by) => (by, to.timeouts.first_byte),
                    None => (Instant::now() + to.timeouts.idle, to.timeouts.idle),
                };
                let chunk = match timeout_at(by, bytes.next()).await {
                    Err(_) => return Some((Err(to.timed_out(limit)), None)),
                    Ok(None) => return None,
                    Ok(Some(Err(error))) => return Some((Err(to.broken_off(&chain(&error.without_url()))), None)),
                    Ok(Some(Ok(chunk))) => chunk,
                };
                let line = match chunk.iter().rposition(|byte| *byte == b'\n') {
                    Some(end) => chunk.len() - end,
                    None => line + chunk.len(),
                };
                if line > LONGEST_LINE {
                    return Some((Err(to.garbled("a line without end")), None));
                }
                Some((Ok(chunk), Some((bytes, None, line))))
            }
        })
        .boxed()
    }

    /// Ends an answer that is not complete at the deadline.
    pub(super) fn until(&self, deadline: Instant, parts: PartStream) -> PartStream {
        let to = self.clone();
        stream::unfold(Some(parts), move |state| {
            let to = to.clone();
            async move {
                let mut parts = state?;
                match timeout_at(deadline, parts.next()).await {
                    Err(_) => Some((Err(to.timed_out(to.timeouts.overall)), None)),
                    Ok(None) => None,
                    Ok(Some(Err(error))) => Some((Err(error), None)),
                    Ok(Some(Ok(part))) => Some((Ok(part), Some(parts))),
                }
            }
        })
        .boxed()
    }
}

/// Returns whether the same request may succeed later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

/// Finds the sentence for people in a provider's error document.
fn sentence(body: &Value) -> Option<String> {
    [
        &body["error"]["message"],
        &body["message"],
        &body["error"],
        &body["detail"],
        &body[0]["error"]["message"],
        &body["error"]["error"]["message"],
    ]
    .into_iter()
    .find_map(|value| value.as_str().filter(|text| !text.is_empty()))
    .map(excerpt)
}

/// Returns the beginning of a text somebody else wrote.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 500;
    let text = text.trim();
    if text.is_empty() {
        return "no explanation".into();
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

/// Joins an error and its causes. The URL stays out: it may hold a key.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // reqwest's own sentence is only "error sending request for url (...)".
        let is_outer = error.downcast_ref::<reqwest::Error>().is_some() && error.source().is_some();
        let sentence = error.to_string();
        if !is_outer && !text.contains(&sentence) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&sentence);
        }
        next = error.source();
    }
    text
}
