//! Talks to a running server for the commands that direct one.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use reqwest::{Certificate, RequestBuilder, Url};
use serde_json::Value;

use super::{Failure, plugin::ServerArguments};
use crate::model::{self, error_chain};

/// A reload may wait for a plugin to open.
const LIMIT: Duration = Duration::from_secs(60);
/// How TLS says that it does not know a server.
const BAD_CERTIFICATE: &str = "invalid peer certificate";
/// What helps then.
const TRUST: &str = "If it is, name its certificate, or its authority's, with --ca or in HOTBAY_CA";

/// What a command and a server know each other by.
#[derive(Args)]
pub(super) struct Credentials {
    /// Token to show the server, better in the variable, where others do not see it
    #[arg(long, env = "HOTBAY_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Certificates (PEM) that vouch for an https server besides the system's: its own, or its authority's
    #[arg(long, value_name = "FILE", env = "HOTBAY_CA")]
    ca: Option<PathBuf>,
}

impl Credentials {
    /// Builds a client that knows the server.
    pub(super) fn http_client(&self, connect: Duration) -> Result<reqwest::Client, Failure> {
        let Some(file) = &self.ca else { return Ok(model::http_client(connect)?) };
        let failed = |reason: String| format!("cannot use the certificates in {}: {reason}", file.display());
        let text = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&text).map_err(|error| failed(error_chain(&error)))?;
        if certificates.is_empty() {
            return Err(failed("there is none in PEM, which begins with -----BEGIN CERTIFICATE-----".to_owned()).into());
        }
        Ok(model::http_client_trusting(connect, &certificates)?)
    }
}

/// A server's API.
pub(super) struct ServerClient {
    client: reqwest::Client,
    base: Url,
    token: Option<String>,
    /// As it was given, for messages.
    url: String,
}

impl ServerClient {
    pub(super) fn new(url: &str, prefix: &str, credentials: &Credentials) -> Result<Self, Failure> {
        let joined = format!("{}{}", url.trim_end_matches('/'), prefix.trim_end_matches('/'));
        let base = Url::parse(&joined)
            .ok()
            .filter(|base| base.has_host())
            .ok_or_else(|| format!("`{url}` is not the URL of a server, write for example http://127.0.0.1:4111"))?;
        Ok(Self {
            client: credentials.http_client(Duration::from_secs(5))?,
            base,
            token: credentials.token.clone(),
            url: url.to_owned(),
        })
    }

    /// Returns the API of the server these name.
    pub(super) fn of(server: &ServerArguments) -> Result<Self, Failure> {
        Self::new(&server.url, &server.prefix, &server.credentials)
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

    /// Deletes what is at a path given by its segments.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.send(self.client.delete(self.at(path)?)).await
    }

    fn at(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| "the URL has no path")?.pop_if_empty().extend(path);
        Ok(url)
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Value, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.timeout(LIMIT).send().await.map_err(|error| {
            let chain = error_chain(&error);
            let reason = if error.is_timeout() {
                "it does not answer in time; name another with --url"
            } else if chain.contains(BAD_CERTIFICATE) {
                return format!("{chain}; is {} the server that is meant? {TRUST}", self.url);
            } else {
                "is it running? name another with --url"
            };
            format!("cannot reach the server at {}: {reason}", self.url)
        })?;
        let status = answer.status();
        let text = answer.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        if status == reqwest::StatusCode::UNAUTHORIZED {
            let how = match self.token {
                Some(_) => "the token is none of this server's, or has expired or was revoked",
                None => "it asks for a token: give one with --token or in HOTBAY_TOKEN",
            };
            return Err(format!("the server at {} answered {status}: {how}", self.url).into());
        }
        let sentence = body.get("error").and_then(Value::as_str).unwrap_or("it did not say why");
        Err(format!("the server answered {status}: {sentence}").into())
    }
}
