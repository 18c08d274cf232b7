//! A small HTTP client over the host's, so a plugin needs no HTTP stack of its own.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Ctx, Error, Result, error::code, wire};

/// The host's HTTP client.
#[derive(Debug)]
pub struct Http<'a> {
    ctx: &'a Ctx,
}

impl<'a> Http<'a> {
    pub(crate) fn new(ctx: &'a Ctx) -> Self {
        Self { ctx }
    }

    /// Begins a GET request.
    pub fn get(&self, url: impl Into<String>) -> HttpCall<'a> {
        self.request("GET", url)
    }

    /// Begins a POST request.
    pub fn post(&self, url: impl Into<String>) -> HttpCall<'a> {
        self.request("POST", url)
    }

    /// Begins a request with any method.
    pub fn request(&self, method: impl Into<String>, url: impl Into<String>) -> HttpCall<'a> {
        let request = HttpRequest { method: method.into(), url: url.into(), ..HttpRequest::default() };
        HttpCall { ctx: self.ctx, request, failure: None }
    }
}

/// A request as it goes to the host, op `http.request`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRequest {
    /// The method.
    pub method: String,
    /// The address.
    pub url: String,
    /// Header fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The longest it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What a server answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

/// A request that has not been sent yet.
#[derive(Debug)]
#[must_use = "the request goes out with `send`"]
pub struct HttpCall<'a> {
    ctx: &'a Ctx,
    request: HttpRequest,
    failure: Option<Error>,
}

impl HttpCall<'_> {
    /// Adds a header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.headers.insert(name.into(), value.into());
        self
    }

    /// Adds a parameter to the query of the address, encoded.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        let separator = if self.request.url.contains('?') { '&' } else { '?' };
        self.request.url.push(separator);
        encode_into(&mut self.request.url, name);
        self.request.url.push('=');
        encode_into(&mut self.request.url, &value.to_string());
        self
    }

    /// Sends text.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.request.body = Some(body.into());
        self
    }

    /// Sends a JSON document and says so in the header.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_string(body) {
            Ok(text) => self.request.body = Some(text),
            Err(error) => self.failure = Some(error.into()),
        }
        self.header("content-type", "application/json")
    }

    /// Sets the longest the request may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout_ms = u64::try_from(timeout.as_millis()).ok();
        self
    }

    /// Sends the request; any status counts as an answer.
    ///
    /// # Errors
    /// [`code::UNAVAILABLE`] if the server cannot be reached, [`code::DEADLINE`] if it takes too long.
    pub async fn send(self) -> Result<HttpResponse> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.ctx.request("http.request", &self.request).await
    }
}

impl HttpResponse {
    /// Says whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the answer if its status is 2xx.
    ///
    /// # Errors
    /// [`code::UNAVAILABLE`] and retryable for 429 and 5xx, [`code::FAILED`] for any other status.
    pub fn error_for_status(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let message = format!("the server answered with status {}", self.status);
        if self.status == 429 || self.status >= 500 {
            return Err(Error::with_code(code::UNAVAILABLE, message).retryable());
        }
        Err(Error::new(message))
    }

    /// Returns a header field; the name's case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// If the body is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        match (&self.body, &self.body_base64) {
            (Some(body), _) => Ok(body),
            (None, None) => Ok(""),
            (None, Some(_)) => Err(Error::new("the answer's body is not text")),
        }
    }

    /// Parses the body as JSON.
    ///
    /// # Errors
    /// If the body is not JSON or does not fit `T`; the message names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        // Not the caller's fault, so not an input error.
        wire::from_slice(self.text()?.as_bytes(), "the answer's body").map_err(|error| Error::new(error.message))
    }

    /// Parses the body as any JSON document.
    ///
    /// # Errors
    /// If the body is not JSON.
    pub fn value(&self) -> Result<Value> {
        self.json()
    }
}

fn encode_into(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_percent_encoded() {
        let mut url = String::new();
        encode_into(&mut url, "São Paulo&x=1");
        assert_eq!(url, "S%C3%A3o%20Paulo%26x%3D1");
    }

    #[test]
    fn status_decides_whether_a_retry_may_help() {
        let busy = HttpResponse { status: 503, ..HttpResponse::default() }.error_for_status().unwrap_err();
        assert!(busy.retryable);
        let missing = HttpResponse { status: 404, ..HttpResponse::default() }.error_for_status().unwrap_err();
        assert!(!missing.retryable);
    }

    #[test]
    fn body_that_does_not_fit_is_not_an_input_error() {
        let response = HttpResponse { status: 200, body: Some("{\"n\":\"x\"}".into()), ..HttpResponse::default() };
        let error = response.json::<BTreeMap<String, u32>>().unwrap_err();
        assert_eq!(error.code, code::FAILED);
        assert!(error.message.contains("`n`"), "{}", error.message);
    }
}
