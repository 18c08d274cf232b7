//! Talks to a running server for the commands that direct one.

use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde_json::Value;

use super::{Failure, plugin::ServerArguments};
use crate::model;

/// A reload may wait for a plugin to open.
const LIMIT: Duration = Duration::from_secs(60);

/// A server's API.
pub(super) struct ServerClient {
    client: reqwest::Client,
    base: Url,
    /// As it was given, for messages.
    url: String,
}

impl ServerClient {
    pub(super) fn new(url: &str, prefix: &str) -> Result<Self, Failure> {
        let joined = format!("{}{}", url.trim_end_matches('/'), prefix.trim_end_matches('/'));
        let base = Url::parse(&joined)
            .ok()
            .filter(|base| base.has_host())
            .ok_or_else(|| format!("`{url}` is not the URL of a server, write for example http://127.0.0.1:4111"))?;
        Ok(Self { client: model::http_client(Duration::from_secs(5))?, base, url: url.to_owned() })
    }

    /// Returns the API of the server these name.
    pub(super) fn of(server: &ServerArguments) -> Result<Self, Failure> {
        Self::new(&server.url, &server.prefix)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let url = self.at(&path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>())?;
        self.send(self.client.get(url)).await
    }

    /// Posts nothing to a path given by its segments, which need not be encoded.
    pub(super) async fn post(&self, path: &[&str]) -> Result<Value, Failure> {
        self.post_with(path, &[]).await
    }

    /// As [`ServerClient::post`], with a query.
    pub(super) async fn post_with(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        let mut url = self.at(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.client.post(url)).await
    }

    /// Posts a JSON document.
    pub(super) async fn post_json(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.send(self.client.post(self.at(path)?).json(body)).await
    }

    fn at(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| "the URL has no path")?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let answer = request.timeout(LIMIT).send().await.map_err(|error| {
            let reason = if error.is_timeout() { "it does not answer in time" } else { "is it running?" };
            format!("cannot reach the server at {}: {reason}; name another with --url", self.url)
        })?;
        let status = answer.status();
        let text = answer.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        let sentence = body.get("error").and_then(Value::as_str).unwrap_or("it did not say why");
        Err(format!("the server answered {status}: {sentence}").into())
    }
}
