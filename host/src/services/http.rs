//! `http.request`: HTTP for plugins that have no client of their own.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hotbay_plugin::{Error, error::code};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::{
    model,
    observe::{traceparent, tracer::SpanContext},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest answer; it is in memory as a whole.
const LONGEST_BODY: usize = 16 << 20;

/// A client, made at the first use: most servers never need it.
#[derive(Default)]
pub(super) struct HttpClient {
    client: OnceLock<reqwest::Client>,
}

/// A request as plugins write it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HttpRequest {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    timeout_ms: Option<u64>,
}

/// An answer as plugins read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpResponse {
    status: u16,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl HttpClient {
    /// Sends a request; any status counts as an answer.
    /// `within` is the span it is part of.
    pub(super) async fn send(&self, request: HttpRequest, within: Option<&SpanContext>) -> Result<HttpResponse, Error> {
        let timeout = request.timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis).min(LONGEST_TIMEOUT);
        let mut built = build(self.client()?, request)?;
        if let Some(parent) = within.and_then(|span| HeaderValue::from_str(&span.traceparent()).ok()) {
            // A plugin that says itself what caused its request knows better.
            built.headers_mut().entry(traceparent::HEADER).or_insert(parent);
        }
        let answer = async {
            let answer = self.client()?.execute(built).await.map_err(|error| unreachable(&error))?;
            read(answer).await
        };
        tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
            Err(Error::with_code(code::DEADLINE, format!("no whole answer within {} ms", timeout.as_millis()))
                .retryable())
        })
    }

    fn client(&self) -> Result<&reqwest::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = model::http_client(CONNECT_TIMEOUT)
            .map_err(|error| Error::with_code(code::UNAVAILABLE, error.to_string()))?;
        Ok(self.client.get_or_init(|| made))
    }
}

fn build(client: &reqwest::Client, request: HttpRequest) -> Result<reqwest::Request, Error> {
    let method = if request.method.is_empty() { "GET".to_owned() } else { request.method.to_ascii_uppercase() };
    let method = reqwest::Method::from_bytes(method.as_bytes())
        .map_err(|_| Error::input(format!("`{method}` is not an HTTP method")))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let odd = |what: &str| Error::input(format!("the header `{name}` has an invalid {what}"));
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| odd("name"))?;
        headers.insert(field, HeaderValue::from_str(value).map_err(|_| odd("value"))?);
    }
    let body = match (request.body, request.body_base64) {
        (Some(text), None) => Some(text.into_bytes()),
        (None, Some(text)) => {
            Some(STANDARD.decode(text).map_err(|error| Error::input(format!("`bodyBase64` is not base64: {error}")))?)
        }
        (None, None) => None,
        (Some(_), Some(_)) => return Err(Error::input("a request has `body` or `bodyBase64`, not both")),
    };
    let mut builder = client.request(method, &request.url).headers(headers);
    if let Some(body) = body {
        builder = builder.body(body);
    }
    builder.build().map_err(|error| Error::input(format!("the request cannot be made: {}", chain(&error))))
}

async fn read(mut answer: reqwest::Response) -> Result<HttpResponse, Error> {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in answer.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        let field = headers.entry(name.as_str().to_owned()).or_default();
        if !field.is_empty() {
            field.push_str(", ");
        }
        field.push_str(&value);
    }
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        if body.len() + piece.len() > LONGEST_BODY {
            return Err(Error::new(format!("the answer is longer than {LONGEST_BODY} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    let (body, body_base64) = match String::from_utf8(body) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    Ok(HttpResponse { status, headers, body, body_base64 })
}

fn unreachable(error: &reqwest::Error) -> Error {
    Error::with_code(code::UNAVAILABLE, format!("the server cannot be reached: {}", chain(error))).retryable()
}

/// Returns the whole chain of causes: the first alone says nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
